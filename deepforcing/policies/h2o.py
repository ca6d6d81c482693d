"""Heavy hitters: what has been attended to most so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from .base import CacheView
from .deep_sink import Phase
from .top_c import Heads, TopC


@dataclass(frozen=True)
class H2O(TopC):
    """Half the past is recent, half are heavy hitters (Zhang et al., https://arxiv.org/abs/2306.14048).

    A token's score is the attention it has received since it was made, softmax over all keys, summed over queries:
    here those of the clean passes, its own chunk's included. Every head keeps its own. There is no sink beyond what
    earns its place. Every chunk evicts as much as it brings, and positions count within the cache.
    """

    name: ClassVar[str] = "h2o"
    summary: ClassVar[str] = "Half the past is recent; the other half is what has been attended to most so far."
    sink: int = 0
    phase: Phase = "contiguous"
    budget: int = 21
    recent: int = 12
    heads: Heads = "separate"

    @property
    def sums_attention(self) -> bool:
        return True

    def scores(self, view: CacheView) -> Tensor:
        return view.received
