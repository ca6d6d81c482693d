"""Deep Sink, and of the middle only what is attended to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ..compression import attention_mass, importance
from ..config import Geometry, SettingsError
from .base import CacheView
from .settings import one_of
from .top_c import TopC

Queries = Literal["both", "past", "current"]
Score = Literal["attention", "inverted", "softmax", "random", "oldest", "newest"]


@dataclass(frozen=True)
class DeepForcing(TopC):
    """Deep Sink with Participative Compression (arXiv 2512.05081, section 3.3, Algorithm 1).

    queries: whose attention counts, the clean ones of the `past` recent frames, those of the `current` noisy chunk, or
    `both` (Table 5).
    score: `attention` keeps what is attended to most, by the sum of q . k over queries and heads. `softmax` passes the
    products through a softmax first: each query of each head spreads one unit of attention over the candidates, with
    the model's own scale, and what a candidate gets is summed. The controls keep what is attended to least
    (`inverted`), what chance says (`random`, Fig. 12), or the `oldest` or `newest` candidates.
    max_reuse: 7 in the released code. The others: see `TopC`.
    """

    name: ClassVar[str] = "deep-forcing"
    summary: ClassVar[str] = "Deep sink, and of the middle only the tokens that recent queries attend to."
    max_reuse: int = 7
    queries: Queries = "both"
    score: Score = "attention"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self, "queries")
        one_of(self, "score")

    @property
    def asks_queries(self) -> bool:
        return self.score in ("attention", "inverted", "softmax") and self.queries != "past"

    @property
    def query_frames(self) -> int:
        return self.recent if self.score == "softmax" else 0

    def check(self, geometry: Geometry) -> None:
        super().check(geometry)
        if self.queries == "past" and self.recent == geometry.chunk_frames:
            raise SettingsError(f"queries 'past' need recent > {geometry.chunk_frames}: no past frame is in recent")

    def rank(self, scores: Tensor) -> Tensor:
        return -scores if self.score == "inverted" else scores

    def scores(self, view: CacheView) -> Tensor:
        if self.score == "random":
            return torch.rand(view.frames.shape, generator=view.generator).to(view.frames.device)
        if self.score in ("oldest", "newest"):
            order = torch.arange(view.frames.shape[1], device=view.frames.device).float()  # temporal, as the cache is
            return (order if self.score == "newest" else -order).expand(view.frames.shape)
        middle = self.middle(view)
        scores = torch.zeros(view.frames.shape, device=view.frames.device)
        keys = view.keys(middle, self.place(view)[:, middle])
        if self.score == "softmax":
            real = None if view.valid is None else view.valid[:, middle]
            scores[:, middle] = attention_mass(keys, view.single_queries(self.queries, self.recent), real).sum(1)
        else:
            scores[:, middle] = importance(keys, view.queries(self.queries, self.recent))
        return scores
