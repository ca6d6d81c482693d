"""Little memory, each frame with a task: sink, history, tail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..config import Geometry, SettingsError
from .attention_sink import AttentionSink
from .base import CacheView
from .settings import number, whole
from .streaming_llm import side_by_side


@dataclass(frozen=True)
class RelaxForcing(AttentionSink):
    """Relaxed KV memory (Zhao et al., https://arxiv.org/abs/2603.21366).

    The window is a reservoir, of which a chunk reads few frames: the first `sink`, the last `tail`, and `history` of
    those between, which are like the sink and not like the tail. Of `candidates`, spread evenly over the later half
    of the middle, those win whose likeness to the sink less `redundancy` times that to the tail is greatest. Likeness
    is the cosine of keys before RoPE, averaged over tokens and heads. What is read stands side by side before the
    chunk, which is Hybrid RoPE.

    The authors let the first layer decide for all, and their reservoir is 120 frames; here each layer decides for
    itself, and the reservoir is the window.
    """

    name: ClassVar[str] = "relax-forcing"
    summary: ClassVar[str] = "Reads four frames: the first two, the last, and one that recalls the first, not the last."
    sink: int = 2
    history: int = 1
    tail: int = 1
    candidates: int = 4
    redundancy: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("sink", self.sink, 1)
        whole("history", self.history, 1)
        whole("tail", self.tail, 1)
        whole("candidates", self.candidates, self.history)
        number("redundancy", self.redundancy, 0, 1000)

    def check(self, geometry: Geometry) -> None:
        super().check(geometry)
        if self._least + geometry.chunk_frames > self.window:
            raise SettingsError(
                f"sink {self.sink}, tail {self.tail} and {self.candidates} candidates in half of what is between them "
                f"need a window of {self._least + geometry.chunk_frames}, not {self.window}"
            )

    @property
    def _least(self) -> int:
        """Frames of the past that must be there before some are left unread."""
        return self.sink + 2 * self.candidates + self.tail

    @property
    def read_frames(self) -> int:
        return self.sink + self.history + self.tail

    def read(self, view: CacheView) -> Tensor | None:
        tokens, held = view.geometry.tokens_per_frame, self._held(view)
        if held < self._least:
            return None
        frames = view.unturned.float().unflatten(1, (held, tokens)).mean((2, 3))  # [B, held, head_dim]
        rows, device = len(frames), frames.device
        candidates = self._candidates(held).to(device)
        best = self._scores(frames, candidates).topk(self.history, dim=1).indices.sort(dim=1).values
        sink = torch.arange(self.sink, device=device).expand(rows, -1)
        tail = torch.arange(held - self.tail, held, device=device).expand(rows, -1)
        read = torch.cat((sink, candidates[best], tail), 1)  # [B, sink + history + tail]
        return (read[..., None] * tokens + torch.arange(tokens, device=device)).flatten(1)

    def place(self, view: CacheView) -> Tensor:
        held = self._held(view)
        read = held if held < self._least else self.sink + self.history + self.tail
        return side_by_side(read * view.geometry.tokens_per_frame, view).expand(view.frames.shape[0], -1)

    def _held(self, view: CacheView) -> int:
        return view.frames.shape[1] // view.geometry.tokens_per_frame

    def _candidates(self, held: int) -> Tensor:
        """Evenly spread over the later half of the frames between sink and tail."""
        end = held - self.tail
        half = (end - self.sink + 1) // 2
        return end - half + torch.arange(self.candidates) * half // self.candidates

    def _scores(self, frames: Tensor, candidates: Tensor) -> Tensor:
        """frames [B, held, head_dim] -> [B, candidates]."""
        like = torch.nn.functional.cosine_similarity
        some, sink = frames[:, candidates], frames[:, : self.sink].mean(1, keepdim=True)
        return like(some, sink, dim=-1) - self.redundancy * like(some, frames[:, -self.tail :].mean(1, True), dim=-1)
