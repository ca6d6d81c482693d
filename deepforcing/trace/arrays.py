"""A chunk's arrays as bytes (safetensors: no pickle), small: masks as bits, scores and attention in float16.

Names are `cache.frames` and so on, after the events; masks and scores are [layers, frames, ...]. A frame's tokens are
bits, row by row, the first one highest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ..events import AttentionMass, CacheState, Chunk, Compression, StreamStarted
from .fields import TraceError
from .index import ChunkFacts

MOST_LATENT_BYTES = 1 << 18  # of a chunk; a large model's would make a trace many times the video's size
ROLES = ("sink", "top-C", "recent", "current")  # their numbers in a file


def pack(chunk: Chunk) -> bytes:
    """What the chunk's cache state, compression and attention consist of, and its latents where they are small."""
    arrays = _pack_cache(chunk.cache)
    if chunk.compression is not None:
        arrays |= _pack_compression(chunk.compression)
    if chunk.attention is not None:
        arrays |= _pack_attention(chunk.attention)
    if chunk.latents is not None and chunk.latents.nbytes <= MOST_LATENT_BYTES:
        arrays["latents"] = chunk.latents
    return save({name: np.ascontiguousarray(array) for name, array in arrays.items()})


def unpack(data: bytes, started: StreamStarted, facts: ChunkFacts) -> dict[str, Any]:
    """The chunk's `cache`, `compression` and `attention`. Raises TraceError for arrays that do not fit the run."""
    try:
        arrays = _Arrays(load(data), started)
    except (SafetensorError, KeyError, TypeError, ValueError):
        raise TraceError("a chunk's arrays are damaged") from None
    first, end = facts.latent_frames
    return {
        "cache": _cache(arrays, first, facts),
        "compression": _compression(arrays, first) if arrays.has("compression.frames") else None,
        "attention": _attention(arrays, end) if arrays.has("attention.frames") else None,
        "latents": arrays.take("latents", np.float32, end - first, None, None, None) if arrays.has("latents") else None,
    }


def _pack_cache(cache: CacheState) -> dict[str, np.ndarray]:
    return {
        "cache.frames": cache.frames.astype(np.int32),
        "cache.roles": _numbers(cache.roles),
        "cache.kept": _bits(cache.kept),
        "cache.time": cache.time.astype(np.float32),
    }


def _pack_compression(fired: Compression) -> dict[str, np.ndarray]:
    """Scores are those of candidates only, in the mask's order, in units of their layer's largest, as float16 needs."""
    scores = np.where(fired.candidate, fired.scores, 0)
    unit = np.maximum(np.abs(scores).max((1, 2, 3), initial=0), 1e-30).astype(np.float32)
    return {
        "compression.frames": fired.frames.astype(np.int32),
        "compression.candidate": _bits(fired.candidate),
        "compression.kept": _bits(fired.kept),
        "compression.unit": unit,
        "compression.scores": (scores / unit[:, None, None, None])[fired.candidate].astype(np.float16),
    }


def _pack_attention(attention: AttentionMass) -> dict[str, np.ndarray]:
    return {
        "attention.frames": attention.frames.astype(np.int32),
        "attention.roles": _numbers(attention.roles),
        "attention.mass": attention.mass.astype(np.float16),
    }


class _Arrays:
    """Arrays by name, each checked as it is taken."""

    def __init__(self, arrays: dict[str, np.ndarray], started: StreamStarted) -> None:
        self._arrays, self._started = arrays, started

    def has(self, name: str) -> bool:
        return name in self._arrays

    def take(self, name: str, dtype: type, *shape: int | None) -> np.ndarray:
        """An array of this kind; None in `shape` allows any length."""
        array = self._arrays.get(name)
        fits = array is not None and array.dtype == dtype and array.ndim == len(shape)
        if not fits or any(want not in (None, got) for want, got in zip(shape, array.shape, strict=True)):
            raise TraceError(f"its {name} does not fit the run")
        return array

    def frames(self, name: str, end: int) -> np.ndarray:
        """Latent frames below `end`, ascending."""
        frames = self.take(name, np.int32, None).astype(np.int64)
        if len(frames) and (frames[0] < 0 or frames[-1] >= end or (np.diff(frames) <= 0).any()):
            raise TraceError(f"its {name} are not frames of the run")
        return frames

    def roles(self, name: str, count: int) -> tuple[str, ...]:
        numbers = self.take(name, np.uint8, count)
        if (numbers >= len(ROLES)).any():
            raise TraceError(f"its {name} are unknown")
        return tuple(ROLES[number] for number in numbers)

    def mask(self, name: str, frames: int, layers: int | None = None) -> np.ndarray:
        """bool [layers, frames, rows, columns]."""
        rows, columns = self._started.grid
        bits = self.take(name, np.uint8, layers, frames, -(-rows * columns // 8))
        if layers is None and not 0 < len(bits) <= self._started.layers:
            raise TraceError(f"its {name} does not fit the run")
        flat = np.unpackbits(bits, axis=-1, count=rows * columns).astype(bool)
        return flat.reshape(*bits.shape[:2], rows, columns)

    @property
    def layers(self) -> int:
        return self._started.layers

    @property
    def heads(self) -> int:
        return self._started.heads


def _cache(arrays: _Arrays, end: int, facts: ChunkFacts) -> CacheState:
    frames = arrays.frames("cache.frames", end)
    kept = arrays.mask("cache.kept", len(frames), arrays.layers)
    time = arrays.take("cache.time", np.float32, arrays.layers, len(frames))
    roles = arrays.roles("cache.roles", len(frames))
    return CacheState(frames, kept, roles, time, facts.tokens, facts.bytes, facts.origin)


def _compression(arrays: _Arrays, end: int) -> Compression:
    frames = arrays.frames("compression.frames", end)
    candidate = arrays.mask("compression.candidate", len(frames))
    kept = arrays.mask("compression.kept", len(frames), len(candidate))
    unit = arrays.take("compression.unit", np.float32, len(candidate))
    packed = arrays.take("compression.scores", np.float16, int(candidate.sum()))
    scores = np.full(candidate.shape, np.nan, np.float32)
    scores[candidate] = packed
    return Compression(frames, candidate, kept, scores * unit[:, None, None, None])


def _attention(arrays: _Arrays, end: int) -> AttentionMass:
    frames = arrays.frames("attention.frames", end)
    mass = arrays.take("attention.mass", np.float16, arrays.layers, arrays.heads, len(frames)).astype(np.float32)
    if not ((mass >= 0) & (mass <= 1.001)).all():
        raise TraceError("its attention.mass is not a share")
    return AttentionMass(frames, arrays.roles("attention.roles", len(frames)), mass)


def _numbers(roles: tuple[str, ...]) -> np.ndarray:
    return np.array([ROLES.index(role) for role in roles], np.uint8)


def _bits(mask: np.ndarray) -> np.ndarray:
    """bool [layers, frames, rows, columns] -> uint8 [layers, frames, bytes of a frame's tokens]."""
    layers, frames, rows, columns = mask.shape
    return np.packbits(mask.reshape(layers, frames, rows * columns), axis=-1)
