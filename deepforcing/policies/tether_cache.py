"""Memory that is relevant and spread over time, and that is pulled back to what can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..compression import attention_mass
from ..config import Geometry, SettingsError
from .base import CacheView, Selection
from .settings import number, whole
from .streaming_llm import StreamingLLM


@dataclass(frozen=True)
class TetherCache(StreamingLLM):
    """[sink | memory | recent], whole frames (Meng et al., https://arxiv.org/abs/2606.13035).

    Gated recall (GRAB): each frame that leaves the recent ones competes with those of the memory, and the one with the
    lowest score goes. A score is relevance, the attention that the clean queries of the recent frames pay to the frame,
    and diversity, how far in time the next frame of the memory is, each in terms of the largest: `gate` of the one and
    1 - `gate` of the other. The gate: a frame with less than `gate` of the relevance of the most relevant one gets
    nothing for its diversity, so that a memory is not spread over frames that nobody asks for.

    Trusted alignment (TAME): keys before RoPE and values of a frame that enters the memory are pulled towards the sink
    and the memory that is there, by `pull` of the way, in mean and deviation of each channel of each head, so that what
    has drifted does not drag on what comes.

    Positions count within the cache. How score and gate are put together is a reading of the paper's words.
    """

    name: ClassVar[str] = "tether-cache"
    summary: ClassVar[str] = "Remembers frames that are looked at and far apart, and pulls them towards the first ones."
    sink: int = 3
    memory: int = 6
    gate: float = 0.6
    pull: float = 0.35

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("sink", self.sink, 1)
        whole("memory", self.memory, 1)
        number("gate", self.gate, 0, 1)
        number("pull", self.pull, 0, 1)

    @property
    def recent(self) -> int:
        """Latest frames that are whole, the chunk in flight included."""
        return self.window - self.sink - self.memory

    @property
    def query_frames(self) -> int:
        return self.recent

    def check(self, geometry: Geometry) -> None:
        super().check(geometry)
        if self.recent <= geometry.chunk_frames:
            raise SettingsError(
                f"sink {self.sink} and memory {self.memory} leave no frame of a window of {self.window} beside the "
                f"chunk of {geometry.chunk_frames}"
            )

    def recent_from(self, fired_at: int | None, geometry: Geometry) -> int:
        return self.sink if fired_at is None else fired_at + geometry.chunk_frames - self.recent

    def whole_from(self, next_frame: int, geometry: Geometry) -> int:
        return next_frame + geometry.chunk_frames - self.recent

    def choose(self, view: CacheView) -> Selection:
        size = view.geometry.tokens_per_frame
        first = view.frames[:, ::size]  # [B, F], the frames in the cache
        recent = first >= self.whole_from(view.next_frame, view.geometry)
        candidates = (first >= self.sink) & ~recent
        entering = candidates & (first >= self._recent_before(view))
        relevance = self._relevance(view)
        memory = self._recalled(first, relevance, candidates)
        keep = (first < self.sink) | memory | recent
        index = keep.nonzero()[:, 1].view(len(first), -1)
        trusted = (first < self.sink) | (candidates & ~entering)
        keys, values = (
            _taken(self._aligned(x.unflatten(1, (-1, size)), trusted, entering & memory), index)
            for x in (view.unturned, view.values)
        )
        tokens = (index[..., None] * size + torch.arange(size, device=index.device)).flatten(1)
        chosen, stood, scores = (
            each.repeat_interleave(size, 1) for each in (memory, candidates, relevance.masked_fill(~candidates, 0))
        )
        return Selection(tokens, contents=(keys, values), chosen=chosen, candidates=stood, scores=scores)

    def _recent_before(self, view: CacheView) -> int:
        """From which frame on frames were recent for the chunk before; all that there are before the first choice."""
        if view.fired_at is None:
            return self.sink
        return view.next_frame - self.recent

    def _relevance(self, view: CacheView) -> Tensor:
        """Attention of the recent frames' clean queries to each frame, summed over queries and heads: [B, F]."""
        keys = view.keys(slice(None), self.place(view))
        mass = attention_mass(keys, view.single_queries("past", self.recent)).sum(1)
        return mass.unflatten(1, (-1, view.geometry.tokens_per_frame)).sum(2)

    def _recalled(self, frames: Tensor, relevance: Tensor, candidates: Tensor) -> Tensor:
        """Which candidates, bool [B, F], make the memory; they come in one by one, and the worst goes."""
        memory = candidates & (candidates.cumsum(1) <= self.memory)
        for slot in range(self.memory, int(candidates.sum(1).max())):
            memory = memory | (candidates & (candidates.cumsum(1) == slot + 1))
            scores = self._scores(frames, relevance, memory).masked_fill(~memory, torch.inf)
            worst = frames.shape[1] - 1 - scores.flip(1).argmin(1, keepdim=True)  # of equals, the latest
            memory = memory.scatter(1, worst, False)
        return memory

    def _scores(self, frames: Tensor, relevance: Tensor, memory: Tensor) -> Tensor:
        """Of each frame of the memory, float32 [B, F]."""
        relevant = relevance.masked_fill(~memory, 0)
        relevant = relevant / relevant.amax(1, keepdim=True).clamp(min=1e-9)
        apart = (frames[:, :, None] - frames[:, None, :]).abs().float()
        other = memory[:, None, :] & ~torch.eye(frames.shape[1], dtype=torch.bool, device=frames.device)
        nearest = apart.masked_fill(~other, torch.inf).amin(2).masked_fill(~memory, 0)
        nearest = nearest.nan_to_num(posinf=1.0)
        diverse = nearest / nearest.amax(1, keepdim=True).clamp(min=1e-9)
        open_gate = relevant >= self.gate
        return self.gate * relevant + (1 - self.gate) * diverse * open_gate

    def _aligned(self, entries: Tensor, trusted: Tensor, entering: Tensor) -> Tensor:
        """Entries [B, F, size, heads, head_dim]; those that enter pulled to the statistics of the trusted ones."""
        x = entries.float()
        mean, deviation = _statistics(x, trusted)
        own = x.mean(2, keepdim=True), x.std(2, keepdim=True, unbiased=False)
        pulled = (x - own[0]) / (own[1] + 1e-6) * deviation + mean
        mixed = x + self.pull * (pulled - x)
        return torch.where(entering[:, :, None, None, None], mixed, x).to(entries.dtype)


def _statistics(x: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each channel over all tokens of some entries: [B, 1, 1, heads, head_dim] each."""
    weight = which[:, :, None, None, None].float()
    count = weight.sum((1, 2), keepdim=True) * x.shape[2]
    mean = (x * weight).sum((1, 2), keepdim=True) / count
    return mean, (((x - mean) * weight).square().sum((1, 2), keepdim=True) / count).sqrt()


def _taken(entries: Tensor, index: Tensor) -> Tensor:
    """Entries [B, F, size, ...] at index [B, k], as tokens [B, k * size, ...]."""
    which = index[:, :, None, None, None].expand(-1, -1, *entries.shape[2:])
    return entries.gather(1, which).flatten(1, 2)
