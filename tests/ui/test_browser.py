"""The app as a viewer meets it: one real browser, from the prompt to the downloaded file."""

import json
import math
import re
import threading
import time
from itertools import pairwise

import imageio_ffmpeg
import numpy as np
import pytest
from browsing import expect
from chromium import INKED, PLAYER, drawer, look, open_tab, visit, wait
from conftest import soon
from small_wan import save_small_wan

from deepforcing import AttentionMass, CacheState, Compression, Gauges, Geometry, Jump, Loading, load_pipeline
from ui.app import App
from ui.drift.gauges import gauges_message
from ui.loading.loader import Loader, Offer
from ui.memory.packing import Sample, pack_attention, pack_cache
from ui.memory.ranking import pack_contest, room_beside
from ui.memory.rope_words import placement_words
from ui.player.messages import Codec
from ui.prompts.examples import LONG
from ui.recordings.library import Recordings
from ui.serve import open_app, read_arguments

PROMPT, SECOND = "a red balloon drifting over the sea at night", "a green rocket rising over the desert at sunset"


@pytest.fixture(scope="module")
def app():
    app = App(load_pipeline("tiny"), recordings=Recordings([]), runs=1)
    app.launch(prevent_thread_lock=True, quiet=True)
    yield app
    app.blocks.close()


def test_prompt_to_video_to_file(page, tmp_path):
    page.get_by_label("Prompt", exact=True).fill(PROMPT)
    page.get_by_role("button", name="Generate", exact=True).click()
    wait(page, "p.stage.shown >= 0")
    look(page, "p.choose({ latent: 2, row: 1, column: 1 })")  # its life is told at every chunk, and holds nothing up
    wait(page, "p.stage.log.length > 100")
    frames_come_in_order_and_without_stalls(page)
    panels_follow_the_video(page)
    the_prompt_changes(page)
    settings_change(page)
    scrubbing_shows_the_past_without_the_server(page)
    stop_and_download(page, tmp_path)


def frames_come_in_order_and_without_stalls(page):
    shown = look(page, "p.stage.log.map((entry) => entry[0])")
    steps = [after - before for before, after in pairwise(shown)]
    assert all(step >= 1 for step in steps), "frames went backwards"
    left_out = sum(steps) / len(steps) - 1
    stalls, made = look(page, "p.clock.stalls"), look(page, "p.clock.made")
    gaps = look(page, "p.stage.log.map((entry, i, all) => i ? entry[1] - all[i - 1][1] : 0).sort((a, b) => a - b)")
    first = page.locator("[data-meter=first]").inner_text()
    print(f"\nfirst frame {first}, model {made:.0f} fps, {stalls} stalls, frames left out {left_out:.0%}")
    print(f"gap between frames: p95 {gaps[int(0.95 * len(gaps))]:.0f} ms, longest {gaps[-1]:.0f} ms")


def panels_follow_the_video(page):
    newest = "Math.max(...p.instrument.bars.mass.keys())"
    before = look(page, newest)
    assert look(page, ATTENTION) == pytest.approx(1, abs=0.01)
    assert page.locator(".df-cells figure").count() > 10
    wait(page, f"{newest} > {before} && {newest} === p.shownChunk.latents[1] - 1")
    tiles_stand_in_their_columns(page)
    for name in ("bars", "rope", "life"):
        page.wait_for_function(f"({INKED})(document.querySelector('.df-{name}'))")
    drawer(page, "Attention over time")
    expect(page.locator(".df-shares")).to_be_visible()
    page.wait_for_function(f"({INKED})(document.querySelector('.df-shares'))")
    drawer(page, "Layers and heads")
    layers, heads = look(page, "[p.history.run.layers.length, p.history.run.heads.length]")
    assert page.locator(".df-grid button").count() == (1 + layers) * (1 + heads)
    page.get_by_role("button", name="layer 2, head 3: sink mass").click()
    assert (page.locator(".df-layer").input_value(), page.locator(".df-head").input_value()) == ("2", "3")
    wait(page, f"Math.abs({ATTENTION} - 1) < 0.01")
    page.get_by_role("button", name="All layers", exact=True).click()
    assert (page.locator(".df-layer").input_value(), page.locator(".df-head").input_value()) == ("0", "0")


def tiles_stand_in_their_columns(page):
    """Both are read at once: the video goes on."""
    axis = "[...p.instrument.axis.columns].map(([latent, [left]]) => [latent, left])"
    cells = "[...p.root.querySelectorAll('.df-cells figure')]"
    places = f"{cells}.map((tile) => [Number(tile.dataset.latent), parseFloat(tile.style.left)])"
    columns, tiles = look(page, f"[{axis}, {places}]")
    assert dict(tiles) == pytest.approx(dict(columns), abs=0.1) and len(tiles) == len(columns)


def the_prompt_changes(page):
    page.get_by_label("Prompt", exact=True).fill(SECOND)
    page.get_by_label("Prompt", exact=True).press("Enter")
    asked = time.monotonic()
    expect(page.locator(".df-now-text")).to_have_text(SECOND)
    print(f"new prompt on screen after {time.monotonic() - asked:.1f} s")
    prompts = page.locator(".df-marks [data-kind=prompt]")  # what the video itself does may be marked too
    assert prompts.evaluate_all("all => all.map((mark) => mark.title)") == [f"New prompt: {SECOND}"]


def settings_change(page):
    """One that the run can take up, and one that has to wait: each is said where it was touched."""
    drawer(page, "Break it")
    sink = page.locator("#break-it").get_by_role("spinbutton", name="S · sink")
    sink.fill("6")
    sink.press("Tab")
    said = page.locator("#live-note")
    expect(said).to_contain_text(re.compile(r"Sink 6 from second \d+ on\."))
    wait(page, "p.shownChunk.run.settings.sink === 6")
    expect(page.locator(".df-marks [data-kind=change]")).to_have_attribute("title", "Settings: sink 10 → 6")
    assert look(page, "p.history.chunks[0].run.settings.sink") == 10
    window = page.locator("#break-it").get_by_role("spinbutton", name="Window")
    window.fill("24")
    window.press("Tab")
    expect(said).to_contain_text("A window of 24 is too large for a cache of 21: it is for the next run.")
    expect(page.get_by_role("button", name="Start the next run")).to_be_visible()
    for knob, value in ((window, "21"), (sink, "10")):
        knob.fill(value)
        knob.press("Tab")
    expect(said).to_contain_text("a sink of 10 comes too late", ignore_case=True)


def scrubbing_shows_the_past_without_the_server(page):
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("slider", name="Position in the video").focus()
    page.keyboard.press("Home")
    wait(page, "p.stage.shown === 0 && p.shownChunk.index === 0")
    expect(page.locator(".df-now-text")).to_have_text(PROMPT)
    expect(page.locator(".df-keep-note")).to_contain_text("No compression has fired yet")
    expect(page.locator(".df-rope-note")).to_contain_text("Nothing is cached yet")
    drawer(page, "Drift")
    expect(page.get_by_role("img", name="Colour drift: –, not enough video yet")).to_be_visible()
    expect(page.locator(".df-told")).to_contain_text("there is nothing to look back at yet")
    wait(page, "p.instrument.bars.mass.size === 3 && p.instrument.axis.columns.size === 3")  # only the chunk itself
    page.locator(".df-stage").focus()
    page.keyboard.press("ArrowRight")
    wait(page, "p.stage.shown === 1")
    made = look(page, "p.clock.newest")
    time.sleep(1.5)
    assert look(page, "p.clock.newest") <= made + 24, "generation went on while paused"
    page.get_by_role("button", name="Play").click()
    wait(page, "p.stage.shown > 4")


def stop_and_download(page, tmp_path):
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_role("button", name="Generate", exact=True)).to_be_visible()
    wait(page, "p.root.dataset.ended === 'stopped'")
    made = look(page, "p.clock.newest")
    with page.expect_download() as download:
        page.locator("#download").click()
    file = tmp_path / "video.mp4"
    download.value.save_as(file)
    assert re.fullmatch(r"a-red-balloon.*-seed-\d+\.mp4", download.value.suggested_filename)
    frames, seconds = imageio_ffmpeg.count_frames_and_secs(str(file))
    assert frames == made and seconds == pytest.approx(made / 16, abs=0.2)


STEADY = """async ({ seconds, seed }) => {
  const at = performance.getEntriesByType("resource").find(({ name }) => name.endsWith("player.js")).name;
  const { Clock } = await import(at.replace("player.js", "clock.js"));
  const clock = new Clock(16, 9);
  const speeds = [];
  let due = 0;
  let random = seed;
  for (let now = 0; now < 120_000; now += 16) {
    if (now >= due) {
      if (now) clock.add(clock.newest ? 12 : 9, seconds, now);
      random = (random * 16807) % 2147483647; // others take some of the machine's time, by turns
      due = now + 1000 * seconds * (1 + 0.35 * (random / 2147483647));
    }
    clock.tick(now);
    if (clock.moving && now > 30_000) speeds.push(clock.speed);
  }
  const [slowest, fastest] = [Math.min(...speeds), Math.max(...speeds)];
  return { slowest, fastest, stalls: clock.stalls, moved: speeds.length, slow: clock.slow };
}"""


@pytest.mark.parametrize("seconds", [1.0, 2.4, 6.0])
def test_a_machine_that_is_too_slow_gives_slow_steady_motion_without_stalls(page, seconds):
    """Chunks of 12 frames, made in so many seconds each; they come up to a third later."""
    for seed in (1, 2, 3):
        shown = page.evaluate(STEADY, {"seconds": seconds, "seed": seed})
        real = 12 / 16 / (1.17 * seconds)
        assert shown["stalls"] == 0 and shown["moved"] > 5600 and shown["slow"]
        assert 0.7 * real < shown["slowest"] and shown["fastest"] < min(1, 1.4 * real), shown


@pytest.mark.parametrize("seconds", [0.1, 0.5])
def test_a_machine_that_is_fast_enough_is_shown_at_full_speed_without_stalls(page, seconds):
    """As above; the slowest chunk takes nine tenths of its own length."""
    for seed in (1, 2, 3):
        shown = page.evaluate(STEADY, {"seconds": seconds, "seed": seed})
        assert shown["stalls"] == 0 and shown["moved"] > 5600 and not shown["slow"]
        assert shown["slowest"] >= 1 and shown["fastest"] <= 1.03, shown


def test_a_second_viewer_waits_and_a_closed_tab_ends_its_run(app, browser, page):
    first = visit(app, browser, [])
    first.get_by_role("button", name="Generate", exact=True).click()
    wait(first, "p.stage.shown >= 0")
    page.get_by_role("button", name="Generate", exact=True).click()
    expect(page.locator(".df-overlay-text")).to_contain_text("You are number 1 in line")
    first.close()
    wait(page, "p.stage.shown >= 0")
    assert app.sessions.active == 1
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_role("button", name="Generate", exact=True)).to_be_visible()
    assert soon(lambda: app.sessions.active == 0)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("deepforcing")]


def test_bad_input_is_answered_in_words(page):
    prompt = page.get_by_label("Prompt", exact=True)
    prompt.fill("a red <img src=x onerror=alert(1)> ballon")
    expect(page.locator("#note")).to_contain_text("has not seen: img, src, x, onerror, alert, ballon")
    page.get_by_role("button", name="balloon", exact=True).click()
    expect(prompt).to_have_value("a red <img src=x onerror=alert(1)> balloon")
    expect(page.locator("#note")).not_to_contain_text("ballon")
    prompt.fill("<img src=x onerror=alert(1)> dragon")
    expect(page.locator("#note")).to_contain_text("knows no word of this prompt")
    drawer(page, "Break it")
    recent = page.locator("#break-it").get_by_role("spinbutton", name="R · recent")
    recent.fill("8")
    recent.press("Tab")
    expect(page.locator("#problem")).to_contain_text("sink 10 + recent 8 leaves nothing of budget 16")
    expect(page.get_by_role("button", name="Generate", exact=True)).to_be_disabled()
    recent.fill("4")
    recent.press("Tab")
    expect(page.locator("#problem .note")).to_have_count(0)
    drawer(page, "Settings")
    page.get_by_label("Seed", exact=True).fill("seven")
    expect(page.locator("#seed-note")).to_contain_text("must be a whole number, not 'seven'")
    page.get_by_label("Seed", exact=True).fill("7")
    markup_is_shown_as_text(page)
    for text, words in (("", "The prompt is empty"), ("x" * 10_000, "10,000 characters")):
        prompt.fill(text)
        page.get_by_role("button", name="Generate", exact=True).click()
        expect(page.locator("#note")).to_contain_text(words)


def test_a_published_layout_is_offered_fetched_and_streams_in_every_tab(browser, tmp_path):
    """A small model in the files of the large one; only the download is played."""
    go, fetched, folder = threading.Event(), threading.Event(), save_small_wan(tmp_path / "wan")

    def prepare(report):
        report("transformer.pt", 2_000_000_000, 5_680_000_000)
        go.wait(500)  # longer than the tabs may need until they have seen the first part
        report("transformer.pt", 5_680_000_000, 5_680_000_000)
        fetched.set()
        return load_pipeline(folder, loading=Loading(height=64, width=96))

    offer = Offer("## A large model\n\n5.68 GB, CC BY-NC-SA 4.0", "I agree to non-commercial use.")
    app, trouble = App(Loader(prepare, offer), recordings=Recordings([])), []
    app.launch(prevent_thread_lock=True, quiet=True)
    try:
        tabs = [open_tab(app, browser, trouble) for _ in range(2)]
        for tab in tabs:
            expect(tab.get_by_role("heading", name="A large model")).to_be_visible()
        begin = tabs[0].get_by_role("button", name="Fetch and load")
        expect(begin).to_be_disabled()
        tabs[0].get_by_label("I agree to non-commercial use.").check()
        begin.click()
        for tab in tabs:
            expect(tab.locator(".steps")).to_contain_text("transformer.pt 2.00 of 5.68 GB (35 %)")
        assert not fetched.is_set() and tabs[0].locator(".df").count() == 0
        go.set()
        for tab in (*tabs, open_tab(app, browser, trouble)):
            tab.wait_for_function(f"document.querySelector('.df') && {PLAYER}")
            expect(tab.locator("#waiting")).to_be_hidden()
            expect(tab.locator("#header")).to_contain_text("96 × 64, 16 fps · 24 tokens a frame")
        tabs[1].get_by_role("button", name="Lighthouse storm").click()
        expect(tabs[1].get_by_label("Prompt", exact=True)).to_have_value(LONG["Lighthouse storm"])
        tabs[1].get_by_role("button", name="Generate", exact=True).click()
        wait(tabs[1], "p.history?.chunks.length >= 2 && p.stage.shown >= 9")
        tabs[1].get_by_role("button", name="Stop", exact=True).click()
        expect(tabs[1].get_by_role("button", name="Generate", exact=True)).to_be_visible()
        for context in browser.contexts:
            context.close()
        assert not trouble
    finally:
        app.blocks.close()


def test_a_path_loads_behind_its_forecast_and_streams(browser, tmp_path):
    folder, trouble = save_small_wan(tmp_path / "mine"), []
    app = open_app(read_arguments(["--model", str(folder), "--size", "64x96"], {}))
    app.launch(prevent_thread_lock=True, quiet=True)
    try:
        tab = open_tab(app, browser, trouble)
        expect(tab.locator("#header")).to_contain_text("mine model · 96 × 64, 16 fps")
        expect(tab.locator("#waiting")).to_be_hidden()
        tab.get_by_role("button", name="Generate", exact=True).click()
        wait(tab, "p.history?.chunks.length >= 2 && p.stage.shown >= 9")
        tab.get_by_role("button", name="Stop", exact=True).click()
        expect(tab.get_by_role("button", name="Generate", exact=True)).to_be_visible()
        tab.context.close()
        assert not trouble
    finally:
        app.blocks.close()


def test_panels_of_the_real_size_are_drawn_fast(page):
    sample, seed = Sample.of(REAL, 30, 12), np.random.default_rng(0)
    picture = seed.integers(0, 255, (60, 104, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    images = [Codec.of(480, 832).encode(picture)] * 12
    page.evaluate(f"(message) => {PLAYER}.receive({{ messages: [message] }})", started(sample))
    milliseconds = []
    for index in range(12):
        message = chunk(index, sample, images)
        panels = len(json.dumps({**message, "frames": []}))
        assert panels <= 150_000
        milliseconds.append(page.evaluate(DRAW, message))
    wait(page, "p.keepmap.thumbnails.size >= 33")
    print(
        f"\npanels {panels / 1000:.0f} kB, drawing a chunk {min(milliseconds):.0f} ms at best, "
        f"{sorted(milliseconds)[6]:.0f} ms in the middle"
    )
    expect(page.locator(".df-sampled")).to_contain_text("5 of 30 layers")
    expect(page.locator(".df-keep-note")).to_contain_text("Not drawn: ")
    assert (
        page.locator(".df-cells figure").count() == 10 + 14 + 6 + 3 + 3
    )  # of the middle the 14 that hold most; 3 let go
    size = page.locator(".df-cells canvas").first.evaluate("(c) => [c.width, c.height]")
    assert size[0] % 52 == 0 and size[1] % 30 == 0, "a token is drawn as whole pixels"
    page.locator("#player .df-layer").select_option(label="30")
    wait(page, f"p.instrument.bars.mass.size === 59 && Math.abs({ATTENTION} - 1) < 0.01")


def test_instruments_by_pointer_and_by_keyboard(page):
    """The timeline, the gauges and the overview of heads, on chunks with known contents."""
    sample = Sample.of(REAL, 30, 12)
    images = [Codec.of(480, 832).encode(np.full((480, 832, 3), 90, np.uint8))] * 12
    page.evaluate(f"(message) => {PLAYER}.receive({{ messages: [message] }})", started(sample))
    for index, gauges in enumerate(MEASURED):
        page.evaluate(DRAW, {**chunk(index, sample, images), "gauges": gauges_message(gauges, 16)})
    look(page, "p.pause(true, false)")
    see_the_last_chunk(page)
    gauges_and_marks(page)
    see_the_last_chunk(page)
    the_timeline_answers(page)
    heads_are_picked(page)


def see_the_last_chunk(page):
    look(page, "p.seek(40)")
    wait(page, "p.shownChunk?.index === 3")


def gauges_and_marks(page):
    drawer(page, "Drift")
    page.mouse.move(2, 2)  # a gauge under the pointer is explained as well
    gauge = page.get_by_role("img", name="Colour drift")
    expect(gauge).to_have_attribute("aria-label", re.compile("10 %, shifted a little"))
    expect(page.locator(".df-gauge[data-level='2']")).to_contain_text("jumped back to the first frames")
    gauge.focus()
    expect(page.locator(".df-gauge-note")).to_have_text(re.compile("^How far the hues have moved"))
    gauge.blur()
    expect(page.locator(".df-gauge-note")).to_contain_text("Measuring took 1.0 % of the time")
    assert page.locator(".df-marks button").evaluate_all("all => all.map((b) => b.dataset.kind)") == ["jump", "reset"]
    page.get_by_label("Go to a jump").select_option(label="sink reset at 1.6 s")
    wait(page, "p.stage.shown === 25")
    page.locator(".df-marks [data-kind=jump]").click()
    wait(page, "p.stage.shown === 12 && p.shownChunk.index === 1")
    expect(gauge).to_have_attribute("aria-label", re.compile("^Colour drift: –, not enough video yet"))


def the_timeline_answers(page):
    read, cells, canvas = page.locator(".df-read"), page.locator(".df-cells"), page.locator(".df-rope")
    expect(page.locator(".df-rope-note")).to_contain_text("The sink is moved by 48 frames")
    cells.focus()
    page.keyboard.press("End")
    expect(read).to_contain_text("Latent frame 71: being made, at 2.")
    page.keyboard.press("Home")
    first = "Latent frame 0, sink: made 69 frames (17.3 s) before the chunk; RoPE puts it 21 frames before the chunk: "
    expect(read).to_contain_text(f"{first}moved by 48.")
    expect(read).to_contain_text(re.compile(r"\d % of the attention is on it"))
    cells.blur()
    expect(read).to_contain_text("Point at a frame")
    box = canvas.bounding_box()
    canvas.hover(position={"x": box["width"] - 6, "y": box["height"] - 25})
    expect(read).to_contain_text("Latent frame 71: being made, at 2.")
    canvas.hover(position={"x": 3, "y": 4})
    expect(read).to_contain_text(first)


def heads_are_picked(page):
    drawer(page, "Layers and heads")
    assert page.locator(".df-grid button").count() == 6 * 13  # 5 of 30 layers and the mean, 12 heads and the mean
    page.get_by_role("button", name="all layers, all heads").focus()
    for key in ("ArrowDown", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    picked = page.locator(".df-grid button[aria-pressed=true]")
    expect(picked).to_have_attribute("title", "layer 1, head 1: sink mass 100 %, a deep sink")
    assert page.locator(".df-grid .df-deep").count() == 1
    assert look(page, "[p.choice.layer, p.choice.head]") == [1, 1]


ATTENTION = "[...p.instrument.bars.mass.values()].reduce((a, b) => a + b, 0)"
MEASURED = [
    Gauges(None, *[math.nan] * 7, (), None, 0.004),
    Gauges(None, *[math.nan] * 7, (Jump(12, 3.2, math.nan),), None, 0.004),
    Gauges((0, 81), 0.1, 1.0, 1.0, 1.0, 1.0, 0.9, 0.8, (Jump(25, 4, 0.9),), 25, 0.004),
    Gauges((0, 81), 0.1, 1.0, 1.0, 1.0, 1.0, 0.9, 0.8, (), 25, 0.004),
]
REAL = Geometry(30, 52)
DRAW = f"""(message) => {{
  const began = performance.now();
  {PLAYER}.receive({{ messages: [message] }});
  {PLAYER}.follow({PLAYER}.history.chunks.at(-1));
  return performance.now() - began;
}}"""


def started(sample) -> dict:
    shape = {"fps": 16, "height": 480, "width": 832, "stride": 4, "chunk_frames": 3, "grid": [30, 52]}
    sent = {"layers": sample.layers, "heads": sample.heads, "of": {"layers": 30, "heads": 12}}
    settings = {"window": 21, "budget": 16, "sink": 10}
    named = {"model": "m", "prompt": "p", "seed": "7", "policy": "deep-forcing", "settings": settings, "attention": "k"}
    return {"kind": "started", "run": "r", "seq": 0, **named, **shape, **sent}


def chunk(index: int, sample, images: list[str]) -> dict:
    """The chunk at which 40 thinned frames are shown, of sinks 0 to 9 and recent ones up to the chunk."""
    rng, first = np.random.default_rng(index), 3 * (index + 20)
    frames = np.array([*range(10), *range(10, 50), *range(first - 6, first)])
    kept = np.ones((30, 56, 30, 52), bool)
    kept[:, 10:50] = rng.random((30, 40, 30, 52)) < np.linspace(0.01, 0.3, 40)[:, None, None]
    roles = ("sink",) * 10 + ("top-C",) * 40 + ("recent",) * 6
    time = np.where(frames < 10, frames - 21, frames - first) * np.ones((30, 1), np.float32)
    cache = CacheState(frames, kept, roles, time, int(kept.sum()), 4 * 10**9)
    mass = rng.dirichlet(np.ones(59), (30, 12)).astype(np.float32)
    mass[..., :10] /= 4
    mass /= mass.sum(-1, keepdims=True)
    mass[0, 0] = np.where(np.arange(59) < 10, 0.1, 0)  # the only deep sink
    fired = a_contest(rng, frames[10:], kept[:, 10:]) if index % 2 else None
    attention = AttentionMass(np.array([*frames, first, first + 1, first + 2]), (*roles, *["current"] * 3), mass)
    panels = pack_cache(cache, sample), pack_attention(attention, sample)
    count = 9 if index == 0 else 12
    return {
        **{"kind": "chunk", "run": "r", "seq": index + 1, "index": index, "prompt": "p", "compression": index % 2 == 1},
        "contest": pack_contest(
            fired, sample, 30, room_beside(pack_cache(cache, sample), pack_attention(attention, sample))
        ),
        **{"first": max(0, 12 * index - 3), "latents": [first, first + 3], "mime": "image/jpeg"},
        "frames": images[:count],
        "seconds": {"dit": 0.3, "decode": 0.1, "encode": 0.01},
        "cache": panels[0],
        "told": "It looks back.",
        "placement": placement_words(cache, first),
        "attention": panels[1],
    }


def a_contest(rng, frames, kept) -> Compression:
    """All that was kept stood, and as many others."""
    candidate = kept | (rng.random(kept.shape) < 0.2)
    scores = np.where(candidate, rng.normal(size=kept.shape) + 2 * kept, np.nan)
    return Compression(frames, candidate, kept, scores.astype(np.float32))


def markup_is_shown_as_text(page):
    page.get_by_role("button", name="Generate", exact=True).click()
    expect(page.locator("#note .problem")).to_be_visible()
    page.get_by_role("button", name="Generate", exact=True).click()  # the model knows no word of it: asked for twice
    wait(page, "p.stage.shown >= 0")
    expect(page.locator(".df-now-text")).to_have_text("<img src=x onerror=alert(1)> dragon")
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_role("button", name="Generate", exact=True)).to_be_enabled()
