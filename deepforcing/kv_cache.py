"""The KV cache: keys as the model made them, before RoPE, with the place in the video that each token came from.

RoPE is applied when a chunk begins to read, at the temporal positions that the policy assigns, and kept for the chunk's
later passes. Nothing is ever rotated twice, so nothing drifts, and positions count from the chunk in flight, so there
is no longest video. While a chunk is denoised its history is read-only: each pass overwrites the chunk's own slots, and
`advance`, after the clean pass, makes them history.
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
from .rope import RopeDims, Rotation, dynamic_temporal_rope, rotation_3d, spatial_rope


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

    def sample(self, step: int, tokens: int) -> Tensor | None:
        """Which of the chunk's `tokens` queries to see in this pass, int64 [s]; None for none of them.

        `step`: denoising step, -1 for the clean pass.
        """

    def observe(self, layer: int, queries: Tensor, reading: Reading) -> None:
        """The sampled queries [B, s, heads, head_dim] with RoPE, once the pass is done."""


class LayerCache:
    """The tokens that one layer holds: history, then slots for the chunk in flight while there is one.

    It is *open* while a chunk reads it. What a pass does to it is `write`, tensors in and tensors out, so that a
    compiled block holds it whole; opening, dropping and settling happen between passes or in eager ones.
    `positions` int64 [B, n, 3] are the history's (latent frame, row, column).
    """

    def __init__(self, rotation: Rotation, chunk_frames: int) -> None:
        """rotation: RoPE of the chunk in flight, the same for every chunk, layer and pass."""
        self.rotation, self.chunk_frames = rotation, chunk_frames
        self.tokens = 0
        self.slots: Tensor | None = None  # keys before RoPE [B, n + chunk, heads, head_dim]
        self.values: Tensor | None = None
        self.reading: Reading | None = None
        self.valid: Tensor | None = None
        self.query_sums: Tensor | None = None  # of the latest pass, by frame: [B, chunk_frames, heads, head_dim]
        self.past_queries: list[tuple[int, Tensor]] = []  # (latent frame, query sum [B, heads, head_dim], no time yet)
        self.sample: Tensor | None = None  # which queries a probe wants of the pass in flight
        self.sampled: Tensor | None = None
        self.fired_at: int | None = None  # first frame of the latest chunk that dropped tokens
        self.dropped: tuple[Tensor, Selection] | None = None  # (positions before, selection) of the chunk in flight

    @property
    def keys(self) -> Tensor:
        """The history's keys before RoPE [B, n, heads, head_dim]."""
        return self.slots[:, : self.tokens]

    def begin(self, template: Tensor) -> None:
        """Start empty; template: the first keys [B, m, heads, head_dim], for batch, heads, dtype and device."""
        self.slots = self.values = template[:, :0]
        self.positions = torch.empty(*self.slots.shape[:2], 3, dtype=torch.int64, device=template.device)
        self.reused = self.positions[..., 0]

    def write(self, queries: Tensor, keys: Tensor, turned: Tensor, values: Tensor) -> Reading:
        """One pass's own tokens [B, m, heads, head_dim] into the chunk's slots; history is not touched.

        queries and `turned` keys with RoPE, `keys` without.
        """
        own = slice(-keys.shape[1], None)
        self.slots[:, own], self.reading.keys[:, own], self.reading.values[:, own] = keys, turned, values
        self.query_sums = queries.float().unflatten(1, (self.chunk_frames, -1)).sum(2)
        if self.sample is not None:
            self.sampled = queries[:, self.sample]
        return self.reading

    def keep(self, selection: Selection) -> None:
        """Drop every token that the selection leaves out."""
        self.dropped = (self.positions, selection)
        if selection.chosen is not None:
            self.reused = self.reused + selection.chosen
        index = selection.indices
        wide = index[..., None, None].expand(-1, -1, *self.slots.shape[2:])
        self.slots, self.values = self.slots.gather(1, wide), self.values.gather(1, wide)
        self.positions = self.positions.gather(1, index[..., None].expand(-1, -1, 3))
        self.reused, self.valid = self.reused.gather(1, index), selection.valid
        self.tokens = index.shape[1]

    def make_room(self, tokens: int) -> None:
        """Slots for a chunk of that many tokens, after the history."""
        self.slots, self.values = _with_room(self.slots, tokens), _with_room(self.values, tokens)

    def settle(self, positions: Tensor) -> None:
        """The chunk in the slots is clean, and history from now on; positions [B, m, 3]."""
        self.tokens = self.slots.shape[1]
        self.positions = torch.cat((self.positions, positions), 1)
        self.reused = torch.cat((self.reused, torch.zeros_like(positions[..., 0])), 1)
        if self.valid is not None:
            self.valid = torch.cat((self.valid, torch.ones_like(positions[..., 0], dtype=torch.bool)), 1)
        self.reading = self.dropped = self.sampled = None


def _with_room(x: Tensor, tokens: int) -> Tensor:
    return torch.cat((x, x.new_empty(x.shape[0], tokens, *x.shape[2:])), 1)


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

    @contextmanager
    def one_pass(self, layers: int, device: torch.device, step: int) -> Iterator[list[LayerCache]]:
        """The layers for one pass over a chunk, opened as far as they can be without the pass, and observed after it.

        Where the policy chooses by the chunk's own queries, the chunk's first pass has to `open` each layer itself.
        """
        held = self._held(layers, device)
        sample = self.probe.sample(step, self.geometry.tokens_per_chunk) if self.probe else None
        for layer in held:
            layer.sample = None if sample is None else sample.to(device)
            if layer.reading is None and layer.slots is not None and not self._waits(layer):
                self.open(layer)
        yield held
        if sample is not None:
            for index, layer in enumerate(held):
                self.probe.observe(index, layer.sampled, layer.reading)

    def open(self, layer: LayerCache, queries: Tensor | None = None, keys: Tensor | None = None) -> None:
        """Begin a chunk in this layer: compress where the policy is due, rotate what is left to where it stands now.

        queries (RoPE applied) and keys of the chunk's first pass, [B, m, heads, head_dim]: needed where the layer is
        still empty or the policy chooses by them.
        """
        if layer.slots is None:
            layer.begin(keys)
        if self.due(layer):
            layer.keep(self.policy.choose(self.view(layer, queries)))
            layer.fired_at = self.next_frame
        time, m = self.policy.place(self.view(layer, queries)), self.geometry.tokens_per_chunk
        turned = _with_room(self._keys_at(layer, slice(None), time), m)
        layer.make_room(m)
        frames = torch.cat((layer.positions[..., 0], self._positions(layer)[..., 0]), 1)
        mask = None
        if layer.valid is not None:
            mask = torch.nn.functional.pad(layer.valid, (0, m), value=True)[:, None, None]
        layer.reading = Reading(turned, layer.values, mask, frames, time)

    def advance(self) -> None:
        """The pass just done was the clean one: the chunk in flight is history, and the next one begins."""
        for layer in self.layers.values():
            self._remember_queries(layer)
            layer.settle(self._positions(layer))
        self.next_frame += self.geometry.chunk_frames

    def due(self, layer: LayerCache) -> bool:
        """Whether the policy must choose before the chunk in flight can be read."""
        return self.policy.due(layer.tokens / self.geometry.tokens_per_frame, self.geometry)

    @property
    def tokens(self) -> int:
        """Tokens held, summed over layers (one row of the batch)."""
        return sum(layer.tokens for layer in self.layers.values())

    @property
    def bytes(self) -> int:
        """Memory of the keys and values held, the chunk in flight left out."""
        held = [t[:, : layer.tokens] for layer in self.layers.values() for t in (layer.slots, layer.values)]
        return sum(t.numel() * t.element_size() for t in held)

    def _held(self, layers: int, device: torch.device) -> list[LayerCache]:
        if not self.layers:
            self._grid = self._grid.to(device)
            rotation = rotation_3d(*self._grid.unbind(-1), self.dims)
            self.layers = {i: LayerCache(rotation, self.geometry.chunk_frames) for i in range(layers)}
        return list(self.layers.values())

    def _waits(self, layer: LayerCache) -> bool:
        return self.policy.asks_queries and self.due(layer)

    def _positions(self, layer: LayerCache) -> Tensor:
        start = self._grid.new_zeros(3)
        start[0] = self.next_frame
        return (self._grid + start).expand(layer.slots.shape[0], -1, -1)

    def view(self, layer: LayerCache, queries: Tensor | None) -> CacheView:
        """What the policy may look at of this layer; queries: as for `open`."""
        return CacheView(
            frames=layer.positions[..., 0],
            valid=layer.valid,
            reused=layer.reused,
            next_frame=self.next_frame,
            fired_at=layer.fired_at,
            geometry=self.geometry,
            keys=lambda tokens, time: self._keys_at(layer, tokens, time),
            queries=lambda whose, recent: self._query_sum(layer, queries, whose, recent),
            generator=self._generator,
        )

    def _keys_at(self, layer: LayerCache, tokens: slice, time: Tensor) -> Tensor:
        _, row, column = layer.positions[:, tokens].unbind(-1)
        return dynamic_temporal_rope(spatial_rope(layer.keys[:, tokens], row, column, self.dims), time, self.dims)

    def _query_sum(self, layer: LayerCache, queries: Tensor | None, whose: str, recent: int) -> Tensor:
        """Sum of RoPE'd queries [B, heads, head_dim]: the chunk's, those of clean frames in `recent`, or both."""
        first = self.next_frame + self.geometry.chunk_frames - recent
        parts = []
        if whose != "past":
            if queries is None:
                raise RuntimeError(f"{self.policy.name} asks for the chunk's queries: its `asks_queries` must be True")
            parts.append(queries.float().sum(1))
        if whose != "current":
            for frame, query in layer.past_queries:
                if frame >= first:
                    parts.append(self._query_at(query, frame - self.next_frame))
        return torch.stack(parts).sum(0)

    def _query_at(self, query: Tensor, time: int) -> Tensor:
        return dynamic_temporal_rope(query[:, None], torch.full((1,), time, device=query.device), self.dims)[:, 0]

    def _remember_queries(self, layer: LayerCache) -> None:
        """Keep the sum of each clean frame's queries, turned back in time to 0: all that scoring needs of them."""
        for i, query in enumerate(layer.query_sums.unbind(1)):
            layer.past_queries.append((self.next_frame + i, self._query_at(query, -i)))
        del layer.past_queries[: -self.policy.window]
