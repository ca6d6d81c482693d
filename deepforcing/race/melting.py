"""Prompts that melt in for one runner of a race where they cut in for the others."""

from __future__ import annotations

from collections.abc import Callable

from ..timeline import Timeline


class Melting:
    """A function of the chunk's number, as `ask` is, but that each new prompt melts in over so many seconds from the
    chunk on that it comes with. To be asked chunk after chunk."""

    def __init__(self, ask: Callable[[int], str], starts: Callable[[int], float], seconds: float) -> None:
        """starts: second of the video at which a chunk begins."""
        self._ask, self._starts, self._seconds = ask, starts, seconds
        self._now: str | None = None
        self._story: Timeline | None = None

    def __call__(self, index: int) -> str:
        text, begins = self._ask(index), self._starts(index)
        if self._story is None:
            self._story = Timeline.of(text)
        elif text != self._now:
            self._story = Timeline(((0.0, self._now), (begins, text)), (0.0, self._seconds))
        self._now = text
        return self._story.at(begins)
