"""The KV cache: keys as the model made them, before RoPE, with the place in the video that each token came from.

RoPE is applied when a chunk begins to read, at the temporal positions that the policy assigns, and kept for the chunk's
later passes. Nothing is ever rotated twice, so nothing drifts, and positions count from the chunk in flight, so there
is no longest video. While a chunk is denoised its history is read-only: each pass overwrites the chunk's own slots, and
`advance`, after the clean pass, makes them history. Where the policy has a chunk encoded anew, a second clean pass
overwrites them once more, and what the first one made is put aside until the next chunk is finished.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from .compression import attention_mass
from .config import Geometry
from .eight_bit import EightBits
from .past_queries import PastQueries
from .policies import CacheView, Policy, Selection
from .rope import RopeDims, Rotation, rotate, rotate_into, rotation_3d, spatial_rope
from .token_buffer import TokenBuffer

CLEAN = -1  # the `step` of the pass over finished latents
AGAIN = -2  # the same, of the pass that encodes them anew


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

        `step`: denoising step, -1 for the clean pass, -2 for a second one.
        """

    def observe(self, layer: int, queries: Tensor, reading: Reading) -> None:
        """The sampled queries [B, s, heads, head_dim] with RoPE, once the pass is done."""


class LayerCache:
    """The tokens that one layer holds: history, then slots for the chunk in flight while there is one.

    It is *open* while a chunk reads it. What a pass does to it is `write`, tensors in and tensors out, so that a
    compiled block holds it whole; opening, dropping and settling happen between passes or in eager ones. Whatever a
    pass reads or writes lies in memory that does not move from chunk to chunk: a CUDA graph that was recorded of one
    pass can stand for all that read as many tokens. `positions` int64 [B, n, 3] are the history's (latent frame, row,
    column).

    Heads that keep tokens of their own are rows of the batch here, with one head each: `rows` of them are one video.
    """

    def __init__(self, policy: Policy, geometry: Geometry, dims: RopeDims, rotation: Rotation, rows: int) -> None:
        """rotation: RoPE of the chunk in flight, the same for every chunk, layer and pass."""
        self.geometry, self.dims, self.rotation, self.rows = geometry, dims, rotation, rows
        self.made_for = policy  # its memory, and the queries that it keeps
        self.past = PastQueries(dims, policy.window, policy.query_frames)
        self.tokens = 0
        self.fired_at: int | None = None  # first frame of the latest chunk that dropped tokens
        self.alone = False  # whether the pass in flight attends to its own tokens only
        self.sample: Tensor | None = None  # which queries a probe wants of the pass in flight
        self._room = policy.window * geometry.tokens_per_frame
        self._whole_queries = policy.query_frames > 0 or policy.sums_attention
        self.valid: Tensor | None = None
        self.received: Tensor | None = None  # attention of clean passes so far, float32 [B, n], where it is summed
        self.changed: Tensor | None = None  # of each token, float32 [B, n], where predictions are compared
        self.dropped: tuple[Tensor, Selection] | None = None  # (positions before, selection) of the chunk in flight
        self.release()

    def release(self) -> None:
        """Let go of keys, values and queries; what is known of the tokens stays."""
        self._keys: TokenBuffer | None = None  # of the history, before RoPE
        self._values: TokenBuffer | None = None
        self._turned: TokenBuffer | None = None  # keys and values as they are read, and which may be
        self._read: TokenBuffer | None = None
        self._mask: TokenBuffer | None = None
        self.slots: Tensor | None = None  # keys before RoPE, the chunk's own last: [B, n + chunk, heads, head_dim]
        self.reading: Reading | None = None
        self.in_8_bits: EightBits | None = None  # the same in 8 bits, where that is wanted and can be
        self._eight_bits: EightBits | None = None  # its memory, from chunk to chunk
        self.query_sums: Tensor | None = None  # of the latest pass, by frame: [B, chunk_frames, heads, head_dim]
        self.queries: Tensor | None = None  # of the latest pass, whole: [B, m, heads, head_dim], RoPE applied
        self.sampled: Tensor | None = None  # the queries that a probe wanted of the latest pass
        self.aside: tuple[Tensor, Tensor, Tensor] | None = None  # positions, keys, values, see `put_aside`

    @property
    def begun(self) -> bool:
        """Whether it has memory; without, its first chunk has not come yet."""
        return self._keys is not None

    @property
    def keys(self) -> Tensor:
        """The history's keys before RoPE [B, n, heads, head_dim]."""
        return self._keys.first(self.tokens)

    @property
    def values(self) -> Tensor:
        """The history's values [B, n, heads, head_dim]."""
        return self._values.first(self.tokens)

    @property
    def touched(self) -> tuple[Tensor | None, ...]:
        """All that a pass over an open layer reads and writes here."""
        read = self.reading
        sampling = (None, None) if self.sample is None else (self.sample, self.sampled)
        rounded = () if self.in_8_bits is None else self.in_8_bits.touched
        exact = self.slots, read.keys, read.values, read.mask, self.query_sums, self.queries
        return *exact, *self.rotation, *sampling, *rounded

    def as_rows(self, x: Tensor) -> Tensor:
        """[B, m, heads, head_dim] of a pass -> [B * rows, m, heads / rows, head_dim] as it is kept here."""
        return x if self.rows == 1 else x.transpose(1, 2).flatten(0, 1).unsqueeze(2)

    def as_heads(self, x: Tensor) -> Tensor:
        """The way back from `as_rows`."""
        return x if self.rows == 1 else x.squeeze(2).unflatten(0, (-1, self.rows)).transpose(1, 2)

    def begin(self, template: Tensor) -> None:
        """Start empty; template: the first keys [B, m, heads, head_dim], for batch, heads, dtype and device."""
        self._keys, self._values, self._turned = (TokenBuffer(template, self._room) for _ in range(3))
        self.positions = torch.empty(len(template), 0, 3, dtype=torch.int64, device=template.device)
        self.reused = self.positions[..., 0]
        by_frame = template.unflatten(1, (self.geometry.chunk_frames, -1))
        self.query_sums = torch.empty_like(by_frame[:, :, 0], dtype=torch.float32)
        self.queries = torch.empty_like(template) if self._whole_queries else None
        self.watch(self.sample)

    def watch(self, sample: Tensor | None) -> None:
        """Which queries of the passes to come are wanted by a probe: int64 [s]."""
        self.sample = sample
        if sample is not None and self.begun and (self.sampled is None or self.sampled.shape[1] != len(sample)):
            self.sampled = self._keys.first(len(sample)).clone()

    def write(self, queries: Tensor, keys: Tensor, values: Tensor) -> Reading:
        """One pass's own tokens [B, m, heads, head_dim] into the chunk's slots; history is not touched.

        queries with RoPE, keys without.
        """
        own = slice(-keys.shape[1], None)
        self.slots[:, own], self.reading.values[:, own] = keys, values
        turned = rotate_into(self.reading.keys[:, own], keys, self.rotation)
        if self.in_8_bits is not None:
            self.in_8_bits.write(turned, values)
        self.query_sums.copy_(queries.float().unflatten(1, (self.geometry.chunk_frames, -1)).sum(2))
        if self.queries is not None:
            self.queries.copy_(queries)
        if self.sample is not None:
            self.sampled.copy_(queries[:, self.sample])
        return self._own(own) if self.alone else self.reading

    def _own(self, own: slice) -> Reading:
        """Of what is read, the chunk's own part; none of it is padding."""
        read = self.reading
        return Reading(read.keys[:, own], read.values[:, own], None, read.frames[:, own], read.time[:, :0])

    def keep(self, selection: Selection) -> None:
        """Drop every token that the selection leaves out."""
        self.dropped = self.positions, replace(selection, contents=None)  # they are held once
        if selection.chosen is not None:
            self.reused = self.reused + selection.chosen
        index = selection.indices
        if selection.contents is None:
            self._keys.keep(index)
            self._values.keep(index)
        else:
            self._keys.fill(selection.contents[0])
            self._values.fill(selection.contents[1])
        self.positions, self.reused = _taken(self.positions, index), self.reused.gather(1, index)
        self.valid = selection.valid
        if self.received is not None:
            self.received = self.received.gather(1, index)
        if self.changed is not None:
            self.changed = self.changed.gather(1, index)
        self.tokens = index.shape[1]

    def open(self, index: Tensor | None, time: Tensor, own: Tensor) -> None:
        """Room for a chunk at positions `own` [B, m, 3]; it reads the tokens at `index`, or all, turned to `time`."""
        keys, positions, self.in_8_bits = self.keys, self.positions, None
        if index is not None:
            keys, positions = self._keys.taken(index), _taken(positions, index)
        n, m = time.shape[1], own.shape[1]
        read = self._turned.first(n + m)
        read[:, :n] = turned(keys, positions, time, self.dims)
        self.slots = self._keys.first(self.tokens + m)
        values, mask = self._values_read(index, m), self._mask_of(index, m)
        frames = torch.cat((positions[..., 0], own[..., 0]), 1)
        self.reading = Reading(read, values, mask, frames, time, index, self.rows)

    def put_aside(self, positions: Tensor) -> None:
        """Hold what the pass just done has made of the chunk's own tokens, at positions [B, m, 3], for `put_back`."""
        own = slice(-positions.shape[1], None)
        self.aside = positions, self.slots[:, own].clone(), self.reading.values[:, own].clone()

    def put_back(self) -> None:
        """What was put aside takes its place at the end of the history, as far as its tokens are still there."""
        if self.aside is None:
            return
        positions, *contents = self.aside
        n = min(self.tokens, positions.shape[1])
        there, last = slice(self.tokens - n, None), slice(positions.shape[1] - n, None)
        same = (self.positions[:, there] == positions[:, last]).all(-1)[..., None, None]
        for held, made in zip((self.keys, self.values), contents, strict=True):
            held[:, there] = torch.where(same, made[:, last], held[:, there])
        self.aside = None

    def round(self) -> None:
        """Have what the chunk reads in 8 bits too, for all of its passes. A first chunk, which has no history, stays
        exact, and so does what is padded: no kernel knows both."""
        history = self.reading.time.shape[1]
        if history == 0 or self.reading.mask is not None:
            return
        self._eight_bits = self._eight_bits or EightBits(self.reading.keys, self._room)
        self._eight_bits.begin(self.reading.keys, self.reading.values, self.reading.keys.shape[1] - history)
        self.in_8_bits = self._eight_bits

    def receive(self) -> None:
        """Add up what each token, the chunk's own included, got of the latest pass's attention."""
        reading, m = self.reading, self.queries.shape[1]
        mask = None if reading.mask is None else reading.mask[:, 0, 0]
        mass = attention_mass(reading.keys, self.queries, mask).sum(1)  # [B, n + m]
        before = mass.new_zeros(mass.shape[0], self.tokens) if self.received is None else self.received
        whole = torch.arange(self.tokens, device=mass.device).expand_as(before)
        index = whole if reading.index is None else reading.index
        self.received = torch.cat((before.scatter_add(1, index, mass[:, :-m]), mass[:, -m:]), 1)

    def learn(self, changed: Tensor) -> None:
        """How much predictions of the chunk's own tokens changed, float32 [videos, m]."""
        own = changed.repeat_interleave(self.rows, 0)
        self.changed = own if self.changed is None else torch.cat((self.changed, own), 1)

    def settle(self, positions: Tensor) -> None:
        """The chunk in the slots is clean, and history from now on; positions [B, m, 3]."""
        m = positions.shape[1]
        if self.reading.index is not None:
            self._values.first(self.tokens + m)[:, -m:] = self.reading.values[:, -m:]
        self.tokens += m
        self.positions = torch.cat((self.positions, positions), 1)
        self.reused = torch.cat((self.reused, torch.zeros_like(positions[..., 0])), 1)
        if self.valid is not None:
            self.valid = torch.cat((self.valid, torch.ones_like(positions[..., 0], dtype=torch.bool)), 1)
        self.slots = self.reading = self.dropped = self.in_8_bits = None

    def _values_read(self, index: Tensor | None, room: int) -> Tensor:
        """The values at `index`, with room for a chunk; where all are read, they are not held twice."""
        if index is None:
            return self._values.first(self.tokens + room)
        self._read = self._read or TokenBuffer(self.values)
        read = self._read.first(index.shape[1] + room)
        read[:, : index.shape[1]] = self._values.taken(index)
        return read

    def _mask_of(self, index: Tensor | None, room: int) -> Tensor | None:
        if self.valid is None:
            return None
        self._mask = self._mask or TokenBuffer(self.valid, self._room)
        valid = self.valid if index is None else self.valid.gather(1, index)
        mask = self._mask.first(valid.shape[1] + room)
        mask[:, : valid.shape[1]], mask[:, valid.shape[1] :] = valid, True
        return mask[:, None, None]


def turned(keys: Tensor, positions: Tensor, time: Tensor, dims: RopeDims) -> Tensor:
    """Keys [B, n, heads, head_dim] with RoPE, at their rows and columns, and at `time` [B, n], not their frame."""
    _, row, column = positions.unbind(-1)
    return rotate(keys, rotation_3d(time, row, column, dims))


def _taken(x: Tensor, index: Tensor) -> Tensor:
    """x [B, n, 3] at index [B, k] -> [B, k, 3]."""
    return x.gather(1, index[..., None].expand(-1, -1, x.shape[2]))


class KVCache:
    """The cache of one video, or of one scene of it, all layers; bounded by its policy however long the video gets.

    All frames here count from the cache's own first one; events count from the video's, `origin` frames earlier.
    """

    def __init__(
        self, policy: Policy, geometry: Geometry, dims: RopeDims, heads: int, seed: int = 0, origin: int = 0
    ) -> None:
        """heads: of the model's self-attention. origin: latent frames that the video has before this cache's first.

        Raises SettingsError when the policy cannot work with chunks of this geometry.
        """
        policy.check(geometry)
        self.policy, self.geometry, self.dims = policy, geometry, dims
        self.heads, self.seed, self.origin = heads, seed, origin
        self.rows = heads if policy.heads_apart else 1  # of a layer's batch that are one video
        self.next_frame = 0
        self._new_prompt = False  # whether one begins with the chunk in flight
        self.probe: Probe | None = None
        self.in_8_bits = False  # whether layers that are opened from now on are read in 8 bits
        self.layers: dict[int, LayerCache] = {}
        self._wanted: Tensor | None = None
        self._prediction: Tensor | None = None  # of the chunk in flight, the latest
        self._changed: Tensor | None = None  # of each of its tokens, float32 [videos, m]
        self._generator = torch.Generator().manual_seed(seed)

    def anew(self, policy: Policy) -> KVCache:
        """An empty cache for the same video from here on: its first frames are those that come next.

        Raises SettingsError as `__init__` does.
        """
        origin = self.origin + self.next_frame
        return KVCache(policy, self.geometry, self.dims, self.heads, self.seed, origin)

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
        sample = self._sample(step, device)
        for layer in held:
            layer.watch(sample)
            layer.alone = step == CLEAN and self.policy.clean_alone
            if layer.reading is None and layer.begun and not self._waits(layer):
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
        if not layer.begun:
            layer.begin(keys)
        if self._new_prompt and (selection := self.policy.at_new_prompt(self.view(layer, queries))):
            self._drop(layer, selection)
        if self.due(layer):
            self._drop(layer, self.policy.choose(self.view(layer, queries)))
        view = self.view(layer, queries)
        self._open(layer, self.policy.read(view), self.policy.place(view))

    def open_again(self) -> bool:
        """Between the clean pass and `advance`: whether the policy has the chunk encoded anew. Each layer is then open
        for that pass, and reads its context. A video's first chunk has none."""
        for layer in self.layers.values():
            layer.put_back()
        if not self.policy.context_frames or self.next_frame == 0:
            return False
        for layer in self.layers.values():
            layer.put_aside(self._positions(layer))
            view = self.view(layer, None)
            index = self.policy.context(view)
            self._open(layer, index, self.policy.place(view).gather(1, index))
        return True

    def _open(self, layer: LayerCache, index: Tensor | None, time: Tensor) -> None:
        layer.open(index, time, self._positions(layer))
        if self.in_8_bits:
            layer.round()

    def _drop(self, layer: LayerCache, selection: Selection) -> None:
        layer.keep(selection)
        layer.fired_at = self.next_frame

    def begin_prompt(self) -> None:
        """The chunk in flight is the first with a new prompt; to be said before its first pass."""
        self._new_prompt = self.next_frame > 0

    def predicted(self, clean: Tensor) -> None:
        """What a denoising step predicts of the chunk's clean latents [B, channels, frames, height, width]: each token
        adds up the mean square of what changes of it from step to step."""
        before, self._prediction = self._prediction, clean.float()
        if before is None:
            return
        g = self.geometry
        changed = (self._prediction - before).square().mean(1)  # [B, frames, height, width]
        changed = adaptive_avg_pool2d(changed, (g.rows, g.columns)).flatten(1)
        self._changed = changed if self._changed is None else self._changed + changed

    def advance(self) -> None:
        """The pass just done was the clean one: the chunk in flight is history, and the next one begins."""
        self._new_prompt = False
        for layer in self.layers.values() if self.policy.compares_predictions else ():
            layer.learn(self._chunk_changed(layer))
        self._prediction = self._changed = None
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
        """Memory of the keys and values held, put aside or not; the chunk in flight left out."""
        layers = [layer for layer in self.layers.values() if layer.begun]
        held = [t for layer in layers for t in (layer.keys, layer.values, *(layer.aside or ())[1:])]
        return sum(t.numel() * t.element_size() for t in held)

    def _held(self, layers: int, device: torch.device) -> list[LayerCache]:
        if not self.layers:
            self._grid = self._chunk_grid(device)  # there, not brought there: a CUDA graph may be recording
            frame, row, column = self._grid.unbind(-1)
            rotation = rotation_3d(frame, row, column, self.dims)
            self.layers = {i: self._new_layer(rotation) for i in range(layers)}
        return list(self.layers.values())

    def _new_layer(self, rotation: Rotation) -> LayerCache:
        return LayerCache(self.policy, self.geometry, self.dims, rotation, self.rows)

    def _chunk_changed(self, layer: LayerCache) -> Tensor:
        """How much predictions of the chunk's tokens changed; nothing where there was no step but the clean pass."""
        if self._changed is not None:
            return self._changed
        videos = len(layer.positions) // self.rows
        return torch.zeros(videos, self.geometry.tokens_per_chunk, device=layer.positions.device)

    def _sample(self, step: int, device: torch.device) -> Tensor | None:
        """Which queries the probe wants of this pass; equal wishes are told in the same memory."""
        wanted = self.probe.sample(step, self.geometry.tokens_per_chunk) if self.probe else None
        if wanted is not None and (self._wanted is None or len(self._wanted) != len(wanted)):
            self._wanted = wanted.to(device, copy=True)
        return None if wanted is None else self._wanted.copy_(wanted)

    def _waits(self, layer: LayerCache) -> bool:
        return self.policy.asks_queries and self.due(layer)

    def _positions(self, layer: LayerCache) -> Tensor:
        frames, cells = self._grid.split((1, 2), 1)
        return torch.cat((frames + self.next_frame, cells), 1).expand(len(layer.positions), -1, -1)

    def view(self, layer: LayerCache, queries: Tensor | None) -> CacheView:
        """What the policy may look at of this layer; queries: as for `open`."""
        return CacheView(
            frames=layer.positions[..., 0],
            cells=layer.positions[..., 1:],
            valid=layer.valid,
            reused=layer.reused,
            next_frame=self.next_frame,
            fired_at=layer.fired_at,
            geometry=self.geometry,
            unturned=layer.keys,
            received=layer.received,
            keys=lambda tokens, time: turned(layer.keys[:, tokens], layer.positions[:, tokens], time, self.dims),
            queries=lambda whose, recent: self._query_sum(layer, queries, whose, recent),
            single_queries=lambda whose, recent: self._single_queries(layer, queries, whose, recent),
            values=layer.values,
            changed=layer.changed,
            unturned_queries=lambda recent: self._unturned_queries(layer, recent),
            rotations=lambda time, row, column: rotation_3d(time, row, column, self.dims),
            generator=self._generator,
        )

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

    def _unturned_queries(self, layer: LayerCache, recent: int) -> Tensor:
        """The single queries of clean frames in `recent`, before RoPE."""
        row, column = self._grid[: self.geometry.tokens_per_frame, 1:].unbind(-1)
        untimed = layer.past.untimed(self._since(recent))
        return torch.cat([spatial_rope(queries, -row, -column, self.dims) for queries in untimed], 1)

    def _asked(self, queries: Tensor | None) -> Tensor:
        if queries is None:
            raise RuntimeError(f"{self.policy.name} asks for the chunk's queries: its `asks_queries` must be True")
        return queries

    def _since(self, recent: int) -> int:
        return self.next_frame + self.geometry.chunk_frames - recent
