"""What is kept of a lesson's run: every measure, and a few stills."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

from PIL import Image

from .lesson import Run
from .measures import MEASURES, Series

ENOUGH_SECONDS = 8.0  # of video, to go on with
STILLS = 6
STILL_WIDTH = 256  # pixels, at most


@dataclass(frozen=True)
class Outcome:
    """One run as the notebook keeps it. stills: (second, JPEG); series: by the names of MEASURES."""

    label: str
    model: str
    seed: str
    recorded: bool
    seconds: float
    series: dict[str, Series]
    stills: tuple[tuple[float, bytes], ...]


class Collector:
    """Collects the messages of one run while it goes to the page, without its frames but one a chunk."""

    def __init__(self, run: Run, runner: str | None, recorded: bool) -> None:
        """runner: with the reader's answers in it."""
        self._run, self._runner, self.recorded = run, runner, recorded
        self._started: dict | None = None
        self._chunks: list[dict] = []
        self._stills: list[tuple[float, str]] = []
        self.ended = False

    def add(self, message: dict) -> None:
        """The next message, of any kind."""
        if message["kind"] == "started":
            self._started = message
        elif message["kind"] == "chunk":
            slim = {name: message[name] for name in ("index", "first", "latents", "attention", "gauges")}
            cache = {name: message["cache"][name] for name in ("frames", "tokens")}
            self._chunks.append({**slim, "cache": cache, "count": len(message["frames"])})
            self._stills.append((message["first"] / self._started["fps"], message["frames"][0]))
        elif message["kind"] == "ended":
            self.ended = message["reason"] != "error"

    @property
    def seconds(self) -> float:
        """Of video that there is."""
        last = self._chunks[-1] if self._chunks else {"first": 0, "count": 0}
        return (last["first"] + last["count"]) / self._started["fps"] if self._started else 0.0

    @property
    def enough(self) -> bool:
        """Whether there is something to compare."""
        return self.seconds >= ENOUGH_SECONDS

    def finish(self) -> Outcome:
        """Measure. There must be a chunk."""
        series = {name: measure.take(self._started, self._chunks) for name, measure in MEASURES.items()}
        started = self._started
        return Outcome(
            label=self._label(),
            model=started["model"],
            seed=started["seed"],
            recorded=self.recorded,
            seconds=self.seconds,
            series=series,
            stills=tuple((second, _jpeg(image)) for second, image in _spread(self._stills)),
        )

    def _label(self) -> str:
        """As the runner is written; of a recorded one with the values that it really had."""
        if not self.recorded:
            return self._runner
        name, *words = (self._runner or self._started["policy"]).split()
        values = {**self._started["settings"], "switch": self._started["switch"]}
        keys = [word.partition("=")[0] for word in words]
        return " ".join([name, *(f"{key}={values.get(key, '?')}" for key in keys)])


def _spread(stills: list) -> list:
    """At most STILLS of them, evenly, the first and the last among them."""
    count = min(STILLS, len(stills))
    return [stills[round(i * (len(stills) - 1) / max(1, count - 1))] for i in range(count)]


def _jpeg(image: str) -> bytes:
    """base64 of any image -> JPEG, no wider than STILL_WIDTH."""
    picture = Image.open(io.BytesIO(base64.b64decode(image))).convert("RGB")
    picture.thumbnail((STILL_WIDTH, STILL_WIDTH))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
