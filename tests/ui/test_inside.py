"""Look inside: a token's life on the page is the one that the trace tells."""

import re

import numpy as np
import pytest
from browsing import expect
from chromium import look, visit, wait
from test_recorded import save_trace

from deepforcing import Chunk, Trace, load_pipeline, read_trace
from ui.app import App
from ui.recordings.library import SHIPPED, Recordings

MOMENT = 20.25  # seconds


@pytest.fixture(scope="module")
def app():
    app = App(
        load_pipeline("tiny"), recordings=Recordings([SHIPPED / "deep-forcing.trace", SHIPPED / "self-forcing.trace"])
    )
    app.launch(prevent_thread_lock=True, quiet=True)
    yield app
    app.blocks.close()


class Told:
    """What a trace tells of one token."""

    def __init__(self, trace: Trace, token: tuple[int, int, int]) -> None:
        self.chunks = [event for event in trace if isinstance(event, Chunk)]
        self.latent, self.row, self.column = token
        self.layers = range(1, trace.started.layers + 1)

    def at(self, seconds: float) -> Chunk:
        return [chunk for chunk in self.chunks if chunk.first_frame <= 16 * seconds][-1]

    def held(self, chunk: Chunk) -> np.ndarray:
        """Which layers hold it, bool [layers]."""
        which = np.flatnonzero(chunk.cache.frames == self.latent)
        return chunk.cache.kept[:, which, self.row, self.column].any(1)

    def gone(self, layer: int) -> Chunk:
        """The first chunk for which a layer does not hold it any more."""
        since = [chunk for chunk in self.chunks if chunk.latent_frames[0] > self.latent]
        return next(chunk for chunk in since if not self.held(chunk)[layer - 1])

    def contests(self) -> list[Chunk]:
        """Chunks for which it stood in a compression, in any layer."""
        fired = [chunk for chunk in self.chunks if chunk.compression is not None]
        return [chunk for chunk in fired if not np.isnan(self.scores(chunk)).all()]

    def scores(self, chunk: Chunk) -> np.ndarray:
        """Its score [layers], NaN where it did not stand."""
        which = np.flatnonzero(chunk.compression.frames == self.latent)
        if not which.size:
            return np.full(len(chunk.cache.kept), np.nan)
        return chunk.compression.scores[:, which[0], self.row, self.column]

    def rank(self, chunk: Chunk, layer: int) -> str:
        """In words, as the page has them but for the score."""
        fired = chunk.compression
        higher = (fired.scores[layer - 1] > self.scores(chunk)[layer - 1]).sum()
        stood, places = fired.candidate[layer - 1].sum(), fired.kept[layer - 1].sum()
        return f"rank {1 + higher} of {stood}, {places} places"

    def mean_rank(self, chunk: Chunk) -> float:
        fired = chunk.compression
        own = self.scores(chunk)
        return np.mean([1 + (fired.scores[i] > own[i]).sum() for i in np.flatnonzero(~np.isnan(own))])

    def mass(self, chunk: Chunk) -> np.ndarray:
        """Attention on its frame [layers, heads]."""
        return chunk.attention.mass[..., chunk.attention.frames.tolist().index(self.latent)]


def spent_token(trace: Trace) -> tuple[tuple[int, int, int], int]:
    """A token of the second half that a layer had to let go because it had been chosen seven times; and that layer."""
    chosen: dict[tuple, int] = {}
    for chunk in trace:
        for layer, *at in (
            np.argwhere(chunk.compression.candidate).tolist() if getattr(chunk, "compression", None) else ()
        ):
            token = (int(chunk.compression.frames[at[0]]), *at[1:])
            if chunk.compression.kept[layer, *at]:
                chosen[layer, token] = chosen.get((layer, token), 0) + 1
            elif chosen.get((layer, token), 0) == 7 and token[0] > 48:
                return token, layer + 1
    raise AssertionError("no token was chosen seven times")


def opened(app, browser, trouble, name: str, seconds: float):
    page = visit(f"{app.blocks.local_url}?trace={name}&t={seconds}&panel=inside", browser, trouble)
    wait(
        page,
        f"p.stage.shown === {round(16 * seconds)} && p.clock.ended && p.shownChunk && p.keepmap.thumbnails.size > 90",
    )
    return page


def click_token(page, latent: int, row: int, column: int):
    canvas = page.locator(f".df-cells figure[data-latent='{latent}'] canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    rows, columns = look(page, "p.history.run.grid")
    canvas.click(position={"x": (column + 0.5) * box["width"] / columns, "y": (row + 0.5) * box["height"] / rows})
    expect(page.locator(".df-inside-name")).to_have_text(name_of(page, latent, row, column))


def name_of(page, latent: int, row: int, column: int) -> str:
    rows, columns = look(page, "p.history.run.grid")
    return f"Latent frame {latent}, row {row + 1} of {rows}, column {column + 1} of {columns}"


def part(page, name: str):
    return page.locator(f".df-inside-{name}")


def read_all(page, name: str) -> list[str]:
    """Every point of a course, by keys."""
    part(page, name).focus()
    points = look(page, f"p.inside.{name}.points.length")
    for _ in range(points):
        page.keyboard.press("ArrowLeft")
    words = [part(page, f"{name}-read").inner_text()]
    for _ in range(points - 1):
        page.keyboard.press("ArrowRight")
        words.append(part(page, f"{name}-read").inner_text())
    return words


def seconds_of(chunk: Chunk) -> str:
    return f"{chunk.first_frame / 16 + 1e-9:.1f} s"


def test_the_life_of_a_token_is_the_one_that_the_trace_tells(app, browser, trouble):
    trace = read_trace(SHIPPED / "deep-forcing.trace")
    token, layer = spent_token(trace)
    told = Told(trace, token)
    third = told.contests()[2]
    page = opened(app, browser, trouble, "deep-forcing", third.first_frame / 16)
    page.get_by_role("button", name="All layers", exact=True).click()
    expect(page.locator(".df-layer")).to_have_value("0")
    wait(page, "p.waiting === 0")  # panels are drawn one after another, and a token is told by the layer that was drawn
    latent, row, column = token  # in the mean of all layers its frame may hold too little for a tile of its own
    look(page, f"p.choose({{ latent: {latent}, row: {row}, column: {column} }})")
    expect(part(page, "name")).to_have_text(name_of(page, *token))
    expect(page.locator(".df-inside-hint")).to_be_hidden()
    where_it_came_from_and_who_holds_it(page, told, third)
    the_mean_over_layers(page, told)
    page.locator("#player .df-layer").select_option(label=str(layer))
    one_layer(page, told, layer)
    attention_on_its_frame(page, told, layer)
    the_heat_map(page, told.mass(third), told.latent)
    scrubbed_past_its_end(page, told, layer)
    page.close()


def where_it_came_from_and_who_holds_it(page, told: Told, chunk: Chunk):
    frame = told.latent
    role = chunk.cache.roles[chunk.cache.frames.tolist().index(frame)]
    made = (1 + 4 * (frame - 1)) / 16
    expect(part(page, "made")).to_have_text(f"Made at {made:.1f} s. Its frame is {role} for the chunk on screen.")
    holds = [str(i + 1) for i in np.flatnonzero(told.held(chunk))]
    expect(part(page, "held")).to_contain_text(f"{', '.join(holds)} hold it; ")
    full = part(page, "layers").locator("li[data-held=true]")
    assert full.all_inner_texts() == holds and part(page, "layers").locator("li").count() == len(told.layers)
    left = [layer for layer in told.layers if str(layer) not in holds]
    ends = {seconds_of(told.gone(layer)) for layer in left}
    assert {f"{end} s" for end in re.findall(r"gone at (\S+) s", part(page, "held").inner_text())} == ends
    put = np.nanmean(chunk.cache.time[:, chunk.cache.frames.tolist().index(frame)])
    before = chunk.latent_frames[0] - frame
    assert put == -before  # of the released phase, which moves only the sink
    expect(part(page, "place")).to_have_text(
        f"Its frame was made {before} frames ({before / 4:.1f} s) before the chunk; RoPE puts it where it was made."
    )
    wait(page, "p.inside.find('frame').width > 0 && p.inside.find('patch').width > 0")


def the_mean_over_layers(page, told: Told):
    words = read_all(page, "ranks")
    assert len(words) == len(told.contests()) >= 7
    for spoken, chunk in zip(words, told.contests(), strict=True):
        fired, layers = chunk.compression, len(told.layers)
        stood, places = (round(mask.sum((1, 2, 3)).mean()) for mask in (fired.candidate, fired.kept))
        asked = rf"mean rank (\d+) of {stood}, {places} places: kept by (\d+) of {layers} layers"
        rank, kept = re.search(asked, spoken).groups()
        assert spoken.startswith(f"{seconds_of(chunk)}: ") and abs(int(rank) - told.mean_rank(chunk)) <= 0.51
        assert int(kept) == told.held(chunk).sum()
    end = seconds_of(max((told.gone(layer) for layer in told.layers), key=lambda chunk: chunk.index))
    expect(part(page, "end")).to_contain_text(f"Later evicted at {end} by compression: mean rank")


def one_layer(page, told: Told, layer: int):
    gone = told.gone(layer)
    expect(part(page, "end")).to_contain_text(
        f"Later let go at {seconds_of(gone)} by compression: {told.rank(gone, layer)}"
    )
    expect(part(page, "end")).to_contain_text("It had been chosen 7 times, the most allowed.")
    words = read_all(page, "ranks")
    assert len(words) == 8, "chosen seven times, and then barred"
    for spoken, chunk in zip(words, told.contests(), strict=True):
        outcome = "kept" if told.held(chunk)[layer - 1] else "evicted"
        score = float(re.search(r"score (\S+?):", spoken).group(1).replace(",", "").replace("−", "-"))
        assert score == pytest.approx(told.scores(chunk)[layer - 1], rel=1e-3)
        assert spoken.startswith(f"{seconds_of(chunk)}: {told.rank(chunk, layer)}") and spoken.endswith(f": {outcome}")


def attention_on_its_frame(page, told: Told, layer: int):
    seen = [chunk for chunk in told.chunks if told.latent in chunk.attention.frames]
    expected = [f"{seconds_of(chunk)}: {told.mass(chunk)[layer - 1].mean():.2%}" for chunk in seen]
    for spoken, words in zip(read_all(page, "mass"), expected, strict=True):
        (at, share), (when, mass) = (text.replace(" %", "%").split(" of ")[0].split(": ") for text in (spoken, words))
        assert at == when and float(share[:-1]) == pytest.approx(float(mass[:-1]), abs=0.011)


def the_heat_map(page, mass: np.ndarray, latent: int):
    expect(page.locator(".df-heat-name")).to_have_text(f"latent frame {latent}")
    layer, head = np.unravel_index(mass.argmax(), mass.shape)
    expect(page.locator(".df-heat-words")).to_contain_text(f"Most in layer {layer + 1}, head {head + 1}: ")
    page.locator(".df-heat-map").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    spoken = page.locator(".df-heat-read").inner_text()
    assert spoken.startswith("Layer 2, head 2: ")
    assert float(spoken.split(": ")[1][:-2]) == pytest.approx(100 * mass[1, 1], abs=0.06)
    shown = np.array(look(page, "p.heat.mass"))
    assert np.allclose(shown, mass, atol=2e-5)


def scrubbed_past_its_end(page, told: Told, layer: int):
    look(page, "p.seek(p.clock.newest - 1)")
    wait(page, "p.shownChunk.index === p.history.chunks.at(-1).index")
    expect(part(page, "end")).to_contain_text(f"Let go at {seconds_of(told.gone(layer))}")
    expect(part(page, "made")).to_contain_text("Nothing of its frame is left.")
    expect(page.locator(".df-heat-words")).to_have_text("The chunk on screen does not look at this frame.")
    look(page, "p.seek(0)")
    wait(page, "p.shownChunk.index === 0")
    expect(part(page, "made")).to_contain_text("At the moment on screen it is not there yet.")


def test_frames_and_tokens_by_keys_and_by_pointer(app, browser, trouble):
    page = opened(app, browser, trouble, "deep-forcing", MOMENT)
    told = Told(read_trace(SHIPPED / "deep-forcing.trace"), (5, 0, 0))
    click_token(page, 4, 1, 1)
    page.locator(".df-heat-map").focus()
    page.locator(".df-cells figure[data-latent='5'] canvas").hover()
    the_heat_map(page, told.mass(told.at(MOMENT)), 5)
    page.locator(".df-inside h2").hover()
    expect(page.locator(".df-heat-name")).to_have_text("latent frame 4")
    part(page, "frame").click(position={"x": 3, "y": 3})
    expect(part(page, "name")).to_have_text(name_of(page, 4, 0, 0))
    page.get_by_role("button", name="Close").click()
    expect(page.locator(".df-inside")).to_be_hidden()
    cells = page.locator(".df-cells")
    cells.focus()
    page.keyboard.press("Home")
    expect(page.locator(".df-cells [data-marked]")).to_have_attribute("data-latent", "0")
    expect(page.locator(".df-heat-name")).to_have_text("latent frame 0")
    for key in ("ArrowRight", "ArrowRight", "Enter", "ArrowUp", "ArrowLeft", "ArrowLeft", "PageDown"):
        page.keyboard.press(key)
    rows, columns = look(page, "p.history.run.grid")
    row, column = rows // 2 - 1, columns // 2 - 2  # from the middle, one up and two to the left
    expect(part(page, "name")).to_have_text(name_of(page, 3, row, column))
    expect(part(page, "ranks-read")).to_have_text("The sink does not compete: it is kept for ever.")
    expect(part(page, "end")).to_contain_text("Still held at ")
    assert look(page, "p.keepmap.chosen") == {"latent": 3, "row": row, "column": column}
    page.keyboard.press("End")
    newest = told.at(MOMENT).latent_frames[1] - 1
    expect(part(page, "name")).to_have_text(name_of(page, newest, row, column))
    expect(part(page, "made")).to_contain_text("It is being made with the chunk on screen.")
    page.keyboard.press("Escape")
    expect(part(page, "name")).to_be_hidden()
    page.locator(".df-stage").focus()
    page.keyboard.press("ArrowRight")
    wait(page, f"p.stage.shown === {round(16 * MOMENT) + 1}")  # the video's own keys are as they were
    a_patch_of_the_video(page)
    page.close()


def a_patch_of_the_video(page):
    screen = page.locator(".df-screen")
    screen.scroll_into_view_if_needed()
    box = screen.bounding_box()
    rows, columns = look(page, "p.history.run.grid")
    screen.click(position={"x": 4.5 * box["width"] / columns, "y": 1.5 * box["height"] / rows})
    latent = 1 + (look(page, "p.stage.shown") - 1) // 4
    expect(part(page, "name")).to_have_text(name_of(page, latent, 1, 4))
    opened, video = (page.locator(name).bounding_box() for name in (".df-inside", ".df-stage"))
    assert opened["x"] >= video["x"] + video["width"], "it opens beside the video, not over it"
    at = f"4 * p.stage.canvas.width / {columns}, 1.5 * p.stage.canvas.height / {rows}"
    edge = f"[...p.stage.context.getImageData({at}, 1, 1).data]"
    assert look(page, edge)[:3] == [255, 255, 255]
    assert look(page, "p.clock.playing") is False, "a click is no pause and no play"
    look(page, "p.step(8)")
    wait(page, f"p.stage.shown > 4 * {latent}")
    assert look(page, edge)[:3] != [255, 255, 255], "outlined only while its own frame is on screen"
    page.get_by_role("button", name="Close").click()
    expect(page.locator(".df-inside")).to_be_hidden()


def test_a_sliding_window_lets_whole_frames_go(app, browser, trouble):
    token = (12, 3, 4)
    told = Told(read_trace(SHIPPED / "self-forcing.trace"), token)
    page = opened(app, browser, trouble, "self-forcing", 6.0)
    click_token(page, *token)
    end = seconds_of(told.gone(1))
    expect(part(page, "end")).to_have_text(f"Later left at {end} with its whole frame, the oldest of the window.")
    expect(part(page, "held")).to_have_text("All hold it.")
    expect(part(page, "ranks-read")).to_have_text("This policy never compresses.")
    page.close()


def test_a_live_run_is_looked_into_while_it_plays(app, browser, trouble, tmp_path):
    page = visit(app, browser, trouble)
    page.get_by_role("button", name="Generate", exact=True).click()
    wait(page, "p.history && !p.history.run.recorded && p.stage.shown > 48")
    look(page, "p.pick(0, 0)")
    look(page, "p.choose({ latent: 11, row: 2, column: 2 })")
    expect(part(page, "end")).to_contain_text("Still held at ")
    wait(page, "p.stage.shown > 150")
    expect(part(page, "end")).to_contain_text("evicted at ", ignore_case=True)
    told = Told(read_trace(save_trace(page, tmp_path)), (11, 2, 2))
    last = max((told.gone(layer) for layer in told.layers), key=lambda chunk: chunk.index)
    wait(page, "p.clock.atEnd || (p.pause(true), true)")
    expect(part(page, "end")).to_contain_text(f"victed at {seconds_of(last)} by compression")
    spoken = re.search(r"mean rank (\d+) of", part(page, "end").inner_text()).group(1)
    assert int(spoken) == pytest.approx(told.mean_rank(last), abs=3)  # a trace keeps scores to three digits
    page.close()
