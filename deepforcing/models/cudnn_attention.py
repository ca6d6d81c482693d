"""Self-attention in 8 bits on a GPU, by cuDNN through the library `nvidia-cudnn-frontend` (extra `fp8`).

What its `sdpa_fp8` is given: q, k, v as e4m3 with one scale each, and a scale for the softmax's numerators, which are
at most 1. Hopper's kernel gives e4m3 too; no output is larger than the largest value, so the values' scale is the
output's. Later GPUs give bfloat16. See the docstring of `sdpa_fp8` in version 1.32.
"""

from __future__ import annotations

import importlib
import logging
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from ..config import SettingsError
from ..eight_bit import E4M3, LARGEST, EightBits, Rounded, scale_of, to_e4m3
from .operation import as_operation
from .wan import CausalWan

CAPABILITIES = ((9, 0), (10, 0), (12, 0))  # Hopper, and two kinds of Blackwell
MOST_OFF = 0.1  # relative error of a trial, where simulation is off by 0.06
SCALES = ("descale_q", "descale_k", "descale_v", "descale_s", "scale_s", "scale_o")
INPUTS = ("q", "k", "v", *SCALES)

log = logging.getLogger("deepforcing")


@dataclass(frozen=True)
class Plan:
    """What cuDNN has built for tensors of certain shapes, and its names for them; `workspace` in bytes."""

    graph: Any
    inputs: dict[str, Any]
    output: Any
    workspace: int


class CudnnAttention:
    """The kernel: an `EightBitKernel`. What cuDNN builds for each shape of a call is kept."""

    def __init__(self, library: Any, capability: tuple[int, int]) -> None:
        """library: the module `cudnn`; capability: of the device that all calls are on."""
        self._library, self._handle = library, library.create_handle()
        self._output = E4M3 if capability < (10, 0) else torch.bfloat16
        self._plans: dict[tuple, Plan] = {}
        self._operation = as_operation(self._attend, f"cudnn_attention_{id(self)}")

    def __call__(self, queries: Tensor, read: Rounded) -> Tensor:
        """Attention of queries [B, m, heads, head_dim] over what was rounded, in the queries' precision."""
        return (self._operation if torch.compiler.is_compiling() else self._attend)(queries, read)

    def _attend(self, queries: Tensor, read: Rounded) -> Tensor:
        scale, ones = scale_of(queries), torch.ones_like(read.value_scale)
        q, k, v = (x.transpose(1, 2) for x in (to_e4m3(queries, scale), read.keys, read.values))
        narrow = self._output == E4M3
        scales = (scale, read.key_scale, read.value_scale, ones / LARGEST, ones * LARGEST)
        given = (q, k, v, *(s.view(1, 1, 1, 1) for s in (*scales, 1 / read.value_scale if narrow else ones)))
        out = torch.empty_like(queries, dtype=self._output, memory_format=torch.contiguous_format).transpose(1, 2)
        self._run(dict(zip(INPUTS, given, strict=True)), out)
        out = (out.float() * read.value_scale if narrow else out).transpose(1, 2)
        return (out + read.value_mean).to(queries.dtype)

    def _run(self, inputs: dict[str, Tensor], out: Tensor) -> None:
        """In the stream that is current, which may be recording a CUDA graph."""
        self._library.set_stream(handle=self._handle, stream=torch.cuda.current_stream(out.device).cuda_stream)
        shapes = tuple((x.shape, x.stride()) for x in (inputs["q"], inputs["k"], inputs["v"]))
        if shapes not in self._plans:
            self._plans[shapes] = build_plan(self._library, self._handle, inputs, out)
        plan = self._plans[shapes]
        workspace = torch.empty(max(1, plan.workspace), dtype=torch.uint8, device=out.device)
        tensors = {plan.inputs[name]: x for name, x in inputs.items()} | {plan.output: out}
        plan.graph.execute(tensors, workspace, handle=self._handle)


def build_plan(library: Any, handle: Any, inputs: dict[str, Tensor], out: Tensor) -> Plan:
    """inputs: by the names in INPUTS, q, k and v [B, heads, tokens, head_dim]; out: like q, for the result."""
    types = {E4M3: library.data_type.FP8_E4M3, torch.float32: library.data_type.FLOAT}
    types[torch.bfloat16] = library.data_type.BFLOAT16
    float32 = types[torch.float32]
    graph = library.pygraph(
        io_data_type=types[E4M3], intermediate_data_type=float32, compute_data_type=float32, handle=handle
    )
    named = {
        name: graph.tensor(name=name, dim=list(x.shape), stride=list(x.stride()), data_type=types[x.dtype])
        for name, x in inputs.items()
    }
    scale = inputs["q"].shape[-1] ** -0.5
    made, *_ = graph.sdpa_fp8(**named, attn_scale=scale, generate_stats=False, name="attention")
    made.set_output(True).set_dim(list(out.shape)).set_stride(list(out.stride())).set_data_type(types[out.dtype])
    graph.build([library.heur_mode.A, library.heur_mode.FALLBACK])
    return Plan(graph, named, made, graph.get_workspace_size())


def use_eight_bits(denoiser: CausalWan) -> None:
    """Have self-attention in 8 bits where the device, the library and a trial allow it; otherwise it stays exact, and
    `attention_title` and the log say why. Raises SettingsError off CUDA."""
    if denoiser.device.type != "cuda":
        raise SettingsError(
            "--attention fp8 needs a Hopper or Blackwell GPU with CUDA and the extra fp8 (nvidia-cudnn-frontend), and "
            "this is the CPU: leave it away; bench --attention-error shows what 8 bits change"
        )
    try:
        denoiser.eight_bits = working_kernel(denoiser.device, denoiser.heads, denoiser.head_dim, denoiser.dtype)
    except NoEightBits as reason:
        denoiser.no_eight_bits = str(reason)
        log.warning("attention is exact, not in 8 bits: %s", reason)


class NoEightBits(Exception):
    """Why attention cannot be in 8 bits here."""


def working_kernel(device: torch.device, heads: int, head_dim: int, dtype: torch.dtype) -> CudnnAttention:
    """The kernel, once it was tried on this device. Raises NoEightBits."""
    capability = torch.cuda.get_device_capability(device)
    if capability not in CAPABILITIES:
        known = ", ".join(f"{major}.{minor}" for major, minor in CAPABILITIES)
        raise NoEightBits(f"the GPU's compute capability is {capability[0]}.{capability[1]}, not {known}")
    try:
        kernel = CudnnAttention(importlib.import_module("cudnn"), capability)
        off = error_of_trial(kernel, torch.zeros(1, 256, heads, head_dim, device=device, dtype=dtype))
    except ImportError:
        raise NoEightBits("nvidia-cudnn-frontend is not installed: pip install deepforcing[fp8]") from None
    except Exception as error:  # the library's own errors have no common kind
        raise NoEightBits(f"its trial failed: {str(error).partition(chr(10))[0]}") from error
    if not off <= MOST_OFF:
        raise NoEightBits(f"its trial was off by {off:.2f} of the exact result")
    return kernel


def error_of_trial(kernel: Any, like: Tensor) -> float:
    """Relative error against exact attention on random tokens like these [B, m, heads, head_dim], three times as many
    of them keys."""
    generator = torch.Generator().manual_seed(0)
    shape = list(like.shape)
    q, *parts = (torch.randn(shape, generator=generator).to(like) for _ in range(7))
    keys, values = torch.cat(parts[:3], 1), torch.cat(parts[3:], 1)
    read, own = EightBits(keys, keys.shape[1]), shape[1]
    read.begin(keys, values, own)
    read.write(keys[:, -own:], values[:, -own:])
    wide = [x.float().transpose(1, 2) for x in (q, keys, values)]
    exact = scaled_dot_product_attention(wide[0], wide[1], wide[2]).transpose(1, 2)
    return ((kernel(q, read.touched).float() - exact).norm() / exact.norm()).item()
