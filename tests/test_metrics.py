"""Metrics on synthetic videos whose answer is known."""

import colorsys

import numpy as np
import pytest

from deepforcing import metrics


def flat(*colours, count: int = 4, size: int = 24) -> np.ndarray:
    """`count` frames of each colour."""
    return np.concatenate([np.full((count, size, size, 3), colour, np.uint8) for colour in colours])


def disc(x: float, y: float, size: int = 48, radius: float = 6) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size]
    frame = np.full((size, size, 3), 60, np.uint8)
    frame[np.hypot(rows - y, columns - x) < radius] = 220
    return frame


def moving(frames: int, speed: float = 1.0, start: float = 8) -> np.ndarray:
    return np.stack([disc(start + speed * i, 24) for i in range(frames)])


def hue(turn: float) -> tuple[int, ...]:
    return tuple(round(255 * value) for value in colorsys.hsv_to_rgb(turn % 1, 1, 1))


RED, GREEN, CYAN, GREY = (200, 0, 0), (0, 200, 0), (0, 200, 200), (90, 90, 90)


def test_the_same_colours_do_not_drift():
    assert metrics.colour_drift(flat(RED), flat(RED)) == 0


def test_opposite_colours_drift_by_one():
    assert metrics.colour_drift(flat(RED), flat(CYAN)) == pytest.approx(1, abs=1e-6)


def test_a_drift_is_the_part_of_the_circle_that_colours_move_by():
    assert metrics.colour_drift(flat(RED), flat(GREEN)) == pytest.approx(2 / 3, abs=1e-6)
    assert metrics.colour_drift(flat(hue(0.02)), flat(hue(-0.02))) < 0.1  # across the end of the scale


def test_brightness_is_no_hue():
    assert metrics.colour_drift(flat((200, 40, 40)), flat((100, 20, 20))) == pytest.approx(0, abs=1e-6)


def test_a_grey_video_has_an_even_histogram():
    assert np.allclose(metrics.hue_histogram(flat(GREY)), 1 / metrics.HUE_BINS)


def test_saturation_of_grey_and_of_pure_colour():
    assert metrics.saturation(flat(GREY)) == 0
    assert metrics.saturation(flat(RED)) == pytest.approx(1)
    assert metrics.saturation(flat(RED, GREY)) == pytest.approx(0.5)


def test_contrast_of_half_black_half_white():
    frames = flat((0, 0, 0))
    frames[:, :, 12:] = 255
    assert metrics.contrast(frames) == pytest.approx(0.5, abs=1e-4)
    assert metrics.contrast(flat(RED)) == pytest.approx(0, abs=1e-6)


def test_blur_lowers_sharpness():
    frames = moving(4)
    soft = sum(np.roll(frames.astype(float), (i, j), (1, 2)) for i in (-1, 0, 1) for j in (-1, 0, 1)) / 9
    assert metrics.sharpness(soft.astype(np.uint8)) < 0.6 * metrics.sharpness(frames)
    assert metrics.sharpness(flat(GREY)) == 0


def test_a_frozen_video_has_no_dynamics():
    assert metrics.dynamic_degree(np.repeat(moving(1), 8, 0)) == 0
    assert metrics.dynamic_degree(moving(1)) == 0


def test_dynamics_count_brightness_in_255ths():
    assert metrics.dynamic_degree(flat((10, 10, 10), (12, 12, 12), count=1)) == pytest.approx(2, abs=1e-3)


def test_twice_the_speed_is_more_dynamic():
    assert metrics.dynamic_degree(moving(12, 2)) > 1.5 * metrics.dynamic_degree(moving(12, 1))


def jumping(frames: int, every: int, first: int) -> np.ndarray:
    """A disc at even speed that jumps where a frame number of 1 + every * k is reached."""
    return np.stack([disc(8 + 0.5 * i + 5 * (((first + i - 1) // every) % 2), 24) for i in range(frames)])


@pytest.mark.parametrize("first", [0, 9, 40])
def test_a_jump_at_every_chunk_shows(first):
    frames = np.stack([disc(8 + 0.3 * i + 6 * (((first + i + 3) // 12) % 2), 24) for i in range(60)])
    assert metrics.chunk_jump(frames, first) > 3


@pytest.mark.parametrize("first", [0, 9, 40])
def test_even_motion_has_no_jump(first):
    assert metrics.chunk_jump(moving(60, 0.5), first) == pytest.approx(1, abs=0.1)


def test_a_jump_at_every_latent_is_not_the_chunks():
    assert metrics.chunk_jump(jumping(60, 4, 0), 0) == pytest.approx(1, abs=0.15)


def test_a_jump_needs_something_to_compare_with():
    assert np.isnan(metrics.chunk_jump(moving(3), 0))
    assert np.isnan(metrics.chunk_jump(np.repeat(moving(1), 40, 0), 0))


def test_a_sink_frame_shown_again_is_a_reset():
    sink = moving(20)
    assert metrics.sink_reset(sink[5:6], sink) == pytest.approx(1, abs=1e-5)


def test_a_disc_elsewhere_is_no_reset():
    sink = moving(12)
    elsewhere = np.stack([disc(24, 40)])
    assert metrics.sink_reset(elsewhere, sink) < 0.5


def test_a_background_that_stays_is_no_reset():
    scene = np.repeat(moving(1), 10, 0)
    assert metrics.sink_reset(scene, scene) == 0


def hills(seed: int, count: int = 5) -> np.ndarray:
    """A landscape of its own for each seed, over which a disc moves."""
    rng = np.random.default_rng(seed)
    still = np.kron(rng.integers(0, 200, (12, 12)), np.ones((4, 4))).astype(np.uint8)[..., None]
    return np.maximum(moving(count, 8), still)


def test_scenery_that_stays_is_kept_whatever_moves_in_front():
    there = hills(1)
    assert metrics.scenery_kept(there, there) == pytest.approx(1)
    assert metrics.scenery_kept(there, there[::-1] // 2) > 0.9, "half as bright, the other way"


def test_another_scenery_is_not_kept():
    assert abs(metrics.scenery_kept(hills(1), hills(2))) < 0.3


def test_a_horizon_is_no_scenery():
    above = np.repeat([[[[200] * 3]], [[[40] * 3]]], 24, 0).reshape(1, 48, 1, 3).repeat(48, 2).repeat(4, 0)
    assert metrics.scenery_kept(above.astype(np.uint8), above.astype(np.uint8)) == 0


def test_roll_backs_are_counted_once_each():
    nan = float("nan")
    ways = [nan, 0.1, 0.3, 0.2, 0.5, 0.1, 0.24, 0.25, nan, 0.0, 0.9]  # back, gone, back, gone, back
    assert metrics.roll_backs(ways) == [0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 3]
    assert metrics.roll_backs([]) == [] and metrics.roll_backs([0.26, 0.15, 0.26]) == [1, 1, 1], "it was never gone"
