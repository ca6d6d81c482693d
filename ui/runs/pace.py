"""How far the viewer is, so that generation keeps just ahead of playback."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

# Video made beyond the playhead before the next chunk is begun: enough for a jittery network and for making a chunk,
# little enough that a new prompt shows soon. More than the player gathers before it plays (20 frames, see clock.js).
AHEAD_SECONDS = 1.5
TRUSTED_SECONDS = 2.0  # how long a report is carried forward; browsers report about once a second


class Pace:
    """The playhead of one run as its browser reports it, and carried forward in between."""

    def __init__(self, fps: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._fps, self._clock, self._lock = fps, clock, threading.Lock()
        self._frame, self._playing, self._at = 0.0, False, clock()
        self.made = 0  # video frames handed to the browser

    def report(self, frame: float, playing: bool) -> None:
        """The browser shows `frame`, and goes on from there or stands still."""
        with self._lock:
            self._frame, self._playing, self._at = frame, playing, self._clock()

    def played(self) -> float:
        """Video frames played by now; none before the first report."""
        with self._lock:
            carried = min(self._clock() - self._at, TRUSTED_SECONDS)
            return self._frame + self._playing * carried * self._fps

    def silent_seconds(self) -> float:
        """Since the browser's last report, or since the start when there was none."""
        with self._lock:
            return self._clock() - self._at

    @property
    def ahead_seconds(self) -> float:
        """Seconds of video that are made and not played yet."""
        return max(0.0, self.made - self.played()) / self._fps

    @property
    def ahead_enough(self) -> bool:
        return self.ahead_seconds > AHEAD_SECONDS


class Unwatched(Pace):
    """Of a run that nobody watches while it is made: made as fast as possible, though those that are watched come first
    once it is ahead of where a viewer would be."""

    def __init__(self, fps: int, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(fps, clock)
        self._began = clock()

    def played(self) -> float:
        return (self._clock() - self._began) * self._fps

    def silent_seconds(self) -> float:
        return 0.0

    @property
    def ahead_enough(self) -> bool:
        return False
