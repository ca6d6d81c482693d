"""What makes the same numbers come faster: compiled blocks, and the attention kernel.

A compiled block is one graph without breaks. What is in it: norms, projections, real-valued RoPE, the writes into the
chunk's own slots of the cache, attention, the feed-forward net. What is not: choosing and moving cached tokens, which
happens between passes, or, where compression looks at a chunk's queries, in that chunk's first pass; such a pass (one
in ten with Deep Forcing's defaults), the first with a new prompt, and the first chunk, which has no history, run
eagerly. All shapes are static but one, the length of the history, which grows at first and then alternates with
compression; only attention and the writes depend on it. So one graph serves every block and every chunk, and a second
one those passes that a probe samples.

CUDA graphs are not left to the compiler, which knows nothing of the cache's lengths: `use_graphs` records whole passes,
with compiled blocks in them or without. So `max-autotune-no-cudagraphs` is the mode that tunes. All of it is for
resident weights: diffusers' hooks for offloading and for fp8 storage break the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

import torch
from diffusers.models.attention_dispatch import AttentionBackendName, dispatch_attention_fn
from diffusers.utils.import_utils import is_flash_attn_3_available, is_flash_attn_available, is_sageattention_available
from torch import Tensor, nn

from ..config import SettingsError
from ..eight_bit import EightBitKernel, simulated
from ..kv_cache import LayerCache
from .components import VideoDecoder
from .graphs import CudaGraphs, Recorder
from .tiny_codec import TinyCodec
from .wan import CausalWan

MODES = ("default", "max-autotune-no-cudagraphs")


def join_projections(denoiser: CausalWan) -> None:
    """One product for q, k and v of self-attention, in place and in no more memory; bit-equal on a CPU.

    For weights that stay as they are and where they are: those that come in as a block runs are left apart.
    """
    if has_passing_weights(denoiser.transformer):
        return
    for block in denoiser.transformer.blocks:
        attn = block.attn1
        parts = attn.to_q, attn.to_k, attn.to_v
        for name in ("weight", "bias"):
            whole = torch.cat([getattr(part, name).data for part in parts])
            attn.register_buffer(f"joined_{name}", whole, persistent=False)
            for part, own in zip(parts, whole.chunk(3), strict=True):
                getattr(part, name).data = own
        attn.processor.joined = True


def use_graphs(denoiser: CausalWan, decoder: VideoDecoder | None = None) -> None:
    """Have whole passes recorded as CUDA graphs once the cache is in its steady state, see `graphs`, and what the small
    decoder makes of a chunk. Wan's VAE, which is busy long enough by itself, is not recorded.

    Raises SettingsError off CUDA, and for weights that come in as a block runs.
    """
    if denoiser.device.type != "cuda":
        raise SettingsError("CUDA graphs are for CUDA, and this is the CPU: leave --graphs away")
    if has_passing_weights(denoiser.transformer):
        raise SettingsError("weights that are offloaded or stored in fp8 cannot be in a CUDA graph: leave it away")
    capturing = Lock()
    denoiser.recorder = Recorder(CudaGraphs(capturing))
    if isinstance(decoder, TinyCodec):
        decoder.recorder = Recorder(CudaGraphs(capturing))


def compile_blocks(denoiser: CausalWan, mode: str = "default", backend: str = "inductor") -> None:
    """Compile the transformer's blocks, in place, each as one graph; compiling itself happens at first use.

    mode: one of MODES, for the inductor backend. Raises SettingsError for another, and for weights that come in
    as a block runs.
    """
    if mode not in MODES:
        raise SettingsError(f"compile mode must be one of {', '.join(MODES)}, not {mode!r}")
    if has_passing_weights(denoiser.transformer):
        raise SettingsError("weights that are offloaded or stored in fp8 cannot be compiled: use one or the other")
    options: dict[str, Any] = {} if mode == "default" else {"mode": mode}
    restore_blocks(denoiser)
    for block in denoiser.transformer.blocks:
        block.forward = _either(block, torch.compile(block.forward, fullgraph=True, backend=backend, **options))


def restore_blocks(denoiser: CausalWan) -> None:
    """Undo `compile_blocks`."""
    for block in denoiser.transformer.blocks:
        vars(block).pop("forward", None)


@contextmanager
def eager_blocks(denoiser: CausalWan) -> Iterator[None]:
    """Without the compiled blocks for a while, to compare."""
    blocks = denoiser.transformer.blocks
    compiled = [vars(block).pop("forward", None) for block in blocks]
    try:
        yield
    finally:
        for block, forward in zip(blocks, compiled, strict=True):
            if forward is not None:
                block.forward = forward


def has_passing_weights(module: nn.Module) -> bool:
    """Whether diffusers brings this module's weights in as it runs, from another device or from fp8."""
    registries: Iterator[Any] = (part._diffusers_hook for part in module.modules() if hasattr(part, "_diffusers_hook"))
    return any(hook in registry.hooks for registry in registries for hook in ("group_offloading", "layerwise_casting"))


def _either(block: Any, graph: Callable) -> Callable:
    """The block's forward: the graph where a pass only reads and writes, eager where it first opens the cache.

    Without a history the cache is as long as the chunk, and a graph would take that for a rule.
    """
    eager, own, text = block.forward, block.attn1.processor, block.attn2.processor

    def forward(*inputs: Tensor) -> Tensor:
        if not (own.ready and text.ready and own.layer.tokens):
            return eager(*inputs)
        _mark_length(own.layer)
        return graph(*inputs)

    return forward


def _mark_length(layer: LayerCache) -> None:
    """Say that the history's length changes, so that no graph is made for one length."""
    reading = layer.reading
    rounded = () if layer.in_8_bits is None else layer.in_8_bits.touched[:2]
    for tensor in (layer.slots, reading.keys, reading.values, *rounded):
        torch._dynamo.maybe_mark_dynamic(tensor, 1)
    if reading.mask is not None:
        torch._dynamo.maybe_mark_dynamic(reading.mask, 3)


@dataclass(frozen=True)
class Kernel:
    """An attention kernel that diffusers can call. `exact`: not quantised; `capability`: the least of a device; `only`:
    the first number of the one kind that it is built for, None for later ones too."""

    title: str
    backend: AttentionBackendName
    installed: Callable[[], bool]
    exact: bool = True
    capability: tuple[int, int] = (8, 0)
    only: int | None = None


KERNELS = {  # best first
    "flash-3": Kernel(
        "FlashAttention 3", AttentionBackendName._FLASH_3, is_flash_attn_3_available, capability=(9, 0), only=9
    ),
    "cudnn": Kernel("cuDNN", AttentionBackendName._NATIVE_CUDNN, torch.backends.cudnn.is_available, capability=(9, 0)),
    "flash": Kernel("FlashAttention 2", AttentionBackendName.FLASH, is_flash_attn_available),
    "sage": Kernel("SageAttention", AttentionBackendName.SAGE, is_sageattention_available, exact=False),
}
NATIVE = "native"
NATIVE_TITLE = "PyTorch"


def use_attention(denoiser: CausalWan, kernel: str | None = None) -> str:
    """Have the denoiser's attention computed by this kernel of KERNELS, 'native' for PyTorch's own choice, or None for
    the best exact one that works here. Returns its title, for people to read.

    Each candidate is tried on a few tokens first. None of them needs a mask, since videos are not padded; a batch with
    padding goes to PyTorch's attention whatever is set. Raises SettingsError where the kernel asked for does not work.
    """
    if kernel is not None and kernel not in (NATIVE, *KERNELS):
        raise SettingsError(f"unknown attention {kernel!r}; there are {', '.join((NATIVE, *KERNELS))}")
    wanted = [name for name, k in KERNELS.items() if k.exact] if kernel is None else [kernel]
    found = next((name for name in wanted if name != NATIVE and _works(denoiser, KERNELS[name])), NATIVE)
    if kernel is not None and found != kernel:
        raise SettingsError(f"{KERNELS[kernel].title} does not work here: it is not installed, or not for this device")
    _set_backend(denoiser, None if found == NATIVE else KERNELS[found].backend)
    return attention_title(denoiser)


@contextmanager
def attention_in_8_bits(denoiser: CausalWan, kernel: EightBitKernel | None = simulated) -> Iterator[None]:
    """Self-attention by this kernel in 8 bits, None for exact, for the chunks that begin in a while: to see what
    they change."""
    before, denoiser.eight_bits = denoiser.eight_bits, kernel
    try:
        yield
    finally:
        denoiser.eight_bits = before


def attention_title(denoiser: CausalWan) -> str:
    """The attention kernel in use, whether in 8 bits, and whether passes are CUDA graphs, for people to read."""
    backend = denoiser.transformer.blocks[0].attn1.processor.backend
    kernel = next((kernel.title for kernel in KERNELS.values() if kernel.backend == backend), NATIVE_TITLE)
    return kernel + _eight_bits_title(denoiser) + _graphs_title(denoiser.recorder)


def _eight_bits_title(denoiser: CausalWan) -> str:
    if denoiser.eight_bits is not None:
        return ", 8 bits once there is a history"
    return "" if denoiser.no_eight_bits is None else f", not in 8 bits: {denoiser.no_eight_bits}"


def _graphs_title(recorder: Recorder | None) -> str:
    if recorder is None:
        return ""
    return ", CUDA graphs" if recorder.trouble is None else f", no CUDA graphs: {recorder.trouble}"


def decoder_title(decoder: VideoDecoder) -> str:
    """What to say of the decoder beside the attention: nothing, unless its recording failed."""
    recorder = decoder.recorder if isinstance(decoder, TinyCodec) else None
    return f", no CUDA graph of the decoder: {recorder.trouble}" if recorder and recorder.trouble else ""


def _set_backend(denoiser: CausalWan, backend: AttentionBackendName | None) -> None:
    for block in denoiser.transformer.blocks:
        block.attn1.processor.backend = block.attn2.processor.backend = backend


def _works(denoiser: CausalWan, kernel: Kernel) -> bool:
    device, dtype = denoiser.device, denoiser.dtype
    if device.type != "cuda" or dtype not in (torch.float16, torch.bfloat16) or not kernel.installed():
        return False
    capability = torch.cuda.get_device_capability(device)
    if capability < kernel.capability or kernel.only not in (None, capability[0]):
        return False
    few = torch.zeros(1, 128, denoiser.heads, denoiser.head_dim, device=device, dtype=dtype)
    try:
        return dispatch_attention_fn(few, few, few, backend=kernel.backend).isfinite().all().item() is True
    except (RuntimeError, TypeError, ValueError, ImportError):  # built for another device, or another version of torch
        return False
