"""Send recorded runs to the pages that watch them: a part when the page has the one before."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from deepforcing import Trace, TraceError

from ..player.messages import image_bytes
from ..runs.names import run_name
from .links import Moment

FIRST_BYTES = 60_000  # of images in the first part, so that it shows soon
PART_BYTES = 600_000
MOST_BYTES = 150_000_000  # of images in all; below DETAIL_BYTES in memory/history.js, so that a page holds all
SILENT_SECONDS = 150.0  # a hidden tab's timers fire once a minute; longer silence means that nobody is there
SILENT = "The page fell silent, so no more of this run was sent. Open it again to see the rest."


@dataclass(frozen=True)
class Opening:
    """What is opened, and how. unasked: by the page itself, not by a viewer; link: its name in links, where it has one.

    messages: of `Recordings.messages` or `messages_of`.
    """

    trace: Trace
    messages: Iterator[dict]
    moment: Moment | None = None
    unasked: bool = False
    link: str | None = None


class Viewing:
    """One viewer's look at a recorded run."""

    def __init__(self, opening: Opening) -> None:
        self.id = run_name()
        self._opening = opening
        self._changed = threading.Condition()
        self._seen, self._stopped = -1, False
        self._heard = time.monotonic()  # when the page said something last

    def confirm(self, seen: int) -> None:
        """The page has everything up to the message of this number."""
        with self._changed:
            self._seen, self._heard = max(self._seen, seen), time.monotonic()
            self._changed.notify_all()

    def stop(self) -> None:
        """No further part is sent; harmless at any time."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    @property
    def trace(self) -> Trace:
        return self._opening.trace

    def parts(self) -> Iterator[list[dict]]:
        """The run's messages, numbered as those of a live one, some at a time; fewer, and a word, when the page falls
        silent."""
        part, size, most = [], 0, FIRST_BYTES
        for number, message in enumerate(self._messages()):
            part.append({"run": self.id, "seq": number, **message})
            size += image_bytes(message)
            if size < most and message["kind"] != "ended":
                continue
            yield part
            if not self._confirmed(number):
                if not self._stopped and message["kind"] != "ended":
                    yield [{"run": self.id, "seq": number + 1, **_ended("stopped", note=SILENT)}]
                return
            part, size, most = [], 0, PART_BYTES

    def _messages(self) -> Iterator[dict]:
        """As of a live run, but for what only a recorded one has: where it opens, and its own way to end."""
        sent, chunks, note = 0, 0, ""
        try:
            for message in self._opening.messages:
                if message["kind"] == "started":
                    yield {**message, "recorded": self._recorded()}
                    continue
                sent += image_bytes(message)
                if sent > MOST_BYTES:
                    seconds = message["first"] / self._opening.trace.started.fps
                    note = f"Shown are its first {seconds:.0f} seconds: a page holds no more of pictures this large."
                    break
                chunks += 1
                yield message
        except TraceError as error:
            yield _ended("error", chunks, str(error))
            return
        yield _ended("recorded", chunks, note=note or self._end())

    def _recorded(self) -> dict:
        moment = self._opening.moment or Moment("")
        at = {"seconds": moment.seconds, "panel": moment.panel}
        return {**at, "unasked": self._opening.unasked, "link": self._opening.link}

    def _end(self) -> str:
        error = self._opening.trace.index.ended.error
        return f"This run had ended with an error: {error}" if error else ""

    def _confirmed(self, number: int) -> bool:
        with self._changed:
            self._heard = time.monotonic()
            while not self._stopped and self._seen < number:
                left = self._heard + SILENT_SECONDS - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
            return not self._stopped


def _ended(reason: str, chunks: int = 0, error: str | None = None, note: str = "") -> dict:
    return {"kind": "ended", "reason": reason, "chunks": chunks, "error": error, "note": note}


class Viewings:
    """The table of them: a session that opens another run, or goes away, ends its earlier one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now: dict[str, Viewing] = {}
        self._latest: dict[str, Viewing] = {}  # until the page is gone

    def play(self, session: str, opening: Opening) -> Iterator[list[dict]]:
        """See `Viewing.parts`."""
        viewing = Viewing(opening)
        self.close(session)
        with self._lock:
            self._now[session] = self._latest[session] = viewing
        try:
            yield from viewing.parts()
        finally:
            with self._lock:
                if self._now.get(session) is viewing:
                    del self._now[session]

    def confirm(self, session: str, run: str, seen: int) -> None:
        with self._lock:
            viewing = self._now.get(session)
        if viewing is not None and viewing.id == run:
            viewing.confirm(seen)

    def opened(self, session: str) -> bool:
        """Whether the session has opened a recorded run."""
        with self._lock:
            return session in self._latest

    def trace_of(self, session: str, run: str) -> Trace | None:
        """Of the recorded run that the session opened last, if that has this name."""
        with self._lock:
            viewing = self._latest.get(session)
        return viewing.trace if viewing is not None and viewing.id == run else None

    def leave(self, session: str) -> None:
        """The session's page is gone."""
        self.close(session)
        with self._lock:
            self._latest.pop(session, None)

    def close(self, session: str) -> None:
        """End what the session looks at, if anything."""
        with self._lock:
            viewing = self._now.pop(session, None)
        if viewing is not None:
            viewing.stop()
