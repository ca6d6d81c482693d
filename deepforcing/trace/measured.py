"""What was measured of a chunk while its run was live, as JSON and back."""

from __future__ import annotations

import math
from dataclasses import asdict, fields

from ..gauges import Gauges, Jump
from .fields import Fields

_MOST = 1e12  # of a ratio
_RANGES = {
    "colour_drift": (0, 1),
    "sharpness": (0, _MOST),
    "saturation": (0, _MOST),
    "motion": (0, _MOST),
    "chunk_jump": (0, _MOST),
    "sink_reset": (-1.001, 1.001),
    "scenery": (-1.001, 1.001),
}


def gauges_row(gauges: Gauges | None) -> dict | None:
    """Plain values; None where there is nothing to say."""
    if gauges is None:
        return None
    jumps = [{**asdict(jump), "likeness": _told(jump.likeness)} for jump in gauges.jumps]
    return {field.name: _told(getattr(gauges, field.name)) for field in fields(gauges)} | {"jumps": jumps}


def read_gauges(chunk: Fields, first: int, end: int) -> Gauges | None:
    """Of the chunk with the video frames from `first` to before `end`. Raises TraceError for what cannot be."""
    if chunk.values.get("gauges") is None:
        return None
    row = chunk.part("gauges")
    return Gauges(
        start=None if row.values.get("start") is None else _start(row, end),
        **{name: row.number(name, *limits) for name, limits in _RANGES.items()},
        jumps=tuple(_jump(Fields(jump, "jumps"), first, end) for jump in row.rows("jumps", end - first, least=0)),
        reset_at=None if row.values.get("reset_at") is None else row.whole("reset_at", 0, end - 1),
        seconds=row.seconds("seconds"),
        old_scene=row.number("old_scene", -_MOST, _MOST) if "old_scene" in row.values else math.nan,
    )


def _start(row: Fields, end: int) -> tuple[int, int]:
    first, past = row.pair("start", end)
    if first >= past:
        raise row.wrong("start", "the first of some frames, and the one past the last")
    return first, past


def _jump(row: Fields, first: int, end: int) -> Jump:
    times = row.number("times", 0, _MOST)
    return Jump(row.whole("frame", first, end - 1), times, row.number("likeness", -1.001, 1.001))


def _told(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value
