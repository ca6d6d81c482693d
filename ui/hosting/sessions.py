"""Every browser session has its own run; as many share the model, in turns, as it is fast enough for. A run outlives
its page by a minute."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from deepforcing import Pipeline, Turns

from ..runs.files import Files, save
from ..runs.names import run_name
from ..runs.paced_run import GAVE_WAY, Order, PacedRun
from .kept import FILM, KeptRun
from .replicas import Replicas
from .room import Room
from .tally import Tally
from .waiting_line import WaitingLine
from .zero_gpu import LentRun, run_maker

TURN_SECONDS = 180  # how long a run may go on while others wait
KEPT_SECONDS = 60.0  # how long a run, and its video, wait for a page that is gone
GRACE_SECONDS = 5.0  # how long they do so while others wait
MOST_KEPT = 8  # runs that wait for their page, or have ended; the oldest goes first
TOO_FULL = "{} runs share the model now, and it is too slow for all of them at once: expect pauses until one ends."
END_SECONDS = 3.5  # that runs have for their files, and pages to be told, when the server stops
STOPPING = "The server was stopped, so this run was ended."
LEFT = {"kind": "ended", "reason": "left", "chunks": 0, "error": None, "note": "You left the line."}


class Sessions:
    """The table of runs. A session that starts again ends its earlier run; one that goes away may come back for it."""

    def __init__(
        self,
        pipeline: Pipeline,
        turn_seconds: float = TURN_SECONDS,
        kept_seconds: float = KEPT_SECONDS,
        grace_seconds: float = GRACE_SECONDS,
        most: int | None = None,
        replicas: Replicas | None = None,
    ) -> None:
        """most: runs at once; None for as many as keep their pace, by what is measured. replicas: where they are made,
        as many as these have places for; here when None."""
        self._make_run, self._turns = replicas.maker(pipeline) if replicas else run_maker(pipeline), Turns()
        chunk_seconds = pipeline.chunk_frames * pipeline.shape.time / pipeline.shape.fps
        self._turn_seconds, self._kept_seconds, self._grace_seconds = turn_seconds, kept_seconds, grace_seconds
        self._room = Room(self._turns, chunk_seconds, most)
        self._line = WaitingLine((lambda inside: inside < replicas.size.places) if replicas else self._room.fits)
        self.tally, self._fps = Tally(lambda: self.active, lambda: self._line.waiting), pipeline.shape.fps
        self._lock = threading.Lock()
        self._runs: dict[str, PacedRun | LentRun] = {}  # by ticket
        self._kept: dict[str, KeptRun] = {}  # session -> its latest, oldest first
        self._wanted: dict[str, str] = {}  # session -> its latest ticket, until that is closed
        self._closing: dict[str, str] = {}  # session -> a ticket that was closed, until its run has ended

    def wants(self, session: str) -> bool:
        """Whether it has a run, waits in line for one, or had one that was not closed."""
        return session in self._wanted

    def waits(self, session: str) -> bool:
        """Whether its run stands in line."""
        with self._lock:
            kept, ticket = self._kept.get(session), self._wanted.get(session)
            return kept is not None and kept.name == ticket and not kept.over and ticket not in self._runs

    def get(self, session: str) -> PacedRun | LentRun | None:
        """The session's run, while it has the model."""
        with self._lock:
            return self._runs.get(self._wanted.get(session) or self._closing.get(session, ""))

    @property
    def active(self) -> int:
        """Runs that have the model now."""
        with self._lock:
            return len(self._runs)

    def close(self, session: str, note: str = "") -> None:
        """End the session's run, or take it out of the line."""
        with self._lock:
            ticket = self._wanted.pop(session, "")
            run = self._runs.get(ticket)
            if run is not None:
                self._closing[session] = ticket
        if run is not None:
            run.stop(note)

    def end_all(self, seconds: float = END_SECONDS) -> Path | None:
        """The server stops: all runs end, and their pages are told. Returns the folder of the files of those that were
        being made, None without any; waits for them and for the pages no longer than this."""
        with self._lock:
            made = [run for run in self._kept.values() if not run.over]
            sessions = list(self._wanted)
        for session in sessions:
            self.close(session, STOPPING)
        until = time.monotonic() + seconds
        while time.monotonic() < until and not all(run.delivered for run in made):
            time.sleep(0.05)
        files = [file for run in made for file in vars(run.files).values() if file is not None and file.exists()]
        return save(files) if files else None

    def trace_of(self, session: str, run: str) -> Path | None:
        """Of the session's run of this name, once that is over; None where it is gone, or could not be written."""
        with self._lock:
            kept = self._kept.get(session)
        return kept.files.trace if kept is not None and kept.name == run and kept.over else None

    def finish(self, session: str, seconds: float = 10.0) -> None:
        """End the session's run, if it has one, and wait until its page has its files."""
        with self._lock:
            kept = self._kept.get(session)
        if kept is None or kept.over:
            return
        self.close(session)
        until = time.monotonic() + seconds
        while time.monotonic() < until and not kept.delivered:
            time.sleep(0.05)

    def leave(self, session: str) -> None:
        """The session's page is gone: its run waits for it a while, shorter where others wait for the model."""
        with self._lock:
            kept = self._kept.get(session)
        if kept is None:
            self.close(session)
            return
        kept.leave()
        for seconds, then in ((self._grace_seconds, self._give_way), (self._kept_seconds, self._forget_alone)):
            timer = threading.Timer(seconds, then)
            timer.daemon = True
            timer.start()

    def report(self, session: str, run: str, frame: float, playing: bool, seen: int) -> None:
        """What the session's page tells of the run that it shows: its playhead, and the last message that it has."""
        with self._lock:
            kept = self._kept.get(session)
            now = self._runs.get(run) if self._wanted.get(session) == run else None
        if kept is not None and kept.name == run:
            quality = kept.quality
            kept.confirm(seen)
            if not kept.over and kept.stalls.told(frame, playing):
                self.tally.stalled()
            if now is not None and kept.quality != quality:
                now.adapt(kept.quality, kept.link.decided)
        if now is not None:
            now.report(frame, playing)

    def packets(self, session: str, order: Order) -> Iterator[tuple[str, dict, Files]]:
        """As `play`, in a run that is kept. Yields (value for the page, its last message, files so far)."""
        ticket = run_name()
        self.close(session)
        kept = KeptRun(ticket, lambda folder: self.play(session, order, ticket, folder))
        with self._lock:
            before = self._kept.pop(session, None)
            self._kept[session] = kept
            idle = [other for other, run in self._kept.items() if run.left is not None or run.over]
            beyond = idle[:-MOST_KEPT]
            extra = [self._kept.pop(other) for other in beyond]
        for other in beyond:
            self.close(other)  # it may still be going on
        for run in filter(None, (before, *extra)):
            threading.Thread(target=run.forget, daemon=True).start()
        yield from self._follow(session, kept)

    def rejoin(self, session: str, ticket: str) -> Iterator[tuple[str, dict, Files]]:
        """The run of this name as `packets` gives it, from its start, for a page that had it; nothing where it is not
        kept any more, or the page has begun another meanwhile. Another page that shows it is left behind."""
        with self._lock:
            own = self._kept.get(session)
            if own is not None and own.name != ticket:
                return
            before = next((other for other, run in self._kept.items() if run.name == ticket), None)
            if before is None:
                return
            kept = self._kept[session] = self._kept.pop(before)
            if before in self._wanted:
                self._wanted[session] = self._wanted.pop(before)
            run = self._runs.get(ticket)
        if run is not None:
            run.pause(False)  # a page that comes back plays
        yield from self._follow(session, kept)

    def _follow(self, session: str, kept: KeptRun) -> Iterator[tuple[str, dict, Files]]:
        try:
            yield from kept.follow()
        except GeneratorExit:
            if self._kept.get(session) is kept:
                self.leave(session)
            raise

    def _give_way(self) -> None:
        """End runs without a page, where somebody waits behind them."""
        with self._lock:
            alone = [session for session, run in self._kept.items() if run.alone >= self._grace_seconds]
            hinder = [session for session in alone if self._line.behind(self._kept[session].name)]
        for session in hinder:
            self.close(session, GAVE_WAY)

    def _forget_alone(self) -> None:
        with self._lock:
            alone = [session for session, run in self._kept.items() if run.alone >= self._kept_seconds]
            runs = [self._kept.pop(session) for session in alone]
        for session in alone:
            self.close(session)
        for run in runs:
            run.forget()

    def play(
        self, session: str, order: Order, ticket: str | None = None, folder: Path | None = None, hurry: bool = False
    ) -> Iterator[tuple[dict, Files]]:
        """Wait for the model, then run. Yields (message, the run's files so far); messages are numbered.

        folder: for the files; without one they are gone when this ends. hurry: nobody watches. Raises PromptError or
        SettingsError for an order that cannot work, when its turn comes.
        """
        ticket = ticket or run_name()
        self.close(session)
        with self._lock:
            self._wanted[session] = ticket
        self._line.join(ticket)
        self._give_way()
        try:
            for number, (message, files) in enumerate(self._turn(ticket, order, folder, hurry)):
                yield {"run": ticket, "seq": number, **message}, files
        finally:
            self._line.leave(ticket)

    def _is_wanted(self, ticket: str) -> bool:
        with self._lock:
            return ticket in self._wanted.values()

    def _turn(self, ticket: str, order: Order, folder: Path | None, hurry: bool) -> Iterator[tuple[dict, Files]]:
        told = 0
        while (ahead := self._line.wait(ticket, timeout=0.25)) and self._is_wanted(ticket):
            if ahead != told:
                told = ahead
                yield {"kind": "waiting", "ahead": ahead}, Files()
        if self._is_wanted(ticket):
            yield from self._run(ticket, order, folder, hurry)
        else:
            yield LEFT, Files()

    def _run(self, ticket: str, order: Order, folder: Path | None, hurry: bool) -> Iterator[tuple[dict, Files]]:
        began = time.monotonic()

        def give_way() -> bool:
            return time.monotonic() - began > self._turn_seconds and self._line.must_go(ticket)

        with TemporaryDirectory(prefix="deepforcing-") if folder is None else nullcontext(folder) as place:
            run = self._make_run(order, Path(place), ticket)
            run.share(self._turns)
            if hurry:
                run.hurry()
            with self._lock:
                self._runs[ticket] = run
                wanted = ticket in self._wanted.values()
            if not wanted:  # it was closed while it was being made
                run.stop()
            try:
                for message in self._shared(self.tally.count(ticket, self._fps, run.messages(give_way))):
                    yield message, run.files
            finally:
                with self._lock:
                    self._runs.pop(ticket, None)
                    self._closing = {session: other for session, other in self._closing.items() if other != ticket}

    def _shared(self, messages: Iterator[dict]) -> Iterator[dict]:
        """With how many runs share the model, and a word where that turns out to be too many."""
        told = False
        for message in messages:
            if message["kind"] not in FILM:
                yield message
                continue
            yield {**message, "sharing": self.active}
            loads = self._room.loads
            if not told and len(loads) > 1 and sum(loads) > 1:
                told = True
                yield {"kind": "notice", "text": TOO_FULL.format(len(loads))}
