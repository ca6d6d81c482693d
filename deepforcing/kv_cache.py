"""The KV cache: keys as the model made them, before RoPE, with the place in the video that each token came from.

RoPE is applied when a chunk begins to read, at the temporal positions that the policy assigns, and kept for the chunk's
later passes. Nothing is ever rotated twice, so nothing drifts, and positions count from the chunk in flight, so there
is no longest video. While a chunk is denoised its history is read-only; only `append`, in the clean pass, adds to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from .config import Geometry
from .policies import CacheView, Policy, Selection
from .rope import RopeDims, Rotation, dynamic_temporal_rope, rotate, rotation_3d, spatial_rope


@dataclass
class Reading:
    """One layer's keys and values as a chunk attends to them, history first, the chunk's own slots last.

    keys (RoPE applied), values: [B, n + chunk, heads, head_dim]; mask: bool [B, 1, 1, n + chunk], None without padding.
    frames: int64 [B, n + chunk] latent frame of each token; time: the history's temporal positions [B, n].
    """

    keys: Tensor
    values: Tensor
    mask: Tensor | None
    frames: Tensor
    time: Tensor


class Probe(Protocol):
    """Sees, and never changes, what self-attention computes over a cache."""

    def observe(self, layer: int, step: int, queries: Tensor, reading: Reading) -> None:
        """queries: [B, m, heads, head_dim] with RoPE; `step`: denoising step, -1 for the clean pass."""


class LayerCache:
    """The tokens that one layer holds. `positions` int64 [B, n, 3] are (latent frame, row, column)."""

    def __init__(self, template: Tensor) -> None:
        """template: keys [B, m, heads, head_dim] of the first chunk, for batch, heads, dtype and device."""
        self.keys = template[:, :0]
        self.values = template[:, :0]
        self.positions = torch.empty(*self.keys.shape[:2], 3, dtype=torch.int64, device=template.device)
        self.reused = self.positions[..., 0]
        self.valid: Tensor | None = None
        self.past_queries: list[tuple[int, Tensor]] = []  # (latent frame, query sum [B, heads, head_dim], no time yet)
        self.reading: Reading | None = None
        self.fired_at: int | None = None  # first frame of the latest chunk that dropped tokens
        self.dropped: tuple[Tensor, Selection] | None = None  # (positions before, selection) of the chunk in flight

    @property
    def tokens(self) -> int:
        return self.keys.shape[1]

    def keep(self, selection: Selection) -> None:
        """Drop every token that the selection leaves out."""
        self.dropped = (self.positions, selection)
        if selection.chosen is not None:
            self.reused = self.reused + selection.chosen
        index = selection.indices
        wide = index[..., None, None].expand(-1, -1, *self.keys.shape[2:])
        self.keys, self.values = self.keys.gather(1, wide), self.values.gather(1, wide)
        self.positions = self.positions.gather(1, index[..., None].expand(-1, -1, 3))
        self.reused, self.valid = self.reused.gather(1, index), selection.valid

    def append(self, keys: Tensor, values: Tensor, positions: Tensor) -> None:
        """Add a clean chunk: keys before RoPE and values [B, m, heads, head_dim], positions [B, m, 3]."""
        self.keys, self.values = torch.cat((self.keys, keys), 1), torch.cat((self.values, values), 1)
        self.positions = torch.cat((self.positions, positions), 1)
        self.reused = torch.cat((self.reused, torch.zeros_like(positions[..., 0])), 1)
        if self.valid is not None:
            self.valid = torch.cat((self.valid, torch.ones_like(positions[..., 0], dtype=torch.bool)), 1)
        self.reading = self.dropped = None


class KVCache:
    """The cache of one video, all layers; bounded by its policy however long the video gets."""

    def __init__(self, policy: Policy, geometry: Geometry, dims: RopeDims, seed: int = 0) -> None:
        """Raises SettingsError when the policy cannot work with chunks of this geometry."""
        policy.check(geometry)
        self.policy, self.geometry, self.dims = policy, geometry, dims
        self.next_frame = 0
        self.probe: Probe | None = None
        self.layers: dict[int, LayerCache] = {}
        self._generator = torch.Generator().manual_seed(seed)
        self._grid = self._chunk_grid()
        self._chunk_rotation: Rotation | None = None  # the same for every chunk, layer and pass

    def _chunk_grid(self) -> Tensor:
        """(frame, row, column) of a chunk's tokens, frames from 0: int64 [m, 3]."""
        g = self.geometry
        axes = [torch.arange(size) for size in (g.chunk_frames, g.rows, g.columns)]
        return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)

    @contextmanager
    def probed(self, probe: Probe) -> Iterator[Probe]:
        """Attach a probe to all layers of this video; it is detached again whatever happens. One at a time."""
        if self.probe is not None:
            raise RuntimeError("a probe is attached already")
        self.probe = probe
        try:
            yield probe
        finally:
            self.probe = None

    def rotate(self, x: Tensor) -> Tensor:
        """RoPE for the chunk in flight: its frames stand at 0, 1, 2 ... x: [B, m, heads, head_dim]."""
        if self._chunk_rotation is None:
            self._chunk_rotation = rotation_3d(*self._grid.to(x.device).unbind(-1), self.dims)
        return rotate(x, self._chunk_rotation)

    def read(self, layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Reading:
        """What this layer's chunk attends to; compresses first where the policy is due.

        queries (RoPE applied), keys (before RoPE), values: the chunk's own, [B, m, heads, head_dim].
        """
        cache = self.layers.setdefault(layer, LayerCache(keys))
        if cache.reading is None:
            self._drop_if_due(cache, queries)
            cache.reading = self._open(cache, queries, keys)
        n = cache.tokens
        cache.reading.keys[:, n:], cache.reading.values[:, n:] = self.rotate(keys), values
        return cache.reading

    def append(self, layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> None:
        """Add the clean chunk to this layer; the arguments are those of `read`."""
        cache = self.layers[layer]
        self._remember_queries(cache, queries)
        cache.append(keys, values, self._positions(keys))

    def advance(self) -> None:
        """The chunk in flight is in the cache; the next one begins."""
        self.next_frame += self.geometry.chunk_frames

    @property
    def tokens(self) -> int:
        """Tokens held, summed over layers (one row of the batch)."""
        return sum(cache.tokens for cache in self.layers.values())

    @property
    def bytes(self) -> int:
        """Memory of the stored keys and values."""
        return sum(t.numel() * t.element_size() for c in self.layers.values() for t in (c.keys, c.values))

    def _positions(self, keys: Tensor) -> Tensor:
        start = torch.tensor([self.next_frame, 0, 0])
        return (self._grid + start).to(keys.device).expand(keys.shape[0], -1, -1)

    def _drop_if_due(self, cache: LayerCache, queries: Tensor) -> None:
        if self.policy.due(cache.tokens / self.geometry.tokens_per_frame, self.geometry):
            cache.keep(self.policy.choose(self._view(cache, queries)))
            cache.fired_at = self.next_frame

    def _open(self, cache: LayerCache, queries: Tensor, keys: Tensor) -> Reading:
        time = self.policy.place(self._view(cache, queries))
        attended = torch.cat((self._keys_at(cache, slice(None), time), torch.empty_like(keys)), 1)
        values = torch.cat((cache.values, torch.empty_like(keys)), 1)
        frames = torch.cat((cache.positions[..., 0], self._positions(keys)[..., 0]), 1)
        mask = None
        if cache.valid is not None:
            mask = torch.nn.functional.pad(cache.valid, (0, keys.shape[1]), value=True)[:, None, None]
        return Reading(attended, values, mask, frames, time)

    def _view(self, cache: LayerCache, queries: Tensor) -> CacheView:
        return CacheView(
            frames=cache.positions[..., 0],
            valid=cache.valid,
            reused=cache.reused,
            next_frame=self.next_frame,
            fired_at=cache.fired_at,
            geometry=self.geometry,
            keys=lambda tokens, time: self._keys_at(cache, tokens, time),
            queries=lambda whose, recent: self._query_sum(cache, queries, whose, recent),
            generator=self._generator,
        )

    def _keys_at(self, cache: LayerCache, tokens: slice, time: Tensor) -> Tensor:
        _, row, column = cache.positions[:, tokens].unbind(-1)
        return dynamic_temporal_rope(spatial_rope(cache.keys[:, tokens], row, column, self.dims), time, self.dims)

    def _query_sum(self, cache: LayerCache, queries: Tensor, whose: str, recent: int) -> Tensor:
        """Sum of RoPE'd queries [B, heads, head_dim]: the chunk's, those of clean frames in `recent`, or both."""
        first = self.next_frame + self.geometry.chunk_frames - recent
        parts = [queries.float().sum(1)] if whose != "past" else []
        if whose != "current":
            for frame, query in cache.past_queries:
                if frame >= first:
                    parts.append(self._query_at(query, frame - self.next_frame))
        return torch.stack(parts).sum(0)

    def _query_at(self, query: Tensor, time: int) -> Tensor:
        return dynamic_temporal_rope(query[:, None], torch.tensor([time], device=query.device), self.dims)[:, 0]

    def _remember_queries(self, cache: LayerCache, queries: Tensor) -> None:
        """Keep the sum of each clean frame's queries, turned back in time to 0: all that scoring needs of them."""
        g = self.geometry
        by_frame = queries.float().unflatten(1, (g.chunk_frames, -1)).sum(2)  # [B, chunk, heads, head_dim]
        for i in range(g.chunk_frames):
            cache.past_queries.append((self.next_frame + i, self._query_at(by_frame[:, i], -i)))
        del cache.past_queries[: -self.policy.window]
