"""Nothing is lost: the page is loaded anew, or its network is cut, in the middle of a run."""

import re
import time
from contextlib import contextmanager

import pytest
from browsing import expect
from chromium import PLAYER, drawer, look, page_was_left, until_it_works, wait
from conftest import soon
from PIL import Image

from deepforcing import load_pipeline
from ui.app import App
from ui.recordings.library import Recordings

LESSON = """# Again

A lesson that is loaded anew.

## How much?

```ask
name = "much"
question = "How much will move?"
choices = ["little", "much"]
```

## Watch it

```run
name = "run"
runner = "deep-forcing"
prompt = "a red balloon drifting over the city at sunset"
seed = 7
seconds = 30
panels = ["attention"]
```
"""


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    lessons = tmp_path_factory.mktemp("lessons")
    (lessons / "again.md").write_text(LESSON)
    app = App(load_pipeline("tiny"), recordings=Recordings([]), lessons=lessons)
    app.launch(prevent_thread_lock=True, quiet=True)
    yield app
    app.blocks.close()


def runs(page):
    page.get_by_role("button", name="Generate", exact=True).click()
    wait(page, "p.history?.chunks.length >= 3 && p.stage.shown >= 6")
    return look(page, "p.run")


def is_found_again(page, run, shown):
    wait(page, f"p.run === '{run}' && p.stage.shown >= {shown} && p.history?.chunks[0]?.first === 0")
    made = look(page, "p.clock.newest")
    wait(page, f"p.clock.newest > {made}")  # it goes on
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_role("button", name="Generate", exact=True)).to_be_visible()
    with page.expect_download() as download:
        page.locator("#download").click()
    assert re.fullmatch(r"a-red-balloon.*[.]mp4", download.value.suggested_filename)


def test_a_reload_finds_the_run_where_it_was(app, page, trouble):
    run = runs(page)
    shown = look(page, "Math.floor(p.clock.position)")
    page.reload()
    is_found_again(page, run, shown)
    assert soon(lambda: app.sessions.active == 0)
    page_was_left(trouble)


def test_a_reload_finds_the_run_also_where_a_lesson_was_looked_at_before(app, page, trouble):
    page.get_by_role("tab", name="Learn", exact=True).click()
    card, words = page.locator("button.card").first, page.locator("#lesson-words h2")
    until_it_works(lambda: card.click(timeout=5000), expect(words).to_be_visible)
    page.get_by_role("tab", name="Watch", exact=True).click()
    run = runs(page)
    page.reload()
    is_found_again(page, run, 0)
    page_was_left(trouble)


def test_a_second_reload_finds_the_place_too_before_the_first_has_led_there(page, trouble):
    run = runs(page)
    wait(page, "p.clock.position > 30")
    page.reload()
    wait(page, "p.run")
    look(page, "(p.opening.frame = 30, p.clock.seek(0), p.beat())")  # its place is yet to come
    kept = page.evaluate("JSON.parse(sessionStorage.getItem('deep-forcing-run'))")
    assert kept["run"] == run and kept["frame"] == 30
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_role("button", name="Generate", exact=True)).to_be_visible()
    page_was_left(trouble)


def test_a_run_begun_before_the_player_is_there_again_is_not_given_up_for_the_last_one(page, trouble):
    before = runs(page)
    page.route("**/player/player.js*", lambda route: (time.sleep(4), route.continue_()))
    page.reload()
    page.get_by_role("button", name="Generate", exact=True).click()
    wait(page, f"p.run > '{before}' && p.clock?.newest > 90")
    expect(page.locator("#note")).not_to_contain_text("gone")
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_role("button", name="Generate", exact=True)).to_be_visible()
    page_was_left(trouble)


@pytest.mark.parametrize("seconds", [5, 30])
def test_a_network_that_was_cut_does_not_end_the_run(page, trouble, seconds):
    run = runs(page)
    shown = look(page, "Math.floor(p.clock.position)")
    network = page.context.new_cdp_session(page)
    offline = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    network.send("Network.enable")
    network.send("Network.emulateNetworkConditions", {"offline": True, **offline})
    page.evaluate("window.before = true")
    page.wait_for_timeout(1000 * seconds)
    network.send("Network.emulateNetworkConditions", {"offline": False, **offline})
    page.wait_for_function("!window.before")  # Gradio loads the page anew by itself
    is_found_again(page, run, shown)
    page_was_left(trouble)


@contextmanager
def slow_connection(page):
    network = page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 1500, "downloadThroughput": -1, "uploadThroughput": -1}
    network.send("Network.enable")
    network.send("Network.emulateNetworkConditions", slow)
    yield
    network.send("Network.emulateNetworkConditions", slow | {"latency": 0})


def test_no_beat_is_dropped_while_another_is_on_its_way(page):
    beats = []
    runs(page)
    page.on("request", lambda request: beats.append(1) if '"seen"' in (request.post_data or "") else None)
    with slow_connection(page):
        for _ in range(5):  # all in less time than one takes
            look(page, "p.beat()")
            page.wait_for_timeout(150)
    assert len(beats) >= 5
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_role("button", name="Generate", exact=True)).to_be_visible()


def test_of_two_prompts_that_follow_each_other_the_second_holds_however_slow_the_connection(page):
    runs(page)
    with slow_connection(page):
        for prompt in ("a green kite over the sea at night", "a white boat over the sea by day"):
            page.locator("#prompt textarea").fill(prompt)
            page.get_by_role("button", name="Change prompt").click()
    wait(page, "p.history.chunks.at(-1).prompt.startsWith('a white boat')")
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_role("button", name="Generate", exact=True)).to_be_visible()


def test_who_plays_again_before_the_pause_was_answered_sees_the_video_go_on(page):
    runs(page)
    with slow_connection(page):
        page.get_by_role("button", name="Pause").click()
        page.get_by_role("button", name="Play", exact=True).click()
    made = look(page, "p.clock.newest")
    wait(page, f"p.clock.newest > {made + 60}")  # more than what is under way
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_role("button", name="Generate", exact=True)).to_be_visible()


def test_an_example_is_what_is_made_however_slow_the_connection(page):
    with slow_connection(page):
        page.get_by_role("button", name="a white boat swaying").click()
        page.get_by_role("button", name="Generate", exact=True).click()
    wait(page, "p.history && p.stage.shown >= 0")
    assert look(page, "p.history.run.prompt").startswith("a white boat")
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_role("button", name="Generate", exact=True)).to_be_visible()


def test_a_slow_link_is_said_and_gets_smaller_pictures(page):
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")

    def carries(bytes_a_second):
        both = {"downloadThroughput": bytes_a_second, "uploadThroughput": bytes_a_second}
        network.send("Network.emulateNetworkConditions", {"offline": False, "latency": 40} | both)

    carries(20_000)  # too little for a slow machine, too
    page.get_by_role("button", name="Generate", exact=True).click()
    expect(page.locator(".df-coming")).to_contain_text("Your connection carries about")
    carries(125_000)
    wait(page, "p.stage.shown > 40")
    stalls = look(page, "p.clock.stalls")
    page.wait_for_timeout(20_000)
    assert look(page, "p.clock.stalls") <= stalls + 1, "at most one a minute"
    carries(-1)
    expect(page.locator(".df-coming")).to_contain_text("Your connection is faster again")
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_role("button", name="Generate", exact=True)).to_be_visible()


def test_what_the_next_run_takes_the_place_of_can_be_saved_meanwhile(page):
    run = runs(page)
    drawer(page, "Settings")
    page.get_by_label("Seed").fill("8")
    page.get_by_role("button", name="Start the next run").click()
    wait(page, f"p.run !== '{run}' && p.history?.chunks.length")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the last video").click()
    assert re.fullmatch(r"a-red-balloon.*seed-?7.*[.]mp4", download.value.suggested_filename)
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_role("button", name="Download MP4")).to_be_visible()


def test_a_run_that_is_over_goes_on_from_the_moment_on_screen_with_another_prompt(page):
    run, on = runs(page), page.get_by_role("button", name="Go on from here")
    wait(page, "p.clock.newest > 50")
    expect(on).to_be_hidden()
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(on).to_be_visible()
    look(page, "p.seek(32)")  # the last frame of the third chunk
    page.get_by_role("textbox", name="Prompt", exact=True).fill("a white boat swaying over the sea by day")
    on.click()
    wait(page, f"p.run !== '{run}' && p.stage.shown > 36")
    red, white = look(page, "[...new Set(p.history.chunks.map(({ prompt }) => prompt))]")
    assert red.startswith("a red balloon") and white.startswith("a white boat")
    assert look(page, "p.history.chunks.find(({ prompt }) => prompt.startsWith('a white')).first") == 33
    expect(page.get_by_role("button", name="Go to where it was gone on")).to_be_visible()
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_role("button", name="Generate", exact=True)).to_be_visible()


def test_a_video_starts_from_the_frame_on_screen_or_from_a_file(page, tmp_path):
    runs(page)
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_role("button", name="More ...").click()
    page.get_by_role("button", name="Start from a picture or a clip").click()
    page.get_by_role("button", name="The frame on screen").click()
    expect(page.locator("#start-note")).to_contain_text("Right: as the model draws that")
    page.get_by_role("button", name="Starts from your picture").click()
    expect(page.locator("#start-note")).to_be_empty()
    Image.new("RGB", (64, 64), (20, 200, 40)).save(tmp_path / "green.png")
    page.locator("#start-file input[type=file]").set_input_files(tmp_path / "green.png")
    expect(page.get_by_role("button", name="Starts from your picture")).to_be_visible()
    run = look(page, "p.run")
    page.get_by_role("button", name="Generate", exact=True).click()
    wait(page, f"p.run !== '{run}' && p.history?.chunks.length > 1 && p.stage.shown >= 0")
    assert look(page, "p.history.chunks.map(({ again }) => again).slice(0, 2)") == [True, False]
    look(page, "(p.pause(true), p.seek(0))")
    wait(page, "p.stage.shown === 0")
    red, green, blue = page.evaluate(f"[...{PLAYER}.stage.canvas.getContext('2d').getImageData(9, 9, 1, 1).data]")[:3]
    assert green > red + 60 and green > blue + 60
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_role("button", name="Generate", exact=True)).to_be_visible()


def test_a_race_is_found_again_after_a_reload(app, page, trouble):
    race = "document.querySelector('#race-player .df')?.race"
    page.get_by_role("tab", name="Race", exact=True).click()
    page.locator("#race-start").click()
    page.wait_for_function(f"{race}?.rounds.length >= 2 && {race}.shown > 3", timeout=300_000)
    run = page.evaluate(f"{race}.run")
    page.wait_for_url(re.compile("tab=race"))
    page.reload()
    page.wait_for_function(f"{race}?.run === '{run}' && {race}.rounds[0]?.first === 0", timeout=300_000)
    made = page.evaluate(f"{race}.clock.newest")
    page.wait_for_function(f"{race}.clock.newest > {made}", timeout=300_000)
    page.locator("#race-stop").click()
    expect(page.locator("#race-start")).to_be_visible()
    page_was_left(trouble)


def test_a_race_of_which_the_first_rounds_are_gone_is_found_again(page, trouble, monkeypatch):
    monkeypatch.setattr("ui.hosting.kept.MOST_BYTES", 1_000_000)
    race = "document.querySelector('#race-player .df')?.race"
    page.get_by_role("tab", name="Race", exact=True).click()
    page.locator("#race-start").click()
    page.wait_for_function(f"{race}?.rounds.length >= 20 && {race}.shown > 3", timeout=300_000)
    run = page.evaluate(f"{race}.run")
    page.reload()
    page.wait_for_function(f"{race}?.run === '{run}' && {race}.rounds[0]?.first > 0", timeout=300_000)
    whole = f"(({{ first, count }}) => first + count)({race}.rounds.at(-1))"
    assert page.evaluate(f"{race}.clock.newest === {whole}")
    made = page.evaluate(f"{race}.clock.newest")
    page.wait_for_function(f"{race}.clock.newest > {made}", timeout=300_000)
    page.locator("#race-stop").click()
    expect(page.locator("#race-start")).to_be_visible()
    page_was_left(trouble)


def test_a_lessons_experiment_is_found_again_with_what_its_reader_answered(app, page, trouble):
    player = "document.querySelector('#lesson-player .df')?.player"
    page.goto(f"{app.blocks.local_url}?lesson=again&step=1")
    page.get_by_role("radio", name="much").check()
    page.get_by_role("button", name="That is my").click()
    page.locator("#lesson-next").click()
    page.get_by_role("button", name="Run it", exact=True).click()
    page.wait_for_function(f"{player}?.history?.chunks.length >= 2 && {player}.stage.shown > 3")
    run = page.evaluate(f"{player}.run")
    page.wait_for_url(re.compile("step=2"))
    page.reload()
    page.wait_for_function(f"{player}?.run === '{run}' && {player}.clock.newest > 8.5 * 16", timeout=300_000)
    page.get_by_role("button", name="Stop here").click()
    expect(page.locator("#lesson-note")).to_contain_text("are measured")
    page.locator("#lesson-back").click()
    expect(page.locator("#lesson-note")).to_contain_text("You chose “much”. Now see what happens.")
    page_was_left(trouble)
