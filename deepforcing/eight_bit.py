"""Self-attention in 8 bits: what a chunk reads is rounded once, and shared by all of its passes.

As SageAttention and cuDNN compute it: keys have their mean over tokens subtracted, which changes no softmax and takes
away what all keys share (arXiv 2410.02367, section 4.2), and so have values, whose mean is added to the output again;
queries, keys, values, the softmax's numerators and the output are rounded to e4m3, each tensor with one scale; sums are
exact. Means and scales are the history's: a pass rounds only the chunk's own tokens. A float loses nothing to a larger
scale, so there is room for own tokens that are larger.

`simulated` is such a kernel in float32, on any device; `models/cudnn_attention.py` calls a real one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .token_buffer import TokenBuffer

E4M3 = torch.float8_e4m3fn
LARGEST = torch.finfo(E4M3).max
HEADROOM = 2.0  # times the history's largest number that a chunk's own may be; what is larger is cut to that


def scale_of(x: Tensor, headroom: float = 1.0) -> Tensor:
    """What one step of the e4m3 numbers of x is worth: float32, no dimensions."""
    return (x.abs().amax().float() * (headroom / LARGEST)).clamp(min=1e-12)


def to_e4m3(x: Tensor, scale: Tensor) -> Tensor:
    """x / scale, cut to what e4m3 can hold, as e4m3."""
    return (x.float() / scale).clamp(-LARGEST, LARGEST).to(E4M3)


class Rounded(NamedTuple):
    """What attention in 8 bits reads, as in `EightBits`."""

    keys: Tensor
    values: Tensor
    key_mean: Tensor
    value_mean: Tensor
    key_scale: Tensor
    value_scale: Tensor


class EightBits:
    """Keys (RoPE applied) and values [B, n + chunk, heads, head_dim] of one layer's reading less their means, as e4m3.

    `key_mean`, `value_mean` of the history: float32 [B, 1, heads, head_dim]; `key_scale`, `value_scale`: float32, no
    dimensions. All of it lies in memory that stays where it is from chunk to chunk.
    """

    def __init__(self, like: Tensor, tokens: int) -> None:
        """like: any keys [B, ?, heads, head_dim]; tokens: how many there is room for."""
        self._keys, self._values = (TokenBuffer(like[:, :1].to(E4M3), tokens) for _ in range(2))
        self.key_mean, self.value_mean = (torch.zeros_like(like[:, :1], dtype=torch.float32) for _ in range(2))
        self.key_scale, self.value_scale = (torch.ones((), device=like.device) for _ in range(2))

    def begin(self, keys: Tensor, values: Tensor, own: int) -> None:
        """Round a chunk's reading [B, n + own, heads, head_dim] but for its own tokens, which come last."""
        self.keys, self.values = (room.first(keys.shape[1]) for room in (self._keys, self._values))
        self.keys[:, :-own] = _begun(keys[:, :-own], self.key_mean, self.key_scale)
        self.values[:, :-own] = _begun(values[:, :-own], self.value_mean, self.value_scale)

    def write(self, keys: Tensor, values: Tensor) -> None:
        """One pass's own tokens [B, own, heads, head_dim]; what was rounded of the history is not touched."""
        own = slice(-keys.shape[1], None)
        self.keys[:, own] = to_e4m3(keys.float() - self.key_mean, self.key_scale)
        self.values[:, own] = to_e4m3(values.float() - self.value_mean, self.value_scale)

    @property
    def touched(self) -> Rounded:
        """All that a pass reads and writes here."""
        means, scales = (self.key_mean, self.value_mean), (self.key_scale, self.value_scale)
        return Rounded(self.keys, self.values, *means, *scales)


def _begun(x: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """A history as e4m3; its mean and its scale are told in their places."""
    smooth = x.float() - mean.copy_(x.mean(1, keepdim=True, dtype=torch.float32))
    return to_e4m3(smooth, scale.copy_(scale_of(smooth, HEADROOM)))


EightBitKernel = Callable[[Tensor, Rounded], Tensor]  # queries [B, m, heads, head_dim] -> attention, like the queries


def simulated(queries: Tensor, read: Rounded) -> Tensor:
    """softmax(q k^T / sqrt(head_dim)) v over what was rounded; queries and result [B, m, heads, head_dim]."""
    scale = scale_of(queries)
    q, k, v = (x.float().transpose(1, 2) for x in (to_e4m3(queries, scale), read.keys, read.values))
    logits = q @ k.transpose(2, 3) * (scale * read.key_scale * q.shape[-1] ** -0.5)
    numerators = (logits - logits.amax(-1, keepdim=True)).exp()
    seen = (numerators * LARGEST).to(E4M3).float() / LARGEST @ v / numerators.sum(-1, keepdim=True)
    out = (seen.to(E4M3).float() * read.value_scale).transpose(1, 2)
    return (out + read.value_mean).to(queries.dtype)
