"""Speed and memory, as ratios within one run: machines are noisy, so competitors take turns chunk by chunk."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psutil
import torch

from .pipeline import LatentChunk, Pipeline, decode, denoise, generate_long_video
from .policies import DeepForcing, Policy, SlidingWindow

PROMPT = "a red balloon drifting over the sea at night"


@dataclass(frozen=True)
class Row:
    """One line of the report: what was measured, and its value with a unit."""

    name: str
    value: str


def bench(pipeline: Pipeline, chunks: int = 40, long_latents: int = 1000, progress: Callable = iter) -> Iterator[Row]:
    """Yield rows as they are measured. `chunks` a competitor; `progress` wraps iterables of known length."""
    yield Row("model", f"{pipeline.name}, {pipeline.shape.width}x{pipeline.shape.height}, {_device(pipeline)}")
    yield from _latency(pipeline)
    yield from _speed(pipeline, chunks, progress)
    fifo, deep = _in_turn(pipeline, [(SlidingWindow(), False), (DeepForcing(), False)], chunks, progress)
    yield Row("deep-forcing / self-forcing, DiT time", _ratio(deep, fifo))
    off, on = _in_turn(pipeline, [(DeepForcing(), False), (DeepForcing(), True)], chunks, progress)
    yield Row("probe on / off, DiT time", _ratio(on, off))
    yield from _endurance(pipeline, long_latents, progress)


def _device(pipeline: Pipeline) -> str:
    device = pipeline.denoiser.device
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads, {pipeline.denoiser.dtype}".replace("torch.", "")


def _stream(pipeline: Pipeline, policy: Policy, probe: bool) -> Iterator[LatentChunk]:
    return denoise(pipeline, lambda _: PROMPT, policy, 0, probe)


def _latency(pipeline: Pipeline) -> Iterator[Row]:
    started = time.perf_counter()
    next(generate_long_video(pipeline, PROMPT))
    yield Row("first frames, from the call", f"{time.perf_counter() - started:.2f} s")


def _speed(pipeline: Pipeline, chunks: int, progress: Callable) -> Iterator[Row]:
    video = decode(pipeline, _stream(pipeline, DeepForcing(), True))
    made = list(itertools.islice(video, _warm_up(pipeline)))
    made = [next(video) for _ in progress(range(chunks))]
    frames = sum(len(chunk.frames) for chunk in made)
    dit, decoder = sum(c.timings.dit for c in made), sum(c.timings.decode for c in made)
    yield Row("DiT only, probe on", f"{frames / dit:.1f} fps")
    yield Row("decoder only", f"{frames / decoder:.1f} fps")
    yield Row("DiT and decoder, probe on", f"{frames / (dit + decoder):.1f} fps")
    yield Row("DiT time of a chunk", _spread([c.timings.dit for c in made]))
    yield Row("decoder time of a chunk", _spread([c.timings.decode for c in made]))


def _warm_up(pipeline: Pipeline) -> int:
    """Chunks until the default window is full."""
    return -(-DeepForcing().window // pipeline.chunk_frames) + 1


def _in_turn(
    pipeline: Pipeline, runners: list[tuple[Policy, bool]], chunks: int, progress: Callable
) -> list[list[float]]:
    """Seconds of each chunk, for each (policy, probe), advanced one chunk at a time in turn."""
    streams = [_stream(pipeline, policy, probe) for policy, probe in runners]
    for stream in streams:
        list(itertools.islice(stream, _warm_up(pipeline)))
    rounds = [[next(stream).seconds for stream in streams] for _ in progress(range(chunks))]
    return [list(seconds) for seconds in zip(*rounds, strict=True)]


def _endurance(pipeline: Pipeline, latents: int, progress: Callable) -> Iterator[Row]:
    stream = _stream(pipeline, DeepForcing(), True)
    warm, last = _warm_up(pipeline), -(-latents // pipeline.chunk_frames)
    probe_at = max(1, min(20, (last - warm) // 2))
    seconds, memory = [], {}
    for index in progress(range(last)):
        seconds.append(next(stream).seconds)
        if index in (warm + probe_at, last - 1):
            memory[index] = _memory(pipeline)
    early, late = seconds[warm : warm + probe_at], seconds[-probe_at:]
    before, after = memory[min(memory)], memory[max(memory)]
    yield Row(f"chunk time at {latents} latent frames / at the start", _ratio(late, early))
    yield Row(f"memory at {latents} latent frames / at the start", f"{after / before:.3f} ({after / 2**20:.0f} MiB)")


def _memory(pipeline: Pipeline) -> int:
    device = pipeline.denoiser.device
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else psutil.Process().memory_info().rss


def _spread(seconds: list[float]) -> str:
    low, middle, high = (1000 * f(seconds) for f in (min, statistics.median, max))
    return f"{low:.0f} / {middle:.0f} / {high:.0f} ms (min / median / max)"


def _ratio(numerator: list[float], denominator: list[float]) -> str:
    """Ratio of the means after the slowest tenth of each is left out: what else the machine did then is not ours."""
    return f"{_trimmed(numerator) / _trimmed(denominator):.3f}"


def _trimmed(seconds: list[float]) -> float:
    return statistics.fmean(sorted(seconds)[: max(1, len(seconds) * 9 // 10)])
