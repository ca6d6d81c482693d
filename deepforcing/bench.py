"""Speed and memory, as ratios within one run: machines are noisy, so competitors take turns chunk by chunk."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace

import psutil
import torch

from .breakdown import break_down
from .eight_bit import EightBitKernel
from .events import Chunk
from .gauges import DriftMeter
from .memory import Plan, forecast, sizes_of
from .models.components import fastest_dtype
from .models.cudnn_attention import use_eight_bits
from .models.shapes import (
    random_components,
    random_taehv,
    random_vae,
    shape_named,
    taehv_config,
    transformer_config,
    vae_config,
)
from .models.speed import (
    attention_in_8_bits,
    compile_blocks,
    decoder_title,
    eager_blocks,
    join_projections,
    use_attention,
    use_graphs,
)
from .pipeline import LatentChunk, Pipeline, decode, denoise, generate_long_video
from .policies import DeepForcing, Policy, SlidingWindow
from .run_ahead import run_ahead
from .run_settings import RunSettings

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


def bench_shape(
    name: str,
    device: torch.device,
    chunks: int = 20,
    compiler: str | None = None,
    progress: Callable = iter,
    graphs: bool = False,
) -> Iterator[Row]:
    """Speed of a published shape with random weights, see SHAPES; rows as they are measured.

    chunks: a competitor, after the window is full. compiler: torch.compile's backend, None for eager blocks only.
    graphs: whole passes as CUDA graphs as well, and the small decoder. Raises SettingsError for an unknown shape, and
    for graphs off CUDA.
    """
    dtype = fastest_dtype(device)
    pipeline = Pipeline(**vars(random_components(name, device, dtype)))
    attention, shape = use_attention(pipeline.denoiser), pipeline.shape
    yield Row("model", f"{pipeline.name}, random weights, {shape.width}x{shape.height}, {_device(pipeline)}")
    yield Row("attention", attention)
    yield Row("parameters of the DiT", f"{sum(p.numel() for p in pipeline.denoiser.transformer.parameters()):,}")
    join_projections(pipeline.denoiser)
    if compiler:
        compile_blocks(pipeline.denoiser, backend=compiler)
    yield from _contest(pipeline, chunks, compiler is not None, progress)
    if device.type == "cuda":
        yield from _in_8_bits(pipeline, chunks, compiler is not None, progress)
    small = random_taehv(name, device, dtype)
    if graphs:
        use_graphs(pipeline.denoiser, small)
        yield from _with_graphs(pipeline, chunks, progress)
    yield from _where_time_goes(pipeline)
    decoders = {
        "no": pipeline.decoder,
        "small": small,
        "full": random_vae(name, device, dtype),
    }
    for title, decoder in decoders.items():
        yield from _delivery(replace(pipeline, decoder=decoder), title, chunks, progress)
        if trouble := decoder_title(decoder):
            yield Row(f"with {title} decoder, recorded", trouble.removeprefix(", "))
        yield Row(f"with {title} decoder, memory by the forecast", _forecast(name, device, dtype, title, graphs))


def _contest(pipeline: Pipeline, chunks: int, compiled: bool, progress: Callable) -> Iterator[Row]:
    """The transformer alone: policies, eager and compiled blocks, and the probe, chunk by chunk in turn."""
    fifo, deep = SlidingWindow(), DeepForcing()
    ways = ("eager", "compiled") if compiled else ("eager",)
    runners = {(way, policy.name): _paced(pipeline, policy, False, way) for way in ways for policy in (fifo, deep)}
    runners["probe"] = _paced(pipeline, deep, True, ways[-1])
    seconds = dict(zip(runners, _race(list(runners.values()), _warm_up(pipeline), chunks, progress), strict=True))
    for way in ways:
        for policy in (fifo, deep):
            yield Row(f"DiT only, {policy.name}, {way}", _chunk_speed(pipeline, seconds[way, policy.name]))
        ratio = _ratio(seconds[way, deep.name], seconds[way, fifo.name])
        yield Row(f"{deep.name} / {fifo.name}, DiT time, {way}", ratio)
    if compiled:
        yield Row("compiled / eager, DiT time", _ratio(seconds["compiled", deep.name], seconds["eager", deep.name]))
    yield Row("probe on / off, DiT time", _ratio(seconds["probe"], seconds[ways[-1], deep.name]))


def _in_8_bits(pipeline: Pipeline, chunks: int, compiled: bool, progress: Callable) -> Iterator[Row]:
    """Exact attention against 8 bits where the GPU has it, otherwise why it has not."""
    denoiser = pipeline.denoiser
    use_eight_bits(denoiser)
    kernel, denoiser.eight_bits = denoiser.eight_bits, None
    if kernel is None:
        yield Row("attention in 8 bits", f"no: {denoiser.no_eight_bits}")
    else:
        yield from compare_attention(pipeline, kernel, chunks, progress, "compiled" if compiled else "eager")


def compare_attention(
    pipeline: Pipeline, kernel: EightBitKernel, chunks: int, progress: Callable, way: str = "eager"
) -> Iterator[Row]:
    """Exact attention and this kernel in 8 bits, in eager blocks or in those that were compiled, chunk by chunk in
    turn."""
    runners = [_with_kernel(pipeline, given, way) for given in (None, kernel)]
    exact, fp8 = _race(runners, _warm_up(pipeline), chunks, progress)
    yield Row(f"DiT only, deep-forcing, {way}, exact attention", _chunk_speed(pipeline, exact))
    yield Row(f"DiT only, deep-forcing, {way}, fp8 attention", _chunk_speed(pipeline, fp8))
    yield Row(f"fp8 / exact attention, DiT time, {way}", _ratio(fp8, exact))


def _with_kernel(pipeline: Pipeline, kernel: EightBitKernel | None, way: str) -> Iterator[float]:
    """Seconds of each chunk."""
    stream = _paced(pipeline, DeepForcing(), False, way)
    while True:
        with attention_in_8_bits(pipeline.denoiser, kernel):
            seconds = next(stream)
        yield seconds


def _with_graphs(pipeline: Pipeline, chunks: int, progress: Callable) -> Iterator[Row]:
    """Whole passes as CUDA graphs, and the probe beside them; the compiled blocks, if there are any, are in them."""
    off, on = _in_turn(pipeline, [(DeepForcing(), False), (DeepForcing(), True)], chunks, progress)
    yield Row("attention, after recording", pipeline.attention)
    yield Row(f"DiT only, {DeepForcing.name}, graphs", _chunk_speed(pipeline, off))
    yield Row("probe on / off, DiT time, graphs", _ratio(on, off))


def _where_time_goes(pipeline: Pipeline) -> Iterator[Row]:
    """Of two chunks, since compression comes with every second one."""
    stream = _stream(pipeline, DeepForcing(), False)
    list(itertools.islice(stream, _warm_up(pipeline)))
    spent = break_down(lambda: list(itertools.islice(stream, 2)), 2, pipeline.denoiser.device)
    for part in ("wall", "kernels", "between", "attention", "linear", "rest"):
        yield Row(f"a chunk's time: {part}", f"{getattr(spent, part):.0f} ms")


def _forecast(name: str, device: torch.device, dtype: torch.dtype, decoder: str, graphs: bool) -> str:
    """What `memory` says of the same run, without CUDA's own share, which PyTorch does not count either."""
    shape = shape_named(name)
    sizes = sizes_of(transformer_config(shape), {"small": taehv_config(shape), "full": vae_config(shape)})
    decoded = "full" if decoder == "no" else decoder  # of which nothing is recorded
    plan = Plan(shape.height, shape.width, DeepForcing(), decoder=decoded, dtype=dtype, graphs=graphs)
    needs = forecast(sizes, plan, device)
    without = needs.libraries + (needs.decoder + needs.decoding if decoder == "no" else 0)
    return f"{(needs.device - without) / 2**20:.0f} MiB"


def _paced(pipeline: Pipeline, policy: Policy, probe: bool, way: str) -> Iterator[float]:
    """Seconds of each chunk."""
    stream = _stream(pipeline, policy, probe)
    while True:
        with eager_blocks(pipeline.denoiser) if way == "eager" else nullcontext():
            seconds = next(stream).seconds
        yield seconds


def _delivery(pipeline: Pipeline, decoder: str, chunks: int, progress: Callable) -> Iterator[Row]:
    """From one chunk's frames in main memory to the next chunk's; on CUDA decoding goes on beside the next chunk."""
    device, latents = pipeline.denoiser.device, _stream(pipeline, DeepForcing(), False)
    list(itertools.islice(latents, _warm_up(pipeline)))
    if device.type == "cuda":
        latents = run_ahead(latents, device)
    video = decode(pipeline, latents)
    list(itertools.islice(video, 2))
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    ticks = [time.perf_counter()]
    for _ in progress(range(chunks)):
        next(video)
        ticks.append(time.perf_counter())
    memory = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else _memory(pipeline)
    latents.close()
    seconds = [after - before for before, after in itertools.pairwise(ticks)]
    yield Row(f"with {decoder} decoder", _chunk_speed(pipeline, seconds))
    peak = "peak on the device" if device.type == "cuda" else "resident"
    yield Row(f"with {decoder} decoder, memory", f"{memory / 2**20:.0f} MiB {peak}")


def _chunk_speed(pipeline: Pipeline, seconds: list[float]) -> str:
    frames = pipeline.chunk_frames * pipeline.shape.time
    return f"{frames / statistics.fmean(seconds):.1f} fps, {_spread(seconds)}"


def _device(pipeline: Pipeline) -> str:
    device = pipeline.denoiser.device
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads, {pipeline.denoiser.dtype}".replace("torch.", "")


def _stream(pipeline: Pipeline, policy: Policy, probe: bool) -> Iterator[LatentChunk]:
    return denoise(pipeline, lambda _: PROMPT, RunSettings(policy, probe), 0)


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
    yield Row("drift gauges / DiT and decoder time", _ratio(_gauges(pipeline, made), [(dit + decoder) / len(made)]))


def _gauges(pipeline: Pipeline, chunks: list[Chunk]) -> list[float]:
    """Seconds that the drift gauges take for each chunk."""
    meter = DriftMeter(pipeline.shape, pipeline.chunk_frames)
    return [meter.add(chunk).seconds for chunk in chunks]


def _warm_up(pipeline: Pipeline) -> int:
    """Chunks until the default window is full."""
    return -(-DeepForcing().window // pipeline.chunk_frames) + 1


def _in_turn(
    pipeline: Pipeline, runners: list[tuple[Policy, bool]], chunks: int, progress: Callable
) -> list[list[float]]:
    """Seconds of each chunk, for each (policy, probe), advanced one chunk at a time in turn."""
    streams = [(chunk.seconds for chunk in _stream(pipeline, policy, probe)) for policy, probe in runners]
    return _race(streams, _warm_up(pipeline), chunks, progress)


def _race(streams: list[Iterator[float]], warm_up: int, chunks: int, progress: Callable) -> list[list[float]]:
    """Seconds of each chunk, for each stream, one chunk of each in turn."""
    for stream in streams:
        list(itertools.islice(stream, warm_up))
    rounds = [[next(stream) for stream in streams] for _ in progress(range(chunks))]
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
