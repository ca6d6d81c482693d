"""Self-attention in 8 bits, simulated: what it would cost in exactness, told before there is a kernel for it.

As SageAttention and cuDNN compute it: keys have their mean over tokens subtracted, which changes no softmax and takes
away what all keys share (arXiv 2410.02367, section 4.2); queries, keys, values and the softmax's numerators are rounded
to e4m3, each tensor with one scale; sums are exact.
"""

from __future__ import annotations

import torch
from torch import Tensor

E4M3 = torch.float8_e4m3fn
LARGEST = torch.finfo(E4M3).max
NUMERATOR = 256.0  # scale of the softmax's numerators, which are at most 1


def rounded(x: Tensor) -> Tensor:
    """x in float32 as e4m3 with one scale keeps it."""
    scale = x.abs().amax().clamp(min=1e-12) / LARGEST
    return (x / scale).to(E4M3).float() * scale


def smoothed(keys: Tensor, mask: Tensor | None) -> Tensor:
    """Keys [B, heads, n, head_dim] less their mean over the tokens that mask [B, 1, 1, n] lets be seen."""
    if mask is None:
        return keys - keys.mean(2, keepdim=True)
    real = mask.transpose(2, 3)
    return torch.where(real, keys - (keys * real).sum(2, keepdim=True) / real.sum(2, keepdim=True), 0)


def attend_in_8_bits(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """softmax(q k^T / sqrt(head_dim)) v; queries [B, m, heads, head_dim], keys and values [B, n, heads, head_dim]."""
    q, k, v = (x.transpose(1, 2).float() for x in (queries, keys, values))
    logits = rounded(q) @ rounded(smoothed(k, mask)).transpose(2, 3) * q.shape[-1] ** -0.5
    if mask is not None:
        logits = logits.masked_fill(~mask, -torch.inf)
    numerators = (logits - logits.amax(-1, keepdim=True)).exp()
    out = (numerators * NUMERATOR).to(E4M3).float() / NUMERATOR @ rounded(v) / numerators.sum(-1, keepdim=True)
    return out.transpose(1, 2).to(queries.dtype)
