"""Attention processors for diffusers' `WanTransformer3DModel`: causal self-attention that reads and feeds the KV cache,
and cross-attention that projects a prompt once.

Wan's forward hands processors no room for a cache, so the denoiser gives each one its own layer of the cache, or of the
prompt, for the duration of a call. Once those are `ready`, a call is tensors in, tensors out, without a look at the
layer's number: a compiled block is one graph, and one that fits all layers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from diffusers.models.attention_dispatch import AttentionBackendName
from torch import Tensor
from torch.nn.functional import linear

from .eight_bit import EightBitKernel
from .kv_cache import KVCache, LayerCache, Reading
from .plain_attention import attend
from .rope import rotate_into


@dataclass
class LayerPrompt:
    """A prompt's keys and values for one layer, [B, rows, heads, head_dim]; None before its first use."""

    keys: Tensor | None = None
    values: Tensor | None = None


@dataclass
class Prompt:
    """Text as the transformer sees it: embeds [B, rows, text_dim], and what each layer has projected of it."""

    text: str
    embeds: Tensor = field(repr=False)
    layers: list[LayerPrompt] = field(default_factory=list, repr=False)

    def projected(self, layers: int) -> list[LayerPrompt]:
        """Each layer's own; `layers` of them."""
        if not self.layers:
            self.layers = [LayerPrompt() for _ in range(layers)]
        return self.layers


class CausalSelfAttention:
    """Wan's self-attention over [history | chunk], without a mask inside the chunk.

    `cache` and `layer` are set for the duration of a call. `backend`: diffusers' name of the attention kernel, None
    for PyTorch's own; kernels other than that know no mask, so padded batches go to PyTorch's. `joined`: q, k
    and v are one product, see `speed.join_projections`. `eight_bits`: the kernel for what the layer holds in 8 bits,
    None for exact attention.
    """

    def __init__(self) -> None:
        self.cache: KVCache | None = None
        self.layer: LayerCache | None = None
        self.backend: AttentionBackendName | None = None
        self.joined = False
        self.eight_bits: EightBitKernel | None = None

    @property
    def ready(self) -> bool:
        """Whether a call only reads and writes; otherwise it first opens the layer for a new chunk."""
        return self.layer.reading is not None

    def __call__(self, attn, hidden_states: Tensor, *_) -> Tensor:
        layer = self.layer
        q, k, v = map(layer.as_rows, self._project(attn, hidden_states))  # [B, m, heads, head_dim]
        q = rotate_into(torch.empty_like(q, memory_format=torch.contiguous_format), q, layer.rotation)
        if layer.reading is None:
            self.cache.open(layer, q, k)
        reading = layer.write(q, k, v)
        out = self._attend(q, layer, reading)
        return attn.to_out[0](layer.as_heads(out).flatten(2).type_as(hidden_states))

    def _attend(self, q: Tensor, layer: LayerCache, reading: Reading) -> Tensor:
        if self.eight_bits is not None and layer.in_8_bits is not None and not layer.alone:
            return self.eight_bits(q, layer.in_8_bits.touched)
        backend = self.backend if reading.mask is None else None
        return attend(q, reading.keys, reading.values, reading.mask, backend)

    def _project(self, attn, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.joined:
            q, k, v = linear(x, attn.joined_weight, attn.joined_bias).chunk(3, -1)
        else:
            q, k, v = attn.to_q(x), attn.to_k(x), attn.to_v(x)
        return tuple(t.unflatten(2, (attn.heads, -1)) for t in (attn.norm_q(q), attn.norm_k(k), v))


class PromptCrossAttention:
    """Wan's cross-attention; a prompt's keys and values are projected at its first use. Padding is attended to."""

    def __init__(self) -> None:
        self.prompt: LayerPrompt | None = None
        self.backend: AttentionBackendName | None = None

    @property
    def ready(self) -> bool:
        return self.prompt.keys is not None

    def __call__(self, attn, hidden_states: Tensor, encoder_hidden_states: Tensor, *_) -> Tensor:
        q = attn.norm_q(attn.to_q(hidden_states)).unflatten(2, (attn.heads, -1))
        if self.prompt.keys is None:
            self._project(attn, encoder_hidden_states)
        out = attend(q, self.prompt.keys, self.prompt.values, backend=self.backend)
        return attn.to_out[0](out.flatten(2).type_as(hidden_states))

    def _project(self, attn, text: Tensor) -> None:
        k, v = attn.norm_k(attn.to_k(text)), attn.to_v(text)
        self.prompt.keys, self.prompt.values = (t.unflatten(2, (attn.heads, -1)) for t in (k, v))
