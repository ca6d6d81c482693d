"""How large a difference between two runners has to be before it says anything: read from the evidence."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path

from ..evaluation.measure import WINDOW_SECONDS
from ..evaluation.scenery import Scene
from ..evaluation.statistics import difference
from ..evaluation.story import SWITCH_AT, Story
from ..evaluation.table import Table

EVIDENCE = Path(__file__).parents[2] / "assets" / "evidence"
_SOURCES = {"scenery": ("scenery.csv", Scene, 0), "way_back": ("stories.csv", Story, SWITCH_AT)}
_COLUMNS = {"scenery": "scenery", "way_back": "old_scene"}


@dataclass(frozen=True)
class Noise:
    """Of one quantity: for each window of the evidence, by the second in which it starts, half the width of the widest
    95 % interval of a difference between two of its settings, see `evaluation.statistics.difference`."""

    halves: tuple[tuple[int, float], ...]

    def at(self, seconds: float) -> float:
        """In the window that this moment lies in; in the last one beyond it. NaN where the evidence has none."""
        start = WINDOW_SECONDS * (math.ceil(seconds / WINDOW_SECONDS) - 1)
        past = [half for second, half in self.halves if second <= start]
        return past[-1] if past else math.nan


NOTHING_KNOWN = Noise(())


@cache
def evidence_noise(quantity: str, weights: str, folder: Path = EVIDENCE) -> Noise:
    """quantity: `scenery`, by seconds of video, or `way_back`, by seconds since the prompt changed.

    NOTHING_KNOWN where there is no evidence, or where it is another model's: another fingerprint of weights.
    """
    try:
        measured = json.loads((folder / "settings.json").read_text(encoding="utf-8"))["weights"]
    except OSError:
        return NOTHING_KNOWN
    if measured != weights:
        return NOTHING_KNOWN
    file, kind, origin = _SOURCES[quantity]
    halves = _widest(Table(folder / file, kind).read(), _COLUMNS[quantity])
    return Noise(tuple((second - origin, half) for second, half in halves))


def _widest(rows: Iterable, column: str) -> Iterable[tuple[int, float]]:
    windows: dict[int, dict[str, dict]] = {}
    for row in rows:
        windows.setdefault(row.second, {}).setdefault(row.policy, {})[row.prompt, row.seed] = getattr(row, column)
    for second in sorted(windows):
        found = [difference(*pair) for pair in combinations(windows[second].values(), 2)]
        half = max(((one.high - one.low) / 2 for one in found if one.low < one.high), default=math.nan)
        if not math.isnan(half):
            yield second, half
