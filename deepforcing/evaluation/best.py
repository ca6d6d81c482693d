"""Which variant of Deep Forcing is best on the evidence: what the app opens with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..policies import DeepForcing, Policy
from .comparison import Comparison, compare
from .experiments import EXPERIMENTS
from .measure import Reading
from .statistics import Estimate, Values, difference

RULE = (
    "Of the settings of Deep Forcing that were run, the one whose colours drift least over the later half of the "
    "videos, where that is less than under the paper's own beyond chance, and the subject is not lost more often "
    "beyond chance. Otherwise the paper's own."
)
PAPER = DeepForcing()


@dataclass(frozen=True)
class Variant:
    """A setting of Deep Forcing beside the paper's own: how much less its colours drift, how much more often its
    subject is right, over the later half of the videos that both have."""

    policy: Policy
    less_drift: Estimate
    more_subject: Estimate

    @property
    def better(self) -> bool:
        return self.less_drift.low > 0 and not self.more_subject.high < 0


def variants(readings: Iterable[Reading], seconds: int) -> list[Variant]:
    """All settings of Deep Forcing that were run but the paper's own, the one that drifts least first."""
    readings = list(readings)
    tried = dict.fromkeys(policy for e in EXPERIMENTS.values() for policy in e.policies if type(policy) is DeepForcing)
    found = [_beside_the_papers(readings, policy, seconds) for policy in tried if policy != PAPER]
    return sorted(filter(None, found), key=lambda variant: -variant.less_drift.mean)


def best(readings: Iterable[Reading], seconds: int) -> Policy:
    """By RULE."""
    return next((variant.policy for variant in variants(readings, seconds) if variant.better), PAPER)


def _beside_the_papers(readings: list[Reading], policy: Policy, seconds: int) -> Variant | None:
    found = compare(readings, (PAPER, policy), seconds)
    if not found.has(PAPER, policy):
        return None
    drift, subject = (
        (_later_half(found, PAPER, name), _later_half(found, policy, name)) for name in ("colour_drift", "subject")
    )
    return Variant(policy, difference(*drift), difference(*reversed(subject)))


def _later_half(found: Comparison, policy: Policy, quantity: str) -> Values:
    windows = [found.values(policy, quantity, start) for start in found.starts if start >= found.seconds / 2]
    return {video: float(np.mean([window[video] for window in windows])) for video in found.videos}
