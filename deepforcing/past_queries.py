"""The clean queries of the latest frames, which scoring may look at."""

from __future__ import annotations

import torch
from torch import Tensor

from .rope import RopeDims, turn_in_time

Remembered = list[tuple[int, Tensor]]  # (latent frame, queries [B, k, heads, head_dim]), turned back in time to 0


class PastQueries:
    """Of one layer: each frame's sum, which is all that most scoring needs, and where wanted each query.

    frames, single_frames: how many of the latest are kept as sums, and one by one.
    """

    def __init__(self, dims: RopeDims, frames: int, single_frames: int) -> None:
        self._dims, self._frames, self._single_frames = dims, frames, single_frames
        self._sums: Remembered = []
        self._singles: Remembered = []

    def remember(self, first: int, sums: Tensor, singles: Tensor | None) -> None:
        """A clean pass over the chunk that begins at latent frame `first`.

        sums [B, chunk_frames, heads, head_dim] and singles [B, m, heads, head_dim], RoPE applied, `first` at time 0.
        """
        for i, query in enumerate(sums.split(1, 1)):
            self._sums.append((first + i, self._at(query, -i)))
        del self._sums[: -self._frames]
        if self._single_frames:
            for i, queries in enumerate(singles.float().chunk(sums.shape[1], 1)):
                self._singles.append((first + i, self._at(queries, -i)))
            del self._singles[: -self._single_frames]

    def sums(self, since: int, now: int) -> list[Tensor]:
        """[B, heads, head_dim] of each frame from `since` on, RoPE applied, frame `now` at time 0."""
        return [query[:, 0] for query in self._since(self._sums, since, now)]

    def singles(self, since: int, now: int) -> list[Tensor]:
        """[B, k, heads, head_dim] of each frame from `since` on, likewise."""
        return self._since(self._singles, since, now)

    def untimed(self, since: int) -> list[Tensor]:
        """[B, k, heads, head_dim] of each frame from `since` on, turned by rows and columns alone."""
        return [queries for frame, queries in self._singles if frame >= since]

    def _since(self, remembered: Remembered, since: int, now: int) -> list[Tensor]:
        return [self._at(queries, frame - now) for frame, queries in remembered if frame >= since]

    def _at(self, queries: Tensor, time: int) -> Tensor:
        return turn_in_time(queries, torch.full((1,), time, device=queries.device), self._dims)
