"""Who is ahead in a race, by one rule, or why nobody is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..captions import camera_moves
from .noise import NOTHING_KNOWN, Noise, evidence_noise
from .standing import Standing

LEADER_RULE = (
    "Ahead is the runner that keeps most of its first scenery or, once the prompt has changed, the one that goes back "
    "least to the old prompt's scene, among those that still move: with at least half the motion of their first five "
    "seconds. A lead is too close to call within the noise: half the widest 95 % interval that the evidence "
    "(assets/evidence) has for the difference of two settings at that time of a video. That interval is of a mean over "
    "prompts, and a race is one prompt with one seed: try another seed before you believe it. Where the evidence has "
    "nothing, as of other models, or of scenery while the camera moves, the race cannot tell."
)


@dataclass(frozen=True)
class Measure:
    """What a race is decided by. name: of a field of Standing. better: 1 where more is better, -1 where less is."""

    name: str
    better: int
    early: str
    won: str


SCENERY = Measure(
    "scenery",
    1,
    "the first five seconds of a prompt are what the rest is compared with",
    "of its first scenery it keeps {own:.2f}, against {others}",
)
WAY_BACK = Measure(
    "way_back",
    -1,
    "ten seconds after a new prompt it is compared with the old one, if the two scenes differ",
    "it went {own:.2f} of the way back to the old scene, against {others}",
)


@dataclass(frozen=True)
class Verdict:
    """leader: a runner's number, None where nobody is ahead. words: one sentence for people.

    noise: smaller differences of the measure are too close to call; NaN where that is not known.
    """

    measure: Measure
    leader: int | None
    words: str
    noise: float


def judge(measure: Measure, standings: Sequence[Standing], labels: Sequence[str], noise: float) -> Verdict:
    """Who is ahead by LEADER_RULE."""
    values = [getattr(standing, measure.name) for standing in standings]

    def nobody(why: str) -> Verdict:
        return Verdict(measure, None, why, noise)

    if any(map(math.isnan, (*values, *(standing.motion for standing in standings)))):
        return nobody(f"Nobody is ahead yet: {measure.early}.")
    moving = sorted((-measure.better * values[i], i) for i, standing in enumerate(standings) if standing.moves)
    if not moving:
        return nobody("Nobody is ahead: no runner moves any more.")
    if math.isnan(noise):
        return nobody("The race cannot tell: the evidence has no noise for this to be compared with.")
    if len(moving) > 1 and moving[1][0] - moving[0][0] <= noise:
        gap = moving[1][0] - moving[0][0]
        return nobody(f"Too close to call: the best two differ by {gap:.2f}, the noise is {noise:.2f}.")
    first = moving[0][1]
    others = ", ".join(f"{values[i]:.2f} of “{label}”" for i, label in enumerate(labels) if i != first)
    won = measure.won.format(own=values[first], others=others)
    return Verdict(measure, first, f"Ahead: “{labels[first]}”; {won} (noise {noise:.2f}).", noise)


class Judge:
    """Of one race: which measure holds when, and with how much noise."""

    def __init__(self, labels: Sequence[str], weights: str, fps: int) -> None:
        """weights: the model's fingerprint, see `evidence_noise`."""
        self._labels, self._weights, self._fps = tuple(labels), weights, fps
        self._prompt: str | None = None
        self._begins = 0  # first video frame of this prompt
        self._measure = SCENERY

    def verdict(self, prompt: str, first_frame: int, end: int, standings: Sequence[Standing]) -> Verdict:
        """After a round with the video frames from `first_frame` to before `end`."""
        if self._prompt not in (None, prompt):
            self._measure, self._begins = WAY_BACK, first_frame
        self._prompt = prompt
        noise = self._noise(prompt).at((end - self._begins) / self._fps)
        return judge(self._measure, standings, self._labels, noise)

    def _noise(self, prompt: str) -> Noise:
        if self._measure is SCENERY and camera_moves(prompt):
            return NOTHING_KNOWN  # it was measured with a camera that stands still, and says little with another
        return evidence_noise(self._measure.name, self._weights)
