"""Gauges on synthetic videos: the metrics' own numbers, and jumps where they are."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest

from deepforcing import CacheState, DriftMeter, VideoShape, metrics

FPS, CHUNK, SIZE = 16, 12, 48


@dataclass(frozen=True)
class Made:
    """What a meter looks at of a chunk."""

    first_frame: int
    frames: np.ndarray
    prompt: str = "a"
    origin: int = 0

    @property
    def cache(self) -> CacheState:
        return CacheState(np.empty(0, np.int64), np.empty((2, 0, 2, 3), bool), (), np.empty((2, 0)), 0, 0, self.origin)


def disc(x: float, size: int = SIZE, colour=(220, 60, 60), ground=(40, 60, 90)) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size]
    frame = np.full((size, size, 3), ground, np.uint8)
    frame[np.hypot(rows - size / 2, columns - x % size) < size / 8] = colour
    return frame


def video(frames: int, at=lambda n: 8 + 0.11 * n, **look) -> np.ndarray:
    """A disc that is at at(n) in frame n."""
    return np.stack([disc(at(n), **look) for n in range(frames)])


def measured(frames: np.ndarray, prompt=lambda first: "a", shape=None, origin=lambda first: 0) -> list:
    """The gauges of each chunk; the first has 9 frames, as the model makes them."""
    meter = DriftMeter(shape or VideoShape(*frames.shape[1:3]), 3)
    starts = [0, *range(9, len(frames), CHUNK)]
    ends = [*starts[1:], len(frames)]
    return [meter.add(Made(a, frames[a:b], prompt(a), origin(a))) for a, b in zip(starts, ends, strict=True)]


def test_the_numbers_are_those_of_the_metrics_on_the_same_frames():
    frames = np.concatenate([video(81, lambda n: 8 + 0.3 * n), video(96, lambda n: 3 + 0.4 * n, colour=(60, 220, 60))])
    last, start, window = measured(frames)[-1], frames[:81], frames[93:]  # 84 frames: the fewest chunks of five seconds
    assert last.start == (0, 81)
    assert last.chunk_jump == metrics.chunk_jump(window, 93)
    assert last.sink_reset == pytest.approx(metrics.sink_reset(window, frames[:37]), abs=1e-6)
    motion = metrics.dynamic_degree(window) / metrics.dynamic_degree(start)
    assert last.motion == pytest.approx(motion, rel=0.02)  # a little is added on both sides
    one_a_latent = [n for a in (0, *range(9, len(frames), CHUNK)) for n in range(a, a + (9 if a == 0 else CHUNK), 4)]
    early, late = (frames[[n for n in one_a_latent if low <= n < high]] for low, high in ((0, 81), (93, 177)))
    assert last.colour_drift == pytest.approx(metrics.colour_drift(early, late), abs=1e-9) and last.colour_drift > 0.05
    assert last.scenery == pytest.approx(metrics.scenery_kept(early, late), abs=1e-6)
    assert last.sharpness == pytest.approx(metrics.sharpness(late) / metrics.sharpness(early), rel=0.01)
    assert last.saturation == pytest.approx(metrics.saturation(late) / metrics.saturation(early), rel=0.01)


def test_nothing_is_said_before_there_is_enough_video():
    gauges = measured(video(200))
    values = np.array([[g.colour_drift, g.sharpness, g.saturation, g.motion, g.sink_reset, g.scenery] for g in gauges])
    first = int(np.flatnonzero(np.isfinite(values).all(1))[0])
    assert np.isnan(values[:first]).all() and np.isfinite(values[first:]).all()
    assert 9 + CHUNK * first == 81 + 36, "five seconds, and of what follows at least two"
    assert [g.start for g in gauges] == [None] * 6 + [(0, 81)] * (len(gauges) - 6)
    assert math.isnan(gauges[1].chunk_jump) and not math.isnan(gauges[2].chunk_jump)


def test_colours_that_burn_and_fade_show_in_the_saturation():
    plain = video(81, colour=(150, 90, 90), ground=(90, 100, 120))
    for look, expected in (((210, 40, 40), 1.5), ((124, 116, 116), 0.7)):
        ratio = measured(np.concatenate([plain, video(96, colour=look, ground=look)]))[-1].saturation
        assert ratio > expected if expected > 1 else ratio < expected


def test_a_still_grey_video_has_gauges_too():
    last = measured(np.full((200, SIZE, SIZE, 3), 90, np.uint8))[-1]
    assert (last.colour_drift, last.sharpness, last.saturation, last.motion, last.sink_reset) == (0, 1, 1, 1, 0)
    assert math.isnan(last.chunk_jump) and not last.jumps


def test_a_new_prompt_starts_anew_when_the_picture_has_settled():
    frames = np.concatenate([video(129), video(240, colour=(60, 60, 220))])
    gauges = measured(frames, prompt=lambda first: "a" if first < 129 else "b")
    assert not any(g.jumps for g in gauges), "a jump to what was asked for is none"
    late = np.concatenate([video(141), video(228, colour=(60, 60, 220), at=lambda n: 20 + 0.11 * n)])
    gauges_late = measured(late, prompt=lambda first: "a" if first < 129 else "b")
    assert not any(g.jumps for g in gauges_late), "nor is one that comes a chunk after the prompt"
    changed = next(i for i, g in enumerate(gauges[10:], 10) if g.start is None)
    assert 9 + CHUNK * (changed - 1) == 129
    assert gauges[-1].start[0] == 165 and gauges[-1].colour_drift < 0.01


def test_a_jump_back_to_the_sink_is_a_reset_and_stays_one_for_five_seconds():
    gauges = measured(video(321, lambda n: 8 + 0.11 * (n if n < 201 else n - 195)))
    assert [jump.frame for g in gauges for jump in g.jumps] == [201]
    jump = next(jump for g in gauges for jump in g.jumps)
    assert jump.is_reset and jump.times > 3
    assert [9 + CHUNK * i for i, g in enumerate(gauges) if g.reset_at == 201] == list(range(213, 201 + 81, CHUNK))


def test_a_jump_elsewhere_is_no_reset():
    jumps = [jump for g in measured(video(321, lambda n: 8 + 0.11 * (n if n < 201 else n + 40))) for jump in g.jumps]
    assert [jump.frame for jump in jumps] == [201] and not jumps[0].is_reset


def test_even_motion_does_not_jump():
    assert not any(g.jumps for g in measured(video(321)))


def test_jumps_in_a_row_are_told_once_in_two_seconds_but_a_reset_always():
    gauges = measured(video(321, lambda n: 8 + 0.11 * n + 6 * (n // CHUNK % 2)))
    told = [jump for g in gauges for jump in g.jumps]
    assert len(told) > 4 and any(jump.is_reset for jump in told)
    for one, other in pairwise(told):
        assert other.frame - one.frame >= 2 * FPS or (other.is_reset and not one.is_reset)


def test_large_frames_are_sampled_and_say_the_same():
    small = np.concatenate([video(81, lambda n: 8 + 0.3 * n), video(96, lambda n: 3 + 0.4 * n, colour=(60, 220, 60))])
    large = small.repeat(9, 1).repeat(9, 2)
    one, other = measured(small)[-1], measured(large)[-1]
    assert other.colour_drift == pytest.approx(one.colour_drift, abs=0.01)
    assert other.motion == pytest.approx(one.motion, rel=0.05)
    assert other.sharpness == pytest.approx(one.sharpness, rel=0.05)
    assert other.sink_reset == pytest.approx(one.sink_reset, abs=0.05)


def test_a_video_of_one_frame():
    gauges = measured(video(1))
    assert len(gauges) == 1 and gauges[0].start is None and not gauges[0].jumps


def scene(seed: int, share: float = 0.0, other: int = 0, frames: int = 12) -> np.ndarray:
    """Still blocks of brightness, `share` of them mixed in from another such scene."""
    one, two = (np.random.default_rng(s).integers(0, 255, (8, 8)).repeat(6, 0).repeat(6, 1) for s in (seed, other))
    mixed = ((1 - share) * one + share * two).astype(np.uint8)
    return np.repeat(mixed[None, :, :, None], 3, -1).repeat(frames, 0)


def after_a_switch(*shares: float) -> list[float]:
    """The gauge of each chunk: 129 frames of one scene, 48 of the next as it settles and is learnt, then mixtures."""
    parts = [scene(0, frames=129), scene(1, frames=72), *(scene(1, share, 0) for share in shares)]
    gauges = measured(np.concatenate(parts), prompt=lambda first: "a" if first < 129 else "b")
    return [g.old_scene for g in gauges]


def test_the_way_back_to_the_scene_before_a_switch_is_read_chunk_by_chunk():
    found = after_a_switch(0.5, 0.0, 1.0)
    assert found[-3:] == pytest.approx([0.5, 0.0, 1.0], abs=0.01)
    unsettled = 1 + (129 - 9) // CHUNK + (32 + 36) // CHUNK  # two seconds to settle, two more to learn the new scene
    assert np.isnan(found[:unsettled]).all() and not np.isnan(found[unsettled:]).any()


def test_a_new_scene_is_a_new_start_as_a_new_prompt_is():
    parts = np.concatenate([scene(0, frames=129), scene(1, frames=192)])
    told = measured(parts, prompt=lambda first: "a" if first < 129 else "b")
    scenes = measured(parts, origin=lambda first: 0 if first < 129 else 33)
    assert [g.start for g in scenes] == [g.start for g in told] and scenes[-1].start == (165, 249)
    assert scenes[-1].old_scene == told[-1].old_scene == 0


def test_without_a_switch_or_with_the_same_scene_there_is_no_way_back():
    assert all(math.isnan(g.old_scene) for g in measured(video(321)))
    same = measured(np.concatenate([scene(0, frames=321)]), prompt=lambda first: "a" if first < 129 else "b")
    assert all(math.isnan(g.old_scene) for g in same)


def test_what_neither_scene_shows_is_no_way_back():
    new, old = np.zeros((4, 4)), np.zeros((4, 4))
    old[0], aside = 1, np.zeros((4, 4))
    aside[3] = 1
    assert metrics.way_back(aside, new, old) == 0 and metrics.way_back(aside + old / 4, new, old) == 0.25
