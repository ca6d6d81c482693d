"""Deep Sink, and of the middle only what is attended to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ..compression import importance, participative_compression
from ..config import Geometry, SettingsError
from .base import CacheView, Selection, kept_indices, sliding_window_with_sinks
from .deep_sink import DeepSink
from .settings import one_of, whole

Queries = Literal["both", "past", "current"]
Score = Literal["attention", "inverted", "random", "oldest", "newest"]


@dataclass(frozen=True)
class DeepForcing(DeepSink):
    """Deep Sink with Participative Compression (arXiv 2512.05081, section 3.3, Algorithm 1).

    When cached + incoming frames exceed `window`, the cache is cut to `budget` frames' worth of tokens: the first
    `sink`, the last `recent` (chunk in flight included), and between them the tokens that score highest.
    queries: whose attention counts, the clean ones of the `past` recent frames, those of the `current` noisy chunk, or
    `both` (Table 5).
    score: `attention` keeps what is attended to most. The controls keep what is attended to least (`inverted`), what
    chance says (`random`, Fig. 12), or the `oldest` or `newest` candidates.
    max_reuse: a token chosen that often is barred from then on (released code: 7), 0 = never.
    """

    name: ClassVar[str] = "deep-forcing"
    summary: ClassVar[str] = "Deep sink, and of the middle only the tokens that recent queries attend to."
    budget: int = 16
    recent: int = 4
    queries: Queries = "both"
    score: Score = "attention"
    max_reuse: int = 7

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("budget", self.budget, 1)
        whole("recent", self.recent, 1)
        whole("max_reuse", self.max_reuse, 0)
        one_of(self, "queries")
        one_of(self, "score")
        if self.sink + self.recent >= self.budget:
            raise SettingsError(f"sink {self.sink} + recent {self.recent} leaves nothing of budget {self.budget}")
        if self.budget > self.window:
            raise SettingsError(f"budget {self.budget} is larger than the window of {self.window}")

    @property
    def asks_queries(self) -> bool:
        return self.score in ("attention", "inverted") and self.queries != "past"

    @property
    def top_c(self) -> int:
        """C = N - S - R, in frames' worth of tokens."""
        return self.budget - self.sink - self.recent

    def check(self, geometry: Geometry) -> None:
        super().check(geometry)
        if self.recent < geometry.chunk_frames:
            raise SettingsError(
                f"recent {self.recent} is shorter than the chunk of {geometry.chunk_frames} frames in flight"
            )
        if self.queries == "past" and self.recent == geometry.chunk_frames:
            raise SettingsError(f"queries 'past' need recent > {geometry.chunk_frames}: no past frame is in recent")

    def recent_from(self, fired_at: int | None, geometry: Geometry) -> int:
        return self.sink if fired_at is None else fired_at + geometry.chunk_frames - self.recent

    def choose(self, view: CacheView) -> Selection:
        g = view.geometry
        keep = sliding_window_with_sinks(
            view.frames,
            next_frame=view.next_frame,
            incoming=g.chunk_frames,
            window=self.sink + self.recent,
            sink=self.sink,
        )
        real = torch.ones_like(keep) if view.valid is None else view.valid
        candidates, is_sink = ~keep & real, view.frames < self.sink
        scores = self._scores(view)
        barred = view.reused >= self.max_reuse if self.max_reuse else None
        rank = -scores if self.score == "inverted" else scores
        top = participative_compression(rank, candidates, self.top_c * g.tokens_per_frame, barred=barred)
        sink = kept_indices(is_sink & real, self.sink * g.tokens_per_frame)
        recent = kept_indices(keep & ~is_sink & real, (self.recent - g.chunk_frames) * g.tokens_per_frame)
        chosen = torch.zeros_like(keep).scatter(1, top.indices, True if top.valid is None else top.valid)
        valid = None
        if top.valid is not None:
            valid = torch.cat((torch.ones_like(sink, dtype=bool), top.valid, torch.ones_like(recent, dtype=bool)), 1)
        return Selection(torch.cat((sink, top.indices, recent), 1), valid, chosen, candidates, scores)

    def place(self, view: CacheView) -> Tensor:
        if self.phase == "none" or view.fired_at is None:
            return view.frames - view.next_frame
        if self.phase == "released":
            return self._place_released(view)
        return self._place_contiguous(view)

    def _place_released(self, view: CacheView) -> Tensor:
        """Compression sets the sink a budget before its chunk, and there it stays until the next compression, a chunk
        further back by then; all other tokens keep the phase of the frame they came from."""
        true_time = view.frames - view.next_frame
        return torch.where(view.frames < self.sink, true_time + view.fired_at - self.budget, true_time)

    def _place_contiguous(self, view: CacheView) -> Tensor:
        """[sink | top-C | recent] as one timeline without gaps; the top-C fill whole frames in their order."""
        g = view.geometry
        first_recent = self.recent_from(view.fired_at, g) - view.next_frame
        slot = torch.arange(view.frames.shape[1], device=view.frames.device) - self.sink * g.tokens_per_frame
        top_c = first_recent - self.top_c + slot.div(g.tokens_per_frame, rounding_mode="floor")
        sink = view.frames + first_recent - self.top_c - self.sink
        time = torch.where(view.frames < self.sink, sink, top_c)
        return torch.where(view.frames >= view.next_frame + first_recent, view.frames - view.next_frame, time)

    def _scores(self, view: CacheView) -> Tensor:
        if self.score == "random":
            return torch.rand(view.frames.shape, generator=view.generator).to(view.frames.device)
        if self.score in ("oldest", "newest"):
            order = torch.arange(view.frames.shape[1], device=view.frames.device).float()  # temporal, as the cache is
            return (order if self.score == "newest" else -order).expand(view.frames.shape)
        middle = self._middle(view)
        scores = torch.zeros(view.frames.shape, device=view.frames.device)
        keys = view.keys(middle, self.place(view)[:, middle])
        scores[:, middle] = importance(keys, view.queries(self.queries, self.recent))
        return scores

    def _middle(self, view: CacheView) -> slice:
        """Where the candidates lie: after the sink, before the recent frames, neither of which is ever padded."""
        g = view.geometry
        recent = (self.recent - g.chunk_frames) * g.tokens_per_frame
        return slice(self.sink * g.tokens_per_frame, view.frames.shape[1] - recent)
