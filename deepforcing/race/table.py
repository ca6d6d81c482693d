"""Where a race ended, as lines of text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from ..models.sources import readable
from .course import Lap, Round
from .runner import Runner
from .verdict import LEADER_RULE


def table(runners: Sequence[Runner], last: Round) -> Iterator[str]:
    """A head, a line a runner, and who is ahead by which rule."""
    width = max(len("runner"), *(len(runner.label) for runner in runners))
    names = ("wall clock", "fps", "scenery", "way back", "drift", "motion", "sink mass", "cache")
    yield f"{'runner':{width}s}" + "".join(f"{name:>12s}" for name in names)
    for runner, lap in zip(runners, last.laps, strict=True):
        yield f"{runner.label:{width}s}" + "".join(f"{cell:>12s}" for cell in _cells(lap))
    yield last.verdict.words
    yield LEADER_RULE


def _cells(lap: Lap) -> tuple[str, ...]:
    now = lap.standing
    return (
        f"{lap.total_seconds:.1f} s",
        f"{lap.total_fps:.1f}",
        _number(now.scenery, "{:.2f}"),
        _number(now.way_back, "{:.2f}"),
        _number(now.drift, "{:.3f}"),
        _number(now.motion, "x {:.2f}"),
        _number(now.sink_mass, "{:.1%}"),
        readable(now.cache_bytes),
    )


def _number(value: float, form: str) -> str:
    return "-" if math.isnan(value) else form.format(value)
