"""What attention in 8 bits changes in a video: latents, compression's choices, drift; simulated, on any device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from .bench import PROMPT, Row
from .events import Compression
from .gauges import DriftMeter, Gauges
from .models.speed import attention_in_8_bits
from .pipeline import LatentChunk, Pipeline, decode, denoise
from .policies import DeepForcing
from .run_settings import RunSettings

TOLD = ("colour_drift", "sharpness", "saturation", "motion", "scenery")


@dataclass(frozen=True)
class _Run:
    """Chunks of latents, and the gauges when the last was shown."""

    chunks: list[LatentChunk]
    gauges: Gauges


def attention_error(pipeline: Pipeline, seconds: float = 60, progress: Callable = iter) -> Iterator[Row]:
    """The same prompt and seed, exact and in 8 bits, for so many seconds of video; rows as they are measured."""
    chunks = max(1, round(seconds * pipeline.shape.fps / (pipeline.chunk_frames * pipeline.shape.time)))
    exact = _run(pipeline, chunks, progress)
    with attention_in_8_bits(pipeline.denoiser):
        rounded = _run(pipeline, chunks, progress)
    pairs = list(zip(exact.chunks, rounded.chunks, strict=True))
    for number, pair in zip(("first", "second"), pairs, strict=False):  # the first has no history, and is exact
        yield Row(f"latents of the {number} chunk, 8 bits against exact", f"{_distance(*pair):.4f} (relative)")
    yield Row("latents of the last chunk, which is another video by then", f"{_distance(*pairs[-1]):.4f} (relative)")
    fired = [(a.compression, b.compression) for a, b in pairs if a.compression and b.compression]
    if fired:
        yield Row("choices of the first compression that flip", f"{100 * _flipped(*fired[0]):.1f} %")
    for name in TOLD:
        was, now = (getattr(run.gauges, name) for run in (exact, rounded))
        yield Row(f"{name.replace('_', ' ')} after {seconds:g} s, exact / 8 bits", f"{was:.3f} / {now:.3f}")


def _run(pipeline: Pipeline, chunks: int, progress: Callable) -> _Run:
    stream = denoise(pipeline, lambda _: PROMPT, RunSettings(DeepForcing()), 0)
    latents = [next(stream) for _ in progress(range(chunks))]
    meter = DriftMeter(pipeline.shape, pipeline.chunk_frames)
    gauges = [meter.add(chunk) for chunk in decode(pipeline, iter(latents))]
    return _Run(latents, gauges[-1])


def _distance(exact: LatentChunk, other: LatentChunk) -> float:
    return (torch.linalg.vector_norm(other.latents - exact.latents) / torch.linalg.vector_norm(exact.latents)).item()


def _flipped(exact: Compression, other: Compression) -> float:
    """Share of the tokens that one keeps and the other does not."""
    return 1 - np.logical_and(exact.kept, other.kept).sum() / exact.kept.sum()
