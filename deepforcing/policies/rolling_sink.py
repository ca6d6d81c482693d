"""A sink whose content rolls to and fro."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..config import Geometry, SettingsError
from .base import CacheView
from .streaming_llm import StreamingLLM


@dataclass(frozen=True)
class RollingSink(StreamingLLM):
    """The window slides over the first seconds, played to and fro (Li et al., https://arxiv.org/abs/2602.07775).

    Of the past, a chunk sees the latest clean frames, and before them, where others have the drifted frames of that
    time, frames of the first `sink`, which were made within the duration of training: both the time that they stand
    at and what they show move on with every chunk (Sliding Indices, Sliding Semantics). Frame p of the past shows
    0, 1 ... sink - 1, sink - 1 ... 1, 0, 0, 1 ... as p counts on, so the two turning points are shown twice.

    As in the authors' code, whose sink is a chunk short of the window and is kept beside it; here the window holds
    both the sink and the latest frames, so the sink is two chunks short.
    """

    name: ClassVar[str] = "rolling-sink"
    summary: ClassVar[str] = "The first seconds are played to and fro as the past; only the last chunk is the real one."
    sink: int = 15

    def check(self, geometry: Geometry) -> None:
        super().check(geometry)
        if not 0 < self.sink <= self.window - 2 * geometry.chunk_frames:
            raise SettingsError(
                f"sink {self.sink} must leave room in a window of {self.window} for the last chunk of "
                f"{geometry.chunk_frames} frames and the one in flight, and be at least 1"
            )

    @property
    def read_frames(self) -> int:
        return self.window

    def read(self, view: CacheView) -> Tensor | None:
        tokens, past = view.geometry.tokens_per_frame, self.window - view.geometry.chunk_frames
        if view.frames.shape[1] < past * tokens:  # the first seconds are still the past
            return None
        device = view.frames.device
        counting = torch.arange(view.next_frame - past, view.next_frame - past + self.sink, device=device)
        forth = counting % self.sink
        shown = torch.where(counting // self.sink % 2 == 0, forth, self.sink - 1 - forth)
        latest = torch.arange(self.sink, past, device=device)
        frames = torch.cat((shown, latest))
        index = frames[:, None] * tokens + torch.arange(tokens, device=device)
        return index.flatten().expand(view.frames.shape[0], -1)
