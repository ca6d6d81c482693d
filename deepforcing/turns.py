"""Several runs share one device: a chunk at a time, and whoever is nearest to running dry goes first."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from statistics import median

POLL_SECONDS = 0.1
REMEMBERED = 8  # items of a run, of which the median tells what one takes


class Turns:
    """Whose turn it is. A run makes one item, such as a chunk, while it has the turn, and then asks for the next."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._holder: Turn | None = None
        self._waiting: list[Turn] = []  # in the order in which they came
        self._open: list[Turn] = []

    def turn(self, ahead: Callable[[], float]) -> Turn:
        """A run's part, until `Turn.close`. ahead: seconds of video that it has made and nobody has seen yet; of those
        that wait, the run with the fewest is next."""
        turn = Turn(self, ahead)
        with self._changed:
            self._open.append(turn)
        return turn

    @property
    def open(self) -> list[Turn]:
        """The runs that share the device now, the oldest first."""
        with self._changed:
            return list(self._open)

    def _is_next(self, turn: Turn) -> bool:
        return self._holder is None and min(self._waiting, key=lambda waiting: waiting.ahead()) is turn

    def _take(self, turn: Turn, given_up: Callable[[], bool]) -> None:
        with self._changed:
            self._waiting.append(turn)
            while not (given_up() or self._is_next(turn)):
                self._changed.wait(POLL_SECONDS)
            self._waiting.remove(turn)
            if not given_up():
                self._holder, turn._began = turn, self._clock()
            self._changed.notify_all()

    def _give(self, turn: Turn, ended: bool) -> None:
        with self._changed:
            if self._holder is turn:
                self._holder = None
                turn._took.append(self._clock() - turn._began)
            if ended and turn in self._open:
                self._open.remove(turn)
            self._changed.notify_all()


class Turn:
    """One run's part in `Turns`."""

    def __init__(self, turns: Turns, ahead: Callable[[], float]) -> None:
        self._turns, self.ahead = turns, ahead
        self._began = 0.0
        self._took: deque[float] = deque(maxlen=REMEMBERED)

    @property
    def seconds(self) -> float | None:
        """What one of its items takes, waiting left out: the median of the latest. None before the first."""
        took = list(self._took)
        return median(took) if took else None

    def take(self, given_up: Callable[[], bool]) -> None:
        """Wait for the turn; without it where `given_up` says so, which is asked several times a second."""
        self._turns._take(self, given_up)

    def give(self) -> None:
        """The item is made, or will not be; harmless without the turn."""
        self._turns._give(self, ended=False)

    def close(self) -> None:
        """The run is over; harmless when called again."""
        self._turns._give(self, ended=True)
