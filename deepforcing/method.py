"""The method as people first meet it: functions on plain tensors, for what the paper calls Deep Sink (section 3.2) and
Participative Compression (section 3.3; arXiv 2512.05081).

A cache is here a tensor [..., n, channels], as attention takes it, n tokens in temporal order. A token is whatever the
caller keeps: `window_size`, `sink` and `recent` count tokens, and positions are in whatever unit the caller counts time
in. In the pipeline both go by latent frames, and all arithmetic is the same: its policies and its cache call what these
functions call. `generate_long_video`, the fourth of them, is in `pipeline`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from .compression import choose_top_c, importance
from .config import SettingsError
from .policies import in_window_or_sink
from .rope import Rotation, sink_beside_window, temporal_rotation

Cache = TypeVar("Cache", Tensor, tuple[Tensor, Tensor])  # keys, or (keys, values), each [..., n, channels]


def sliding_window_with_sinks(kv_cache: Cache, window_size: int = 256, *, sink_ratio: float = 0.5) -> Cache:
    """Deep Sink: of `window_size` tokens, the first `sink_ratio` are sinks, kept for ever, the others the latest ones.

        cache = [K_1 .. K_S | K_(n - N + S + 1) .. K_n],   S = sink_ratio N

    kv_cache     keys [..., n, channels], or (keys, values); values may have another number of channels
    window_size  N, the most tokens that stay; a shorter cache stays whole
    sink_ratio   S / N; the paper finds 0.4 to 0.6 best (Fig. 5), and StreamingLLM's few sinks far too few

    Returns the same with min(n, window_size) tokens, in temporal order; no token twice. Raises SettingsError.
    """
    _check_whole("window_size", window_size, 1)
    _check_share("sink_ratio", sink_ratio)
    n = _tokens(kv_cache)
    keep = in_window_or_sink(
        torch.arange(n), next_frame=n, incoming=0, window=window_size, sink=round(sink_ratio * window_size)
    )
    index = keep.nonzero()[:, 0]
    return _each(kv_cache, lambda x: x.index_select(-2, index.to(x.device)))


def dynamic_temporal_rope(
    positions: Tensor,
    current_time: int,
    training_length: int,
    *,
    sink: int | None = None,
    channels: int = 44,
    theta: float = 10000.0,
) -> Rotation:
    """Deep Sink's temporal RoPE adjustment (Eq. 3-6): where in time tokens stand while the next ones are made.

        p' = p - t,              of the window
        p' = p - min(t, L),      of the sink (p < S): it stands at the window's far end, never further back
        angle_i = theta^(-2 i / channels) p'

    An angle is one position times one frequency, an outer product. Where the method is sketched as a matrix product of
    positions and frequencies, n by channels / 2 is what is meant. Only time is turned: a token's row and column stay.

    positions        [..., n], p: when each token was made; the first is at 0
    current_time     t: when the next ones are made
    training_length  L: how far back the model looked in training; Wan's 21 latent frames
    sink             S: positions below it are the sink's; None for half of L
    channels, theta  the channels of a head that carry time, 44 of Wan's 128, and the base of their frequencies

    Returns (cosines, sines), float32 [..., n, channels / 2]; `deepforcing.rope.rotate(keys[..., :channels], rotation)`
    turns keys [..., n, channels] by them. Raises SettingsError.
    """
    _check_whole("current_time", current_time, 0)
    _check_whole("training_length", training_length, 1)
    if channels < 2 or channels % 2:
        raise SettingsError(f"channels turn in pairs: their number must be even, not {channels!r}")
    first = training_length // 2 if sink is None else sink
    time = sink_beside_window(positions, current_time, training_length, first)
    cos, sin = temporal_rotation(time, channels, theta)
    return cos.squeeze(-2), sin.squeeze(-2)


def participative_compression(
    query: Tensor, kv_cache: Cache, sparsity: float = 0.8, *, sink: int = 0, recent: int = 0
) -> Cache:
    """Participative Compression (Eq. 7-11, Algorithm 1): of the middle keep what the latest queries attend to most.

        phi_j = sum over queries i, and heads, of q_i . k_j          for candidates j, neither sink nor recent
        cache = [sink | Top-C of phi, in temporal order | recent],   C = (1 - sparsity) x candidates

    query     [..., q, channels]: the latest queries, with RoPE applied
    kv_cache  keys [..., n, channels] with RoPE applied, or (keys, values). Leading dimensions are nothing, heads, or
              videos and heads; all heads of a video keep the same tokens, as in the authors' code
    sparsity  the share of the candidates that is dropped
    sink      S: so many first tokens always stay; recent: R, so many latest ones

    Returns the same with S + C + R tokens. No softmax: the paper's formula is the bare product, and a sum of products
    is the product with the summed queries. Raises SettingsError.
    """
    _check_share("sparsity", sparsity)
    _check_whole("sink", sink, 0)
    _check_whole("recent", recent, 0)
    keys = kv_cache if isinstance(kv_cache, Tensor) else kv_cache[0]
    n, leading = _tokens(kv_cache), keys.shape[:-2]
    if len(leading) > 2 or query.ndim != keys.ndim or query.shape[:-2] != leading or query.shape[-1] != keys.shape[-1]:
        raise SettingsError(
            f"queries {list(query.shape)} and keys {list(keys.shape)} must be [tokens, channels], with heads, or "
            "videos and heads, before, alike in all but the tokens"
        )
    if sink + recent > n:
        raise SettingsError(f"sink {sink} and recent {recent} are more than the {n} tokens that there are")
    index = _participants(query, keys, round((1 - sparsity) * (n - sink - recent)), sink, recent)
    return _each(kv_cache, lambda x: _taken(x, index))


def _participants(query: Tensor, keys: Tensor, count: int, sink: int, recent: int) -> Tensor:
    """Which tokens stay, for each video: int64 [B, k], ascending."""
    query, keys = _as_videos(query).transpose(1, 2), _as_videos(keys).transpose(1, 2)
    rows, n = keys.shape[:2]
    place = torch.arange(n, device=keys.device).expand(rows, -1)
    candidates = (place >= sink) & (place < n - recent)
    top = choose_top_c(importance(keys, query.sum(1)), candidates, count)
    return torch.cat((place[:, :sink], top.indices, place[:, n - recent :]), 1)


def _taken(x: Tensor, index: Tensor) -> Tensor:
    """x [..., n, channels] at each video's own index [B, k]."""
    videos = _as_videos(x)
    taken = videos.gather(2, index[:, None, :, None].expand(-1, videos.shape[1], -1, x.shape[-1]))
    return taken.reshape(*x.shape[:-2], *taken.shape[2:])


def _as_videos(x: Tensor) -> Tensor:
    """x [..., n, channels] -> [videos, heads, n, channels], one where there is no such dimension."""
    return x[(None,) * (4 - x.ndim)]


def _tokens(kv_cache: Cache) -> int:
    """How many there are. Raises SettingsError unless it is a cache."""
    parts: tuple[Tensor, ...] = (kv_cache,) if isinstance(kv_cache, Tensor) else tuple(kv_cache)
    if not all(isinstance(part, Tensor) and part.ndim >= 2 for part in parts) or len(parts) > 2 or not parts:
        raise SettingsError("a cache is a tensor [..., tokens, channels], or a pair of them: keys and values")
    if parts[0].shape[:-1] != parts[-1].shape[:-1]:
        shapes = f"keys {list(parts[0].shape)} and values {list(parts[-1].shape)}"
        raise SettingsError(f"{shapes} are not of the same tokens")
    return parts[0].shape[-2]


def _each(kv_cache: Cache, change: Callable[[Tensor], Tensor]) -> Cache:
    return change(kv_cache) if isinstance(kv_cache, Tensor) else (change(kv_cache[0]), change(kv_cache[1]))


def _check_share(name: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise SettingsError(f"{name} must be a number from 0 to 1, not {value!r}")


def _check_whole(name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SettingsError(f"{name} must be a whole number of at least {least}, not {value!r}")
