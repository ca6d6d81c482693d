"""One video from its prompt to numbers: what it shows and how it has changed, every five seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import metrics
from ..config import VideoShape
from ..pipeline import Pipeline, generate_long_video
from ..policies import Policy, SlidingWindow
from .experiments import label

WINDOW_SECONDS = 5
SINK_LATENTS = 10  # frames that `sink_reset` compares with: the default sink, whatever the policy keeps

Reader = Callable[[np.ndarray], Mapping[str, float]]
"""Frames of a window -> 1 or 0 for each attribute that is, or is not, as the prompt says."""


@dataclass(frozen=True)
class Reading:
    """A window of one video. subject to time: 1 where it is read as the prompt says, 0 where not, NaN where the model's
    world has no reader. The rest: see `deepforcing.metrics`; drifts are against the video's first window."""

    policy: str
    prompt: int
    seed: int
    second: int
    subject: float
    colour: float
    place: float
    time: float
    colour_drift: float
    saturation_drift: float
    contrast_drift: float
    sharpness: float
    dynamic_degree: float
    chunk_jump: float
    sink_reset: float


@dataclass(frozen=True)
class Job:
    """One video to make and measure. prompt: its number; seed: the noise, the same for every policy."""

    policy: Policy
    prompt: int
    seed: int
    seconds: int

    @property
    def key(self) -> tuple[str, int, int]:
        return label(self.policy), self.prompt, self.seed

    @property
    def windows(self) -> int:
        return self.seconds // WINDOW_SECONDS

    @property
    def noise(self) -> int:
        """The run's own seed: no two videos of one policy share their noise."""
        return 1000 * self.seed + self.prompt


def whole_videos(rows: Iterable[Any], seconds: int) -> set[tuple[str, int, int]]:
    """Policy, prompt and seed of each video of which a table has every window up to that time."""
    found = Counter((row.policy, row.prompt, row.seed) for row in rows if row.second < seconds)
    return {video for video, count in found.items() if count == seconds // WINDOW_SECONDS}


def windows(chunks: Iterator[np.ndarray], frames: int) -> Iterator[np.ndarray]:
    """Chunks of frames regrouped into stretches of `frames`; an incomplete last one is dropped."""
    held = np.empty((0,))
    for chunk in chunks:
        held = np.concatenate([held, chunk]) if len(held) else chunk
        while len(held) >= frames:
            yield held[:frames]
            held = held[frames:]


def film(pipeline: Pipeline, job: Job, prompt: str | Callable[[int], str]) -> Iterator[np.ndarray]:
    """Make a job's video of this prompt, or of a prompt for each chunk: its windows."""
    size = WINDOW_SECONDS * pipeline.shape.fps
    chunks = generate_long_video(pipeline, prompt, num_frames=job.windows * size, policy=job.policy, seed=job.noise)
    return windows((chunk.frames for chunk in chunks), size)


def stranger(pipeline: Pipeline, prompt: int, seed: int, text: str) -> np.ndarray:
    """The first window of a video that has nothing but its prompt in common with this seed's: what chance is, for all
    policies alike."""
    return next(film(pipeline, Job(SlidingWindow(), prompt, seed + 1, WINDOW_SECONDS), text))


def measure(pipeline: Pipeline, job: Job, text: str, reader: Reader | None) -> list[Reading]:
    """Make the video, and measure it window by window."""
    shape, size = pipeline.shape, WINDOW_SECONDS * pipeline.shape.fps
    readings, first = [], None
    for index, frames in enumerate(film(pipeline, job, text)):
        first = frames if first is None else first
        read = reader(frames) if reader else dict.fromkeys(("subject", "colour", "place", "time"), float("nan"))
        numbers = _numbers(frames, first, index * size, shape, pipeline.chunk_frames)
        readings.append(Reading(*job.key, index * WINDOW_SECONDS, **read, **numbers))
    return readings


def _numbers(frames: np.ndarray, first: np.ndarray, start: int, shape: VideoShape, chunk: int) -> dict[str, float]:
    sink = first[: shape.frames(SINK_LATENTS)]
    return {
        "colour_drift": metrics.colour_drift(first, frames),
        "saturation_drift": metrics.saturation(frames) - metrics.saturation(first),
        "contrast_drift": metrics.contrast(frames) - metrics.contrast(first),
        "sharpness": metrics.sharpness(frames),
        "dynamic_degree": metrics.dynamic_degree(frames),
        "chunk_jump": metrics.chunk_jump(frames, start, chunk, shape.time),
        "sink_reset": float("nan") if start == 0 else metrics.sink_reset(frames, sink),
    }
