"""How fast a page's connection is: bytes that were sent, and when the page said that it has them; and how fast it has
to be."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from statistics import median

LEAST_BYTES = 15_000  # smaller packets tell of the way's length, not of its width
LOOKED_AT = 4  # packets: a link counts as slow when the best of so many was
ROOM = 1.3  # of a link, over what the video takes, so that it does not stall
WORST = 2  # the lowest quality
BETTER = 3.0  # times the bytes that the next better quality may take
LATELY = 5  # chunks: how fast a video is made, told by the median, since a pause is no slowness


class Need:
    """What a video takes of a link: no more than it is shown at, and less where it is made more slowly. A machine that
    is too slow for its video is none of the link's fault."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._made_at = clock, None
        self._paces: deque[float] = deque(maxlen=LATELY)
        self.rate = 0.0  # bytes a second

    def made(self, size: int, frames: int, fps: int) -> None:
        """A chunk of so many bytes and frames, to be shown at `fps`, is on its way."""
        before, self._made_at = self._made_at, self._clock()
        if before is not None:
            self._paces.append(frames / max(self._made_at - before, 1e-3))
        self.rate = size / frames * min(fps, median(self._paces or [fps]))


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
