"""What happens before a large model is there: it is offered, agreed to, fetched, loaded; page and terminal look on."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from deepforcing import ModelError, Pipeline, SettingsError

Report = Callable[[str, int, int], None]
"""What is being done, bytes done, bytes in all; 0 in all where it cannot be measured."""

LINE_SECONDS = 5.0  # between two lines about the same file in the terminal


@dataclass(frozen=True)
class Offer:
    """What is told before anything is fetched or loaded.

    text: Markdown, what it is and what it takes. consent: a sentence that must be agreed to; None where none is needed.
    asks: wait for a click, also without consent; false where nothing is left to fetch. action: what the click does.
    """

    text: str
    consent: str | None = None
    asks: bool = True
    action: str = "Fetch and load"


@dataclass(frozen=True)
class Progress:
    """How far it is. steps: (what, done, total) in the order they began. error: why it failed, for a person to read."""

    stage: Literal["offered", "working", "failed", "ready"] = "offered"
    steps: tuple[tuple[str, int, int], ...] = ()
    error: str = ""


class Loader:
    """Gets one model ready in a thread of its own, once; every tab and the terminal see the same progress."""

    def __init__(self, prepare: Callable[[Report], Pipeline], offer: Offer, echo: Report | None = None) -> None:
        """prepare fetches and loads, and reports on the way; it may fail with ModelError, SettingsError and OSError.

        echo: also told everything that is reported, such as `TerminalLines()`.
        """
        self.offer = offer
        self._prepare, self._echo = prepare, echo
        self._lock = threading.Lock()
        self._progress = Progress()
        self._thread: threading.Thread | None = None

    @property
    def progress(self) -> Progress:
        with self._lock:
            return self._progress

    def start(self, use: Callable[[Pipeline], None], agreed: bool = False) -> bool:
        """Begin, or begin again after a failure; `use` gets the pipeline before the stage becomes 'ready'.

        Returns whether it is under way now: False without the consent that the offer asks for.
        """
        if self.offer.consent and not agreed:
            return False
        with self._lock:
            if self._progress.stage in ("working", "ready"):
                return True
            self._progress = Progress("working")
        self._thread = threading.Thread(target=self._run, args=(use,), name="deepforcing-loader", daemon=True)
        self._thread.start()
        return True

    def join(self, timeout: float | None = None) -> None:
        """Wait for the end of what was started."""
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self, use: Callable[[Pipeline], None]) -> None:
        try:
            use(self._prepare(self._report))
        except (ModelError, SettingsError, OSError) as error:
            self._end("failed", str(error))
        except Exception as error:  # a mistake of ours: the terminal gets all of it, the page its last line
            traceback.print_exc()
            self._end("failed", f"{type(error).__name__}: {error}")
        else:
            self._end("ready")

    def _report(self, what: str, done: int, total: int) -> None:
        with self._lock:
            steps = {step[0]: step for step in self._progress.steps}
            steps[what] = (what, done, total)
            self._progress = replace(self._progress, steps=tuple(steps.values()))
        if self._echo is not None:
            self._echo(what, done, total)

    def _end(self, stage: Literal["failed", "ready"], error: str = "") -> None:
        with self._lock:
            self._progress = replace(self._progress, stage=stage, error=error)
        if self._echo is not None:
            self._echo(f"error: {error}" if error else "Ready.", 0, 0)


class TerminalLines:
    """Progress as lines of text: when something begins, from time to time, and when it is complete."""

    def __init__(self, write: Callable[[str], None] = print, clock: Callable[[], float] = time.monotonic) -> None:
        self._write, self._clock = write, clock
        self._what, self._at, self._complete = "", 0.0, False

    def __call__(self, what: str, done: int, total: int) -> None:
        complete = total > 0 and done >= total
        news = what != self._what or (complete and not self._complete)
        if news or (not complete and self._clock() - self._at >= LINE_SECONDS):
            self._what, self._at, self._complete = what, self._clock(), complete
            self._write(f"{what}: {amount(done, total)}" if total else what)


def amount(done: int, total: int) -> str:
    """Such as `1.20 of 5.68 GB (21 %)`."""
    unit, name = next(((u, n) for u, n in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")) if total >= u), (1, "B"))
    digits = 2 if unit == 1e9 else 0
    return f"{done / unit:.{digits}f} of {total / unit:.{digits}f} {name} ({int(100 * done / total)} %)"
