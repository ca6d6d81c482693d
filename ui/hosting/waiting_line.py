"""Who has the model: first come, first served, one run at a time."""

from __future__ import annotations

import threading
from collections.abc import Hashable


class WaitingLine:
    """A line of tickets. The first in line has the model until it leaves."""

    def __init__(self) -> None:
        self._line: list[Hashable] = []
        self._changed = threading.Condition()

    def join(self, ticket: Hashable) -> None:
        """Stand at the end of the line."""
        with self._changed:
            self._line.append(ticket)

    def leave(self, ticket: Hashable) -> None:
        """Give up the place, first or not; harmless when not in line."""
        with self._changed:
            if ticket in self._line:
                self._line.remove(ticket)
            self._changed.notify_all()

    def ahead(self, ticket: Hashable) -> int:
        """How many stand before this ticket; 0 has the model."""
        with self._changed:
            return self._line.index(ticket)

    def wait(self, ticket: Hashable, timeout: float) -> int:
        """Wait up to `timeout` seconds for the first place; returns how many are still ahead."""
        with self._changed:
            self._changed.wait_for(lambda: self._line[0] == ticket, timeout)
            return self._line.index(ticket)

    def behind(self, ticket: Hashable) -> int:
        """How many stand behind this ticket; 0 where it is not in line."""
        with self._changed:
            return len(self._line) - 1 - self._line.index(ticket) if ticket in self._line else 0

    @property
    def waiting(self) -> int:
        """How many wait behind the one that has the model."""
        with self._changed:
            return max(0, len(self._line) - 1)
