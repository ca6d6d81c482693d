"""Recorded runs that a page offers, by name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from deepforcing import DriftMeter, SettingsChanged, StreamEnded, StreamStarted, Trace, TraceError, read_trace

from ..drift.gauges import gauges_message
from ..player.messages import (
    changed_message,
    chunk_message,
    image_bytes,
    sample_of,
    started_message,
    with_change,
)

KEPT_BYTES = 20_000_000  # of images, for one run
SHIPPED = Path(__file__).parents[2] / "assets" / "traces"
OF_LESSONS = SHIPPED / "lessons"  # for lessons and links; the page does not offer them by themselves


class Recordings:
    """Traces in files; a file's name, without its ending, is how links call it.

    The messages of a run are kept once they were made, unless they are many: each visitor sees these same few runs.
    """

    def __init__(self, paths: list[Path], unlisted: list[Path] | None = None) -> None:
        """unlisted: there by their names, but not offered. Raises TraceError for a file that is none."""
        self._traces: dict[str, Trace] = {}
        for path in paths:
            self._traces.setdefault(path.stem, read_trace(path))
        self._listed = tuple(self._traces)
        for path in unlisted or []:
            self._traces.setdefault(path.stem, read_trace(path))
        self._messages: dict[str, list[dict]] = {}

    @classmethod
    def shipped(cls, *more: Path) -> Recordings:
        """The runs that come with the project, after `more` of one's own.

        Of the project's own a damaged one is told and left out. Raises TraceError for others.
        """
        return cls([*more, *_readable(SHIPPED)], list(_readable(OF_LESSONS)))

    @property
    def titles(self) -> dict[str, str]:
        """Of those that are offered: name -> what to call it on the page."""
        return {name: f"{_spoken(name)}, {self._traces[name].seconds:.0f} s" for name in self._listed}

    @property
    def names(self) -> tuple[str, ...]:
        """Of all that there are."""
        return tuple(self._traces)

    @property
    def first(self) -> str | None:
        return next(iter(self._listed), None)

    def get(self, name: str) -> Trace:
        """Raises TraceError, with the names that there are."""
        if name not in self._traces:
            known = f"there are {', '.join(self._traces)}" if self._traces else "there is none"
            short = name if len(name) <= 40 else f"{name[:37]}..."
            raise TraceError(f"There is no recorded run {short!r} here: {known}.")
        return self._traces[name]

    def messages(self, name: str) -> Iterator[dict]:
        """As `messages_of`, at no cost from the second time on."""
        if name in self._messages:
            yield from self._messages[name]
            return
        made, size = [], 0
        for message in messages_of(self.get(name)):
            size += image_bytes(message)
            if size <= KEPT_BYTES:
                made.append(message)
            yield message
        if size <= KEPT_BYTES:
            self._messages[name] = made


def messages_of(trace: Trace) -> Iterator[dict]:
    """The same messages that the run sent while it was live, but for its end. Raises TraceError where it is damaged.

    What was not recorded of its gauges is measured anew, from the decoded video.
    """
    meter, now = None if trace.is_measured else DriftMeter.of(trace.started), trace.started
    for event in trace:
        if isinstance(event, StreamStarted):
            yield started_message(event)
        elif isinstance(event, SettingsChanged):
            now = with_change(now, event)
            yield changed_message(now, event)
        elif not isinstance(event, StreamEnded):
            gauges = trace.gauges(event.index) if meter is None else meter.add(event)
            message = chunk_message(event, sample_of(trace.started))
            yield {**message, "gauges": gauges_message(gauges, trace.started.fps)}


def _readable(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.glob("*.trace")):
        try:
            read_trace(path)
            yield path
        except TraceError as error:
            print(error, file=sys.stderr)


def _spoken(name: str) -> str:
    return name.replace("-", " ").replace("_", " ").capitalize()
