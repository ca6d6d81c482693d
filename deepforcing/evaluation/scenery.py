"""What stands still in a video: how much of its first five seconds' scenery is there later on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..metrics import scenery_kept
from ..pipeline import Pipeline
from .measure import WINDOW_SECONDS, Job, film


@dataclass(frozen=True)
class Scene:
    """A window of one video. scenery: see `metrics.scenery_kept`, against the first window. chance: the same of two
    videos of this caption that share nothing else, their first windows."""

    policy: str
    prompt: int
    seed: int
    second: int
    scenery: float
    chance: float


def scenes(pipeline: Pipeline, job: Job, text: str, other: np.ndarray) -> Iterator[Scene]:
    """Of a video whose camera stands still. other: see `measure.stranger`."""
    first = chance = None
    for index, frames in enumerate(film(pipeline, job, text)):
        if first is None:
            first, chance = frames, scenery_kept(frames, other)
        yield Scene(*job.key, index * WINDOW_SECONDS, scenery_kept(first, frames), chance)
