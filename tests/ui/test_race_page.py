"""The race and the later prompts as a viewer meets them."""

import json
import re

import imageio_ffmpeg
import numpy as np
import pytest
from browsing import expect
from chromium import PLAYER, look, open_tab, wait

from deepforcing import LEADER_RULE, load_pipeline
from ui.app import App
from ui.player.messages import Codec
from ui.recordings.library import Recordings

RACE = "document.querySelector('.race').race"
SECOND = "a blue kite swaying over snowy mountains by day"


@pytest.fixture(scope="module")
def app():
    app = App(load_pipeline("tiny"), recordings=Recordings([]))
    app.launch(prevent_thread_lock=True, quiet=True)
    yield app
    app.blocks.close()


@pytest.fixture
def race(page):
    page.get_by_role("tab", name="Race").click()
    page.wait_for_function(f"document.querySelector('.race') && {RACE}")
    return page


def ask(page, expression: str):
    return page.evaluate(f"(() => {{ const r = {RACE}; return {expression}; }})()")


def until(page, condition: str, seconds: float = 300) -> None:
    page.wait_for_function(f"(() => {{ const r = {RACE}; return {condition}; }})()", timeout=1000 * seconds)


def test_a_race_runs_on_one_clock_and_leaves_a_file(race, tmp_path):
    race.get_by_role("button", name="Start the race").click()
    until(race, "r.lanes[0]?.stage.log.length > 40")
    race.get_by_role("button", name="Stop the race").click()
    expect(race.get_by_role("button", name="Start the race")).to_be_visible()
    until(race, "r.root.dataset.ended === 'stopped'")
    logs = ask(race, "r.lanes.map((lane) => lane.stage.log)")
    assert len(logs) == 3 and logs[0] == logs[1] == logs[2], "the players showed different frames"
    steps = np.diff([frame for frame, _ in logs[0]])
    assert (steps >= 1).all(), "frames went backwards"
    stalls, made, gaps = ask(race, "r.clock.stalls"), ask(race, "r.clock.made"), np.diff([at for _, at in logs[0]])
    print(f"\nthree runners: {made:.1f} fps of each, {stalls} stalls, gap p95 {np.percentile(gaps, 95):.0f} ms")
    scrubbing_shows_the_past(race)
    newest = ask(race, "r.clock.newest")
    with race.expect_download() as download:
        race.locator("#race-download").click()
    download.value.save_as(tmp_path / "race.mp4")
    assert re.fullmatch(r"race-a-red-balloon.*-seed-7\.mp4", download.value.suggested_filename)
    assert imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "race.mp4"))[0] == newest


def scrubbing_shows_the_past(race):
    race.get_by_role("slider", name="Position in the race").focus()
    race.keyboard.press("Home")
    until(race, "r.shown === 0 && r.shownRound.index === 0")
    expect(race.locator(".race-ahead")).to_contain_text("Nobody is ahead yet")
    race.locator(".race .df-stage").focus()
    race.keyboard.press("ArrowRight")
    until(race, "r.shown === 1 && r.lanes.every((lane) => lane.stage.shown === 1)")


def test_the_leader_the_table_and_the_lines_say_what_was_measured(race):
    start(race)
    until(race, "r.shown !== null && r.rounds.length === 12")
    race.evaluate(f"() => {RACE}.seek(130)")
    race.evaluate(f"() => {RACE}.pause(true)")
    until(race, "r.shownRound.index === 11")
    ahead = "Ahead: <b>window</b>, as measured."
    expect(race.locator(".race-ahead")).to_have_text(ahead)
    expect(race.locator(".race-rule")).to_have_text(LEADER_RULE)
    rows = [row.locator("td").all_inner_texts() for row in race.locator(".race-table tbody tr").all()]
    assert rows[0] == ["0.60", "0.25", "0.110", "×0.90", "20 %", "4.0 MB", "23.5", "6.0 s"]
    assert rows[1] == ["0.90", "–", "0.050", "×0.90", "–", "3.0 MB", "47.0", "3.0 s"]
    assert race.locator("figure[data-ahead=true]").count() == race.locator("tr[data-ahead=true]").count() == 1
    assert race.locator("figcaption small").all_inner_texts() == ["deep window=21", "<b>window</b> window=21"]
    assert race.locator("figcaption b, th b").count() == 0, "a label was read as markup"
    drift = race.get_by_role("img", name="Colour drift.")
    assert [drift.locator(".lines-line").nth(i).get_attribute("d").count("L") for i in range(2)] == [5, 5]
    expect(drift).to_have_attribute("aria-label", "Colour drift. Latest: deep 0.110, <b>window</b> 0.050.")
    colours = {race.locator(".lines-line").nth(i).evaluate("(line) => getComputedStyle(line).stroke") for i in range(2)}
    assert len(colours) == 2
    race.evaluate(f"() => {RACE}.seek(40)")
    expect(race.locator(".race-ahead")).to_contain_text("Nobody is ahead yet")


@pytest.mark.parametrize("width", [1440, 420])
def test_videos_and_lines_have_the_room_they_need(race, width):
    race.set_viewport_size({"width": width, "height": 900})
    start(race)
    until(race, "r.shown !== null")
    parts = ("canvas", ".df-track", "table", "article svg")  # from top to bottom
    boxes = [race.locator(f".race {part}").first.bounding_box() for part in parts]
    least = {1440: (400, 900, 1200, 280), 420: (170, 100, 340, 340)}[width]
    assert all(box["width"] >= size for box, size in zip(boxes, least, strict=True)), boxes
    assert [box["y"] for box in boxes] == sorted(box["y"] for box in boxes)


def start(page) -> None:
    """A race of two, twelve rounds long."""
    run = {"fps": 16, "height": 96, "width": 96, "stride": 4, "chunk_frames": 3, "prompt": "p"}
    runners = [
        {"label": label, "words": f"{label} window=21", "settings": {"window": 21}}
        for label in ("deep", "<b>window</b>")
    ]
    send(page, {"kind": "started", "seq": 0, "runners": runners, **run})
    for index in range(12):
        send(page, round_message(index))


def send(page, message) -> None:
    value = json.dumps({"messages": [{"run": "~", **message}]})
    page.evaluate(f"(value) => {RACE}.receive(JSON.parse(value))", value)


def round_message(index: int) -> dict:
    """Two runners; one makes 24 frames a second and drifts, the other 48 and less. Known from the seventh round on."""
    count = 9 if index == 0 else 12
    picture = Codec.of(96, 96).encode(np.full((96, 96, 3), 20 * index, np.uint8))
    known = index >= 6
    laps = [
        {
            "seconds": 0.5,
            "total": 0.5 * (index + 1),
            "drift": 0.01 * index,
            "scenery": 0.6,
            "way": 0.25,
            "sink": 0.2,
            "bytes": 4e6,
        },
        {
            "seconds": 0.25,
            "total": 0.25 * (index + 1),
            "drift": 0.05,
            "scenery": 0.9,
            "way": None,
            "sink": None,
            "bytes": 3e6,
        },
    ]
    laps = [{**lap, "motion": 0.9, "drift": lap["drift"] if known else None} for lap in laps]
    sent = {"index": index, "first": max(0, 12 * index - 3), "prompt": "p", "mime": "image/webp", "encode": 0.01}
    sent |= {"frames": [[picture] * count] * 2, "laps": laps, "leader": 1 if known else None}
    sent["verdict"] = "Ahead: <b>window</b>, as measured." if known else "Nobody is ahead yet."
    return {"kind": "round", "seq": index + 1, **sent}


def test_what_cannot_race_is_said(race):
    race.get_by_label("Runners, two to four").focus()
    for _ in range(2):
        race.keyboard.press("Backspace")
    expect(race.locator("#race-note")).to_contain_text("a race needs 2 to 4 runners, not 1")
    expect(race.get_by_role("button", name="Start the race")).to_be_disabled()
    race.keyboard.type("deep-forcing sink=banana")
    race.keyboard.press("Enter")
    expect(race.locator("#race-note")).to_contain_text("sink must be a whole number")
    race.keyboard.press("Backspace")
    race.keyboard.type("deep-sink sink=4")
    race.keyboard.press("Enter")
    expect(race.locator("#race-note .problem")).to_have_count(0)
    expect(race.get_by_role("button", name="Start the race")).to_be_enabled()
    race.get_by_role("button", name="Change the prompt half-way, for all").click()
    expect(race.get_by_label("Time of prompt 2").last).to_have_value("0:30")


def test_later_prompts_are_written_with_the_keyboard_and_come_in_time(page):
    page.get_by_role("button", name="More ...").click()
    page.locator("#later .lp-add").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Prompt 2", exact=True)).to_be_focused()
    page.keyboard.type(SECOND)
    page.get_by_label("Time of prompt 2").fill("soon")
    page.keyboard.press("Tab")
    expect(page.locator("#note")).to_contain_text("a time is written as 10s, 1m30s or 0:10, not 'soon'")
    expect(page.get_by_label("Time of prompt 2")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Time of prompt 2").fill("2s")
    page.keyboard.press("Tab")
    expect(page.locator("#note .problem")).to_have_count(0)
    expect(page.locator("#later .lp-strip span")).to_have_text(["0:00 the prompt above", f"0:02 {SECOND}"])
    page.get_by_role("button", name="Generate", exact=True).click()
    wait(page, f"p.shownChunk?.prompt === {SECOND!r}")
    first = look(page, f"p.history.chunks.find((chunk) => chunk.prompt === {SECOND!r}).first")
    assert first == 33, "the first chunk that begins at or after two seconds"
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_role("button", name="Generate", exact=True)).to_be_visible()
    page.get_by_role("button", name="Remove prompt 2").click()
    expect(page.locator("#later .lp-rows li")).to_have_count(0)
    expect(page.locator("#later .lp-add")).to_be_focused()


def test_nothing_is_wider_than_a_phone(app, browser):
    trouble = []
    page = open_tab(app, browser, trouble)
    page.set_viewport_size({"width": 420, "height": 900})
    page.wait_for_function(f"document.querySelector('.df') && {PLAYER}")
    page.get_by_role("button", name="More ...").click()
    page.locator("#later .lp-add").click()
    page.locator("#later .lp-text").fill(SECOND)
    page.get_by_role("tab", name="Race").click()
    page.wait_for_function(f"document.querySelector('.race') && {RACE}")
    page.locator("#race-later .lp-add").click()
    page.locator("#race-later .lp-text").fill(SECOND)
    start(page)
    for tab in ("Race", "Watch"):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")
    page.close()
    assert not trouble
