"""What the model changed its mind about stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from .base import CacheView
from .deep_sink import Phase
from .top_c import TopC


@dataclass(frozen=True)
class DeCoPrune(TopC):
    """Denoising consistency decides (DeCoPrune, https://arxiv.org/abs/2609.39096).

    Every denoising step predicts the chunk's clean latents. Where these predictions hardly change from step to step, a
    token follows from what is around it and can go; where they change most, it says something of its own. A token's
    score is the mean square of those changes, summed over the steps, settled before it is ever cached: no query is
    asked and no product of queries and keys is made, so the score is free, and the same in all layers.

    The frame around it is that of Deep Forcing, with a small sink: first frames, the tokens that score highest, recent
    frames, positions without a gap.
    """

    name: ClassVar[str] = "decoprune"
    summary: ClassVar[str] = "Of the middle, only the tokens that the model changed its mind about while it made them."
    sink: int = 3
    phase: Phase = "contiguous"

    @property
    def compares_predictions(self) -> bool:
        return True

    def scores(self, view: CacheView) -> Tensor:
        return view.changed
