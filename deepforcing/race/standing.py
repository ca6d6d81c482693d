"""How one runner of a race stands."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from ..config import VideoShape
from ..events import Chunk
from ..gauges import START_SECONDS, Gauges

MOVES = 0.5  # of the motion of its own first five seconds: what still counts as moving


@dataclass(frozen=True)
class Standing:
    """One runner after a round; NaN where there is not enough video yet, or no probe.

    scenery      what stands still in the last five seconds as it did in the first five of this prompt, -1..1,
                 see `gauges.Gauges`
    way_back     how far it went back to the scene of the prompt before, at the most in the last five seconds: 0 the
                 new scene, 1 the old one
    drift        colour drift of the last five seconds against the first five, 0..1
    motion       of the last five seconds as a multiple of the first five
    sink_mass    attention on the sink's frames, mean over layers and heads, 0..1
    cache_bytes  memory of the keys and values held
    """

    scenery: float
    way_back: float
    drift: float
    motion: float
    sink_mass: float
    cache_bytes: int

    @property
    def moves(self) -> bool:
        return self.motion >= MOVES


class Standings:
    """One runner's, chunk by chunk."""

    def __init__(self, shape: VideoShape, chunk_frames: int) -> None:
        """chunk_frames: latent frames of a chunk."""
        self._ways: deque[float] = deque(maxlen=math.ceil(START_SECONDS * shape.fps / (chunk_frames * shape.time)))

    def add(self, chunk: Chunk, gauges: Gauges) -> Standing:
        if math.isnan(gauges.old_scene):  # a new prompt has not settled yet
            self._ways.clear()
        else:
            self._ways.append(gauges.old_scene)
        return Standing(
            scenery=gauges.scenery,
            way_back=max(self._ways, default=math.nan),
            drift=gauges.colour_drift,
            motion=gauges.motion,
            sink_mass=math.nan if chunk.attention is None else chunk.attention.sink,
            cache_bytes=chunk.cache.bytes,
        )
