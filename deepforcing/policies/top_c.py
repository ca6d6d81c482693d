"""[sink | top-C | recent]: what policies share that keep the best of the middle, whatever they find best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..compression import by_frame, choose_top_c
from ..config import Geometry, SettingsError
from .base import CacheView, Selection, in_window_or_sink, kept_indices
from .deep_sink import DeepSink
from .settings import one_of, whole

Unit = Literal["token", "frame"]
Heads = Literal["shared", "separate"]


@dataclass(frozen=True)
class TopC(DeepSink):
    """Not a policy by itself: a subclass says with `scores` what is best, and has a name.

    When cached + incoming frames exceed `window`, the cache is cut to `budget` frames' worth of tokens: the first
    `sink`, the last `recent` (chunk in flight included), and between them the C that score highest.
    unit: what competes, each `token` for itself or whole frames by the sum of their tokens' scores.
    heads: `shared`, all heads of a layer keep the same tokens, by the sum of their scores, as the authors' code does;
    `separate`, each keeps its own.
    max_reuse: a token chosen that often is barred from then on, 0 = never.
    """

    budget: int = 16
    recent: int = 4
    unit: Unit = "token"
    heads: Heads = "shared"
    max_reuse: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("budget", self.budget, 1)
        whole("recent", self.recent, 1)
        whole("max_reuse", self.max_reuse, 0)
        one_of(self, "unit")
        one_of(self, "heads")
        if self.sink + self.recent >= self.budget:
            raise SettingsError(f"sink {self.sink} + recent {self.recent} leaves nothing of budget {self.budget}")
        if self.budget > self.window:
            raise SettingsError(f"budget {self.budget} is larger than the window of {self.window}")

    def scores(self, view: CacheView) -> Tensor:
        """float32 [B, n], of which those of candidates count."""
        raise NotImplementedError

    def rank(self, scores: Tensor) -> Tensor:
        """What decides, of the scores that are told: the highest win."""
        return scores

    @property
    def heads_apart(self) -> bool:
        return self.heads == "separate"

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

    def recent_from(self, fired_at: int | None, geometry: Geometry) -> int:
        return self.sink if fired_at is None else fired_at + geometry.chunk_frames - self.recent

    def whole_from(self, next_frame: int, geometry: Geometry) -> int:
        return next_frame + geometry.chunk_frames - self.recent

    def choose(self, view: CacheView) -> Selection:
        g = view.geometry
        keep = in_window_or_sink(
            view.frames,
            next_frame=view.next_frame,
            incoming=g.chunk_frames,
            window=self.sink + self.recent,
            sink=self.sink,
        )
        real = torch.ones_like(keep) if view.valid is None else view.valid
        candidates, is_sink = ~keep & real, view.frames < self.sink
        scores = self.scores(view)
        if self.unit == "frame":
            scores = by_frame(scores, view.frames, candidates)
        barred = None if view.valid is None else ~real  # rows may have fewer than are wanted, see TopC
        if self.max_reuse:
            barred = view.reused >= self.max_reuse
        top = choose_top_c(self.rank(scores), candidates, self.top_c * g.tokens_per_frame, barred=barred)
        sink = kept_indices(is_sink & real, self.sink * g.tokens_per_frame)
        recent = kept_indices(keep & ~is_sink & real, (self.recent - g.chunk_frames) * g.tokens_per_frame)
        chosen = torch.zeros_like(keep).scatter(1, top.indices, True if top.valid is None else top.valid)
        valid = None
        if top.valid is not None:
            first, last = (torch.ones_like(whole, dtype=torch.bool) for whole in (sink, recent))
            valid = torch.cat((first, top.valid, last), 1)
        kept = torch.cat((sink, top.indices, recent), 1)
        return Selection(kept, valid, chosen=chosen, candidates=candidates, scores=scores)

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
        held = -(-view.frames.shape[1] // g.tokens_per_frame)  # frames' worth
        middle = max(self.top_c, held - self.sink + first_recent)  # more where the budget was larger a moment ago
        slot = torch.arange(view.frames.shape[1], device=view.frames.device) - self.sink * g.tokens_per_frame
        top_c = first_recent - middle + slot.div(g.tokens_per_frame, rounding_mode="floor")
        sink = view.frames + first_recent - middle - self.sink
        time = torch.where(view.frames < self.sink, sink, top_c)
        return torch.where(view.frames >= view.next_frame + first_recent, view.frames - view.next_frame, time)

    def middle(self, view: CacheView) -> slice:
        """Where the candidates lie: after the sink, before the recent frames, neither of which is ever padded."""
        g = view.geometry
        recent = (self.recent - g.chunk_frames) * g.tokens_per_frame
        return slice(self.sink * g.tokens_per_frame, view.frames.shape[1] - recent)


@dataclass(frozen=True)
class TopCByPast(TopC):
    """Not a policy by itself: a subclass scores by the clean queries of the past frames in `recent`."""

    @property
    def query_frames(self) -> int:
        return self.recent

    def check(self, geometry: Geometry) -> None:
        super().check(geometry)
        if self.recent == geometry.chunk_frames:
            raise SettingsError(f"recent must be more than {geometry.chunk_frames}: the past frames in it are asked")
