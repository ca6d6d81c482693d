"""Where a page runs out of video, the server's figures say so."""

import re

import pytest
from browsing import expect
from chromium import look, wait
from conftest import small_pipeline, soon

from ui.app import App
from ui.recordings.library import Recordings


@pytest.fixture(scope="module")
def app():
    app = App(small_pipeline(), recordings=Recordings([]))
    app.launch(prevent_thread_lock=True, quiet=True)
    yield app
    app.blocks.close()


def stalls(app) -> float:
    return float(re.search(r"^deepforcing_stalls_total (.*)$", app.metrics(), re.MULTILINE)[1])


def test_the_server_counts_the_stalls_that_the_page_counts(app, page):
    page.get_by_label("Prompt", exact=True).fill("a red balloon")
    page.get_by_role("button", name="Generate", exact=True).click()
    wait(page, "p.clock?.moving && p.clock.position > 12")
    before, counted = look(page, "p.clock.stalls"), stalls(app)
    (run,) = app.sessions._runs.values()
    run.pause(True)  # by nobody who watches: the model stands still
    wait(page, f"p.clock.stalls > {before} && p.clock.buffering")
    more = look(page, "p.clock.stalls") - before  # no more while it stands, however often the page says so
    assert soon(lambda: stalls(app) == counted + more)
    page.wait_for_timeout(2500)
    assert stalls(app) == counted + more
    run.pause(False)
    wait(page, f"p.clock.moving && p.clock.newest > {look(page, 'p.clock.newest')}")
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_role("button", name="Generate", exact=True)).to_be_visible()
