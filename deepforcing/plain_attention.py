"""Attention as two matrix products, for CPUs that multiply in bfloat16 but hold no tiles of matrices (AMX).

PyTorch's own attention works in small blocks there, and takes three times as long. Scores are rounded to bfloat16, as
all else is in such a network: its latents lie as far from those in float32 either way.
"""

from __future__ import annotations

import torch
from diffusers.models.attention_dispatch import AttentionBackendName, dispatch_attention_fn
from torch import Tensor

MOST_SCORES = 2**24  # that are held at once
_CAN = torch.cpu.get_capabilities()
WITHOUT_TILES = _CAN.get("avx512_bf16", False) and not _CAN.get("amx_bf16", False)


def attend(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, backend: AttentionBackendName | None = None
) -> Tensor:
    """Queries [B, m, heads, head_dim] over keys and values [B, n, heads, head_dim] -> like q.

    mask: bool, broadcast to [B, heads, m, n], True where attention may go. backend: diffusers' name of a kernel, None
    for what is fastest here.
    """
    if mask is None and backend is None and _pays(q, k):
        return _in_products(q, k, v)
    return dispatch_attention_fn(q, k, v, attn_mask=mask, backend=backend)


def _pays(q: Tensor, k: Tensor) -> bool:
    if not WITHOUT_TILES or q.device.type != "cpu" or q.dtype != torch.bfloat16:
        return False
    return q.shape[0] * q.shape[2] * q.shape[1] * k.shape[1] <= MOST_SCORES


def _in_products(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    q, k, v = (x.transpose(1, 2) for x in (q * q.shape[-1] ** -0.5, k, v))
    return ((q @ k.mT).softmax(-1) @ v).transpose(1, 2)
