"""Cache policies: which cached tokens a chunk may attend to, and where in time they stand.

A policy *chooses* (which tokens stay in the cache when it is full) and *places* (the temporal position of each kept
token, counted from the first frame of the chunk in flight). It holds settings and no state, so one object serves any
number of runs. A new policy is one class here and one line in `POLICIES`.

Windows, sinks, budgets are counted in latent frames and include the chunk in flight.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import ClassVar, Literal, Protocol, get_args, get_type_hints

import torch
from torch import Tensor

from .compression import importance, participative_compression
from .config import Geometry, SettingsError

Phase = Literal["released", "contiguous", "none"]
Queries = Literal["both", "past", "current"]
Score = Literal["attention", "inverted", "random", "oldest", "newest"]


@dataclass(frozen=True)
class CacheView:
    """What a policy may look at: one layer's cached tokens, in temporal order, just before a chunk is denoised.

    frames      int64 [B, n] latent frame of each token; valid bool [B, n], None when no row is padded
    reused      int64 [B, n] how often compression has chosen each token so far
    next_frame  first latent frame of the chunk in flight
    fired_at    `next_frame` of the latest chunk that compressed, None before
    keys        slice of tokens, their time [B, k] -> keys [B, k, heads, head_dim] with RoPE at those temporal positions
    queries     'both' | 'past' | 'current', recent -> summed queries [B, heads, head_dim], RoPE applied
    generator   the run's own randomness
    """

    frames: Tensor
    valid: Tensor | None
    reused: Tensor
    next_frame: int
    fired_at: int | None
    geometry: Geometry
    keys: Callable[[slice, Tensor], Tensor]
    queries: Callable[[str, int], Tensor]
    generator: torch.Generator

    @property
    def end_frame(self) -> int:
        """Past the last latent frame of the chunk in flight."""
        return self.next_frame + self.geometry.chunk_frames


@dataclass(frozen=True)
class Selection:
    """What stays: indices int64 [B, K] into the cache, ascending; `valid` marks padding; None where nothing is padded.

    chosen      bool [B, n] tokens that won a place by score; None when no scores were involved
    candidates  bool [B, n] and scores float32 [B, n] of that contest
    """

    indices: Tensor
    valid: Tensor | None = None
    chosen: Tensor | None = None
    candidates: Tensor | None = None
    scores: Tensor | None = None


class Policy(Protocol):
    """The seam between a run and its cache; see the module docstring. Implementations are frozen dataclasses."""

    name: ClassVar[str]
    summary: ClassVar[str]
    window: int

    @property
    def sink_frames(self) -> int:
        """First latent frames that are never dropped."""

    @property
    def asks_queries(self) -> bool:
        """Whether `choose` looks at the queries of the chunk in flight. It is then asked in the middle of the chunk's
        first pass, which therefore runs outside of compiled graphs; otherwise before that pass."""

    def check(self, geometry: Geometry) -> None:
        """Raise SettingsError when the settings cannot work with chunks of this size."""

    def recent_from(self, fired_at: int | None, geometry: Geometry) -> int:
        """First latent frame that counts as recent, given the first frame of the latest chunk that dropped tokens."""

    def due(self, cached: float, geometry: Geometry) -> bool:
        """Whether a chunk that finds `cached` latent frames' worth of tokens in the cache needs `choose`."""

    def choose(self, view: CacheView) -> Selection:
        """Which cached tokens stay. Called at a chunk's first denoising step, for each layer, when `due`."""

    def place(self, view: CacheView) -> Tensor:
        """Temporal position [B, n] of every cached token; the chunk in flight stands at 0, 1, 2 ..."""


def sliding_window_with_sinks(frames: Tensor, *, next_frame: int, incoming: int, window: int, sink: int = 0) -> Tensor:
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


def _whole(name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SettingsError(f"{name} must be a whole number of at least {least}, not {value!r}")


def _one_of(policy: Policy, name: str) -> None:
    value, allowed = getattr(policy, name), choices_of(type(policy), name)
    if value not in allowed:
        raise SettingsError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")


@dataclass(frozen=True)
class SlidingWindow:
    """Self Forcing's own cache: the last `window` frames, nothing else (arXiv 2506.08009)."""

    name: ClassVar[str] = "self-forcing"
    summary: ClassVar[str] = "Sliding window: the first frames are forgotten after five seconds, and the video drifts."
    window: int = 21

    def __post_init__(self) -> None:
        _whole("window", self.window, 1)

    @property
    def sink_frames(self) -> int:
        return 0

    @property
    def asks_queries(self) -> bool:
        return False

    def check(self, geometry: Geometry) -> None:
        if self.sink_frames + geometry.chunk_frames > self.window:
            raise SettingsError(
                f"sink {self.sink_frames} + a chunk of {geometry.chunk_frames} frames "
                f"exceed the window of {self.window}"
            )

    def recent_from(self, fired_at: int | None, geometry: Geometry) -> int:
        return self.sink_frames

    def due(self, cached: float, geometry: Geometry) -> bool:
        return cached + geometry.chunk_frames > self.window

    def choose(self, view: CacheView) -> Selection:
        g = view.geometry
        keep = sliding_window_with_sinks(
            view.frames, next_frame=view.next_frame, incoming=g.chunk_frames, window=self.window, sink=self.sink_frames
        )
        return Selection(kept_indices(keep, (self.window - g.chunk_frames) * g.tokens_per_frame))

    def place(self, view: CacheView) -> Tensor:
        return view.frames - view.next_frame


@dataclass(frozen=True)
class AttentionSink(SlidingWindow):
    """Keep the first frames, their phase untouched: StreamingLLM's idea, LongLive's setting (arXiv 2509.22622)."""

    name: ClassVar[str] = "attention-sink"
    summary: ClassVar[str] = "A few first frames stay, at their true distance in time."
    sink: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        _whole("sink", self.sink, 0)
        if self.sink >= self.window:
            raise SettingsError(f"sink {self.sink} fills the whole window of {self.window}")

    @property
    def sink_frames(self) -> int:
        return self.sink


@dataclass(frozen=True)
class DeepSink(AttentionSink):
    """Keep about half the window as sinks and move their phase with the timeline (arXiv 2512.05081, section 3.2).

    phase: `contiguous` puts the sink right before the recent frames (the paper's text); `released` starts it a window
    before the chunk, as the authors' code does, which is a chunk further back; `none` leaves it where it was.
    """

    name: ClassVar[str] = "deep-sink"
    summary: ClassVar[str] = "Half the window is pinned to the first frames, which travel along in time."
    sink: int = 10
    phase: Phase = "released"

    def __post_init__(self) -> None:
        super().__post_init__()
        _one_of(self, "phase")

    def place(self, view: CacheView) -> Tensor:
        true_time = view.frames - view.next_frame
        if self.phase == "none":
            return true_time
        reach = self.window if self.phase == "released" else self.window - view.geometry.chunk_frames
        return torch.where(view.frames < self.sink, view.frames - min(reach, view.next_frame), true_time)


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
        _whole("budget", self.budget, 1)
        _whole("recent", self.recent, 1)
        _whole("max_reuse", self.max_reuse, 0)
        _one_of(self, "queries")
        _one_of(self, "score")
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


POLICIES: dict[str, type[Policy]] = {
    policy.name: policy for policy in (SlidingWindow, AttentionSink, DeepSink, DeepForcing)
}


def make_policy(name: str, **settings) -> Policy:
    """Build a policy by its name; `settings` are its dataclass fields.

    Raises SettingsError for an unknown policy, a setting it does not have, or a combination that cannot work.
    """
    if name not in POLICIES:
        raise SettingsError(f"unknown policy {name!r}; there are {', '.join(POLICIES)}")
    known = [f.name for f in fields(POLICIES[name])]
    for setting in settings:
        if setting not in known:
            raise SettingsError(f"{name} has no setting {setting!r}; it has {', '.join(known)}")
    return POLICIES[name](**settings)


def choices_of(policy: type[Policy], setting: str) -> tuple[str, ...]:
    """The words that a setting may be; empty for a number. Raises KeyError for a setting that the policy lacks."""
    return get_args(get_type_hints(policy)[setting])


def settings_of(policy: Policy) -> dict:
    """The policy's settings as plain values, for titles, files and `make_policy`."""
    return asdict(policy)
