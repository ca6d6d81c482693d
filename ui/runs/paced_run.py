"""What every run for a viewer is: a steered thread, paced by the viewer's playhead, folded into messages."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from deepforcing import Pipeline, StreamEnded, Turn, Turns

from .files import Files
from .pace import Pace, Unwatched

SILENT_SECONDS = 150  # a hidden tab's timers fire once a minute; longer silence means that nobody is there
FAST = "Your connection is faster again: pictures are sent at a higher quality."
SLOW = "Your connection carries about {:.1f} Mbit/s: pictures are sent at a lower quality, so that the video goes on."
GAVE_WAY = "Others were waiting, so this run was ended. Generate again to get back in line."


class Order(Protocol):
    """What a viewer asked for, whatever it is. num_frames: video frames, None = until stopped; begun: seconds of them
    that are there already."""

    num_frames: int | None
    begun: float

    def stream(self, pipeline: Pipeline) -> Any:
        """Not started. Raises PromptError or SettingsError for an order that cannot work."""

    def run(self, pipeline: Pipeline, folder: Path, name: str) -> PacedRun:
        """Its run, for when its turn has come. Raises as `stream` does."""


class PacedRun:
    """A subclass folds the events of its stream, with `_fold`, and tells with `_made` how long the video is by now."""

    def __init__(self, stream: Any, fps: int, name: str) -> None:
        """stream: not started yet; it is read and steered as a VideoStream is."""
        self.id = name
        self._stream, self._fps, self._pace = stream, fps, Pace(fps)
        self._stopping = threading.Event()
        self._turn: Turn | None = None
        self.carries = False  # whether its messages bring what going on elsewhere needs
        self.quality = 0  # of the pictures that are sent, see `Codec`
        self._news: list[str] = []  # for the viewer
        self.note = ""  # why the run was ended, where the viewer did not end it
        self.files = Files()

    def _fold(self, event: Any) -> Iterator[dict]:
        """The messages that an event becomes; None, which comes from time to time, may become some too."""
        raise NotImplementedError

    def _close(self) -> None:
        """Give up whatever is open."""

    def report(self, frame: float, playing: bool) -> None:
        """The viewer's playhead; also the sign that somebody is there."""
        self._pace.report(frame, playing)

    def share(self, turns: Turns) -> None:
        """Others work on the same device: take turns with them. To be said before `messages`."""
        self._turn = turns.turn(lambda: self._pace.ahead_seconds)
        self._stream.share(self._turn)

    def hurry(self) -> None:
        """Nobody watches: make it as fast as possible. To be said before `messages`."""
        self._pace = Unwatched(self._fps)

    def pause(self, paused: bool) -> None:
        self._stream.pause() if paused else self._stream.resume()

    def adapt(self, quality: int, rate: float) -> None:
        """Send pictures at this quality from now on, since the link carries so many bytes a second."""
        self._news.append(SLOW.format(8 * rate / 1e6) if quality > self.quality else FAST)
        self.quality = quality

    def tell(self, text: str) -> None:
        """Something that the viewer has to know."""
        self._news.append(text)

    def stop(self, note: str = "") -> None:
        """End at the next chunk boundary; harmless at any time."""
        self.note = self.note or note
        self._stopping.set()
        self._stream.stop()

    def messages(self, give_way: Callable[[], bool]) -> Iterator[dict]:
        """Run to the end. `give_way` is asked between chunks whether somebody else's turn has come."""
        try:
            for event in self._events(give_way):
                while self._news:
                    yield {"kind": "notice", "text": self._news.pop(0)}
                yield from self._fold(event)
        finally:
            self.stop()
            self._stream.join(timeout=30)
            if self._turn is not None:
                self._turn.close()
            self._close()

    def _events(self, give_way: Callable[[], bool]) -> Iterator[Any]:
        """Events as the viewer needs them; None from time to time, so that announcements get out."""
        self._stream.start()
        while True:
            self._look_after(give_way)
            if self._pace.ahead_enough and not self._stopping.is_set():
                self._stopping.wait(0.05)
                yield None
                continue
            event = self._stream.get(timeout=0.1)
            yield event
            if isinstance(event, StreamEnded):
                return

    def _look_after(self, give_way: Callable[[], bool]) -> None:
        if self._pace.silent_seconds() > SILENT_SECONDS:
            self.stop("The page fell silent, so the run was ended.")
        elif give_way():
            self.stop(GAVE_WAY)

    def _made(self, frames: int) -> None:
        """So many more video frames are there."""
        self._pace.made += frames
        # The model goes on while this chunk is encoded, unless enough is made: then the next prompt shows sooner.
        self._stream.max_queued = 0 if self._pace.ahead_enough else 1
