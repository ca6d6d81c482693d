"""Attention processors for diffusers' `WanTransformer3DModel`: causal self-attention that reads and feeds the KV cache,
and cross-attention that projects a prompt once.

Wan's forward hands processors no room for a cache, so all of one transformer's processors share a `Pass`, which the
denoiser fills for the duration of a call.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from diffusers.models.attention_dispatch import dispatch_attention_fn
from torch import Tensor

from .kv_cache import KVCache


@dataclass
class Prompt:
    """Text as the transformer sees it: embeds [B, rows, text_dim]; keys and values of each layer, projected once."""

    text: str
    embeds: Tensor = field(repr=False)
    projected: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict, repr=False)


@dataclass
class Pass:
    """What the processors need to know of the forward call in flight."""

    cache: KVCache | None = None
    prompt: Prompt | None = None
    step: int = 0
    appending: bool = False


class CausalSelfAttention:
    """Wan's self-attention over [history | chunk], without a mask inside the chunk."""

    def __init__(self, layer: int, current: Pass) -> None:
        self.layer, self.current = layer, current

    def __call__(self, attn, hidden_states: Tensor, *_) -> Tensor:
        now, cache = self.current, self.current.cache
        q, k, v = self._project(attn, hidden_states)  # [B, m, heads, head_dim]
        q = cache.rotate(q)
        reading = cache.read(self.layer, q, k, v)
        if cache.probe is not None:
            cache.probe.observe(self.layer, now.step, q, reading)
        out = dispatch_attention_fn(q, reading.keys, reading.values, attn_mask=reading.mask)
        if now.appending:
            cache.append(self.layer, q, k, v)
        return attn.to_out[0](out.flatten(2).type_as(hidden_states))

    @staticmethod
    def _project(attn, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = attn.norm_q(attn.to_q(x)), attn.norm_k(attn.to_k(x)), attn.to_v(x)
        return tuple(t.unflatten(2, (attn.heads, -1)) for t in (q, k, v))


class PromptCrossAttention:
    """Wan's cross-attention; a prompt's keys and values are projected at its first use. Padding is attended to."""

    def __init__(self, layer: int, current: Pass) -> None:
        self.layer, self.current = layer, current

    def __call__(self, attn, hidden_states: Tensor, encoder_hidden_states: Tensor, *_) -> Tensor:
        q = attn.norm_q(attn.to_q(hidden_states)).unflatten(2, (attn.heads, -1))
        k, v = self._projected(attn, encoder_hidden_states)
        out = dispatch_attention_fn(q, k, v)
        return attn.to_out[0](out.flatten(2).type_as(hidden_states))

    def _projected(self, attn, text: Tensor) -> tuple[Tensor, Tensor]:
        memo = self.current.prompt.projected
        if self.layer not in memo:
            k, v = attn.norm_k(attn.to_k(text)), attn.to_v(text)
            memo[self.layer] = tuple(t.unflatten(2, (attn.heads, -1)) for t in (k, v))
        return memo[self.layer]
