"""Make the README's moving picture from the running app: `python -m tests.ui.screenshot`."""

import io
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from deepforcing import load_pipeline
from tests.ui.chromium import CHROMIUM, FLAGS, look, visit, wait
from ui.app import App

PICTURE = Path(__file__).parents[2] / "assets" / "screenshot.webp"
FROM, TO, EVERY = 60, 190, 3  # frames of the recorded run that the page opens with: the window fills, and makes room
WIDTH = 1000  # pixels


def main() -> None:
    """Step through the recorded run, and save the first screen at each step."""
    app = App(load_pipeline("tiny"))
    app.launch(prevent_thread_lock=True, quiet=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        page = visit(app, browser, [])
        wait(page, f"p.clock?.newest > {TO}", 120)
        look(page, "p.pause(true)")
        shots = [_shot(page, frame) for frame in range(FROM, TO, EVERY)]
        fps = look(page, "p.clock.fps")
        browser.close()
    app.blocks.close()
    pause = round(1000 * EVERY / fps)
    shots[0].save(
        PICTURE,
        save_all=True,
        append_images=shots[1:],
        duration=pause,
        loop=0,
        quality=55,
        method=4,
        minimize_size=True,
    )
    print(f"{PICTURE}: {len(shots)} pictures, {PICTURE.stat().st_size / 1000:.0f} kB")


def _shot(page, frame: int) -> Image.Image:
    look(page, f"p.seek({frame})")
    wait(page, f"p.stage.shown === {frame}")
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    return image.resize((WIDTH, image.height * WIDTH // image.width), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main()
