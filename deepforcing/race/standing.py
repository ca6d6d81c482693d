"""How the runners of a race stand, and who is ahead: computed from what was measured, by one rule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..events import Chunk
from ..gauges import Gauges

MOVES = 0.5  # of the motion of its own first five seconds: what still counts as moving
CLOSE = 0.001  # of colour drift: a smaller difference is a tie

LEADER_RULE = (
    "Ahead is the runner with the least colour drift among those that still move: whose motion over the last five "
    "seconds is at least half of what it was over the first five. Nobody is ahead before both stretches can be "
    f"compared, or when the two least drifts differ by less than {CLOSE}."
)


@dataclass(frozen=True)
class Standing:
    """One runner after a round; NaN where there is not enough video yet, or no probe.

    drift        colour drift of the last five seconds against the first five, 0..1, see `gauges.Gauges`
    motion       of the last five seconds as a multiple of the first five
    sink_mass    attention on the sink's frames, mean over layers and heads, 0..1
    cache_bytes  memory of the keys and values held
    """

    drift: float
    motion: float
    sink_mass: float
    cache_bytes: int

    @classmethod
    def of(cls, chunk: Chunk, gauges: Gauges) -> Standing:
        mass = math.nan if chunk.attention is None else chunk.attention.sink
        return cls(gauges.colour_drift, gauges.motion, mass, chunk.cache.bytes)

    @property
    def moves(self) -> bool:
        return self.motion >= MOVES


def leader(standings: Sequence[Standing]) -> int | None:
    """Who is ahead by LEADER_RULE, as a number into `standings`; None when nobody is."""
    if any(math.isnan(standing.drift) for standing in standings):
        return None
    moving = sorted((standing.drift, i) for i, standing in enumerate(standings) if standing.moves)
    if not moving or (len(moving) > 1 and moving[1][0] - moving[0][0] < CLOSE):
        return None
    return moving[0][1]
