"""The addresses that a page makes: its own, as the browser has it, whatever the server thinks that it is."""

import shutil

import pytest
from browsing import expect
from chromium import PATIENCE, PLAYER
from test_trace import record, run

from ui.look import web
from ui.recordings.library import Recordings
from ui.replay import ReplayApp


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """The page without a model, in a folder whose name means something in an address."""
    folder = tmp_path_factory.mktemp("addresses")
    strange = folder / "take #2 %41 + ü?"
    shutil.copytree(web.UI, strange / "ui", ignore=shutil.ignore_patterns("__pycache__"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(web, "UI", strange / "ui")
        app = ReplayApp(Recordings([record(folder, run(frames=33))]))
        app.launch(prevent_thread_lock=True, quiet=True)
        yield app
        app.blocks.close()


@pytest.mark.parametrize(
    "thought", [{"x-forwarded-host": "127.0.0.1"}, {"x-forwarded-proto": "https"}], ids=["without its port", "https"]
)
def test_the_player_plays_whatever_the_server_thinks_its_address_is(app, browser, thought):
    context = browser.new_context(extra_http_headers=thought)
    page = context.new_page()
    page.set_default_timeout(1000 * PATIENCE)
    page.goto(app.blocks.local_url)
    page.wait_for_function(f"document.querySelector('.df') && {PLAYER}?.stage.shown >= 0")
    asked = page.evaluate("performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert any(name.endswith("player.js") for name in asked)
    assert [name for name in asked if not name.startswith(app.blocks.local_url)] == []
    expect(page.locator(".df")).to_be_visible()
    context.close()
