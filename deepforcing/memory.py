"""What a model will take, before it is loaded.

Everything is computed from configuration. Weights are counted on modules without memory. The cache is three tensors a
layer: keys, values, and the keys as RoPE turned them for the chunk in flight; what else policies keep is in `_extra`.
What a pass and a decoder need for a moment is counted in their largest tensors; how many are alive at once was measured
by following every tensor's life.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import get_args

import psutil
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from torch import nn

from .config import Geometry, SettingsError
from .models.placement import FP8, Weights
from .models.tiny_codec import CodecConfig, TinyCodec
from .models.wan_text import Keep
from .policies import Policy

_BOOKKEEPING = 6 * 8  # bytes a cached token, layer and row of the cache: position, frame, time, count of choices
_DROPPED = 4 * 8 + 6  # the same: its place and what became of it, with scores, until the chunk that dropped it is clean
_FLOAT = 4  # bytes of what is kept in float32 whatever the model's type: queries of the past, attention received
_PASS = 13.4  # a pass's largest moment in tensors of [chunk tokens, width]: attention, in float32 ...
_FEED_FORWARD = 5.4  # ... or the feed-forward net, besides its two inner tensors
_OPENING = 3.1  # turning a layer's history, in float32 tensors of [history tokens, width]
_VAE_MEMORY, _VAE_WORK = 24.7, 54.0  # of Wan's VAE, in tensors of [pixels of a frame, base_dim]
_CODEC_WORK = 1.75  # of a TAEHV decoder, in its largest tensor
_LIBRARIES = 2**30  # CUDA's context, the libraries' workspaces, and what the allocator cannot reuse


@dataclass(frozen=True)
class DecoderSize:
    """Parameters; `memory` elements that a stream keeps and `work` elements in passing, a latent of a frame each.
    recordable: as a CUDA graph."""

    parameters: int
    memory: float
    work: float
    recordable: bool = False


@dataclass(frozen=True)
class Sizes:
    """A model's sizes, read off its configuration by `sizes_of`.

    castable: how many of the parameters fp8 storage takes in; block: parameters of the largest block.
    """

    layers: int
    heads: int
    width: int
    ffn: int
    patch: tuple[int, int]
    parameters: int
    castable: int
    block: int
    text_parameters: int
    decoders: Mapping[str, DecoderSize]


def sizes_of(transformer: Mapping, decoders: Mapping[str, Mapping | CodecConfig], text_parameters: int = 0) -> Sizes:
    """Sizes from configurations, without loading: the transformer's, and for each decoder by its name that of an
    `AutoencoderKLWan` or of a `TinyCodec`."""
    with torch.device("meta"):
        net = WanTransformer3DModel.from_config(dict(transformer))
    net.enable_layerwise_casting(storage_dtype=FP8, compute_dtype=net.dtype)
    return Sizes(
        layers=net.config.num_layers,
        heads=net.config.num_attention_heads,
        width=net.config.num_attention_heads * net.config.attention_head_dim,
        ffn=net.config.ffn_dim,
        patch=tuple(net.config.patch_size[1:]),
        parameters=_parameters(net),
        castable=sum(p.numel() for p in net.parameters() if p.dtype == FP8),
        block=max(map(_parameters, net.blocks)),
        text_parameters=text_parameters,
        decoders={name: _decoder_size(config) for name, config in decoders.items()},
    )


def _parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _decoder_size(config: Mapping | CodecConfig) -> DecoderSize:
    with torch.device("meta"):
        if isinstance(config, CodecConfig):
            return _codec_size(config)
        vae = AutoencoderKLWan.from_config(dict(config))
    decoding = _parameters(vae.decoder) + _parameters(vae.post_quant_conv)  # what encodes is not loaded
    unit = vae.config.scale_factor_spatial**2 * vae.config.base_dim
    return DecoderSize(decoding, _VAE_MEMORY * unit, _VAE_WORK * unit)


def _codec_size(config: CodecConfig) -> DecoderSize:
    """Of a chunk of 3 latent frames; a stream keeps each memory block's inputs."""
    area, frames, memory, largest = 1, 3, 0, 0
    stages = zip(config.decoder_blocks, config.decoder_spatial, config.decoder_temporal, strict=True)
    for (blocks, spatial, temporal), width in zip(stages, config.decoder_widths, strict=False):
        memory += width * blocks * area * frames
        area, frames = area * (4 if spatial else 1), frames * (2 if temporal else 1)
        largest = max(largest, width * area * frames)
    return DecoderSize(_parameters(TinyCodec(config).decoder), memory, _CODEC_WORK * largest, recordable=True)


@dataclass(frozen=True)
class Plan:
    """How a model is to be run, as far as memory is concerned.

    height, width  pixels; `space` pixels are one latent
    weights        of the transformer: resident, stored in fp8 and cast as they are used, or offloaded, which brings
                   them to the device a block at a time
    text           where the text encoder is between prompts: on the device, on the CPU to `move` or to be used there
                   (`cpu`), or nowhere (`free`)
    decoder        one of the model's decoders
    time           frames of the video that a latent frame is
    eight_bits     whether self-attention reads keys and values in 8 bits, which are held beside the exact ones
    graphs         whether passes and the small decoder are recorded as CUDA graphs, which have memory of their own
    """

    height: int
    width: int
    policy: Policy
    weights: Weights = "resident"
    text: Keep = "device"
    decoder: str = "full"
    dtype: torch.dtype = torch.bfloat16
    chunk_frames: int = 3
    space: int = 8
    time: int = 4
    eight_bits: bool = False
    graphs: bool = False

    def __post_init__(self) -> None:
        for name, allowed in (("weights", Weights), ("text", Keep)):
            if getattr(self, name) not in get_args(allowed):
                raise SettingsError(
                    f"{name} must be one of {', '.join(get_args(allowed))}, not {getattr(self, name)!r}"
                )

    def geometry(self, patch: tuple[int, int]) -> Geometry:
        rows, columns = self.space * patch[0], self.space * patch[1]
        if self.height % rows or self.width % columns:
            raise SettingsError(f"{self.width} x {self.height} pixels cannot be cut into tokens of {columns} x {rows}")
        return Geometry(self.height // rows, self.width // columns, self.chunk_frames)


@dataclass(frozen=True)
class Forecast:
    """Bytes on the device by use, and on the host.

    cache: keys and values of a full window, and what the policy has kept with them; turned: the same keys with RoPE,
    for the chunk in flight, and what of both is held in 8 bits. text: while it stays there; prompting: the encoder's
    weights for a new prompt, where they come and go. recorded: what CUDA graphs hold, one at a time.
    """

    weights: int
    cache: int
    turned: int
    activations: int
    decoder: int
    decoding: int
    text: int
    prompting: int
    recorded: int
    libraries: int
    host: int

    @property
    def device(self) -> int:
        """Most bytes on the device at once: a new prompt may come at any time."""
        return sum(getattr(self, f.name) for f in fields(self) if f.name != "host")


def forecast(sizes: Sizes, plan: Plan, device: torch.device) -> Forecast:
    """What a run by this plan takes. On a CPU everything is on the `device`, wherever the plan would have it. Raises
    SettingsError for a plan that cannot be: no such decoder, or pixels that are not whole tokens."""
    if plan.decoder not in sizes.decoders:
        raise SettingsError(f"there is no decoder {plan.decoder!r}; there are {', '.join(sizes.decoders)}")
    if device.type == "cpu":
        plan = _in_one_place(plan)
    element, geometry = plan.dtype.itemsize, plan.geometry(sizes.patch)
    window, chunk = (frames * geometry.tokens_per_frame for frames in (plan.policy.window, plan.chunk_frames))
    one = sizes.layers * window * sizes.width * element
    full, decoder = sizes.parameters * element, sizes.decoders[plan.decoder]
    latents = (plan.height // plan.space) * (plan.width // plan.space)
    text = sizes.text_parameters * element
    passing = chunk * max(_PASS * sizes.width, _FEED_FORWARD * sizes.width + 2 * sizes.ffn)
    work = decoder.work * latents
    on_host = (full if plan.weights == "offload" else 0) + (text if plan.text in ("move", "cpu") else 0)
    arriving = 0 if device.type == "cpu" else 3 * plan.height * plan.width * plan.chunk_frames * plan.time
    return Forecast(
        weights=_resident(sizes, plan.weights, element),
        cache=2 * one + _extra(sizes, plan, geometry),
        turned=one + (2 * one // element if plan.eight_bits else 0),
        activations=int(max(element * passing, _FLOAT * _OPENING * (window - chunk) * sizes.width)),
        decoder=decoder.parameters * element,
        decoding=int((decoder.memory * latents + work) * element),
        text=text if plan.text == "device" else 0,
        prompting=text if plan.text in ("move", "free") else 0,
        recorded=int(element * max(passing, work if decoder.recordable else 0)) if plan.graphs else 0,
        libraries=0 if device.type == "cpu" else _LIBRARIES,
        host=on_host + arriving,
    )


def _extra(sizes: Sizes, plan: Plan, geometry: Geometry) -> int:
    """Bytes that are kept besides keys and values: of each token, and of each head's where heads keep their own; sums
    of past queries, single ones where the policy looks at them; the values once more of what is read, where that is
    not all; of a chunk that is encoded anew, what it was before."""
    policy, frame, element = plan.policy, geometry.tokens_per_frame, plan.dtype.itemsize
    rows = sizes.heads if policy.heads_apart else 1
    token = rows * (_BOOKKEEPING + _DROPPED + (_FLOAT if policy.sums_attention else 0))
    queries = _FLOAT * (policy.window + policy.query_frames * frame)
    if policy.query_frames or policy.sums_attention:
        queries += element * geometry.tokens_per_chunk  # of the latest pass
    some = max(policy.read_frames, policy.context_frames)
    read = min(policy.window, some + geometry.chunk_frames) if some else 0
    aside = 2 * geometry.chunk_frames if policy.context_frames else 0
    held = element * (read + aside) * frame
    return sizes.layers * (policy.window * frame * token + sizes.width * (queries + held))


def _in_one_place(plan: Plan) -> Plan:
    """What the plan comes to where the device is the CPU: nothing can be kept apart from it."""
    text: Keep = "free" if plan.text == "free" else "device"
    weights: Weights = "resident" if plan.weights == "offload" else plan.weights
    return replace(plan, text=text, weights=weights, graphs=False)


def _resident(sizes: Sizes, weights: Weights, element: int) -> int:
    """Bytes of the transformer's weights on the device; offloaded, that is what is in no block, and two blocks."""
    if weights == "offload":
        return (sizes.parameters - sizes.layers * sizes.block + 2 * sizes.block) * element
    cast = sizes.castable if weights == "fp8" else 0
    return (sizes.parameters - cast) * element + cast * FP8.itemsize


@dataclass(frozen=True)
class Room:
    """Free bytes on the device and on the host."""

    device: int
    host: int

    def holds(self, forecast: Forecast) -> bool:
        return forecast.device <= self.device and forecast.host <= self.host


def free_memory(device: torch.device) -> int:
    """Bytes that this process can still have on a device; for the CPU, of main memory."""
    if device.type != "cuda":
        return psutil.virtual_memory().available
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused


def room(device: torch.device) -> Room:
    """What is free now. On a CPU, device and host are the same memory, counted as the device's."""
    if device.type == "cpu":
        return Room(free_memory(device), free_memory(device))
    return Room(free_memory(device), free_memory(torch.device("cpu")))


def describe(forecast: Forecast, free: Room) -> str:
    """A table in plain text, for a terminal or a page."""
    rows = [
        ("transformer", forecast.weights),
        ("keys and values", forecast.cache),
        ("keys turned for a chunk", forecast.turned),
        ("a pass", forecast.activations),
        ("decoder", forecast.decoder + forecast.decoding),
        ("text encoder", forecast.text + forecast.prompting),
        ("CUDA graphs", forecast.recorded),
        ("libraries", forecast.libraries),
    ]
    lines = [f"{name:26s}{_gb(size)}" for name, size in rows if size]
    lines.append(f"{'on the device':26s}{_gb(forecast.device)}  of {_gb(free.device).strip()} free")
    if forecast.host:
        lines.append(f"{'on the host':26s}{_gb(forecast.host)}  of {_gb(free.host).strip()} free")
    return "\n".join(lines)


def _gb(size: int) -> str:
    return f"{size / 1e9:7.2f} GB"
