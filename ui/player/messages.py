"""Fold events into messages for the browser: JSON-able, one a chunk; images encoded, arrays and masks packed."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

import numpy as np
from PIL import Image

from deepforcing import Chunk, Geometry, SettingsChanged, StreamEnded, StreamStarted

from ..memory.packing import Sample, pack_attention, pack_cache, text
from ..memory.ranking import pack_contest, room_beside
from ..memory.rope_words import placement_words
from ..memory.sentence import told
from ..settings.breaks import broken_line

GONE = '{"gone": true, "messages": []}'  # for a player: what it asked for is not there any more
ELSEWHERE = "It goes on in another tab of yours."
WEBP_PIXELS = 256 * 256  # up to this size WebP is smaller and quick enough; above it JPEG encodes seven times faster

WEBP_QUALITIES = (92, 65, 35)  # bytes of a frame of the embedded model's: 1, 0.4, 0.3
JPEG_QUALITIES = (85, 60, 35)


@dataclass(frozen=True)
class Codec:
    """How a video's frames travel: MIME type, and what Pillow needs to make such an image."""

    mime: str
    name: str
    options: dict

    @classmethod
    def of(cls, height: int, width: int, quality: int = 0) -> Codec:
        """WebP for small frames, JPEG for large ones. quality: 0 is best, 2 for slow links."""
        if height * width <= WEBP_PIXELS:
            return cls("image/webp", "WEBP", {"quality": WEBP_QUALITIES[quality], "method": 2})
        return cls("image/jpeg", "JPEG", {"quality": JPEG_QUALITIES[quality]})

    def encode(self, frame: np.ndarray) -> str:
        """uint8 [height, width, 3] -> base64 of an image."""
        buffer = io.BytesIO()
        Image.fromarray(frame).save(buffer, self.name, **self.options)
        return text(buffer.getvalue())


def packet(messages: Iterable[dict]) -> str:
    """Messages as one value for the player: text, since Gradio sends only what changed in a value, and where lists in
    lists get shorter (6.31) what the page puts together is not what was sent."""
    return packet_of([json.dumps(message) for message in messages])


def packet_of(texts: list[str]) -> str:
    """As `packet`, of messages that are JSON already."""
    return f'{{"messages": [{", ".join(texts)}]}}'


def started_message(event: StreamStarted) -> dict:
    """What the player needs to know before the first chunk.

    grid: rows and columns of tokens in a latent frame; stride: video frames a latent frame, the very first one has 1.
    layers, heads: those that are sent one by one; `of` counts all of them. broken: see `breaks`.
    """
    sample = sample_of(event)
    return {
        "kind": "started",
        **asdict(event),
        "broken": broken_line(event),
        "seed": str(event.seed),  # as text: JavaScript's numbers end at 2^53
        "grid": list(event.grid),
        "layers": list(sample.layers),
        "heads": list(sample.heads),
        "of": {"layers": event.layers, "heads": event.heads},
    }


def with_change(started: StreamStarted, event: SettingsChanged) -> StreamStarted:
    """What the run is from then on."""
    run = {name: event.after[name] for name in ("policy", "switch", "steps") if name in event.after}
    own = {
        name: value
        for name, value in event.after.items()
        if name not in (*run, "probe", "scene") and not name.startswith("lora ")
    }
    return replace(started, settings=own if "policy" in run else {**started.settings, **own}, **run)


def changed_message(started: StreamStarted, event: SettingsChanged) -> dict:
    """started: with the change. chunk, first: the first chunk and video frame that have it; scene: whether the cache is
    empty for it."""
    latents = event.chunk * started.chunk_frames
    return {
        "kind": "changed",
        "chunk": event.chunk,
        "scene": "scene" in event.after,
        "first": 1 + started.stride * (latents - 1) if latents else 0,
        "words": event.words,
        "settings": started.settings,
        "policy": started.policy,
        "switch": started.switch,
        "broken": broken_line(started),
    }


def sample_of(event: StreamStarted) -> Sample:
    """What is sent of each chunk of this run."""
    return Sample.of(Geometry(*event.grid, event.chunk_frames), event.layers, event.heads)


def chunk_message(chunk: Chunk, sample: Sample, quality: int = 0) -> dict:
    """Frames and telemetry of one chunk. `seconds` are measured; `encode` is the time spent here on the images.

    compression: whether it fired for this chunk. What it threw away is the difference to the chunk before;
    contest: how it came to that. origin: where its scene began, see `CacheState`. quality: of the images, see `Codec`.
    """
    began = time.perf_counter()
    codec = Codec.of(*chunk.frames.shape[1:3], quality)
    frames = [codec.encode(frame) for frame in chunk.frames]
    encode = time.perf_counter() - began
    cache, attention = pack_cache(chunk.cache, sample), pack_attention(chunk.attention, sample)
    room = room_beside(cache, attention)
    return {
        "kind": "chunk",
        "index": chunk.index,
        "again": chunk.again,
        "first": chunk.first_frame,
        "latents": list(chunk.latent_frames),
        "origin": chunk.cache.origin,
        "prompt": chunk.prompt,
        "mime": codec.mime,
        "frames": frames,
        "seconds": {"dit": chunk.timings.dit, "decode": chunk.timings.decode, "encode": encode},
        "cache": cache,
        "told": told(chunk),
        "placement": placement_words(chunk.cache, chunk.latent_frames[0]),
        "compression": chunk.compression is not None,
        "contest": pack_contest(chunk.compression, sample, len(chunk.cache.kept), room),
        "attention": attention,
    }


def image_bytes(message: dict) -> int:
    """Size of a message's images, without base64's share."""
    return sum(len(image) for image in message.get("frames", ())) * 3 // 4


def ended_message(event: StreamEnded) -> dict:
    return {"kind": "ended", "reason": event.reason, "chunks": event.chunks, "error": event.error}
