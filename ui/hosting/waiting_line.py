"""Who has the model: first come, first served, as many at a time as it can serve."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable


class WaitingLine:
    """A line of tickets. The first in line gets in as soon as there is room, and stays in until it leaves."""

    def __init__(self, fits: Callable[[int], bool] = lambda inside: False) -> None:
        """fits: whether there is room for one more beside so many; somebody who would be alone always gets in."""
        self._fits = fits
        self._line: list[Hashable] = []
        self._inside: list[Hashable] = []  # the longest inside first
        self._changed = threading.Condition()

    def join(self, ticket: Hashable) -> None:
        """Stand at the end of the line."""
        with self._changed:
            self._line.append(ticket)

    def leave(self, ticket: Hashable) -> None:
        """Give up the place, inside or not; harmless without one."""
        with self._changed:
            for places in (self._line, self._inside):
                if ticket in places:
                    places.remove(ticket)
            self._changed.notify_all()

    def wait(self, ticket: Hashable, timeout: float) -> int:
        """Wait up to `timeout` seconds to get in; returns the place in line, 0 inside."""
        with self._changed:
            self._changed.wait_for(lambda: self._enter(ticket), timeout)
            return 0 if ticket in self._inside else 1 + self._line.index(ticket)

    @property
    def waiting(self) -> int:
        """How many wait."""
        with self._changed:
            return len(self._line)

    def behind(self, ticket: Hashable) -> int:
        """How many wait behind this ticket; 0 where it has no place."""
        with self._changed:
            if ticket in self._inside:
                return len(self._line)
            return len(self._line) - 1 - self._line.index(ticket) if ticket in self._line else 0

    def must_go(self, ticket: Hashable) -> bool:
        """Whether others wait, and this one is among those who have been inside the longest: as many as wait."""
        with self._changed:
            return ticket in self._inside[: len(self._line)]

    def _enter(self, ticket: Hashable) -> bool:
        if ticket not in self._inside and self._line[0] == ticket and (not self._inside or self._has_room()):
            self._line.remove(ticket)
            self._inside.append(ticket)
            self._changed.notify_all()
        return ticket in self._inside

    def _has_room(self) -> bool:
        return self._fits(len(self._inside))
