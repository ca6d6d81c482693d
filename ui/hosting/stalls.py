"""How often a page ran out of video, by what it tells of its playhead anyway."""

from __future__ import annotations

NEAR = 0.01  # frames before a chunk's end; `advance` in clock.js stops a thousandth before it


class Stalls:
    """Of one run's page. Its playhead stands just before a chunk's end only where the page has nothing after it: who
    pauses, drags or hides the page leaves it elsewhere."""

    def __init__(self) -> None:
        self._ends: set[int] = set()
        self._stood = 0  # at which end it stood last

    def made(self, end: int) -> None:
        """A chunk is on its way, the last before this frame."""
        self._ends.add(end)

    def told(self, frame: float, playing: bool) -> bool:
        """Whether this is a stall that was not told before."""
        end = round(frame)
        if playing or end == self._stood or end not in self._ends or not 0 < end - frame < NEAR:
            return False
        self._stood = end
        return True
