"""What the panels need to know of a chunk, small enough for a slow network whatever the model's size.

The tiny model's masks take a few kilobytes. At 1560 tokens a frame and 30 layers all of them would take megabytes, so
a `Sample` says what is sent: the mean over all layers and heads, some single ones, and token maps of those frames that
hold the most tokens. The page says which.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np

from deepforcing import AttentionMass, CacheState, Geometry

MAP_BYTES = 48_000  # of a chunk's token maps before base64; with all else a chunk's panels stay below 150 kB
LEAST_MAPPED = 26  # frames with a map of their own that must fit: more layers are sampled only where there is room
MOST_FRAMES = 300  # whose tokens or attention are sent at all: after hours some hold a last few tokens
MOST_HEADS = 12
LEVELS = 15  # steps of brightness in a map that is a mean over layers


@dataclass(frozen=True)
class Sample:
    """Which layers and heads are sent one by one, besides the mean over all; and how many frames get a token map."""

    layers: tuple[int, ...]
    heads: tuple[int, ...]
    mapped: int

    @classmethod
    def of(cls, geometry: Geometry, layers: int, heads: int) -> Sample:
        """All of them when they fit into MAP_BYTES, else evenly spaced ones, the first and the last among them."""
        tokens = geometry.tokens_per_frame
        bits = 8 * MAP_BYTES / LEAST_MAPPED / tokens  # for one token of a mapped frame
        shown = spaced(layers, max(2, int(bits) - 4))
        return cls(shown, spaced(heads, MOST_HEADS), int(8 * MAP_BYTES / tokens / (4 + len(shown))))


def spaced(count: int, most: int) -> tuple[int, ...]:
    """At most `most` of the numbers below `count`, evenly spaced from the first to the last."""
    return tuple(dict.fromkeys(np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()))


def pack_cache(cache: CacheState, sample: Sample) -> dict:
    """What the cache holds. Rows are the mean over all layers, then the sampled layers one by one.

    alive    shares [rows, F] of each frame's tokens
    time     numbers [rows, F], where RoPE puts each frame's tokens, see `CacheState.time`; NaN where a row holds none
    maps     numbers, into `frames`, of the M frames whose maps follow: not those that every layer holds whole, and of
             the others those with the most tokens
    mean     levels [M, tokens], the share of layers that hold a token; kept: bits [sampled layers, M, tokens]
    left     how many frames are held in part and have no map; unlisted: how many of these are not in `frames` either
    """
    held = strongest(cache.kept.mean((0, 2, 3)), MOST_FRAMES)
    kept, layers = cache.kept[:, held], list(sample.layers)
    alive = kept.mean((2, 3))  # [layers, F]
    share = alive.mean(0)
    partial = np.flatnonzero(share < 1)
    maps = partial[strongest(share[partial], sample.mapped)]
    return {
        "frames": cache.frames[held].tolist(),
        "roles": [cache.roles[i] for i in held],
        "alive": pack_shares(np.concatenate((share[None], alive[layers]))),
        "time": pack_numbers(np.concatenate((mean_time(cache)[None, held], cache.time[np.ix_(layers, held)]))),
        "maps": maps.tolist(),
        "mean": pack_levels(kept[:, maps].mean(0)),
        "kept": pack_mask(kept[np.ix_(layers, maps)]),
        "left": len(cache.frames) - len(held) + len(partial) - len(maps),
        "unlisted": len(cache.frames) - len(held),
        "tokens": int(cache.tokens),
        "bytes": int(cache.bytes),
    }


def mean_time(cache: CacheState) -> np.ndarray:
    """Where RoPE puts each frame [F], mean over the layers that hold any of it."""
    return np.nanmean(cache.time, 0)


def pack_attention(attention: AttentionMass | None, sample: Sample) -> dict | None:
    """Attention mass as shares [1 + sampled layers, 1 + sampled heads, F]; row and column 0 are means over all."""
    if attention is None:
        return None
    seen = strongest(attention.mass.mean((0, 1)), MOST_FRAMES)
    layers = np.concatenate((attention.mass.mean(0, keepdims=True), attention.mass[list(sample.layers)]))
    mass = np.concatenate((layers.mean(1, keepdims=True), layers[:, list(sample.heads)]), 1)[..., seen]
    roles = [attention.roles[i] for i in seen]
    return {"frames": attention.frames[seen].tolist(), "roles": roles, "mass": pack_shares(mass)}


def strongest(weights: np.ndarray, most: int) -> np.ndarray:
    """Indices of the `most` largest weights [n], ascending."""
    return np.sort(np.argsort(-weights, kind="stable")[:most])


def pack_mask(mask: np.ndarray) -> str:
    """bool [...] -> base64 of its bits, row-major, first element in the highest bit."""
    return text(np.packbits(mask.ravel()).tobytes())


def pack_levels(shares: np.ndarray) -> str:
    """Numbers 0..1 [...] -> base64 of half-bytes in units of 1/15, the first in the higher half; only 0 becomes 0."""
    rounded = np.rint(np.clip(shares, 0, 1) * LEVELS)
    levels = np.maximum(rounded, shares > 0).astype(np.uint8).ravel()
    pairs = np.append(levels, np.zeros(len(levels) % 2, np.uint8)).reshape(-1, 2)
    return text((pairs[:, 0] << 4 | pairs[:, 1]).tobytes())


def pack_shares(shares: np.ndarray) -> str:
    """Numbers 0..1 [...] -> base64 of little-endian uint16 in units of 1/65535."""
    return text(np.rint(np.clip(shares, 0, 1) * 65535).astype("<u2").tobytes())


def pack_few(shares: np.ndarray) -> dict[str, str]:
    """Numbers 0..1 [...] of which many are 0 -> which are not, as bits, and these as shares, row-major."""
    return {"mask": pack_mask(shares > 0), "values": pack_shares(shares[shares > 0])}


def pack_numbers(values: np.ndarray) -> str:
    """Numbers [...] -> base64 of little-endian float32."""
    return text(values.astype("<f4").tobytes())


def text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
