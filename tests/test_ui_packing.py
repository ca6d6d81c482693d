import base64
import json
from dataclasses import replace

import numpy as np
import pytest

from deepforcing import AttentionMass, CacheState, Geometry
from ui.memory.packing import (
    MOST_FRAMES,
    Sample,
    pack_attention,
    pack_cache,
    pack_levels,
    pack_mask,
    pack_shares,
    spaced,
)

REAL, TINY = Geometry(30, 52), Geometry(6, 6)
MOST_BYTES = 150_000


def cache(layers: int, geometry: Geometry, sinks: int, thinned: int, recent: int) -> CacheState:
    """Whole sinks, then frames of which every layer keeps another few tokens, fewer the older, then whole ones."""
    rng, frames = np.random.default_rng(0), sinks + thinned + recent
    kept = np.ones((layers, frames, geometry.rows, geometry.columns), bool)
    share = np.linspace(0.01, 0.3, thinned)[:, None, None]
    kept[:, sinks : sinks + thinned] = rng.random((layers, thinned, *kept.shape[2:])) < share
    roles = ("sink",) * sinks + ("top-C",) * thinned + ("recent",) * recent
    return CacheState(7 * np.arange(frames), kept, roles, np.zeros((layers, frames), np.float32), int(kept.sum()), 1)


def attention(layers: int, heads: int, frames: int) -> AttentionMass:
    mass = np.random.default_rng(1).dirichlet(np.ones(frames), (layers, heads)).astype(np.float32)
    return AttentionMass(np.arange(frames), ("sink",) * (frames - 3) + ("current",) * 3, mass)


def shares(packed: str, *shape: int) -> np.ndarray:
    return np.frombuffer(base64.b64decode(packed), "<u2").reshape(shape) / 65535


def few(packed: dict[str, str], *shape: int) -> np.ndarray:
    out, there = np.zeros(shape), bits(packed["mask"], *shape).astype(bool)
    out[there] = shares(packed["values"], int(there.sum()))
    return out


def numbers(packed: str, *shape: int) -> np.ndarray:
    return np.frombuffer(base64.b64decode(packed), "<f4").reshape(shape)


def bits(packed: str, *shape: int) -> np.ndarray:
    return np.unpackbits(np.frombuffer(base64.b64decode(packed), np.uint8))[: np.prod(shape)].reshape(shape)


def levels(packed: str, *shape: int) -> np.ndarray:
    pairs = np.frombuffer(base64.b64decode(packed), np.uint8)
    return np.stack((pairs >> 4, pairs & 15), 1).ravel()[: np.prod(shape)].reshape(shape) / 15


@pytest.mark.parametrize("thinned", [12, 40, 400])
@pytest.mark.parametrize(("layers", "heads"), [(30, 12), (40, 40)])
def test_panels_of_the_real_size_stay_small(layers, heads, thinned):
    sample = Sample.of(REAL, layers, heads)
    state = cache(layers, REAL, 10, thinned, 6)
    sent = pack_cache(state, sample), pack_attention(attention(layers, heads, thinned + 19), sample)
    assert len(json.dumps(sent)) <= MOST_BYTES
    assert len(sent[0]["maps"]) == min(thinned, sample.mapped) and sample.mapped >= 26
    assert sent[0]["left"] == max(0, thinned - sample.mapped)
    assert len(sent[1]["frames"]) == min(MOST_FRAMES, thinned + 19)


def test_the_tiny_model_is_sent_whole():
    sample = Sample.of(TINY, 6, 4)
    assert sample.layers == tuple(range(6)) and sample.heads == tuple(range(4))
    assert pack_cache(cache(6, TINY, 10, 100, 6), sample)["left"] == 0


def test_the_first_and_the_last_layer_are_always_among_the_sampled():
    sample = Sample.of(REAL, 30, 12)
    assert sample.layers[0] == 0 and sample.layers[-1] == 29 and len(sample.layers) >= 4
    assert spaced(3, 12) == (0, 1, 2) and spaced(1, 12) == (0,) and len(set(spaced(40, 12))) == 12


def test_masks_and_shares_are_those_of_the_cache():
    sample = Sample.of(REAL, 30, 12)
    state = cache(30, REAL, 10, 40, 6)
    sent = pack_cache(state, sample)
    maps = np.array(sent["maps"])
    assert list(maps) == list(range(50 - len(maps), 50)), "the fullest of the thinned ones, in order"
    assert np.array_equal(
        bits(sent["kept"], len(sample.layers), len(maps), 30, 52), state.kept[np.ix_(sample.layers, maps)]
    )
    assert np.abs(levels(sent["mean"], len(maps), 30, 52) - state.kept[:, maps].mean(0)).max() < 1 / 29
    alive = shares(sent["alive"], 1 + len(sample.layers), 56)
    assert np.allclose(alive[0], state.kept.mean((0, 2, 3)), atol=1e-5)
    assert np.allclose(alive[1:], state.kept[list(sample.layers)].mean((2, 3)), atol=1e-5)
    assert sent["frames"] == state.frames.tolist() and sent["roles"] == list(state.roles)


def test_a_mean_is_over_all_layers_and_heads_not_only_the_sampled():
    mass = attention(40, 40, 21)
    sample = Sample.of(REAL, 40, 40)
    rows = shares(pack_attention(mass, sample)["mass"], 1 + len(sample.layers), 1 + len(sample.heads), 21)
    assert np.allclose(rows[0, 0], mass.mass.mean((0, 1)), atol=2e-5)
    assert np.allclose(rows[0, 2], mass.mass[:, sample.heads[1]].mean(0), atol=2e-5)
    assert np.allclose(rows[-1, 0], mass.mass[-1].mean(0), atol=2e-5)
    assert np.allclose(rows[-1, -1], mass.mass[-1, -1], atol=2e-5)


def test_time_is_sent_by_layer_and_as_the_mean_over_all_layers_that_hold_a_frame():
    state = cache(30, REAL, 10, 40, 6)
    rng = np.random.default_rng(2)
    time = rng.integers(-900, 0, state.kept.shape[:2]).astype(np.float32)
    state.kept[3:20, 10] = False  # a frame of which most layers hold nothing
    time[3:20, 10] = np.nan
    sample = Sample.of(REAL, 30, 12)
    sent = numbers(pack_cache(replace(state, time=time), sample)["time"], 1 + len(sample.layers), 56)
    assert np.array_equal(sent[1:], time[list(sample.layers)], equal_nan=True) and np.isnan(sent).any()
    assert sent[0, 10] == pytest.approx(time[[0, 1, 2, *range(20, 30)], 10].mean(), abs=1e-3)


def test_nothing_cached_yet_and_no_probe():
    sample = Sample.of(TINY, 6, 4)
    empty = CacheState(np.empty(0, np.int64), np.zeros((6, 0, 6, 6), bool), (), np.zeros((6, 0), np.float32), 0, 0)
    sent = pack_cache(empty, sample)
    assert sent["frames"] == [] and sent["maps"] == [] and sent["kept"] == "" and sent["left"] == 0
    assert pack_attention(None, sample) is None


def test_packing_survives_odd_lengths():
    mask = np.array([[True, False, True], [False, False, True]])
    assert np.array_equal(bits(pack_mask(mask), 2, 3), mask)
    assert np.allclose(levels(pack_levels(np.array([0, 1 / 3, 1])), 3), [0, 1 / 3, 1])
    values = np.array([0.0, 0.25, 1.0, 0.123456])
    assert np.allclose(shares(pack_shares(values), 4), values, atol=1e-5)
