"""Whether one more run fits on a device, by what those that are there were measured to take."""

from __future__ import annotations

from deepforcing import Turns

FULL = 0.9  # of the device's time; the rest is for what runs do beside their turns


class Room:
    """A run's load is the seconds that its items take in a second of its video."""

    def __init__(self, turns: Turns, item_seconds: float, most: int | None = None) -> None:
        """item_seconds: of video, that an item of a run makes. most: runs at once, whatever was measured."""
        self._turns, self._item_seconds, self._most = turns, item_seconds, most
        self._usual: float | None = None  # what a run takes, as measured last

    @property
    def loads(self) -> list[float]:
        """Of the runs that were measured already."""
        return [turn.seconds / self._item_seconds for turn in self._turns.open if turn.seconds is not None]

    def fits(self, inside: int) -> bool:
        """Whether one more can run beside so many, and all keep their pace. Nothing is promised unmeasured."""
        loads = self.loads
        self._usual = max(loads, default=self._usual)
        if self._usual is None or (self._most is not None and inside >= self._most):
            return False
        unmeasured = inside - len(loads)
        return sum(loads) + (unmeasured + 1) * self._usual <= FULL
