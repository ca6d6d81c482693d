"""What a policy sees, answers, and is.

Windows, sinks, budgets are counted in latent frames and include the chunk in flight.

What a chunk leaves in the cache is made by a clean pass that reads what the chunk read, or, with `clean_alone`, nothing
but the chunk. A policy with `context_frames` has each chunk encoded once more, by a second clean pass that reads what
its `context` says, and the next chunk, and no later one, reads that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from ..config import Geometry, SettingsError
from ..rope import Rotation


@dataclass(frozen=True)
class CacheView:
    """What a policy may look at: one layer's cached tokens, in temporal order, just before a chunk is denoised.

    B are the videos of a batch; where the policy keeps heads apart, B are all their heads, and `heads` below is 1.

    frames      int64 [B, n] latent frame of each token; valid bool [B, n], None when no row is padded
    cells       int64 [B, n, 2] its row and column
    reused      int64 [B, n] how often compression has chosen each token so far
    next_frame  first latent frame of the chunk in flight
    fired_at    `next_frame` of the latest chunk that compressed, None before
    unturned    [B, n, heads, head_dim] the keys as the model made them, before RoPE
    received    float32 [B, n] attention that each token has received from clean queries so far, those of its own chunk
                included, summed over queries and heads; None unless the policy `sums_attention`
    keys        slice of tokens, their time [B, k] -> keys [B, k, heads, head_dim] with RoPE at those temporal positions
    queries     'both' | 'past' | 'current', recent -> summed queries [B, heads, head_dim], RoPE applied
    single_queries  the same queries one by one [B, q, heads, head_dim], for policies with `query_frames`
    values      [B, n, heads, head_dim] the values
    changed     float32 [B, n] how much the prediction of each token's clean latents changed from step to step while it
                was denoised, see `KVCache.predicted`; None unless the policy `compares_predictions`
    unturned_queries  as single_queries, of the past: those before RoPE
    rotations   times, rows, columns [...] -> the RoPE of tokens there
    generator   the run's own randomness
    """

    frames: Tensor
    cells: Tensor
    valid: Tensor | None
    reused: Tensor
    next_frame: int
    fired_at: int | None
    geometry: Geometry
    unturned: Tensor
    received: Tensor | None
    keys: Callable[[slice, Tensor], Tensor]
    queries: Callable[[str, int], Tensor]
    single_queries: Callable[[str, int], Tensor]
    values: Tensor
    changed: Tensor | None
    unturned_queries: Callable[[int], Tensor]
    rotations: Callable[[Tensor, Tensor, Tensor], Rotation]
    generator: torch.Generator

    @property
    def end_frame(self) -> int:
        """Past the last latent frame of the chunk in flight."""
        return self.next_frame + self.geometry.chunk_frames


@dataclass(frozen=True)
class Selection:
    """What stays: indices int64 [B, K] into the cache, ascending; `valid` marks padding; None where nothing is padded.

    contents    keys before RoPE and values, each [B, K, heads, head_dim], that these tokens have from now on, edited or
                merged with others; None: their own
    chosen      bool [B, n] tokens that won a place by score; None when no scores were involved
    candidates  bool [B, n] and scores float32 [B, n] of that contest
    """

    indices: Tensor
    valid: Tensor | None = None
    contents: tuple[Tensor, Tensor] | None = None
    chosen: Tensor | None = None
    candidates: Tensor | None = None
    scores: Tensor | None = None


class Policy(Protocol):
    """The seam between a run and its cache; see the module docstring. Implementations are frozen dataclasses."""

    __dataclass_fields__: ClassVar[dict[str, Any]]
    name: ClassVar[str]
    summary: ClassVar[str]

    @property
    def window(self) -> int:
        """The most latent frames that are attended to, the chunk in flight included."""

    @property
    def sink_frames(self) -> int:
        """First latent frames that are never dropped."""

    @property
    def asks_queries(self) -> bool:
        """Whether `choose` looks at the queries of the chunk in flight. It is then asked in the middle of the chunk's
        first pass, which therefore runs outside of compiled graphs; otherwise before that pass."""

    @property
    def heads_apart(self) -> bool:
        """Whether each head keeps tokens of its own; otherwise all heads of a layer keep the same."""

    @property
    def query_frames(self) -> int:
        """The latest latent frames, chunk in flight included, of which `choose` looks at single queries; 0: none."""

    @property
    def read_frames(self) -> int:
        """The most latent frames of the past that a chunk reads where `read` does not leave it all of them; 0: it
        always does."""

    @property
    def sums_attention(self) -> bool:
        """Whether the cache shall sum up the attention that tokens receive. Costs another product of all queries and
        keys a chunk."""

    @property
    def compares_predictions(self) -> bool:
        """Whether the cache shall know how much the predictions of each token changed from step to step."""

    @property
    def clean_alone(self) -> bool:
        """Whether the clean pass attends to its own chunk only, so that what is cached depends on nothing before it."""

    @property
    def context_frames(self) -> int:
        """The most latent frames of the past that a finished chunk is encoded anew with, see `context`; 0: it is not,
        and a chunk takes one clean pass, not two."""

    def check(self, geometry: Geometry) -> None:
        """Raise SettingsError when the settings cannot work with chunks of this size."""

    def recent_from(self, fired_at: int | None, geometry: Geometry) -> int:
        """First latent frame that counts as recent, given the first frame of the latest chunk that dropped tokens."""

    def whole_from(self, next_frame: int, geometry: Geometry) -> int:
        """From which latent frame on `choose` needs all of the past, at the chunk that begins at `next_frame`; of older
        ones it needs the sink."""

    def due(self, cached: float, geometry: Geometry) -> bool:
        """Whether a chunk that finds `cached` latent frames' worth of tokens in the cache needs `choose`."""

    def choose(self, view: CacheView) -> Selection:
        """Which cached tokens stay. Called at a chunk's first denoising step, for each layer, when `due`."""

    def at_new_prompt(self, view: CacheView) -> Selection | None:
        """Which cached tokens stay when the chunk in flight is the first with a new prompt; None: all of them."""

    def read(self, view: CacheView) -> Tensor | None:
        """Which of the tokens that stay the chunk attends to: indices [B, r] into the cache, in any order, any number
        of times; None: all of them."""

    def context(self, view: CacheView) -> Tensor:
        """Which cached tokens a finished chunk is encoded anew with: indices [B, c] into the cache, which stand where
        `place` has them; c the same for all rows. Asked after the clean pass, for policies with `context_frames` that
        read all that they hold. What comes of that second clean pass is read by the next chunk alone; then what the
        first one made takes its place again. Such a policy keeps the latest chunk whole, or nothing of it."""

    def place(self, view: CacheView) -> Tensor:
        """Temporal position of every cached token that is read, [B, n] or [B, r]; the chunk in flight stands at
        0, 1, 2 ..."""


def in_window_or_sink(frames: Tensor, *, next_frame: int, incoming: int, window: int, sink: int = 0) -> Tensor:
    """Which cached tokens a window of `window` frames keeps when `incoming` new frames arrive.

    frames: int64 [...], the latent frame of each cached token. Kept are the first `sink` frames and the latest ones, so
    that sinks + latest + incoming fill the window; while the cache is short, everything is kept once and sinks do not
    overlap the latest. Returns bool [...]. Raises SettingsError when sinks leave no room for the incoming frames.
    """
    if sink + incoming > window:
        raise SettingsError(f"sink {sink} leaves no room for a chunk of {incoming} frames in a window of {window}")
    first_recent = next_frame + incoming - (window - sink)
    return (frames < sink) | (frames >= first_recent)


def kept_indices(keep: Tensor, count: int) -> Tensor:
    """Mask [B, n] with `count` tokens a row -> ascending indices [B, count], without waiting for the device."""
    n = keep.shape[1]
    position = torch.arange(n, device=keep.device).expand_as(keep)
    return position.masked_fill(~keep, n).sort(dim=1).values[:, :count]
