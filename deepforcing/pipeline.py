"""From a prompt to an endless video: denoise chunk after chunk over the KV cache, decode, report.

    prompt -> denoise (latents, telemetry) -> decode (frames) -> Chunk events

Both halves are generators. On CUDA the first runs ahead in a thread and stream of its own, so that decoding a chunk
goes on beside the denoising of the next; on a CPU they take turns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from .attention import Prompt
from .beside import Beside
from .blend import Blend, melts_into, prompts_in
from .config import Geometry, SettingsError
from .events import AttentionMass, CacheState, Chunk, Compression, SettingsChanged, StreamStarted, Timings
from .finite import check_finite
from .going_on import NONE, Past
from .kv_cache import KVCache
from .mixing import mix
from .models.components import Components, ModelError, device_for
from .models.cudnn_attention import use_eight_bits
from .models.decoding import Decoding
from .models.fingerprint import fingerprint
from .models.loading import Loading
from .models.placement import place_weights
from .models.released import load_released
from .models.schedule import Step
from .models.speed import attention_title, compile_blocks, decoder_title, join_projections, use_attention, use_graphs
from .models.tiny import is_tiny, load_tiny
from .opening import Start, opening_frames
from .out_of_memory import explain_no_room, is_out_of_memory, release
from .policies import DeepForcing, Policy, settings_of
from .prompt import PromptError, check_prompt
from .run_ahead import run_ahead
from .run_settings import RunSettings
from .telemetry import cache_state, compression
from .timeline import Timeline
from .wording import knows_nothing, nearest_words


class Pipeline(Components):
    """A loaded model, ready to generate; holds no state of any run."""

    @property
    def geometry(self) -> Geometry:
        """The token grid of one latent frame, and the latent frames of a chunk."""
        _, height, width = self.latent_shape
        return self.denoiser.geometry(height, width, self.chunk_frames)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one latent frame."""
        return self.denoiser.channels, self.shape.height // self.shape.space, self.shape.width // self.shape.space

    def starts(self, index: int) -> float:
        """Seconds of video before a chunk begins."""
        return self.shape.seconds(index * self.chunk_frames)

    @property
    def layers(self) -> int:
        return self.denoiser.layers

    @property
    def heads(self) -> int:
        return self.denoiser.heads

    @property
    def loras(self) -> list[tuple[str, float]]:
        """Names of LoRAs whose strength can be changed, and how strong they were loaded."""
        merged = self.denoiser.strengths
        return list(zip(merged.names, merged.given, strict=True)) if merged else []

    @property
    def attention(self) -> str:
        """The attention kernel in use, for people to read."""
        return attention_title(self.denoiser) + decoder_title(self.decoder)

    @property
    def device(self) -> str:
        """What computes, for people to read."""
        device = self.denoiser.device
        return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type.upper()

    @cached_property
    def beside(self) -> Beside:
        """Where chunks are decoded, of all runs: one stream keeps one stock of memory."""
        return Beside(self.denoiser.device)

    @cached_property
    def weights(self) -> str:
        """Fingerprint of the transformer's weights: which model made a video."""
        return fingerprint(self.denoiser.transformer)

    def unknown_words(self, prompt: str) -> list[str]:
        """Words of the prompt that this model has never seen."""
        return self.text.unknown_words(" ".join(prompts_in(prompt)))

    def unread(self, prompt: str) -> str:
        """The end of a prompt that is longer than this model can read; empty where all of it is read."""
        return next(filter(None, map(self.text.unread, prompts_in(prompt))), "")

    def nearest_words(self, word: str) -> list[str]:
        """Known words that an unknown one may have been meant to be, the nearest first; few, often none."""
        return nearest_words(self.text, word)

    def knows_nothing(self, prompt: str) -> bool:
        """Whether this model knows no word of it that says something: the video would show nothing of the prompt."""
        return knows_nothing(self.text, " ".join(prompts_in(prompt)))

    @torch.no_grad()
    def encode(self, text: str) -> Prompt:
        """Of a blend, see `blend`, the mixture. Raises PromptError when `check_prompt` does."""
        blend = Blend.read(check_prompt(text))
        prompts = blend.prompts if blend else (check_prompt(text),)
        each = [self.text.encode([prompt]) for prompt in prompts]
        embeds = mix(each, blend.weights, blend.way) if blend else each[0]
        return Prompt(text, embeds.to(self.denoiser.device, self.denoiser.dtype))

    @torch.no_grad()
    def opening(self, start: Start) -> Past:
        """What a video goes on from that starts with a picture or a clip, see `opening`, by the model's own encoder.

        Raises SettingsError and OSError as `opening_frames` does, ModelError where the decoder came without an encoder.
        """
        return Past.given(self.latents(opening_frames(start, self.shape, self.chunk_frames)), self.chunk_frames)

    @torch.no_grad()
    def redrawn(self, frames: np.ndarray) -> np.ndarray:
        """What is left of frames uint8 [n, height, width, 3] of whole chunks once they are latents: as this model's own
        decoder draws them. Raises ModelError as `opening` does."""
        latents = torch.from_numpy(self.latents(frames))[None].to(self.denoiser.device, self.denoiser.dtype)
        return _pictures(self.decoder.decode(latents)[0]).cpu().numpy()

    @torch.no_grad()
    def latents(self, frames: np.ndarray) -> np.ndarray:
        """Of frames uint8 [n, height, width, 3] of whole chunks, by a decoder that `encodes`: float32 [latent frames,
        channels, rows, columns]. Raises ModelError where it does not."""
        if not self.decoder.encodes:
            raise ModelError("this decoder comes without an encoder: to start from a picture, load the full one")
        pixels = torch.from_numpy(frames).permute(0, 3, 1, 2)[None].to(self.denoiser.device).float() / 255
        return np.ascontiguousarray(self.decoder.encode(pixels)[0].float().cpu().numpy())


def load_pipeline(
    model: str | Path = "tiny", device: torch.device | None = None, loading: Loading | None = None
) -> Pipeline:
    """Load the embedded model ('tiny'), a published one that was fetched ('self-forcing', 'longlive'), or a path.

    'tiny-teacher' is what the embedded model was distilled from: it never saw its own history.

    A path is a folder in the embedded model's layout, a folder with a published model's parts, or a transformer alone,
    in diffusers' or a released layout. loading: choices; of a tiny model, only device, LoRAs, graphs and attention.
    device: in place of the one that `loading` asks for. Raises ModelError, and SettingsError for choices that cannot
    be.
    """
    loading = loading or Loading()
    device = device or device_for(loading.device)
    if is_tiny(model):
        if replace(loading, device="auto", loras=(), graphs=False, attention="exact") != Loading():
            choices = "decoder, text encoder, weights, size, chunk or compiling"
            raise SettingsError(f"a tiny model leaves no choice of {choices}")
        return _load_tiny(model, device, loading)
    try:
        return _load_released(model, device, loading)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    release(device)
    raise ModelError(explain_no_room(model, device))


def _load_tiny(model: str | Path, device: torch.device, loading: Loading) -> Pipeline:
    pipeline = Pipeline(**vars(load_tiny(model, device, loras=loading.loras)))
    pipeline.weights  # noqa: B018  (taken before a run changes how strong LoRAs are)
    join_projections(pipeline.denoiser)
    _make_faster(pipeline, loading)
    return pipeline


def _load_released(model: str | Path, device: torch.device, loading: Loading) -> Pipeline:
    """Loaded, placed, and made fast."""
    pipeline = Pipeline(**vars(load_released(model, device, loading=loading)))
    pipeline.weights  # noqa: B018  (taken before they are placed, which may round them)
    place_weights(pipeline.denoiser, loading.weights, device)
    use_attention(pipeline.denoiser)
    join_projections(pipeline.denoiser)
    _make_faster(pipeline, loading)
    return pipeline


def _make_faster(pipeline: Pipeline, loading: Loading) -> None:
    """As far as it was asked for."""
    if loading.attention == "fp8":
        use_eight_bits(pipeline.denoiser)
    if loading.compiled:
        compile_blocks(pipeline.denoiser)
    if loading.graphs:
        use_graphs(pipeline.denoiser, pipeline.decoder)


def check_seed(seed: int) -> int:
    """The seed itself. Raises SettingsError unless it is a whole number from 0 to 2^63 - 1."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise SettingsError(f"seed must be a whole number from 0 to {2**63 - 1}, not {seed!r}")
    return seed


@dataclass(frozen=True)
class LatentChunk:
    """A denoised chunk on its way to the decoder: latents [1, frames, channels, h, w], and what was measured."""

    index: int
    first_latent: int
    latents: Tensor
    prompt: str
    seconds: float
    cache: CacheState
    compression: Compression | None
    attention: AttentionMass | None
    again: bool


def denoise_chunk(
    pipeline: Pipeline,
    cache: KVCache,
    prompt: Prompt,
    generator: torch.Generator,
    steps: Sequence[Step] | None = None,
) -> Tensor:
    """Clean latents [1, channels, chunk frames, h, w] of the next chunk, from noise; nothing is cached yet. steps: None
    for all of the model's."""
    channels, height, width = pipeline.latent_shape
    denoiser, shape = pipeline.denoiser, (1, channels, pipeline.chunk_frames, height, width)
    x = _noise(shape, generator, denoiser.device)
    for step in steps or denoiser.steps:
        x = denoiser.denoise(x, _noise(shape, generator, denoiser.device), step, cache, prompt)
    return x


def pass_again(
    pipeline: Pipeline,
    cache: KVCache,
    prompt: Prompt,
    generator: torch.Generator,
    steps: Sequence[Step],
    latents: np.ndarray,
) -> Tensor:
    """As `denoise_chunk`, for a chunk whose clean latents are known: all noise is drawn, and the first pass made, which
    makes room for the chunk, perhaps by its queries; all passes where the policy compares what they predict."""
    denoiser, made = pipeline.denoiser, torch.from_numpy(latents).transpose(0, 1)[None].contiguous()
    x = _noise(made.shape, generator, denoiser.device)
    for number, step in enumerate(steps):
        noise = _noise(made.shape, generator, denoiser.device)
        if number == 0 or cache.policy.compares_predictions:
            x = denoiser.denoise(x, noise, step, cache, prompt)
    return made.to(denoiser.device)


def _noise(shape: tuple[int, ...], generator: torch.Generator, device: torch.device) -> Tensor:
    """From the CPU's numbers, so that a seed means the same on every device."""
    return torch.randn(shape, generator=generator).to(device)


def denoise(
    pipeline: Pipeline,
    prompt_for: Callable[[int], str],
    settings: RunSettings,
    seed: int,
    stale_prompt: bool = False,
    past: Past = NONE,
) -> Generator[LatentChunk | SettingsChanged]:
    """Denoise chunk after chunk, for ever. `prompt_for(chunk index)` is asked at each chunk boundary; what it changes
    of the settings holds from that chunk on, and is told before it."""
    settings.begin(pipeline.denoiser, pipeline.denoiser.new_cache(settings.policy, pipeline.geometry, seed))
    try:
        yield from _denoise(pipeline, prompt_for, settings, seed, stale_prompt, past)
    finally:
        settings.end()


def _denoise(
    pipeline: Pipeline,
    prompt_for: Callable[[int], str],
    settings: RunSettings,
    seed: int,
    stale_prompt: bool,
    past: Past,
) -> Iterator[LatentChunk | SettingsChanged]:
    denoiser, generator = pipeline.denoiser, torch.Generator().manual_seed(seed)
    prompt, index, strengths = None, 0, settings.strengths
    while True:
        text = check_prompt(prompt_for(index))
        settings.repeat(past.changed(index))
        if changed := settings.news(index):
            yield changed
        if prompt is not None and settings.strengths != strengths:
            prompt = replace(prompt, layers=[])  # to be projected by other weights
        strengths = settings.strengths
        cache, steps, watch = settings.cache, settings.schedule, settings.watch
        started = time.perf_counter()
        if prompt is None or prompt.text != text:
            before, prompt = prompt, _encode(pipeline, text, prompt if stale_prompt else None)
            if before is None or not melts_into(before.text, text):
                settings.at_switch.turn(prompt)
                cache.begin_prompt()
        with cache.probed(watch) if watch else nullcontext():
            x = (
                pass_again(pipeline, cache, prompt, generator, steps, past.latents[index])
                if index < len(past)
                else denoise_chunk(pipeline, cache, prompt, generator, steps)
            )
        telemetry = cache_state(cache), compression(cache), watch.collect(cache) if watch else None
        first = cache.origin + cache.next_frame
        denoiser.remember(x, cache, prompt)
        settings.at_switch.made(x)
        _finish(x.device)
        check_finite(bool(x.isfinite().all()), "transformer", index)
        seconds = time.perf_counter() - started
        yield LatentChunk(index, first, x.transpose(1, 2), text, seconds, *telemetry, index < len(past))
        index += 1


def _encode(pipeline: Pipeline, text: str, stale: Prompt | None) -> Prompt:
    """The text as a prompt; with the keys and values that a `stale` one left in the cross-attention cache, if any."""
    prompt = pipeline.encode(text)
    return replace(prompt, layers=stale.layers) if stale else prompt


def decode(pipeline: Pipeline, chunks: Iterator[LatentChunk | SettingsChanged]) -> Iterator[Chunk | SettingsChanged]:
    """Decode chunks in order, on CUDA beside what else the device does."""
    decoding, first_frame = Decoding(pipeline.decoder), 0
    for chunk in chunks:
        if isinstance(chunk, SettingsChanged):
            yield chunk
            continue
        started = time.perf_counter()
        ready = pipeline.beside.begin(partial(_decoded, decoding), chunk.latents)
        frames, latents, finite = (x.numpy() for x in ready())
        check_finite(bool(finite), "decoder", chunk.index)
        seconds = time.perf_counter() - started
        yield Chunk(
            index=chunk.index,
            first_frame=first_frame,
            latent_frames=(chunk.first_latent, chunk.first_latent + chunk.latents.shape[1]),
            frames=frames,
            prompt=chunk.prompt,
            timings=Timings(dit=chunk.seconds, decode=seconds),
            cache=chunk.cache,
            compression=chunk.compression,
            attention=chunk.attention,
            latents=latents,
            again=chunk.again,
        )
        first_frame += len(frames)


def _decoded(decoding: Decoding, latents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of latents [1, F, channels, h, w]: the pictures, the latents as they are told, and whether all is finite."""
    frames = decoding.frames(latents)
    return _pictures(frames), latents[0].float(), frames.isfinite().all()


def _pictures(frames: Tensor) -> Tensor:
    """Frames [1, n, 3, H, W] in 0..1 -> uint8 [n, H, W, 3]."""
    return frames[0].clamp(0, 1).mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def started_event(
    pipeline: Pipeline,
    prompt: str,
    policy: Policy,
    seed: int,
    switch: str = "keep",
    stale_prompt: bool = False,
    steps: int | None = None,
) -> StreamStarted:
    """What a run tells before its first chunk. steps: None for as many as the model has."""
    shape, geometry = pipeline.shape, pipeline.geometry
    return StreamStarted(
        model=pipeline.name,
        weights=pipeline.weights,
        prompt=prompt,
        seed=seed,
        policy=policy.name,
        settings=settings_of(policy),
        attention=pipeline.attention,
        fps=shape.fps,
        height=shape.height,
        width=shape.width,
        stride=shape.time,
        grid=(geometry.rows, geometry.columns),
        chunk_frames=geometry.chunk_frames,
        layers=pipeline.layers,
        heads=pipeline.heads,
        switch=switch,
        stale_prompt=stale_prompt,
        device=pipeline.device,
        steps=steps or len(pipeline.denoiser.steps),
    )


Wish = str | Timeline | Callable[[int], str]


def generate_long_video(
    pipeline: Pipeline | Wish,
    prompt: Wish | None = None,
    *,
    num_frames: int | None = None,
    policy: Policy | None = None,
    seed: int = 0,
    switch: str = "keep",
    probe: bool = False,
    overlap: bool | None = None,
    stale_prompt: bool = False,
    past: Past = NONE,
    start: Start | None = None,
    steps: int | None = None,
) -> Generator[Chunk]:
    """Generate a video of any length, a chunk at a time, with constant memory (arXiv 2512.05081, Algorithm 1).

        for chunk in generate_long_video("a red balloon over the sea", num_frames=1440): ...

    pipeline      what `load_pipeline` gave; the embedded model where it is left out, as above
    prompt        text, a Timeline, or a function of the chunk's number that is asked at each chunk boundary
    num_frames    video frames, the last chunk is cut to fit; None goes on until the iterator is closed
    policy        DeepForcing() when None
    switch        what becomes of the cache at a new prompt: `keep`, `reencode` or `sink`, see `switching`
    probe         measure attention mass for each chunk
    overlap       decode beside the next chunk's denoising; None: on CUDA only
    stale_prompt  a mistake to look at: the cross-attention cache is not reset when the prompt changes, so the first
                  prompt's keys and values stay in use, and a new prompt is never seen
    past          go on from there: its chunks come first, marked `again`, with the prompts that they had; a
                  SettingsChanged stands before one where its settings were changed, and they stay so
    start         a picture or a clip, see `opening`, that the video begins with, as a file, a PIL picture, or frames
                  uint8 [n, height, width, 3]; its chunks come first, marked `again`
    steps         denoising steps of a chunk, at most as many as the model has, which is what None means; fewer are
                  quicker, and worse: see `Sampling.thinned`

    The same prompt, seed and settings give the same video on the same device, not on another. Raises SettingsError and
    PromptError before the first chunk, and ModelError at the first chunk that has a number that is none, such as NaN.
    """
    pipeline, prompt = _which_model(pipeline, prompt)
    policy = policy or DeepForcing()
    prompt_for = prompt if callable(prompt) else _by_chunk(Timeline.of(prompt), pipeline)
    settings = RunSettings(policy, probe, switch, steps)
    past = past_from(pipeline, start, past)
    made = long_video(pipeline, prompt_for, settings, num_frames, seed, overlap, stale_prompt, past)
    return cast("Generator[Chunk]", made)  # but for changes of settings, which only a past brings along


def _which_model(pipeline: Pipeline | Wish, prompt: Wish | None) -> tuple[Pipeline, Wish]:
    """The embedded model where only a prompt is given. Raises PromptError where there is none."""
    if not isinstance(pipeline, Pipeline):
        if prompt is not None:
            raise SettingsError(f"a pipeline is what load_pipeline gives, not {pipeline!r}")
        return load_pipeline(), pipeline
    if prompt is None:
        raise PromptError("The prompt is missing: describe what the video should show.")
    return pipeline, prompt


def past_from(pipeline: Pipeline, start: Start | None, past: Past = NONE) -> Past:
    """What a run goes on from. Raises SettingsError for two things at once, and what `Pipeline.opening` raises."""
    if start is None:
        return past
    if len(past):
        raise SettingsError("a run starts from a picture, or goes on from another run, not both")
    return pipeline.opening(start)


def long_video(
    pipeline: Pipeline,
    prompt_for: Callable[[int], str],
    settings: RunSettings,
    num_frames: int | None,
    seed: int,
    overlap: bool | None,
    stale_prompt: bool,
    past: Past,
) -> Generator[Chunk | SettingsChanged]:
    """As `generate_long_video`, for a run whose `prompt_for` may change its settings; those are told between chunks."""
    if num_frames is not None and (isinstance(num_frames, bool) or not isinstance(num_frames, int) or num_frames < 1):
        raise SettingsError(f"num_frames must be a whole number of at least 1, not {num_frames!r}")
    settings.policy.check(pipeline.geometry)
    if settings.steps is not None:
        pipeline.denoiser.sampling.thinned(settings.steps)
    settings.check_loras(pipeline.denoiser)
    channels, height, width = pipeline.latent_shape
    past.check((pipeline.chunk_frames, channels, height, width))
    latents = denoise(pipeline, past.first(prompt_for), settings, check_seed(seed), stale_prompt, past)
    overlap = pipeline.denoiser.device.type == "cuda" if overlap is None else overlap
    if overlap:
        latents = run_ahead(latents, pipeline.denoiser.device)
    return _cut(decode(pipeline, latents), latents, num_frames)


def _by_chunk(timeline: Timeline, pipeline: Pipeline) -> Callable[[int], str]:
    return lambda index: timeline.at(pipeline.starts(index))


def _cut(chunks: Iterator, source: Generator, num_frames: int | None) -> Generator[Chunk | SettingsChanged]:
    """End after `num_frames` video frames, and close the source however this ends."""
    try:
        for chunk in chunks:
            whole = num_frames is None or isinstance(chunk, SettingsChanged)
            left = None if whole else num_frames - chunk.first_frame
            if left is None or len(chunk.frames) < left:
                yield chunk
                continue
            yield _first(chunk, left)
            return
    finally:
        source.close()


def _first(chunk: Chunk, frames: int) -> Chunk:
    return Chunk(**{**vars(chunk), "frames": chunk.frames[:frames]})


def _finish(device: torch.device) -> None:
    """Wait for queued work, so that timings are honest."""
    if device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()
