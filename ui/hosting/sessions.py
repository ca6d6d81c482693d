"""Every browser session has its own run; all share one model, in turns."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from deepforcing import Pipeline

from ..player.messages import packet
from ..runs.files import Files
from ..runs.names import run_name
from ..runs.paced_run import Order, PacedRun
from .waiting_line import WaitingLine
from .zero_gpu import LentRun, run_maker

TURN_SECONDS = 180  # how long a run may go on while others wait
MOST_UNSEEN = 16  # messages repeated until the page confirms them; pacing keeps them fewer
LEFT = {"kind": "ended", "reason": "left", "chunks": 0, "error": None, "note": "You left the line."}


class Sessions:
    """The table of runs. A session that starts again, or goes away, ends its earlier run."""

    def __init__(self, pipeline: Pipeline, turn_seconds: float = TURN_SECONDS) -> None:
        self._make_run = run_maker(pipeline)
        self._turn_seconds = turn_seconds
        self._line = WaitingLine()
        self._lock = threading.Lock()
        self._runs: dict[str, PacedRun | LentRun] = {}
        self._wanted: dict[str, str] = {}  # session -> its latest ticket

    def wants(self, session: str) -> bool:
        """Whether it has a run, waits in line for one, or had one that was not closed."""
        return session in self._wanted or session in self._runs

    def get(self, session: str) -> PacedRun | LentRun | None:
        """The session's run, while it has the model."""
        with self._lock:
            return self._runs.get(session)

    @property
    def active(self) -> int:
        """Runs that have the model now: 0 or 1, for a moment 2 while one gives way."""
        with self._lock:
            return len(self._runs)

    def close(self, session: str) -> None:
        """End the session's run, or take it out of the line."""
        with self._lock:
            self._wanted.pop(session, None)
            run = self._runs.get(session)
        if run is not None:
            run.stop()

    def packets(self, session: str, order: Order) -> Iterator[tuple[str, dict, Files]]:
        """As `play`, each message with the value that the page gets: a busy browser may see only the latest of several
        values, so each one carries all messages that the page has not confirmed, and the page drops what it has."""
        unseen = deque(maxlen=MOST_UNSEEN)
        for message, files in self.play(session, order):
            run = self.get(session)
            while unseen and run is not None and unseen[0]["seq"] <= run.seen:
                unseen.popleft()
            unseen.append(message)
            yield packet(unseen), message, files

    def play(self, session: str, order: Order) -> Iterator[tuple[dict, Files]]:
        """Wait for the model, then run. Yields (message, the run's files so far); messages are numbered.

        Raises PromptError or SettingsError for an order that cannot work, when its turn comes.
        """
        ticket = run_name()
        self.close(session)
        with self._lock:
            self._wanted[session] = ticket
        self._line.join(ticket)
        try:
            for number, (message, files) in enumerate(self._turn(session, ticket, order)):
                yield {"run": ticket, "seq": number, **message}, files
        finally:
            self._line.leave(ticket)

    def _turn(self, session: str, ticket: str, order: Order) -> Iterator[tuple[dict, Files]]:
        told = 0
        while (ahead := self._line.wait(ticket, timeout=0.25)) and self._wanted.get(session) is ticket:
            if ahead != told:
                told = ahead
                yield {"kind": "waiting", "ahead": ahead}, Files()
        if self._wanted.get(session) is ticket:
            yield from self._run(session, ticket, order)
        else:
            yield LEFT, Files()

    def _run(self, session: str, ticket: str, order: Order) -> Iterator[tuple[dict, Files]]:
        began = time.monotonic()

        def give_way() -> bool:
            return self._line.waiting > 0 and time.monotonic() - began > self._turn_seconds

        with TemporaryDirectory(prefix="deepforcing-") as folder:
            run = self._make_run(order, Path(folder), ticket)
            with self._lock:
                self._runs[session] = run
            try:
                for message in run.messages(give_way):
                    yield message, run.files
            finally:
                with self._lock:
                    if self._runs.get(session) is run:
                        del self._runs[session]
