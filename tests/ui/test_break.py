"""Break the method on the page, see what it does to the video, mend it."""

import pytest
from browsing import expect
from chromium import drawer, look, wait

from deepforcing import DeepSink, load_pipeline, read_trace
from ui.app import App
from ui.recordings.library import Recordings

PROMPT = "a red balloon drifting over the sea at night"  # with others the joins show less
SECONDS = 12  # of video until the gauges have seen five more than the start


@pytest.fixture(scope="module")
def app():
    app = App(load_pipeline("tiny"), DeepSink(), recordings=Recordings([]))
    app.launch(prevent_thread_lock=True, quiet=True)
    yield app
    app.blocks.close()


def watch_to_the_end(page) -> None:
    page.get_by_label("Prompt", exact=True).fill(PROMPT)
    page.get_by_role("button", name="Generate", exact=True).click()
    wait(page, f"p.clock?.made && !p.clock.ended && p.clock.newest >= {SECONDS} * 16", 250)
    page.get_by_role("button", name="Stop", exact=True).click()
    wait(page, "p.root.dataset.ended === 'stopped'")
    look(page, "p.seek(p.clock.newest - 1)")
    wait(page, "p.shownChunk === p.history.chunks.at(-1)")


def test_a_break_shows_its_symptom_and_is_mended(page, tmp_path):
    panel, line = page.locator("#break-it"), page.locator(".df-symptoms")
    drawer(page, "Break it")
    panel.get_by_role("spinbutton", name="S · sink").fill("18")
    panel.get_by_role("spinbutton", name="S · sink").press("Tab")
    expect(page.locator("#strip")).to_contain_text("18 sink")
    panel.get_by_label("Stale prompt").check()
    watch_to_the_end(page)
    expect(line).to_have_text(
        "Unlike the paper: a sink of 18 frames is too large; the model is not told of a new prompt. "
        "Symptom seen: flicker at chunk borders."
    )
    with page.expect_download() as download:
        page.locator("#save-trace").click()
    download.value.save_as(tmp_path / "run.trace")
    trace = read_trace(tmp_path / "run.trace")
    assert trace.started.stale_prompt and trace.is_measured
    assert trace.gauges(len(trace.index.chunks) - 1).chunk_jump > 1.5

    panel.get_by_role("button", name="Mend everything").click()
    expect(page.locator("#strip")).to_contain_text("10 sink")
    expect(panel.get_by_label("Stale prompt")).not_to_be_checked()
    watch_to_the_end(page)
    expect(line).to_have_text("Nothing is broken. No symptom seen here.")
