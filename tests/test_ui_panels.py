"""The panels in Python: their numbers are the events' own."""

import base64
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest
from conftest import small_pipeline
from PIL import Image

from deepforcing import DeepForcing, Runner, SlidingWindow, generate_long_video
from deepforcing.race import race
from ui.look.theme import ROLE_COLOURS, ROLES, THEMES
from ui.memory.keepmap import CELL, EDGE, cells_of
from ui.memory.panels import (
    attention_figure,
    keep_figure,
    life_figure,
    pictures_of,
    race_figure,
    roles_figure,
    rope_figure,
)
from ui.memory.rope import SQUEEZED, items_of

ROOT = Path(__file__).parents[1]
POLICY = DeepForcing(window=9, sink=3, budget=8, recent=4)


@pytest.fixture(scope="module")
def chunks():
    return list(generate_long_video(small_pipeline(), "a", num_frames=117, policy=POLICY, seed=1, probe=True))


@pytest.fixture(scope="module")
def fired(chunks):
    return next(chunk for chunk in chunks if chunk.compression is not None)


@pytest.fixture(scope="module")
def unprobed():
    return list(generate_long_video(small_pipeline(), "a", num_frames=9, policy=POLICY))


@pytest.mark.parametrize(("layer", "head"), [(None, None), (1, None), (None, 0), (1, 1)])
def test_bars_show_one_layer_and_head_or_the_mean(fired, layer, head):
    bar = attention_figure(fired, layer, head).data[0]
    mass = fired.attention.mass
    mass = mass.mean(0) if layer is None else mass[layer]
    mass = mass.mean(0) if head is None else mass[head]
    assert np.allclose(bar.y, mass) and list(bar.x) == [str(frame) for frame in fired.attention.frames]
    assert [ROLE_COLOURS["light"][role] for role in fired.attention.roles] == list(bar.marker.color)


def test_areas_show_the_attention_on_each_role(chunks):
    areas = roles_figure(chunks, layer=0).data
    assert [area.name for area in areas] == list(ROLES)
    for i, chunk in enumerate(chunks):
        roles = np.array(chunk.attention.roles)
        for area in areas:
            assert area.y[i] == pytest.approx(chunk.attention.mass[0][:, roles == area.name].sum(-1).mean(), abs=1e-6)
        assert areas[0].x[i] == chunk.first_frame / 16
    sinks = roles_figure(chunks).data[0].y
    assert np.allclose(sinks[:-1], [chunk.attention.sink for chunk in chunks]) and areas[0].x[-1] == 117 / 16


def test_a_map_shows_which_frames_live(chunks):
    life = life_figure(chunks).data[0]
    assert len(life.y) == chunks[-1].latent_frames[1] and len(life.x) == len(chunks) + 1
    for column, chunk in enumerate(chunks):
        shown = np.flatnonzero(np.isfinite(life.z[:, column]))
        assert shown.tolist() == [*chunk.cache.frames, *range(*chunk.latent_frames)]
        for i, frame in enumerate(chunk.cache.frames):
            assert life.customdata[frame][column] == pytest.approx(max(0.01, chunk.cache.kept[:, i].mean()))
            assert ROLES[int(np.ceil(life.z[frame][column])) - 1] == chunk.cache.roles[i]


def test_a_map_of_one_layer_leaves_out_what_it_has_lost(chunks):
    whole, one = life_figure(chunks).data[0].z, life_figure(chunks, layer=0).data[0].z
    lost = [not chunk.cache.kept[0, i].any() for chunk in chunks for i in range(len(chunk.cache.frames))]
    assert np.isfinite(whole).sum() - np.isfinite(one).sum() == sum(lost)


def test_rails_show_when_frames_were_made_and_where_they_are_put(fired):
    items, first = items_of(fired), fired.latent_frames[0]
    cached = items[: len(fired.cache.frames)]
    assert [item.frame for item in items] == [*fired.cache.frames, *range(*fired.latent_frames)]
    assert [item.made for item in cached] == [frame - first for frame in fired.cache.frames]
    assert np.allclose([item.put for item in cached], np.nanmean(fired.cache.time, 0))
    assert [item.put for item in items_of(fired, 1)][:3] == fired.cache.time[1, :3].tolist()
    figure = rope_figure(fired, window=9)
    bars = [trace for trace in figure.data if isinstance(trace, go.Bar)]
    assert sum(len(bar.base) for bar in bars) == 2 * len(items), "each frame on both rails"
    for bar in bars:
        assert set(bar.y) <= {0, 1} and bar.marker.color == ROLE_COLOURS["light"][bar.name]
        for base, (_, _, made, put, _), rail in zip(bar.base, bar.customdata, bar.y, strict=True):
            time = made if rail else put
            unit = (1 - SQUEEZED) / (9 + 2 + 3)
            assert base == pytest.approx(SQUEEZED + unit * (time + 11)) or time < -11


def test_what_is_far_back_is_squeezed_into_the_left(chunks):
    sink = next(trace for trace in rope_figure(chunks[-1], window=9).data if trace.name == "sink" and trace.y[0] == 1)
    assert chunks[-1].latent_frames[0] > 2 * 11
    assert all(0 <= base < SQUEEZED for base in sink.base) and sink.base[0] == 0


def picture_of(figure) -> np.ndarray:
    data = figure.data[0].source.removeprefix("data:image/png;base64,")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def test_cells_are_those_of_the_cache_and_of_what_it_lost(fired):
    cells = {cell.frame: cell for cell in cells_of(fired)}
    for i, frame in enumerate(fired.cache.frames.tolist()):
        assert np.array_equal(cells[frame].kept, fired.cache.kept[:, i].mean(0))
        assert cells[frame].role == fired.cache.roles[i]
    for i, frame in enumerate(fired.compression.frames.tolist()):
        lost = fired.compression.candidate[:, i] & ~fired.compression.kept[:, i]
        assert np.array_equal(cells[frame].evicted, lost.mean(0)) if lost.any() else frame in cells
    assert list(cells) == sorted(cells) and [f for f, c in cells.items() if c.role == "current"] == [
        *range(*fired.latent_frames)
    ]


def test_bright_tokens_are_kept_and_dark_ones_are_gone(fired):
    white = dict.fromkeys(range(fired.latent_frames[1]), np.full((32, 48, 3), 255, np.uint8))
    sheet, size = picture_of(keep_figure(fired, white, layer=0)).astype(int), CELL // 2
    cells = cells_of(fired, 0)
    assert any(cell.evicted.any() for cell in cells)
    for number, cell in enumerate(cells):
        left = number % 12 * (3 * size + 2 * EDGE + 8) + EDGE
        top = number // 12 * (2 * size + 2 * EDGE + 26) + EDGE
        shown = sheet[top + size // 2 : top + 2 * size : size, left + size // 2 : left + 3 * size : size, 0]
        assert ((shown == 255) == (cell.kept == 1)).all() and (shown[cell.evicted == 1] < 80).all()
        colour = ROLE_COLOURS["light"][cell.role]
        assert sheet[top - EDGE, left].tolist() == [*(int(colour[i : i + 2], 16) for i in (1, 3, 5)), 255]


def test_each_frame_has_its_number_below(fired):
    figure = keep_figure(fired)
    assert [note.text for note in figure.layout.annotations] == [str(cell.frame) for cell in cells_of(fired)]
    assert figure.layout.annotations[0].hovertext == "sink: 100% of its tokens in the cache"


def test_pictures_are_from_the_middle_of_each_latent_frame(chunks):
    pictures, video = pictures_of(chunks), np.concatenate([chunk.frames for chunk in chunks])
    assert len(pictures) == chunks[-1].latent_frames[1]
    assert np.array_equal(pictures[0], video[0]) and np.array_equal(pictures[1], video[3])
    assert np.array_equal(pictures[5], video[1 + 4 * 4 + 2])


def test_a_race_has_a_line_a_runner():
    runners = [Runner("deep", POLICY), Runner("window", SlidingWindow(window=9))]
    rounds = list(race(small_pipeline(), "a", runners, num_frames=21))
    lines = race_figure(runners, rounds, "cache_bytes").data
    assert [line.name for line in lines] == ["deep", "window"] and len({line.line.color for line in lines}) == 2
    for number, line in enumerate(lines):
        assert list(line.x) == [9 / 16, 21 / 16]
        assert list(line.y) == [each.laps[number].standing.cache_bytes for each in rounds]


@pytest.mark.parametrize("theme", THEMES)
def test_without_a_probe_or_a_chunk_the_panels_are_empty(unprobed, theme):
    assert not attention_figure(unprobed[0], theme=theme).data[0].y
    assert all(not area.y for area in roles_figure(unprobed, theme=theme).data)
    assert not life_figure([], theme=theme).data[0].x


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("theme", THEMES)
def test_the_first_chunk_looks_at_itself_only(unprobed, theme):
    assert [item.role for item in items_of(unprobed[0])] == ["current"] * 3
    assert rope_figure(unprobed[0], theme=theme).data and len(cells_of(unprobed[0])) == 3
    assert keep_figure(unprobed[0], theme=theme).data[0].source


def test_panels_of_a_recorded_run_need_no_torch():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from ui.memory.panels import roles_figure\n"
        "print(len(roles_figure([]).data))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == ["4"], done.stderr
