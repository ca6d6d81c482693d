"""What lessons measure: functions of a run's messages, the same for live and for recorded runs.

A measure takes the `started` message and the chunk messages of player/messages.py, each with the number of its frames
as `count`; the frames themselves are not needed.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from deepforcing import metrics

FIRST_LATENTS = 10  # the sink of Deep Sink in the paper
LAST_SECONDS = 5.0  # of a run, over which its value is taken


@dataclass(frozen=True)
class Series:
    """Values over the seconds of a run, or one bar a frame of the window: x in 0..1, oldest first."""

    x: tuple[float, ...]
    y: tuple[float, ...]

    @property
    def value(self) -> float | None:
        """Of a run: the mean over its last five seconds; None where nothing is known."""
        late = [y for x, y in zip(self.x, self.y, strict=True) if x > self.x[-1] - LAST_SECONDS]
        return float(np.mean(late)) if late else None


@dataclass(frozen=True)
class Count(Series):
    """How often something has happened by then."""

    @property
    def value(self) -> float | None:
        """Of a run: how often it did."""
        return self.y[-1] if self.y else None


@dataclass(frozen=True)
class Measure:
    """take: see above. unit: of its numbers; what: what it is, in plain words; bars: one bar a frame, not over time."""

    title: str
    unit: str
    what: str
    take: Callable[[dict, list[dict]], Series]
    bars: bool = False

    def shown(self, value: float, signed: bool = False) -> str:
        """The number with its unit."""
        digits = 0 if abs(value) >= 10 or abs(value) < 0.05 or self.unit in ("tokens", "times") else 1
        number = f"{value:+,.{digits}f}" if signed else f"{value:,.{digits}f}"
        return f"{number} {self.unit}".replace("-", "\u2212")


def _over_time(of: Callable[[dict, dict], float | None]) -> Callable[[dict, list[dict]], Series]:
    """A series with a point at each chunk's end, where `of` (started, chunk) knows something."""

    def take(started: dict, chunks: list[dict]) -> Series:
        points = [((chunk["first"] + chunk["count"]) / started["fps"], of(started, chunk)) for chunk in chunks]
        known = [(x, y) for x, y in points if y is not None]
        return Series(tuple(x for x, _ in known), tuple(float(y) for _, y in known))

    return take


def attention_of(chunk: dict) -> np.ndarray | None:
    """Attention on each frame that a chunk attends to, 0..1 [F], mean over layers and heads; None without a probe."""
    attention = chunk["attention"]
    if attention is None:
        return None
    units = np.frombuffer(base64.b64decode(attention["mass"]), "<u2")
    return units[: len(attention["frames"])] / 65535


def _role_mass(role: str) -> Callable[[dict, dict], float | None]:
    def of(_: dict, chunk: dict) -> float | None:
        shares = attention_of(chunk)
        return None if shares is None else 100 * shares[[name == role for name in chunk["attention"]["roles"]]].sum()

    return of


def _first_mass(_: dict, chunk: dict) -> float | None:
    shares = attention_of(chunk)
    return None if shares is None else 100 * shares[np.array(chunk["attention"]["frames"]) < FIRST_LATENTS].sum()


def _reading(name: str, scale: float) -> Callable[[dict, dict], float | None]:
    def of(_: dict, chunk: dict) -> float | None:
        value = chunk["gauges"]["readings"][name]["value"]
        return None if value is None else scale * value

    return of


def _roll_backs(started: dict, chunks: list[dict]) -> Series:
    seen = _over_time(_reading("old_scene", 1))(started, chunks)
    return Count(seen.x, tuple(map(float, metrics.roll_backs(seen.y))))


def _reach(started: dict, chunk: dict) -> float:
    oldest = min(chunk["cache"]["frames"], default=chunk["latents"][0])
    begins = 0 if oldest == 0 else 1 + started["stride"] * (oldest - 1)  # the very first latent frame has one frame
    return (chunk["first"] + chunk["count"] - begins) / started["fps"]


def _tokens(started: dict, chunk: dict) -> float:
    return chunk["cache"]["tokens"] / started["of"]["layers"]


def _by_frame(_: dict, chunks: list[dict]) -> Series:
    """Of the last chunk at which the cache held as much as ever in this run."""
    seen = [chunk for chunk in chunks if chunk["attention"] is not None]
    if not seen:
        return Series((), ())
    full = max(seen, key=lambda chunk: (chunk["cache"]["tokens"], chunk["index"]))
    shares = attention_of(full)
    places = (np.arange(len(shares)) + 0.5) / len(shares)
    return Series(tuple(places.tolist()), tuple((100 * shares).tolist()))


MEASURES: dict[str, Measure] = {
    "sink_mass": Measure(
        "Attention on the sink",
        "%",
        "How much of a chunk's attention goes to the frames that are kept for ever.",
        _over_time(_role_mass("sink")),
    ),
    "top_mass": Measure(
        "Attention on the top-C",
        "%",
        "How much of a chunk's attention goes to the tokens of the middle that a compression has kept.",
        _over_time(_role_mass("top-C")),
    ),
    "first_mass": Measure(
        "Attention on the first ten frames",
        "%",
        "How much of a chunk's attention goes to the first ten latent frames; none once they are gone.",
        _over_time(_first_mass),
    ),
    "colour_drift": Measure(
        "Colour drift",
        "%",
        "How far the hues have moved since the start, as a share of half the colour circle.",
        _over_time(_reading("colour_drift", 100)),
    ),
    "scenery": Measure(
        "Scenery kept",
        "%",
        "How much of what stands still is as it was in the first five seconds.",
        _over_time(_reading("scenery", 100)),
    ),
    "old_scene": Measure(
        "The old scene",
        "%",
        "How far the picture has gone back to the scene of the prompt before; 100 % is all the way.",
        _over_time(_reading("old_scene", 100)),
    ),
    "roll_backs": Measure(
        "Roll-backs",
        "times",
        "How often the picture has gone back a quarter of the way to the scene of the prompt before.",
        _roll_backs,
    ),
    "sharpness": Measure(
        "Sharpness",
        "%",
        "Fine detail, against the start: 100 % is as at the start.",
        _over_time(_reading("sharpness", 100)),
    ),
    "motion": Measure(
        "Motion",
        "%",
        "How much changes from frame to frame, against the start: 100 % is as at the start.",
        _over_time(_reading("motion", 100)),
    ),
    "chunk_jump": Measure(
        "Chunk jump",
        "×",
        "How much more changes where two chunks meet than between other frames; 1 is no jump.",
        _over_time(_reading("chunk_jump", 1)),
    ),
    "sink_reset": Measure(
        "Likeness to the first frames",
        "%",
        "How closely the last five seconds come back to one of the first ten latent frames.",
        _over_time(_reading("sink_reset", 100)),
    ),
    "reach": Measure(
        "Reach of the cache",
        "s",
        "From now back to the oldest moment of which any layer still holds a token.",
        _over_time(_reach),
    ),
    "tokens": Measure(
        "Tokens in the cache", "tokens", "How many tokens a layer holds, the mean of all layers.", _over_time(_tokens)
    ),
    "attention_by_frame": Measure(
        "Attention by frame",
        "%",
        "How much of a chunk's attention goes to each frame of the full window, oldest first.",
        _by_frame,
        bars=True,
    ),
}
