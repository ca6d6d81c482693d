"""What an operator reads: figures of all runs for Prometheus, and a line in the log for each."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from .kept import FILM

LOG = logging.getLogger("deepforcing.runs")
FIRST = (0.5, 1, 2, 5, 10, 30)  # seconds
RECENT_SECONDS = 10.0
MADE = (0.25, 0.5, 1, 2, 5)  # seconds of work, or of waiting, in a second of video


class Tally:
    """Of one server. running, waiting: how many do so now."""

    def __init__(self, running: Callable[[], int], waiting: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        self._gauge("running", "Runs that have the model now", running)
        self._gauge("waiting", "Runs that wait in line", waiting)
        self._gauge("frames_per_second", "Video frames made, all runs together, in the last seconds", self._fps)
        self._recent: deque[tuple[float, int]] = deque(maxlen=1000)  # when, and how many
        kept = {"registry": self.registry, "namespace": "deepforcing"}
        self._ended = Counter("runs_ended", "Runs that have ended, by how", ["reason"], **kept)
        self._frames = Counter("frames_made", "Video frames", **kept)
        self._stalls = Counter("stalls", "Times that a page had to wait for frames", **kept)
        self._first = Histogram("first_frame_seconds", "From a run's turn to its first frames", buckets=FIRST, **kept)
        self._pace = Histogram("seconds_per_second", "Time a chunk took, in its own length", buckets=MADE, **kept)

    def text(self) -> str:
        """As Prometheus reads it."""
        return generate_latest(self.registry).decode()

    def stalled(self) -> None:
        """A page ran out of video."""
        self._stalls.inc()

    def count(self, run: str, fps: int, messages: Iterator[dict]) -> Iterator[dict]:
        """The messages of a run, counted as they pass."""
        began = last = time.monotonic()
        frames, reason = 0, "cancelled"
        try:
            for message in messages:
                if message["kind"] in FILM:
                    now, made = time.monotonic(), _frames_of(message)
                    self._first.observe(now - began) if not frames else self._pace.observe((now - last) * fps / made)
                    self._frames.inc(made)
                    self._recent.append((now, made))
                    frames, last = frames + made, now
                elif message["kind"] == "ended":
                    reason = message["reason"]
                yield message
        finally:
            self._ended.labels(reason).inc()
            took = time.monotonic() - began
            LOG.info("run %s %s: %d frames in %.1f s (%.1f fps)", run, reason, frames, took, frames / max(took, 1e-3))

    def _fps(self) -> float:
        since = time.monotonic() - RECENT_SECONDS
        return sum(made for when, made in list(self._recent) if when > since) / RECENT_SECONDS

    def _gauge(self, name: str, text: str, value: Callable[[], int]) -> None:
        Gauge(name, text, namespace="deepforcing", registry=self.registry).set_function(value)


def _frames_of(message: dict) -> int:
    frames = message["frames"]
    return len(frames) if message["kind"] == "chunk" else len(frames[0])
