"""The drift gauges in plain words: what each measures, from where on it says something else, marks for the scrubber.

The thresholds were read off videos of the embedded model, 50 seconds for each of seven policies and four prompts. The
chunk jump of a sink of 18 was 1.5 to 3, of all others at most 1.2; hues moved by at most 0.04, but for videos that lost
their subject, by 0.1 to 0.2; sink resets were found with `attention-sink`, with phase `none`, and with a sink of 18.
Saturation stayed between 0.95 and 1.05 under twelve settings, broken ones too: what burns was not seen on this model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from deepforcing import Gauges, Jump

TOO_EARLY = "not enough video yet"
ROLL_BACK = "roll-back"
AS_AT_START, A_LITTLE, MUCH = range(3)  # levels of a reading


@dataclass(frozen=True)
class Band:
    """Readings below `until`, and not in an earlier band. level: how far from the start, or from good.

    symptom: what it is called where something is broken.
    """

    until: float
    level: int
    words: str
    symptom: str = ""


@dataclass(frozen=True)
class Gauge:
    """One gauge. name: its field in `Gauges`; unit: '%' or '×'; axis: what its curve shows, at least."""

    name: str
    title: str
    what: str
    unit: str
    axis: tuple[float, float]
    bands: tuple[Band, ...]
    nothing: str = TOO_EARLY  # what is said where there is no reading

    @property
    def normal(self) -> tuple[float, float]:
        """From where to where a reading is as at the start."""
        first = next(i for i, band in enumerate(self.bands) if band.level == AS_AT_START)
        low = self.bands[first - 1].until if first else self.axis[0]
        return low, min(max(band.until for band in self.bands if band.level == AS_AT_START), self.axis[1])

    def band(self, value: float) -> Band:
        return next(band for band in self.bands if value < band.until)

    def read(self, value: float) -> dict:
        """The number, as it is shown, with its words; NaN is no reading."""
        if math.isnan(value):
            return {"value": None, "shown": "–", "level": AS_AT_START, "words": self.nothing}
        band = self.band(value)
        shown = f"{100 * value:.0f} %" if self.unit == "%" else f"× {value:.1f}"
        return {"value": round(value, 4), "shown": shown, "level": band.level, "words": band.words}


GAUGES = (
    Gauge(
        "colour_drift",
        "Colour drift",
        "How far the hues have moved since the start, as a share of half the colour circle.",
        "%",
        (0, 0.2),
        (
            Band(0.05, AS_AT_START, "as at the start"),
            Band(0.15, A_LITTLE, "shifted a little"),
            Band(math.inf, MUCH, "far from the start", "colours far from the start"),
        ),
    ),
    Gauge(
        "sharpness",
        "Sharpness",
        "Fine detail in the brightness, against the start. Blur lowers it, burnt edges raise it.",
        "%",
        (0.5, 1.6),
        (
            Band(0.7, MUCH, "much softer", "blur"),
            Band(0.85, A_LITTLE, "a little softer"),
            Band(1.2, AS_AT_START, "as at the start"),
            Band(1.4, A_LITTLE, "a little harsher"),
            Band(math.inf, MUCH, "much harsher", "burnt edges"),
        ),
    ),
    Gauge(
        "saturation",
        "Saturation",
        "How strong the colours are, against the start. Burnt colours raise it, washed-out ones lower it.",
        "%",
        (0.6, 1.4),
        (
            Band(0.7, MUCH, "washed out", "washed-out colours"),
            Band(0.85, A_LITTLE, "a little paler"),
            Band(1.15, AS_AT_START, "as at the start"),
            Band(1.3, A_LITTLE, "a little stronger"),
            Band(math.inf, MUCH, "much stronger", "burnt colours"),
        ),
    ),
    Gauge(
        "motion",
        "Motion",
        "How much changes from frame to frame, against the start. Flicker counts too.",
        "%",
        (0, 2),
        (
            Band(0.3, MUCH, "nearly still", "freeze"),
            Band(0.7, A_LITTLE, "slower than at the start"),
            Band(1.4, AS_AT_START, "as at the start"),
            Band(2, A_LITTLE, "more than at the start"),
            Band(math.inf, MUCH, "far more: or it flickers"),
        ),
    ),
    Gauge(
        "chunk_jump",
        "Chunk jump",
        "How much more changes where two chunks meet than between other frames. × 1: no jump.",
        "×",
        (0.5, 2.5),
        (
            Band(1.3, AS_AT_START, "chunks join smoothly"),
            Band(1.5, A_LITTLE, "joins show a little"),
            Band(math.inf, MUCH, "a jump at every chunk", "flicker at chunk borders"),
        ),
    ),
    Gauge(
        "sink_reset",
        "Sink reset",
        "How closely a frame of the last five seconds resembles one of the first ten latent frames.",
        "%",
        (0, 1),
        (
            Band(0.7, AS_AT_START, "unlike the first frames"),
            Band(0.85, AS_AT_START, "a little like the first frames"),
            Band(math.inf, A_LITTLE, "like the first frames, no jump"),
        ),
    ),
    Gauge(
        "scenery",
        "Scenery",
        "How much of what stands still is as it was at the start. A camera that moves takes the scenery along.",
        "%",
        (0, 1),
        (
            Band(0.3, MUCH, "another scene"),
            Band(0.6, A_LITTLE, "partly as at the start"),
            Band(math.inf, AS_AT_START, "as at the start"),
        ),
    ),
    Gauge(
        "old_scene",
        "Old scene",
        "How far the picture has gone back to the scene of the prompt before. 0 %: the new scene, 100 %: the old.",
        "%",
        (0, 1),
        (
            Band(0.25, AS_AT_START, "the new scene stays"),
            Band(0.35, A_LITTLE, "the old scene shines through"),
            Band(math.inf, MUCH, "the old scene is back", ROLL_BACK),
        ),
        "no change of prompt yet",
    ),
)
JUMPED_BACK = {"level": MUCH, "words": "jumped back to the first frames"}


def panel() -> list[dict]:
    """What the page needs to know of each gauge."""
    return [
        {"name": gauge.name, "title": gauge.title, "what": gauge.what, "axis": gauge.axis, "normal": gauge.normal}
        for gauge in GAUGES
    ]


def gauges_message(gauges: Gauges, fps: int) -> dict:
    """A chunk's gauges for the page. start: seconds compared with, None while they are incomplete."""
    readings = {gauge.name: gauge.read(getattr(gauges, gauge.name)) for gauge in GAUGES}
    if gauges.reset_at is not None:
        readings["sink_reset"] |= JUMPED_BACK
    return {
        "start": [frame / fps for frame in gauges.start] if gauges.start else None,
        "readings": readings,
        "symptom": symptom_line(gauges),
        "marks": [mark(jump, fps) for jump in gauges.jumps],
        "seconds": gauges.seconds,
    }


def symptoms(gauges: Gauges) -> list[str]:
    """What of the last five seconds looks broken, by name."""
    readings = ((gauge, getattr(gauges, gauge.name)) for gauge in GAUGES)
    named = [gauge.band(value).symptom for gauge, value in readings if not math.isnan(value)]
    return [*dict.fromkeys([*filter(None, named), *([ROLL_BACK] if gauges.reset_at is not None else [])])]


def symptom_line(gauges: Gauges) -> str:
    """For the page: `Symptom seen: roll-back.`"""
    if found := symptoms(gauges):
        return f"Symptom{'s' if len(found) > 1 else ''} seen: {', '.join(found)}."
    return "No symptom seen here." if gauges.start else "Symptoms show after the first five seconds."


def mark(jump: Jump, fps: int) -> dict:
    """A flag for the scrubber."""
    at = f"{jump.frame / fps:.1f} s"
    if jump.is_reset:
        return {"frame": jump.frame, "kind": "reset", "words": f"sink reset at {at}: the first frames are shown again"}
    return {"frame": jump.frame, "kind": "jump", "words": f"jump at {at}: {jump.times:.1f} times the usual change"}
