"""Stills of typical videos, the same prompt under two policies: what the numbers look like.

They are made again rather than kept from the evaluation: the same prompt, policy and noise give the same video.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import isnan
from pathlib import Path

import numpy as np
from PIL import Image

from ..pipeline import Pipeline, generate_long_video, load_pipeline
from ..policies import DeepForcing, Policy, SlidingWindow
from .comparison import Comparison, compare
from .measure import Job, Reading
from .prompts import even_prompts
from .run import Evaluation
from .statistics import Video

POLICIES_SHOWN = (SlidingWindow(), DeepForcing())
RULE = (
    "Not picked by hand: all pairs of videos are ranked by the number of windows in which the subject is still right, "
    "deep-forcing minus self-forcing, then by how much less colours have drifted at the end. The two pairs in the "
    "middle of that ranking are shown."
)
_MOST = 7  # stills of a video


@dataclass(frozen=True)
class Strip:
    """Stills of one video, at these seconds, side by side in a file."""

    policy: Policy
    video: Video
    seconds: tuple[int, ...]
    path: Path


def times(seconds: int) -> tuple[int, ...]:
    """0, 10, 20 ... 60 of a minute; at most seven, evenly, at multiples of 5."""
    step = 5 * -(-seconds // (5 * (_MOST - 1)))
    return tuple(range(0, seconds + 1, step))


def typical(readings: Iterable[Reading], seconds: int) -> list[Video]:
    """The two prompts and seeds that `RULE` picks; fewer where there are fewer."""
    found = compare(readings, POLICIES_SHOWN, seconds)
    if not found.has(*POLICIES_SHOWN):
        return []
    ranked = sorted(found.videos, key=lambda video: (*_advantage(found, video), video))
    first = (len(ranked) - 1) // 2
    return ranked[first : first + 2]


def _advantage(found: Comparison, video: Video) -> tuple[float, float]:
    plain, deep = POLICIES_SHOWN
    kept = [_kept(found, policy, video) for policy in POLICIES_SHOWN]
    drift = [found.values(policy, "colour_drift")[video] for policy in (plain, deep)]
    return kept[1] - kept[0], drift[0] - drift[1]


def _kept(found: Comparison, policy: Policy, video: Video) -> float:
    read = [found.values(policy, "subject", start)[video] for start in found.starts]
    return sum(value for value in read if not isnan(value))


def strips(folder: Path, readings: Iterable[Reading], seconds: int) -> list[Strip]:
    """What is to be shown, whether it has been made yet or not: each prompt under each policy."""
    return [
        Strip(policy, video, times(seconds), folder / "strip" / f"{policy.name}-{video[0]}-{video[1]}.webp")
        for video in typical(readings, seconds)
        for policy in POLICIES_SHOWN
    ]


def film(plan: Evaluation, progress: Callable[[Iterable, int], Iterable] = lambda items, _: items) -> None:
    """Make the strips that are missing; remove those that are no longer typical. `progress` as for `evaluate`.

    Raises ModelError.
    """
    wanted = strips(plan.output, plan.readings.read(), plan.seconds)
    for path in set((plan.output / "strip").glob("*.webp")) - {strip.path for strip in wanted}:
        path.unlink()
    missing = [strip for strip in wanted if not strip.path.exists()]
    pipeline = load_pipeline(plan.model) if missing else None
    for strip in progress(missing, len(missing)):
        strip.path.parent.mkdir(exist_ok=True)
        job = Job(strip.policy, *strip.video, plan.seconds)
        frames = stills(pipeline, job, prompt_of(strip.video), strip.seconds)
        Image.fromarray(np.concatenate(list(frames), axis=1)).save(strip.path, quality=90, method=6)


def prompt_of(video: Video) -> str:
    return even_prompts(video[0] + 1)[-1].phrase()


def stills(pipeline: Pipeline, job: Job, text: str, seconds: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Frames [height, width, 3] of a video at these seconds; its last frame stands for its end."""
    frames = job.seconds * pipeline.shape.fps
    wanted = [min(second * pipeline.shape.fps, frames - 1) for second in seconds]
    for chunk in generate_long_video(pipeline, text, num_frames=frames, policy=job.policy, seed=job.noise):
        for number in wanted:
            if 0 <= number - chunk.first_frame < len(chunk.frames):
                yield chunk.frames[number - chunk.first_frame]
