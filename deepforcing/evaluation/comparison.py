"""An experiment's videos, cut down to what can be compared: whole videos of prompts and seeds that each policy has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..policies import Policy, settings_of
from .experiments import label
from .measure import WINDOW_SECONDS, Reading, whole_videos
from .quantities import QUANTITIES
from .reappear import Visit
from .revisit import Journey
from .scenery import Scene
from .statistics import Estimate, Values, Video
from .story import Story

Row = Reading | Scene | Story | Visit | Journey


@dataclass(frozen=True)
class Comparison:
    """policies: those that have whole videos, in the experiment's order; missing: the others. videos: what is compared;
    left_out: whole videos that are not, because another policy lacks that prompt and seed."""

    policies: tuple[Policy, ...]
    missing: tuple[Policy, ...]
    videos: tuple[Video, ...]
    left_out: int
    seconds: int
    _rows: Mapping[tuple[str, int, int, int], Row]

    @property
    def starts(self) -> range:
        """The second in which each window starts."""
        return range(0, self.seconds, WINDOW_SECONDS)

    @property
    def telling(self) -> bool:
        """Whether most of the experiment's policies are there; other experiments run a few of them too."""
        return bool(self.videos) and len(self.policies) > len(self.missing)

    def has(self, *policies: Policy) -> bool:
        return bool(self.videos) and set(policies) <= set(self.policies)

    def values(self, policy: Policy, quantity: str, start: int = -1) -> Values:
        """By prompt and seed, in the window that starts then; in the last one without."""
        name, start = label(policy), self.starts[-1] if start < 0 else start
        return {key: getattr(self._rows[(name, *key, start)], quantity) for key in self.videos}

    def estimate(self, policy: Policy, quantity: str, start: int = -1) -> Estimate:
        return QUANTITIES[quantity].estimate(self.values(policy, quantity, start))


def compare(readings: Iterable[Row], policies: Sequence[Policy], seconds: int) -> Comparison:
    """What there is of these policies, of videos of that length."""
    rows = {(row.policy, row.prompt, row.seed, row.second): row for row in readings}
    videos = whole_videos(rows.values(), seconds)
    whole = {policy: {(p, s) for name, p, s in videos if name == label(policy)} for policy in policies}
    present = tuple(policy for policy in policies if whole[policy])
    common = set.intersection(*(whole[policy] for policy in present)) if present else set()
    return Comparison(
        present,
        tuple(policy for policy in policies if not whole[policy]),
        tuple(sorted(common)),
        sum(len(whole[policy] - common) for policy in present),
        seconds,
        rows,
    )


def short_names(policies: Sequence[Policy]) -> dict[Policy, str]:
    """The shortest names that tell these policies apart: their own, or with the settings in which namesakes differ."""
    named = len({policy.name for policy in policies}) > 1
    return {policy: " · ".join([policy.name] * named + _varied(policy, policies)) or policy.name for policy in policies}


def _varied(policy: Policy, policies: Sequence[Policy]) -> list[str]:
    """The value of the one setting in which namesakes differ; of several, those that are not the default."""
    settings = [settings_of(other) for other in policies if other.name == policy.name]
    varied = [key for key in settings[0] if len({s[key] for s in settings}) > 1]
    return label(policy).split()[1:] if len(varied) > 1 else [str(settings_of(policy)[key]) for key in varied]
