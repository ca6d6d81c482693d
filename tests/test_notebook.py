"""The notebook runs, from its first cell to its fifteenth."""

import os
import re

import pytest

from deepforcing import read_trace

try:
    import ipykernel  # noqa: F401  what runs the cells
    import nbformat
    from run_notebook import FIGURE, NOTEBOOK, run
except ImportError:
    if os.environ.get("CI") == "true":
        raise
    pytest.skip("what runs a notebook is not installed: pip install nbclient ipykernel", allow_module_level=True)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The notebook with its outputs, and the folder that it was run in."""
    folder = tmp_path_factory.mktemp("notebook")
    return run(folder), folder


def code_cells(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def text_of(cell) -> str:
    return "".join(output.get("text", "") for output in cell.outputs if output.output_type == "stream")


def shows(cell, kind: str) -> bool:
    return any(kind in output.get("data", {}) for output in cell.outputs)


def test_it_has_fifteen_cells_with_words_between():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert len(code_cells(notebook)) == 15
    kinds = [cell.cell_type for cell in notebook.cells]
    assert all(kinds[i - 1] == "markdown" for i, kind in enumerate(kinds) if kind == "code")
    assert NOTEBOOK.stat().st_size < 600_000


def test_no_cell_fails_and_all_figures_are_drawn(ran):
    cells = code_cells(ran[0])
    assert not [o for cell in cells for o in cell.outputs if o.output_type == "error" or o.get("name") == "stderr"]
    drawn = [number for number, cell in enumerate(cells, 1) if shows(cell, FIGURE)]
    assert drawn == [6, 7, 8, 9, 10, 11, 12, 14]
    assert [number for number, cell in enumerate(cells, 1) if shows(cell, "image/png")] == [4, 13]


def test_what_it_says_is_what_the_words_promise(ran):
    said = [text_of(cell) for cell in code_cells(ran[0])]
    assert "sink and latest: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 27, " in said[0]
    assert "before the next token: [-21, -20, -19, " in said[0] and "chunk 2: 12 video frames" in said[0]
    assert said[2].startswith("deep-forcing {'window': 21, 'sink': 10") and "finished after 17 chunks" in said[2]
    assert re.search(r"sink +(\d+)0 tokens of 10 frames \[0, 1, 2, 3, 4, 5, 6, 7, 8, 9\]", said[4])
    released, none = map(int, re.findall(r"furthest way back (\d+)%", said[11]))
    assert released < none, "a sink left behind rolls back further"
    assert re.search(r"^every-other +\d", said[13], re.MULTILINE) and "Ahead is the runner" in said[13]


def test_what_it_saves_opens(ran):
    trace = read_trace(ran[1] / "notebook.trace")
    assert trace.seconds == 12 and trace.is_measured and len(list(trace)) == 19
    assert (ran[1] / "notebook.mp4").stat().st_size > 10_000
