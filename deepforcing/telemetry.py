"""From the cache's tensors to the numpy arrays of events."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from .events import CacheState, Compression
from .kv_cache import KVCache, LayerCache


def roles_of(frames: np.ndarray, cache: KVCache) -> tuple[str, ...]:
    """The role of each of the cache's latent frames for the chunk in flight: 'sink', 'top-C', 'recent' or 'current'."""
    fired_at = max((layer.fired_at or 0 for layer in cache.layers.values()), default=0) or None
    recent = cache.policy.recent_from(fired_at, cache.geometry)

    def role(frame: int) -> str:
        if frame >= cache.next_frame:
            return "current"
        if frame < cache.policy.sink_frames:
            return "sink"
        return "recent" if frame >= recent else "top-C"

    return tuple(role(int(frame)) for frame in frames)


def cache_state(cache: KVCache) -> CacheState:
    """What the layers hold for the chunk in flight; call it between the chunk's first pass and its clean pass."""
    layers = [_first_video(layer, layer.positions).T for layer in cache.layers.values()]
    frames = np.unique(np.concatenate([frame for frame, _, _ in layers])) if layers else np.empty(0, np.int64)
    kept = np.zeros(_grid_shape(cache, len(layers), len(frames)), bool)
    time = np.full((len(layers), len(frames)), np.nan, np.float32)
    for i, (layer, (frame, row, column)) in enumerate(zip(cache.layers.values(), layers, strict=True)):
        kept[i, np.searchsorted(frames, frame), row, column] = True
        read, when = _read(layer)
        slot = np.searchsorted(frames, read)
        count = np.bincount(slot, minlength=len(frames))
        total = np.bincount(slot, when, len(frames))
        np.divide(total, count, out=time[i], where=count > 0, casting="same_kind")
    roles = roles_of(frames, cache)
    return CacheState(frames + cache.origin, kept, roles, time, cache.tokens, cache.bytes, cache.origin)


def compression(cache: KVCache) -> Compression | None:
    """What compression chose for the chunk in flight; None when it did not fire, or chose without scores."""
    fired = [layer for layer in cache.layers.values() if layer.dropped and layer.dropped[1].chosen is not None]
    if not fired:
        return None
    contests = [_contest(layer) for layer in fired]
    frames = np.unique(np.concatenate([positions[:, 0] for positions, _, _ in contests]))
    candidate = np.zeros(_grid_shape(cache, len(fired), len(frames)), bool)
    kept, scores = candidate.copy(), np.full(candidate.shape, np.nan, np.float32)
    for i, (positions, chosen, score) in enumerate(contests):
        at: Any = (i, np.searchsorted(frames, positions[:, 0]), positions[:, 1], positions[:, 2])
        candidate[at], scores[at] = True, 0
        np.add.at(scores, at, score)
        kept[tuple(index[chosen] for index in np.broadcast_arrays(*at))] = True
    return Compression(frames + cache.origin, candidate, kept, scores)


def _grid_shape(cache: KVCache, layers: int, frames: int) -> tuple[int, int, int, int]:
    return layers, frames, cache.geometry.rows, cache.geometry.columns


def _first_video(layer: LayerCache, values: torch.Tensor) -> np.ndarray:
    """The first video of the batch [tokens, ...], without padding; of all its heads where they are kept apart."""
    rows = values[: layer.rows]
    return (rows.flatten(0, 1) if layer.valid is None else rows[layer.valid[: layer.rows]]).cpu().numpy()


def _read(layer: LayerCache) -> tuple[np.ndarray, np.ndarray]:
    """Latent frame and time of the history's tokens that the first video reads."""
    reading, n = layer.reading, layer.reading.time.shape[1]
    frames, time = reading.frames[: layer.rows, :n], reading.time[: layer.rows]
    real = ... if reading.mask is None else reading.mask[: layer.rows, 0, 0, :n]
    return _numbers(frames[real]), _numbers(time[real])


def _contest(layer: LayerCache) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Candidates of the first video: positions [n, 3], whether chosen [n], scores [n]."""
    positions, selection = layer.dropped
    stood = selection.candidates[: layer.rows]
    chosen, scores = selection.chosen[: layer.rows][stood], selection.scores[: layer.rows][stood]
    return positions[: layer.rows][stood].cpu().numpy(), _numbers(chosen), _numbers(scores)


def _numbers(values: torch.Tensor) -> np.ndarray:
    return values.flatten().cpu().numpy()
