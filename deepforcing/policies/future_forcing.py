"""What queries to come will attend to, by what queries have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..compression import importance
from ..rope import Rotation, rotate
from .base import CacheView
from .deep_sink import Phase
from .settings import whole
from .top_c import TopCByPast


@dataclass(frozen=True)
class FutureForcing(TopCByPast):
    """The queries of the future score the past (Luo et al., https://arxiv.org/abs/2605.30083).

    Queries before RoPE hardly change while a video goes on; what changes is where they stand. So their mean, for each
    head, over the past frames in `recent`, stands for the queries of frames that are not made yet: turned to each place
    of the next `horizon` frames and averaged, it is asked what it would attend to, by the same sum of products as Deep
    Forcing's. A token that is of no use now but will be can so be kept.

    The authors also merge tokens that are alike for such a query; that is left out, and tokens are dropped.
    """

    name: ClassVar[str] = "future-forcing"
    summary: ClassVar[str] = "Of the middle, only the tokens that queries of the next frames will probably attend to."
    sink: int = 3
    phase: Phase = "contiguous"
    recent: int = 6
    horizon: int = 21

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("horizon", self.horizon, 1)

    def scores(self, view: CacheView) -> Tensor:
        keys = view.keys(slice(None), self.place(view))
        query = view.unturned_queries(self.recent).mean(1, keepdim=True)  # [B, 1, heads, head_dim]
        return importance(keys, rotate(query, self._places(view))[:, 0])

    def _places(self, view: CacheView) -> Rotation:
        """The mean turn of all places in the next `horizon` frames. Turning is linear, so it turns the mean."""
        g, device = view.geometry, view.frames.device
        axes = (torch.arange(size, device=device) for size in (self.horizon, g.rows, g.columns))
        time, row, column = (axis.flatten() for axis in torch.meshgrid(*axes, indexing="ij"))
        cos, sin = view.rotations(time, row, column)
        return cos.mean(0, keepdim=True), sin.mean(0, keepdim=True)
