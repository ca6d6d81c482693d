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

from .compression import attention_mass
from .config import Geometry
from .past_queries import PastQueries
from .policies import CacheView, Policy, Selection
from .rope import RopeDims, Rotation, dynamic_temporal_rope, rotation_3d, spatial_rope


@dataclass
class Reading:
    """One layer's keys and values as a chunk attends to them, history first, the chunk's own slots last.

    keys (RoPE applied), values: [B, n + chunk, heads, head_dim]; mask: bool [B, 1, 1, n + chunk], None without padding.
    frames: int64 [B, n + chunk] latent frame of each token; time: the history's temporal positions [B, n].
    index: int64 [B, n] where in the history these tokens are, None where they are all of it, in order.
    rows: how many rows of B are one video, see `LayerCache`.
    """

    keys: Tensor
    values: Tensor
    mask: Tensor | None
    frames: Tensor
    time: Tensor
    index: Tensor | None = None
    rows: int = 1


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

    Heads that keep tokens of their own are rows of the batch here, with one head each: `rows` of them are one video.
    """

    def __init__(
        self, rotation: Rotation, past: PastQueries, chunk_frames: int, rows: int, whole_queries: bool
    ) -> None:
        """rotation: RoPE of the chunk in flight, the same for every chunk, layer and pass.

        whole_queries: whether each pass's queries stay whole, besides their sums.
        """
        self.rotation, self.past = rotation, past
        self.chunk_frames, self.rows, self.whole_queries = chunk_frames, rows, whole_queries
        self.tokens = 0
        self.slots: Tensor | None = None  # keys before RoPE [B, n + chunk, heads, head_dim]
        self.values: Tensor | None = None
        self.reading: Reading | None = None
        self.valid: Tensor | None = None
        self.query_sums: Tensor | None = None  # of the latest pass, by frame: [B, chunk_frames, heads, head_dim]
        self.queries: Tensor | None = None  # of the latest pass, whole: [B, m, heads, head_dim], RoPE applied
        self.received: Tensor | None = None  # attention of clean passes so far, float32 [B, n], where it is summed
        self.sample: Tensor | None = None  # which queries a probe wants of the pass in flight
        self.sampled: Tensor | None = None
        self.fired_at: int | None = None  # first frame of the latest chunk that dropped tokens
        self.dropped: tuple[Tensor, Selection] | None = None  # (positions before, selection) of the chunk in flight

    @property
    def keys(self) -> Tensor:
        """The history's keys before RoPE [B, n, heads, head_dim]."""
        return self.slots[:, : self.tokens]

    def as_rows(self, x: Tensor) -> Tensor:
        """[B, m, heads, head_dim] of a pass -> [B * rows, m, heads / rows, head_dim] as it is kept here."""
        return x if self.rows == 1 else x.transpose(1, 2).flatten(0, 1).unsqueeze(2)

    def as_heads(self, x: Tensor) -> Tensor:
        """The way back from `as_rows`."""
        return x if self.rows == 1 else x.squeeze(2).unflatten(0, (-1, self.rows)).transpose(1, 2)

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
        if self.whole_queries:
            self.queries = queries
        if self.sample is not None:
            self.sampled = queries[:, self.sample]
        return self.reading

    def keep(self, selection: Selection) -> None:
        """Drop every token that the selection leaves out."""
        self.dropped = (self.positions, selection)
        if selection.chosen is not None:
            self.reused = self.reused + selection.chosen
        index = selection.indices
        self.slots, self.values, self.positions = (_taken(x, index) for x in (self.slots, self.values, self.positions))
        self.reused, self.valid = self.reused.gather(1, index), selection.valid
        if self.received is not None:
            self.received = self.received.gather(1, index)
        self.tokens = index.shape[1]

    def make_room(self, tokens: int) -> None:
        """Slots for a chunk of that many tokens, after the history."""
        self.slots, self.values = _with_room(self.slots, tokens), _with_room(self.values, tokens)

    def receive(self) -> None:
        """Add up what each token, the chunk's own included, got of the latest pass's attention."""
        reading, m = self.reading, self.queries.shape[1]
        mask = None if reading.mask is None else reading.mask[:, 0, 0]
        mass = attention_mass(reading.keys, self.queries, mask).sum(1)  # [B, n + m]
        before = mass.new_zeros(mass.shape[0], self.tokens) if self.received is None else self.received
        whole = torch.arange(self.tokens, device=mass.device).expand_as(before)
        index = whole if reading.index is None else reading.index
        self.received = torch.cat((before.scatter_add(1, index, mass[:, :-m]), mass[:, -m:]), 1)

    def settle(self, positions: Tensor) -> None:
        """The chunk in the slots is clean, and history from now on; positions [B, m, 3]."""
        if self.reading.values is not self.values:
            own = slice(self.tokens, None)
            self.values[:, own] = self.reading.values[:, -positions.shape[1] :]
        self.tokens = self.slots.shape[1]
        self.positions = torch.cat((self.positions, positions), 1)
        self.reused = torch.cat((self.reused, torch.zeros_like(positions[..., 0])), 1)
        if self.valid is not None:
            self.valid = torch.cat((self.valid, torch.ones_like(positions[..., 0], dtype=torch.bool)), 1)
        self.reading = self.dropped = self.sampled = None


def _taken(x: Tensor, index: Tensor | None) -> Tensor:
    """x [B, n, ...] at index [B, k] -> [B, k, ...]; all of x without an index."""
    if index is None:
        return x
    return x.gather(1, index.view(*index.shape, *[1] * (x.dim() - 2)).expand(-1, -1, *x.shape[2:]))


def _with_room(x: Tensor, tokens: int) -> Tensor:
    return torch.cat((x, x.new_empty(x.shape[0], tokens, *x.shape[2:])), 1)


class KVCache:
    """The cache of one video, all layers; bounded by its policy however long the video gets."""

    def __init__(self, policy: Policy, geometry: Geometry, dims: RopeDims, heads: int, seed: int = 0) -> None:
        """heads: of the model's self-attention.

        Raises SettingsError when the policy cannot work with chunks of this geometry.
        """
        policy.check(geometry)
        self.policy, self.geometry, self.dims = policy, geometry, dims
        self.rows = heads if policy.heads_apart else 1  # of a layer's batch that are one video
        self.next_frame = 0
        self._new_prompt = False  # whether one begins with the chunk in flight
        self.probe: Probe | None = None
        self.layers: dict[int, LayerCache] = {}
        self._generator = torch.Generator().manual_seed(seed)

    def _chunk_grid(self, device: torch.device) -> Tensor:
        """(frame, row, column) of a chunk's tokens, frames from 0: int64 [m, 3]."""
        g = self.geometry
        axes = [torch.arange(size, device=device) for size in (g.chunk_frames, g.rows, g.columns)]
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

        queries (RoPE applied) and keys of the chunk's first pass, [B, m, heads, head_dim] `as_rows`: needed where the
        layer is still empty or the policy chooses by them.
        """
        if layer.slots is None:
            layer.begin(keys)
        if self._new_prompt and (selection := self.policy.at_new_prompt(self.view(layer, queries))):
            self._drop(layer, selection)
        if self.due(layer):
            self._drop(layer, self.policy.choose(self.view(layer, queries)))
        view = self.view(layer, queries)
        layer.reading = self._reading(layer, self.policy.read(view), self.policy.place(view))

    def _drop(self, layer: LayerCache, selection: Selection) -> None:
        layer.keep(selection)
        layer.fired_at = self.next_frame

    def _reading(self, layer: LayerCache, index: Tensor | None, time: Tensor) -> Reading:
        """Room for the chunk, and what it reads: the tokens at `index`, or all, turned to their time."""
        m, own = self.geometry.tokens_per_chunk, self._positions(layer)
        keys, values, positions = (_taken(x, index) for x in (layer.keys, layer.values, layer.positions))
        turned = _with_room(self._turned(keys, positions, time), m)
        layer.make_room(m)
        values = layer.values if index is None else _with_room(values, m)
        frames, mask = torch.cat((positions[..., 0], own[..., 0]), 1), None
        if layer.valid is not None:
            mask = torch.nn.functional.pad(_taken(layer.valid, index), (0, m), value=True)[:, None, None]
        return Reading(turned, values, mask, frames, time, index, layer.rows)

    def begin_prompt(self) -> None:
        """The chunk in flight is the first with a new prompt; to be said before its first pass."""
        self._new_prompt = self.next_frame > 0

    def advance(self) -> None:
        """The pass just done was the clean one: the chunk in flight is history, and the next one begins."""
        self._new_prompt = False
        for layer in self.layers.values():
            if self.policy.sums_attention:
                layer.receive()
            layer.past.remember(self.next_frame, layer.query_sums, layer.queries)
            layer.settle(self._positions(layer))
        self.next_frame += self.geometry.chunk_frames

    def due(self, layer: LayerCache) -> bool:
        """Whether the policy must choose before the chunk in flight can be read."""
        return self.policy.due(layer.tokens / self.geometry.tokens_per_frame, self.geometry)

    @property
    def tokens(self) -> int:
        """Tokens held, summed over layers (one row of the batch); by each head, where heads are kept apart."""
        return sum(layer.tokens for layer in self.layers.values())

    @property
    def bytes(self) -> int:
        """Memory of the keys and values held, the chunk in flight left out."""
        held = [t[:, : layer.tokens] for layer in self.layers.values() for t in (layer.slots, layer.values)]
        return sum(t.numel() * t.element_size() for t in held)

    def _held(self, layers: int, device: torch.device) -> list[LayerCache]:
        if not self.layers:
            self._grid = self._chunk_grid(device)  # there, not brought there: a CUDA graph may be recording
            rotation = rotation_3d(*self._grid.unbind(-1), self.dims)
            self.layers = {i: self._new_layer(rotation) for i in range(layers)}
        return list(self.layers.values())

    def _new_layer(self, rotation: Rotation) -> LayerCache:
        past = PastQueries(self.dims, self.policy.window, self.policy.query_frames)
        whole = self.policy.query_frames > 0 or self.policy.sums_attention
        return LayerCache(rotation, past, self.geometry.chunk_frames, self.rows, whole)

    def _waits(self, layer: LayerCache) -> bool:
        return self.policy.asks_queries and self.due(layer)

    def _positions(self, layer: LayerCache) -> Tensor:
        frames, cells = self._grid.split((1, 2), 1)
        return torch.cat((frames + self.next_frame, cells), 1).expand(layer.slots.shape[0], -1, -1)

    def view(self, layer: LayerCache, queries: Tensor | None) -> CacheView:
        """What the policy may look at of this layer; queries: as for `open`."""
        return CacheView(
            frames=layer.positions[..., 0],
            valid=layer.valid,
            reused=layer.reused,
            next_frame=self.next_frame,
            fired_at=layer.fired_at,
            geometry=self.geometry,
            unturned=layer.keys,
            received=layer.received,
            keys=lambda tokens, time: self._turned(layer.keys[:, tokens], layer.positions[:, tokens], time),
            queries=lambda whose, recent: self._query_sum(layer, queries, whose, recent),
            single_queries=lambda whose, recent: self._single_queries(layer, queries, whose, recent),
            generator=self._generator,
        )

    def _turned(self, keys: Tensor, positions: Tensor, time: Tensor) -> Tensor:
        """Keys with RoPE, at these rows and columns, and at `time` instead of their own frame."""
        _, row, column = positions.unbind(-1)
        return dynamic_temporal_rope(spatial_rope(keys, row, column, self.dims), time, self.dims)

    def _query_sum(self, layer: LayerCache, queries: Tensor | None, whose: str, recent: int) -> Tensor:
        """Sum of RoPE'd queries [B, heads, head_dim]: the chunk's, those of clean frames in `recent`, or both."""
        parts = [] if whose == "past" else [self._asked(queries).float().sum(1)]
        if whose != "current":
            parts += layer.past.sums(self._since(recent), self.next_frame)
        return torch.stack(parts).sum(0)

    def _single_queries(self, layer: LayerCache, queries: Tensor | None, whose: str, recent: int) -> Tensor:
        """The queries that `_query_sum` sums, one by one, in float32: [B, q, heads, head_dim]."""
        parts = [] if whose == "past" else [self._asked(queries).float()]
        if whose != "current":
            parts += layer.past.singles(self._since(recent), self.next_frame)
        return torch.cat(parts, 1)

    def _asked(self, queries: Tensor | None) -> Tensor:
        if queries is None:
            raise RuntimeError(f"{self.policy.name} asks for the chunk's queries: its `asks_queries` must be True")
        return queries

    def _since(self, recent: int) -> int:
        return self.next_frame + self.geometry.chunk_frames - recent
