"""Who gets how much time: so many minutes a stage, or one budget for all of them that ends in time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

MINUTES = MappingProxyType({"codec": 25.0, "transformer": 120.0, "distil": 60.0, "classifier": 14.0})
SHARES = MappingProxyType({"codec": 0.175, "latents": 0.05, "transformer": 0.415, "distil": 0.41, "classifier": 0.05})


@dataclass(frozen=True)
class Timetable:
    """The stages that run, in order, and the seconds of each.

    Without an `end` a stage has its minutes, and what is prepared for it is prepared to the last. With one (of
    `time.monotonic()`) it has its share of what is left until then, so that a stage that took longer, or waited, takes
    from all that follow, and none of them comes too late.
    """

    stages: tuple[str, ...] = tuple(SHARES)
    minutes: Mapping[str, float] = field(default_factory=lambda: dict(MINUTES))  # picklable
    end: float | None = None

    @classmethod
    def within(cls, minutes: float, stages: tuple[str, ...], now: float | None = None) -> Timetable:
        """One that is over after so many minutes; a little is kept back for starting, and for writing files."""
        seconds = 60 * minutes
        return cls(stages, end=(time.monotonic() if now is None else now) + seconds - min(20.0, 0.1 * seconds))

    @property
    def hurried(self) -> bool:
        """Whether to take what is there instead of waiting for all of it."""
        return self.end is not None

    def seconds(self, stage: str, now: float | None = None) -> float:
        """What the stage may take if it begins now; at least one second, infinite for one that is not timed."""
        if self.end is None:
            return 60 * self.minutes[stage] if stage in self.minutes else float("inf")
        left = self.end - (time.monotonic() if now is None else now)
        following = self.stages[self.stages.index(stage) :]
        return max(1.0, left * SHARES[stage] / sum(SHARES[name] for name in following))
