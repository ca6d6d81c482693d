"""Self-attention for teacher forcing: chunks of clean history and noisy chunks, attended to block by block.

Over each chunk's own keys it needs no mask. On a CPU plain softmax(q k^T) v has a much faster backward than fused
kernels; on a GPU it is the other way round.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of interleaved pairs; x [B, L, heads, d], cos and sin [1, L, 1, d / 2]."""
    even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(d)) v; each [B, heads, length, d]."""
    if query.is_cuda:
        return scaled_dot_product_attention(query, key, value)
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    return scores.softmax(-1, dtype=torch.float32).to(value.dtype) @ value


class TeacherForcingProcessor:
    """Processor for Wan's `attn1` over [clean chunks | noisy chunks], `chunk` tokens each; one noisy chunk more.

    A clean chunk sees the clean ones up to itself; a noisy chunk sees the clean ones before it, and itself.
    """

    def __init__(self, chunk: int) -> None:
        self.chunk = chunk

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, rotary_emb=None) -> Tensor:
        x = hidden_states
        query, key = attn.norm_q(attn.to_q(x)), attn.norm_k(attn.to_k(x))
        query, key, value = (t.unflatten(2, (attn.heads, -1)) for t in (query, key, attn.to_v(x)))
        query, key = rotate(query, *rotary_emb).to(value.dtype), rotate(key, *rotary_emb).to(value.dtype)
        mixed = self._blocks(*(t.transpose(1, 2) for t in (query, key, value)))
        return attn.to_out[0](mixed.transpose(1, 2).flatten(2))

    def _blocks(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        size = self.chunk
        history = (query.shape[2] // size - 1) // 2 * size  # tokens of clean history
        clean, noisy = [], []
        for start in range(0, query.shape[2] - history, size):
            own = slice(history + start, history + start + size)
            keys, values = (torch.cat([t[:, :, :start], t[:, :, own]], 2) for t in (key, value))
            noisy.append(attend(query[:, :, own], keys, values))
            if start < history:
                seen = slice(0, start + size)
                clean.append(attend(query[:, :, start : start + size], key[:, :, seen], value[:, :, seen]))
        return torch.cat(clean + noisy, 2)


class CrossProcessor:
    """Processor for Wan's `attn2`: every text row is attended to, padding included."""

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, rotary_emb=None) -> Tensor:
        query = attn.norm_q(attn.to_q(hidden_states))
        key = attn.norm_k(attn.to_k(encoder_hidden_states))
        value = attn.to_v(encoder_hidden_states)
        query, key, value = (t.unflatten(2, (attn.heads, -1)).transpose(1, 2) for t in (query, key, value))
        mixed = attend(query.to(value.dtype), key.to(value.dtype), value)
        return attn.to_out[0](mixed.transpose(1, 2).flatten(2))
