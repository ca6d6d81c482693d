"""Recorded runs as a viewer meets them: saved from a live run, opened without a model, linked to a moment."""

import re
import subprocess
import sys
import time
import urllib.request
from functools import cache
from pathlib import Path

import pytest
from browsing import expect
from chromium import INKED, drawer, late_tab, look, page_was_left, visit, wait
from conftest import free_port, soon
from test_trace import record, run

from deepforcing import load_pipeline, read_trace
from ui.app import App
from ui.page.launch import UPLOAD_BYTES
from ui.recordings.library import Recordings, messages_of

ROOT = Path(__file__).parents[2]
MOMENT = 2.5  # seconds; frame 40
AT_ONCE = (  # what is seen when a run was begun
    "[p.root.dataset.state, p.root.querySelector('.df-told').textContent, "
    "p.instrument.bars.mass.size > 0, p.life.columns.length > 0]"
)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A recorded run of seven seconds, of a small model that draws noise; its second prompt has markup in it."""
    return record(tmp_path_factory.mktemp("small"), run())


@pytest.fixture
def app(small):
    app = App(load_pipeline("tiny"), recordings=Recordings([small]))
    app.launch(prevent_thread_lock=True, quiet=True)
    yield app
    app.blocks.close()


@pytest.fixture(scope="module")
def serve():
    """Start the page without a model, in a process where torch cannot be imported; returns its address. The same one
    serves all tests of the same traces."""
    processes = []

    @cache
    def start(*traces) -> str:
        port = free_port()
        code = (
            "import sys; sys.modules['torch'] = None\n"
            "from deepforcing.__main__ import main\n"
            "sys.exit(main(['replay', *sys.argv[1:]]))"
        )
        command = [sys.executable, "-c", code, *map(str, traces), "--port", str(port), "--host", "127.0.0.1"]
        processes.append(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL))
        address, deadline = f"http://127.0.0.1:{port}/", time.monotonic() + 300
        while time.monotonic() < deadline and processes[-1].poll() is None:
            try:
                urllib.request.urlopen(address, timeout=30).close()
                return address
            except OSError:
                time.sleep(0.2)
        raise AssertionError("the page did not come up")

    yield start
    for process in processes:
        process.terminate()
        process.wait(60)


def test_a_live_run_is_saved_and_opened_again_without_a_model(app, browser, serve, trouble, tmp_path):
    page = visit(app, browser, trouble)
    something_plays_before_anybody_asks(page)
    page.get_by_role("button", name="Generate", exact=True).click()
    wait(page, "p.history && !p.history.run.recorded && p.clock.newest > 90")
    a_token_is_followed(page)
    saved = save_trace(page, tmp_path)
    page.close()
    app.blocks.close()
    address = serve(saved)
    began = time.monotonic()
    page = visit(address, browser, trouble)
    wait(page, "p.stage.shown >= 0")
    print(f"\nthe recorded run shows {time.monotonic() - began:.1f} s after its page is asked for")
    wait(page, "p.clock.ended")
    every_panel_shows_the_recorded_run(page, saved)
    a_token_is_followed(page)
    scrubbing_redraws_the_panels(page)
    page.goto(f"{address}?trace={saved.stem}&t={MOMENT}&panel=cache")
    a_link_shows_its_moment(page, "cache")
    page.close()


def a_token_is_followed(page):
    page.locator(".df-cells figure[data-latent='1'] canvas").click(position={"x": 1, "y": 1})  # a token may be 2 wide
    name = re.compile(r"^Latent frame 1, row 1 of (\d+), column 1 of \1$")
    expect(page.locator(".df-inside-name")).to_have_text(name)
    expect(page.locator(".df-inside-made")).to_contain_text("Made at 0.1 s. Its frame is sink")
    expect(page.locator(".df-inside-held")).to_have_text("All hold it.")


def something_plays_before_anybody_asks(page):
    wait(page, "p.history?.run.recorded && p.stage.shown >= 0")
    expect(page.locator(".df-recorded")).to_be_visible()
    expect(page.locator(".df-live")).to_be_hidden()
    wait(page, "p.stage.shown > 5")


def save_trace(page, folder: Path) -> Path:
    page.get_by_role("button", name="Stop", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save trace").click()
    saved = folder / download.value.suggested_filename
    download.value.save_as(saved)
    assert saved.name.startswith("a-red-balloon") and saved.suffix == ".trace"
    return saved


def every_panel_shows_the_recorded_run(page, path: Path):
    """What the page has is what was recorded, to the last token."""
    messages = list(messages_of(read_trace(path)))[1:]
    caches = look(page, "p.history.chunks.map((chunk) => chunk.cache)")
    assert caches == [message["cache"] for message in messages]
    assert look(page, "p.clock.newest") == sum(len(message["frames"]) for message in messages)
    assert look(page, "p.clock.stalls") == 0
    for name in ("bars", "rope", "life"):
        page.wait_for_function(f"({INKED})(document.querySelector('.df-{name}'))")
    drawer(page, "Meter")
    assert page.locator(".df-cells figure").count() >= 3
    expect(page.locator(".df-about")).to_contain_text("deep-forcing (window 21, sink 10")
    expect(page.locator(".df-about")).to_contain_text(
        f"seed 7 · tiny model, weights {read_trace(path).started.weights}"
    )
    expect(page.locator("[data-meter=dit]")).to_contain_text("fps")


def scrubbing_redraws_the_panels(page):
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("slider", name="Position in the video").focus()
    page.keyboard.press("Home")
    wait(page, "p.stage.shown === 0 && p.instrument.bars.mass.size === 3")
    page.keyboard.press("End")
    wait(page, "p.stage.shown === p.clock.newest - 1 && p.instrument.bars.mass.size > 3")
    page.locator(".df-layer").select_option(label="2")
    wait(page, "Math.abs([...p.instrument.bars.mass.values()].reduce((a, b) => a + b, 0) - 1) < 0.01")


def a_link_shows_its_moment(page, panel: str):
    page.wait_for_function("document.querySelector('.df')?.player")
    wait(page, f"p.stage.shown === {MOMENT * 16} && p.clock.ended")
    wait(page, f"p.root.querySelector('[data-panel={panel}]').dataset.meant")
    box = page.locator(f"[data-panel={panel}]").bounding_box()
    assert 0 <= box["y"] < 900, "the panel is not in view"
    wait(page, f"!p.clock.playing && p.shownChunk.first <= {MOMENT * 16}")
    expect(page.locator(".df-time")).to_have_text("0:02.5")


def test_recorded_and_live_runs_take_turns_on_the_player(app, browser, trouble):
    page = visit(app, browser, trouble)
    page.get_by_role("button", name="Generate", exact=True).click()
    wait(page, "p.history && !p.history.run.recorded && p.stage.shown >= 0")
    page.get_by_role("button", name="More ...").click()
    page.get_by_role("button", name="▶ Run, 7 s").click()
    wait(page, "p.history.run.recorded && p.clock.ended")
    expect(page.get_by_role("button", name="Generate", exact=True)).to_be_visible()
    assert soon(lambda: app.sessions.active == 0)
    drawer(page, "Meter")
    expect(page.locator("[data-meter=first]")).to_have_text(re.compile(r"^\d+\.\d\d s$"))
    look(page, "p.seek(p.clock.newest - 9)")
    wait(page, "p.clock.atEnd")
    expect(page.locator(".df-now-text")).to_contain_text("<img src=x onerror=alert(1)> & ")  # text, and no picture
    look(
        page,
        f"new MutationObserver(() => p.opened ??= {AT_ONCE}).observe(p.root, {{ attributeFilter: ['data-state'] }})",
    )
    page.get_by_role("button", name="Generate", exact=True).click()
    wait(page, "!p.history.run.recorded && p.stage.shown >= 0")
    state, told, *kept = look(page, "p.opened")
    assert state == "starting" and told.startswith("What the model looks back at is told here"), "the last run's words"
    assert kept == [False, False], "the last run's attention and life"
    expect(page.locator(".df-recorded")).to_be_hidden()
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_role("button", name="Generate", exact=True)).to_be_visible()
    page.close()


def test_a_trace_from_anywhere_is_opened_or_refused_in_words(app, browser, trouble, small, tmp_path):
    page = visit(app, browser, trouble)
    foreign, cut = tmp_path / "holiday.trace", tmp_path / "cut.trace"
    foreign.write_text("<img src=x onerror=alert(1)>")
    cut.write_bytes(small.read_bytes()[:-500])
    for path, words in ((foreign, "it is no trace"), (cut, "was cut short")):
        upload(page, path)
        expect(page.locator("#note")).to_contain_text(f"{path.name} cannot be read")
        expect(page.locator("#note")).to_contain_text(words)
    before = look(page, "p.run")
    upload(page, small)
    wait(page, f"p.run !== '{before}' && p.history.run.recorded.link === null && p.clock.ended")
    expect(page.locator("#note .note")).to_have_count(0)
    expect(page.locator(".df-link")).to_be_hidden()
    assert app.blocks.max_file_size == UPLOAD_BYTES
    page.close()


def upload(page, path: Path):
    if not page.locator("#open-trace").is_visible():
        page.get_by_role("button", name="More ...").click()
    with page.expect_file_chooser() as chooser:
        page.locator("#open-trace").click()
    chooser.value.set_files(path)


def test_a_link_leads_to_its_moment_however_late_the_player_is(browser, serve, trouble, small):
    page = late_tab(browser, trouble, "**/player/player.js*", seconds=3)
    page.goto(f"{serve(small)}?trace=run&t={MOMENT}&panel=life")
    a_link_shows_its_moment(page, "life")
    page.close()


def test_a_page_that_waits_for_a_part_says_so(app, browser, trouble):
    page = visit(app, browser, trouble)
    wait(page, "p.clock?.ended")
    said = "(window.told = [], p.tell.confirm = ({ seen }) => told.push(seen), p.over = false)"
    look(page, said)  # as if the end were on its way
    page.wait_for_function("told.length > 1")
    page.close()


def test_links_lead_to_a_moment_or_say_why_not(browser, serve, trouble, small):
    address = serve(small)
    page = visit(f"{address}?trace=run&t={MOMENT}&panel=life", browser, trouble)
    a_link_shows_its_moment(page, "life")
    page.get_by_role("button", name="One frame on").click()
    page.get_by_role("button", name="Copy a link to this moment").click()
    expect(page.locator(".df-coming")).to_contain_text("ink")
    assert page.url == f"{address}?trace=run&t=2.56"
    bad = {
        "?trace=<script>alert(1)</script>": "no recorded run '<script>alert(1)</script>' here: there are run",
        "?trace=run&t=soon": "t must be seconds, such as 12.5, not 'soon'",
        "?trace=run&t=99": "run ends at 7.1 s, before 99.0 s",
        "?trace=run&panel=kitchen": (
            "panel must be one of video, life, attention, cache, rope, inside, drift, heads, roles, meter, "
            "not 'kitchen'"
        ),
    }
    for search, words in bad.items():
        page.goto(address + search)
        expect(page.locator("#note")).to_contain_text(words)
        wait(page, "p.asked")  # the player is there, and has heard
        assert look(page, "p.run ?? null") is None
    page_was_left(trouble)
    page.close()
