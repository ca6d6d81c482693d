"""Make the README's picture from the running app: `python -m tests.ui.screenshot`."""

import io
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from deepforcing import load_pipeline
from tests.ui.chromium import CHROMIUM, FLAGS, visit, wait
from ui.app import App

PICTURE = Path(__file__).parents[2] / "assets" / "screenshot.webp"
SECONDS = 14  # of video before the picture is taken


def main() -> None:
    """Play the page's first example, and save the whole page."""
    app = App(load_pipeline("tiny"))
    app.launch(prevent_thread_lock=True, quiet=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        page = visit(app, browser, [])
        page.get_by_role("button", name="Generate", exact=True).click()
        wait(page, "p.history && !p.history.run.recorded")
        wait(page, f"p.clock?.position > {SECONDS} * 16", 120)
        image = Image.open(io.BytesIO(page.screenshot(full_page=True)))
        browser.close()
    app.blocks.close()
    image.convert("RGB").save(PICTURE, quality=88, method=6)
    print(f"{PICTURE}: {image.width} x {image.height}, {PICTURE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
