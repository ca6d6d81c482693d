"""How fast a page's connection is: bytes that were sent, and when the page said that it has them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

LEAST_BYTES = 15_000  # smaller packets tell of the way's length, not of its width
LOOKED_AT = 4  # packets: a link counts as slow when the best of so many was
ROOM = 1.3  # of a link, over what the video takes, so that it does not stall
WORST = 2  # the lowest quality
BETTER = 3.0  # times the bytes that the next better quality may take


class Link:
    """Measured by one packet after another."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._under_way: tuple[int, int, float] | None = None  # number of its last message, bytes, when
        self._rates: deque[float] = deque(maxlen=LOOKED_AT)
        self.decided = 0.0  # the rate at the latest change of quality

    def sent(self, number: int, size: int) -> None:
        """A packet of `size` bytes of images left, which ends with the message of this number."""
        if self._under_way is None:
            self._under_way = number, size, self._clock()

    def arrived(self, number: int) -> None:
        """The page has everything up to the message of this number."""
        if self._under_way is None or number < self._under_way[0]:
            return
        (_, size, when), self._under_way = self._under_way, None
        if size >= LEAST_BYTES:
            self._rates.append(size / max(self._clock() - when, 1e-3))

    @property
    def rate(self) -> float | None:
        """Bytes a second: the best of the last few packets. None until enough were measured."""
        return max(self._rates) if len(self._rates) == LOOKED_AT else None

    def quality(self, now: int, needed: float) -> int:
        """What to send at, 0 is best, where quality `now` takes so many bytes a second of video."""
        if self.rate is None or not needed:
            return now
        better = now - (self.rate > ROOM * BETTER * needed)
        wanted = min(now + 1, WORST) if self.rate < ROOM * needed else max(better, 0)
        if wanted != now:
            self.decided = self.rate
            self._rates.clear()  # what is sent from now on tells whether that was enough
        return wanted
