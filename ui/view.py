"""Fold events into messages for the browser: JSON-able, one a chunk; images encoded, arrays and masks packed."""

from __future__ import annotations

import base64
import io
import time

import numpy as np
from PIL import Image

from deepforcing import Chunk, Pipeline, StreamEnded, StreamStarted

WEBP_PIXELS = 256 * 256  # up to this size WebP is the better choice, above it JPEG encodes several times faster


def started_message(event: StreamStarted, pipeline: Pipeline) -> dict:
    """What the player needs to know before the first chunk.

    grid: rows and columns of tokens in a latent frame; stride: video frames a latent frame, the very first one has 1.
    """
    g = pipeline.geometry
    return {
        "kind": "started",
        "model": event.model,
        "prompt": event.prompt,
        "seed": str(event.seed),  # as text: JavaScript's numbers end at 2^53
        "policy": event.policy,
        "settings": event.settings,
        "fps": event.fps,
        "height": event.height,
        "width": event.width,
        "stride": pipeline.shape.time,
        "chunk_frames": g.chunk_frames,
        "grid": [g.rows, g.columns],
        "layers": pipeline.layers,
        "heads": pipeline.heads,
    }


def chunk_message(chunk: Chunk) -> dict:
    """Frames and telemetry of one chunk. `seconds` are measured; `encode` is the time spent here on the images."""
    began = time.perf_counter()
    frames = [encode_frame(frame) for frame in chunk.frames]
    encode = time.perf_counter() - began
    return {
        "kind": "chunk",
        "index": chunk.index,
        "first": chunk.first_frame,
        "latents": list(chunk.latent_frames),
        "prompt": chunk.prompt,
        "frames": frames,
        "seconds": {"dit": chunk.timings.dit, "decode": chunk.timings.decode, "encode": encode},
        "cache": _cache(chunk),
        "compression": _compression(chunk),
        "attention": _attention(chunk),
    }


def ended_message(event: StreamEnded) -> dict:
    return {"kind": "ended", "reason": event.reason, "chunks": event.chunks, "error": event.error}


def encode_frame(frame: np.ndarray) -> str:
    """uint8 [height, width, 3] -> base64 of a WebP or JPEG image; the browser tells them apart by their first bytes."""
    buffer = io.BytesIO()
    image = Image.fromarray(frame)
    if frame.shape[0] * frame.shape[1] <= WEBP_PIXELS:
        image.save(buffer, "WEBP", quality=92, method=2)
    else:
        image.save(buffer, "JPEG", quality=90)
    return _text(buffer.getvalue())


def pack_mask(mask: np.ndarray) -> str:
    """bool [...] -> base64 of its bits, row-major, first element in the highest bit."""
    return _text(np.packbits(mask.ravel()).tobytes())


def pack_shares(shares: np.ndarray) -> str:
    """Numbers 0..1 [...] -> base64 of little-endian uint16 in units of 1/65535."""
    return _text(np.rint(np.clip(shares, 0, 1) * 65535).astype("<u2").tobytes())


def _cache(chunk: Chunk) -> dict:
    cache = chunk.cache
    return {
        "frames": cache.frames.tolist(),
        "roles": list(cache.roles),
        "kept": pack_mask(cache.kept),
        "tokens": int(cache.tokens),
        "bytes": int(cache.bytes),
    }


def _compression(chunk: Chunk) -> dict | None:
    fired = chunk.compression
    if fired is None:
        return None
    return {"frames": fired.frames.tolist(), "candidate": pack_mask(fired.candidate), "kept": pack_mask(fired.kept)}


def _attention(chunk: Chunk) -> dict | None:
    attention = chunk.attention
    if attention is None:
        return None
    return {"frames": attention.frames.tolist(), "roles": list(attention.roles), "mass": pack_shares(attention.mass)}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
