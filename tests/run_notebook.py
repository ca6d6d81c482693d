"""Run the notebook; as a command, put its outputs into the file: `python -m tests.run_notebook`.

What is shown there must be seen without running anything, so figures are stored as pictures, taken by a browser.
"""

import base64
import io
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import nbformat
from nbclient import NotebookClient
from PIL import Image

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "notebook.ipynb"
SECONDS = 550  # for one cell, on a slow and busy machine; a fast and idle one needs thirty for the slowest
FIGURE = "application/vnd.plotly.v1+json"
WIDTH = 820  # pixels of a figure
DRAW = """([figure, width, height]) => {
  document.querySelector("#figure").style.height = `${height}px`;
  return Plotly.newPlot("figure", figure.data, {...figure.layout, width, height});
}"""


def run(folder: Path) -> nbformat.NotebookNode:
    """The notebook with its outputs. It is run in `folder`, where it leaves its files."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=SECONDS,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    with patch.dict(os.environ, PYTHONPATH=str(ROOT)):
        return client.execute()


def main() -> None:
    """Write it with its outputs."""
    from playwright.sync_api import sync_playwright
    from plotly.offline import get_plotlyjs

    from tests.ui.chromium import CHROMIUM, FLAGS

    with TemporaryDirectory() as folder:
        notebook = run(Path(folder))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        page = browser.new_page(viewport={"width": WIDTH, "height": 600})
        page.set_content("<body style='margin: 0; background: white'><div id='figure'></div></body>")
        page.add_script_tag(content=get_plotlyjs())
        for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
            cell.outputs = [output for output in cell.outputs if _is_kept(output)]
            for output in cell.outputs:
                _make_still(output, page)
        browser.close()
    nbformat.write(notebook, NOTEBOOK)
    print(f"{NOTEBOOK}: {NOTEBOOK.stat().st_size / 1000:.0f} kB")


def _is_kept(output: dict) -> bool:
    """All but the script that plotly brings along."""
    return output.output_type == "stream" or bool({FIGURE, "image/jpeg"} & set(output.data))


def _make_still(output: dict, page) -> None:
    if FIGURE in output.get("data", {}):
        output.data = {"image/png": _picture(page, output.data[FIGURE]), "text/plain": "a figure"}
    elif "image/jpeg" in output.get("data", {}):
        output.data = {kind: output.data[kind] for kind in ("image/jpeg", "text/plain")}


def _picture(page, figure: dict) -> str:
    """A PNG of the figure, in base64."""
    height = figure["layout"].get("height", 260)
    page.evaluate(DRAW, [figure, WIDTH, height])
    page.wait_for_timeout(300)  # until an image in it is decoded
    shot = Image.open(io.BytesIO(page.locator("#figure").screenshot()))
    buffer = io.BytesIO()
    shot.convert("RGB").quantize(128).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


if __name__ == "__main__":
    main()
