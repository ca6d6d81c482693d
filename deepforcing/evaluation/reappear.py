"""A subject leaves the frame and returns: is it the same one? No caption tells its exact shade."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..captions import Caption
from ..pipeline import Pipeline
from .measure import WINDOW_SECONDS, Job, film

HUES = {  # in the middle of each colour's range, in turns; white has none
    "red": 0.995,
    "orange": 0.075,
    "yellow": 0.145,
    "green": 0.37,
    "blue": 0.605,
    "purple": 0.755,
    "pink": 0.92,
}
STRANGERS = 0.0093  # turns by which the hues of two clips of one caption differ on average, in the rendered world
_NEAR, _VIVID, _MOVED = 0.06, 0.25, 30  # of the subject: turns from its colour's hue, saturation, 255ths of change
_LEAST, _THERE, _GONE = 0.008, 0.6, 0.05  # of the frame; of the subject's area when all of it is in sight
_EVERY = 2  # frames between two that are looked at


@dataclass(frozen=True)
class Visit:
    """A window of one video. shade: see `same_shade`, of this window and the first; NaN while the subject is away.

    chance: the same of two videos that share nothing but their caption. returns: how often it has come back so far.
    """

    policy: str
    prompt: int
    seed: int
    second: int
    shade: float
    chance: float
    returns: float


def visits(pipeline: Pipeline, job: Job, caption: Caption, other: np.ndarray) -> Iterator[Visit]:
    """Of a video whose subject leaves the frame. other: see `measure.stranger`."""
    hue = HUES[caption.colour]
    strange, first, returns = sight(other, hue).shade, float("nan"), 0
    for index, frames in enumerate(film(pipeline, job, caption.phrase())):
        seen = sight(frames, hue)
        first = seen.shade if index == 0 else first
        returns += seen.returns
        shade, chance = same_shade(first, seen.shade), same_shade(first, strange)
        yield Visit(*job.key, index * WINDOW_SECONDS, shade, chance, float(returns))


@dataclass(frozen=True)
class Sight:
    """What is seen of a subject in some frames. shade: its hue, in turns from its colour's; NaN where it is away."""

    shade: float
    returns: int


def sight(frames: np.ndarray, hue: float) -> Sight:
    """Find what has this hue and moves before a camera that stands still; uint8 [n, H, W, 3]."""
    frames = frames[::_EVERY]
    turns, vivid = _hue_and_saturation(frames)
    away = (turns - hue + 0.5) % 1 - 0.5
    moved = np.abs(frames.astype(np.int16) - np.median(frames, 0)).max(-1) > _MOVED
    found = _inside(moved & (np.abs(away) < _NEAR) & (vivid > _VIVID))
    area = found.mean((1, 2))
    whole = np.percentile(area, 90)
    if whole < _LEAST:
        return Sight(float("nan"), 0)
    shade = float(np.median(away[area > _THERE * whole][found[area > _THERE * whole]]))
    return Sight(shade, _returns(area / whole))


def same_shade(one: float, other: float) -> float:
    """1: the same shade; 0: as unlike as those of two clips of one caption are on average; below: more unlike."""
    return 1 - abs(one - other) / STRANGERS


def _returns(share: np.ndarray) -> int:
    """How often it has been out of sight and is wholly there again; share [n] of it that is in sight."""
    count, away = 0, False
    for part in share:
        count += away and part > _THERE
        away = part < _GONE or (away and part <= _THERE)
    return int(count)


def _inside(found: np.ndarray) -> np.ndarray:
    """Without the outermost pixels, which mix with what is behind; bool [n, H, W]."""
    inner = found.copy()
    inner[:, 1:] &= found[:, :-1]
    inner[:, :-1] &= found[:, 1:]
    inner[:, :, 1:] &= found[:, :, :-1]
    inner[:, :, :-1] &= found[:, :, 1:]
    return inner


def _hue_and_saturation(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hue in turns and saturation 0..1 of every pixel, [n, H, W]."""
    red, green, blue = np.moveaxis(frames.astype(np.float32), -1, 0)
    high, low = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    span = np.maximum(high - low, 1e-6)
    sixth = np.select(
        [high == red, high == green], [(green - blue) / span % 6, (blue - red) / span + 2], (red - green) / span + 4
    )
    return sixth / 6, (high - low) / np.maximum(high, 1)
