"""How smooth the page is, all panels open: `python -m tests.ui.pace`. Nothing is asserted; machines are noisy."""

import itertools

from playwright.sync_api import Browser, Page, sync_playwright

from deepforcing import load_pipeline
from tests.ui.chromium import CHROMIUM, FLAGS, PLAYER, look, visit, wait
from ui.app import App

SECONDS = 60  # that are watched
SCRUBS = 40
DRAWN = "p.shownChunk && p.waiting === 0"
SCRUB = f"""async (scrubs) => {{
  const p = {PLAYER}, times = [];
  const settled = () => {DRAWN} && p.stage.shown === p.clock.frame;
  for (let i = 0; i < scrubs; i++) {{
    const began = performance.now();
    p.seek(Math.floor(((i * 0.618) % 1) * (p.clock.newest - 1)));
    await new Promise((done) => {{
      const look = () => (settled() ? done() : requestAnimationFrame(look));
      requestAnimationFrame(look);
    }});
    times.push(performance.now() - began);
  }}
  return times.sort((one, other) => one - other);
}}"""


def main() -> None:
    """Watch a live run, scrub through it, open a recorded one; print what was measured."""
    app = App(load_pipeline("tiny"))
    app.launch(prevent_thread_lock=True, quiet=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        page = visit(app, browser, [])
        watch(page)
        scrub(page)
        page.close()
        arrive(browser, f"{app.blocks.local_url}?trace=deep-forcing")
        browser.close()
    app.blocks.close()


def watch(page: Page) -> None:
    """fps, gaps between shown frames, and stalls, over SECONDS of a run."""
    page.get_by_role("button", name="Generate", exact=True).click()
    wait(page, "p.history && !p.history.run.recorded && p.stage.log.length > 5", 3 * SECONDS)
    page.wait_for_timeout(1000 * SECONDS)
    log = look(page, "p.stage.log.map((entry) => entry[1])")
    gaps = sorted(after - before for before, after in itertools.pairwise(log))
    print(f"shown in the browser: {1000 * len(gaps) / sum(gaps):.1f} fps over {sum(gaps) / 1000:.0f} s")
    print(f"gap between frames: p95 {gaps[int(0.95 * len(gaps))]:.0f} ms, longest {gaps[-1]:.0f} ms")
    print(f"stalls: {look(page, 'p.clock.stalls')}")
    said = page.locator(".df-rate")
    print(f"said on the page: {page.locator('#header .model').inner_text()}")
    print(f"said on the video: {said.inner_text() if said.is_visible() else 'nothing'}")


def scrub(page: Page) -> None:
    """From a jump of the playhead to frame and panels redrawn."""
    page.keyboard.press("Escape")
    look(page, "p.pause(true)")
    times = page.evaluate(SCRUB, SCRUBS)
    print(f"a jump, until all panels are drawn: median {times[len(times) // 2]:.0f} ms, longest {times[-1]:.0f} ms")


def arrive(browser: Browser, address: str) -> None:
    """From the request of the page to a recorded run's first frame, and to its panels."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(address)
    page.wait_for_function("document.querySelector('.df')?.player?.stage.log.length")
    wait(page, DRAWN)
    print(f"a link to a recorded run, until its first frame: {look(page, 'p.stage.log[0][1]') / 1000:.1f} s")
    print(f"a link to a recorded run, until its panels: {page.evaluate('performance.now()') / 1000:.1f} s")


if __name__ == "__main__":
    main()
