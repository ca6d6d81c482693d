"""Several viewers of one model: each sees its own video, and all are told that they share."""

import pytest
from browsing import expect
from chromium import drawer, look, visit, wait
from conftest import small_pipeline

from ui.app import App
from ui.recordings.library import Recordings


@pytest.fixture(scope="module")
def app():
    app = App(small_pipeline(), recordings=Recordings([]))
    app.launch(prevent_thread_lock=True, quiet=True)
    yield app
    app.blocks.close()


def test_two_browsers_watch_different_videos_at_once(app, browser, page, trouble):
    other = visit(app, browser, trouble)
    for viewer, prompt in ((page, "a red balloon"), (other, "a blue boat")):
        viewer.get_by_label("Prompt", exact=True).fill(prompt)
        viewer.get_by_role("button", name="Generate", exact=True).click()
        wait(viewer, "p.history?.chunks.length >= 3 && p.stage.shown >= 9")
    assert app.sessions.active == 2
    told = [look(viewer, "p.history.chunks.map((chunk) => chunk.prompt)") for viewer in (page, other)]
    assert set(told[0]) == {"a red balloon"} and set(told[1]) == {"a blue boat"}
    made = [look(viewer, "p.clock.newest") for viewer in (page, other)]
    for viewer, before in zip((page, other), made, strict=True):
        wait(viewer, f"p.clock.newest > {before + 12}")
        drawer(viewer, "Meter")
        expect(viewer.locator("[data-meter=sharing]")).to_have_text("2, in turns")
    other.close()
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_role("button", name="Generate", exact=True)).to_be_visible()
