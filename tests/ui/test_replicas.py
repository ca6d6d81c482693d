"""Two browsers at one address watch videos from two replicas; the end of one of these is told to whom it concerns."""

import time

import pytest

pytest.importorskip("ray", reason="several replicas need Ray: pip install 'deepforcing[serve]'")

from browsing import expect
from chromium import look, visit, wait
from conftest import small_pipeline
from on_ray import processes

from ui.app import App
from ui.hosting.lent import GOES_ON, GONE
from ui.recordings.library import Recordings

pytestmark = pytest.mark.timeout(400)
PROMPTS = ("a red balloon", "a blue boat")
STARTS = 180  # seconds for what starts processes


@pytest.fixture(scope="module")
def app(replicas):
    app = App(small_pipeline(), recordings=Recordings([]), replicas=replicas)
    app.launch(prevent_thread_lock=True, quiet=True)
    yield app
    app.blocks.close()


def generate(viewer, prompt: str) -> None:
    viewer.get_by_label("Prompt", exact=True).fill(prompt)
    viewer.get_by_role("button", name="Generate", exact=True).click()


def prompts(viewer) -> set[str]:
    return set(look(viewer, "p.history.chunks.map((chunk) => chunk.prompt)"))


def goes_on(viewer) -> None:
    newest = look(viewer, "p.clock.newest")
    wait(viewer, f"p.clock.newest > {newest + 12} && p.stage.shown > {newest}", STARTS)


def hit(viewers):
    """The one who is told that the machine of its video is gone, soon."""
    until = time.monotonic() + STARTS
    while time.monotonic() < until:
        for viewer in viewers:
            if viewer.locator(".df-coming").inner_text() == GOES_ON[GONE]:
                return viewer
        viewers[0].wait_for_timeout(100)
    raise AssertionError("nobody was told")


def test_two_browsers_watch_two_replicas_and_when_one_is_killed_its_video_goes_on(app, browser, page, trouble):
    viewers = (page, visit(app, browser, trouble))
    for viewer, prompt in zip(viewers, PROMPTS, strict=True):
        generate(viewer, prompt)
    for viewer in viewers:
        wait(viewer, "p.history?.chunks.length >= 3 && p.stage.shown >= 9", STARTS)
    assert app.sessions.active == len(processes()) == 2
    processes()[0].kill()
    told = hit(viewers)
    for viewer, prompt in zip(viewers, PROMPTS, strict=True):
        goes_on(viewer)
        assert prompts(viewer) == {prompt}
    (other,) = {*viewers} - {told}
    assert other.locator(".df-coming").inner_text() == "" and len(processes()) == 2
    for viewer in viewers:
        viewer.get_by_role("button", name="Stop", exact=True).click()
        expect(viewer.get_by_role("button", name="Generate", exact=True)).to_be_visible()
    viewers[1].close()
