"""Attention sinks at their positions within the cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .attention_sink import AttentionSink
from .base import CacheView


@dataclass(frozen=True)
class StreamingLLM(AttentionSink):
    """The first frames and the latest, side by side in time (Xiao et al., https://arxiv.org/abs/2309.17453).

    Positions count within the cache, not within the video. Four tokens of text are a sink there; here it is counted
    in whole latent frames, and one is the least.
    """

    name: ClassVar[str] = "streaming-llm"
    summary: ClassVar[str] = "The first frame stays, and stands right before the last ones, wherever it came from."
    sink: int = 1

    def place(self, view: CacheView) -> Tensor:
        return side_by_side(view.frames.shape[1], view).expand_as(view.frames)


def side_by_side(tokens: int, view: CacheView) -> Tensor:
    """Temporal positions of whole frames without a gap, the last right before the chunk in flight: int64 [tokens]."""
    before = torch.arange(-tokens, 0, device=view.frames.device)
    return before.div(view.geometry.tokens_per_frame, rounding_mode="floor")
