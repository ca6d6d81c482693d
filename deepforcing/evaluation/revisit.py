"""The camera pans away and back: is the beginning seen again?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..captions import Caption
from ..metrics import cells, luma
from ..pipeline import Pipeline
from .measure import WINDOW_SECONDS, Job, film

BACK_AT = 10  # seconds: the camera turns round
_BEGINNING = 2  # seconds
_EVERY = 8  # frames between two that are compared
_LEAST = 0.5  # of a picture's width that two must share to be compared


@dataclass(frozen=True)
class Journey:
    """A window of one video. seen: how well the beginning was found again since the camera turned round, see `found`;
    NaN before. chance: the same of another video's beginning."""

    policy: str
    prompt: int
    seed: int
    second: int
    seen: float
    chance: float


def away(caption: Caption) -> Caption:
    """What the camera does first."""
    return replace(caption, camera="right")


def journeys(pipeline: Pipeline, job: Job, caption: Caption, other: np.ndarray) -> Iterator[Journey]:
    """Of a video whose camera turns round. other: see `measure.stranger`, of the caption `away`."""
    out, back = away(caption).phrase(), replace(caption, camera="left").phrase()

    def prompt_for(index: int) -> str:
        return out if pipeline.starts(index) < BACK_AT else back

    first, strange, seen, chance = None, _beginning(other, pipeline.shape.fps), [], []
    for index, frames in enumerate(film(pipeline, job, prompt_for)):
        start = index * WINDOW_SECONDS
        first = _beginning(frames, pipeline.shape.fps) if first is None else first
        if start >= BACK_AT:
            seen.append(found(first, frames[::_EVERY]))
            chance.append(found(strange, frames[::_EVERY]))
        yield Journey(*job.key, start, *(max(values, default=float("nan")) for values in (seen, chance)))


def _beginning(frames: np.ndarray, fps: int) -> np.ndarray:
    return frames[: _BEGINNING * fps : _EVERY]


def found(sought: np.ndarray, frames: np.ndarray) -> float:
    """How well any of the sought pictures lies in any of the frames, moved sideways: the best correlation, -1..1.

    Both uint8 [n, H, W, 3]. They are compared on a grid of 24 x 24 cells of brightness, less each row's mean, where at
    least half of their widths overlap.
    """
    one, other = cells(luma(sought)), cells(luma(frames))
    width = one.shape[2]
    shifts = range(-int((1 - _LEAST) * width), int((1 - _LEAST) * width) + 1)
    return max(_correlation(*_overlap(one, other, shift)) for shift in shifts)


def _overlap(one: np.ndarray, other: np.ndarray, shift: int) -> tuple[np.ndarray, np.ndarray]:
    width = one.shape[2]
    left, right = max(0, shift), min(width, width + shift)
    return one[:, :, left:right], other[:, :, left - shift : right - shift]


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """The best of all pairs."""
    a, b = (_unit(part - part.mean(2, keepdims=True)) for part in (one, other))
    return float((a @ b.T).max())


def _unit(pictures: np.ndarray) -> np.ndarray:
    rows = pictures.reshape(len(pictures), -1)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
