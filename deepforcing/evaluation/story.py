"""A story that changes: ten seconds into the video its prompt becomes another, and every second after that is read.

With one prompt there is nothing to remember that the caption does not say, and nothing to go back to. Here there are
two scenes, of which the sink knows the first alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from ..captions import Caption
from ..gauges import DriftMeter
from ..metrics import roll_backs, scenery_kept
from ..models.tiny_classifier import ATTRIBUTES
from ..pipeline import Pipeline, generate_long_video
from .measure import WINDOW_SECONDS, Job, windows
from .prompts import Turn

SWITCH_AT = 10  # seconds
SETTLED = 15  # from here on, a window's length of the second scene is what later windows are compared with
NAN = float("nan")

Reader = Callable[[np.ndarray], Mapping[str, str]]
"""A second's frames -> what they show: subject, colour, place and time."""


@dataclass(frozen=True)
class Story:
    """A window of one video whose prompt changes at SWITCH_AT; NaN where there is nothing to say yet.

    new_...       share of all seconds since the change that are read as the new prompt has it
    old_scene     how far the picture went back to the old scene at the most, see `metrics.way_back`
    roll_backs    how often it did since the change, see `metrics.roll_backs`
    second_scene  what is left of the second scene as it was at SETTLED, see `metrics.scenery_kept`
    chance        the same of two videos that share nothing but the second prompt
    ways          the way back, in percent, of each second of the window
    """

    policy: str
    prompt: int
    seed: int
    second: int
    new_subject: float
    new_colour: float
    new_place: float
    new_time: float
    old_scene: float
    roll_backs: float
    second_scene: float
    chance: float
    ways: str


def stories(pipeline: Pipeline, job: Job, turn: Turn, read: Reader, other: np.ndarray) -> Iterator[Story]:
    """Of a video with one change of prompt. other: see `measure.stranger`, of the prompt after it."""

    def prompt_for(index: int) -> str:
        return (turn.before if pipeline.starts(index) < SWITCH_AT else turn.after).phrase()

    ways: list[tuple[int, float]] = []  # of each chunk
    right: list[list[float]] = []  # of each second since the change
    second_scene = None  # once it has settled
    for index, frames in enumerate(_windows(pipeline, job, prompt_for, ways)):
        start = index * WINDOW_SECONDS
        if start >= SWITCH_AT:
            right += _right(frames, pipeline.shape.fps, turn.after, read)
        if start == SETTLED:
            second_scene = frames
        later = start > SETTLED
        by_second = _by_second(ways, start, pipeline.shape.fps)
        yield Story(
            *job.key,
            start,
            *(map(fmean, zip(*right, strict=True)) if right else [NAN] * len(ATTRIBUTES)),
            old_scene=max((way for way in by_second if way == way), default=NAN),
            roll_backs=float(roll_backs(way for _, way in ways)[-1]) if start > SWITCH_AT else NAN,
            second_scene=scenery_kept(second_scene, frames) if later else NAN,
            chance=scenery_kept(second_scene, other) if later else NAN,
            ways=" ".join("-" if way != way else f"{100 * way:.0f}" for way in by_second),
        )


def _right(frames: np.ndarray, fps: int, caption: Caption, read: Reader) -> list[list[float]]:
    """Of each second, whether each attribute is read as the caption has it."""
    seen = [read(frames[begin : begin + fps]) for begin in range(0, len(frames), fps)]
    return [[float(what[name] == getattr(caption, name)) for name in ATTRIBUTES] for what in seen]


def _by_second(ways: list[tuple[int, float]], start: int, fps: int) -> list[float]:
    """The way back in each second of a window: that of the chunk on screen as the second ends."""
    ends = [(second + 1) * fps for second in range(start, start + WINDOW_SECONDS)]
    return [next((way for past, way in ways if past >= end), ways[-1][1]) for end in ends]


def _windows(pipeline: Pipeline, job: Job, prompt_for, ways: list[tuple[int, float]]) -> Iterator[np.ndarray]:
    """The video window by window; of each chunk made, `ways` gets its end and its way back."""
    meter, size = DriftMeter(pipeline.shape, pipeline.chunk_frames), WINDOW_SECONDS * pipeline.shape.fps

    def frames() -> Iterator[np.ndarray]:
        for chunk in generate_long_video(
            pipeline, prompt_for, num_frames=job.windows * size, policy=job.policy, seed=job.noise
        ):
            ways.append((chunk.first_frame + len(chunk.frames), meter.add(chunk).old_scene))
            yield chunk.frames

    return windows(frames(), size)
