"""Tokens that would be dropped become part of others that are like them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..sums import summed

AT_ONCE = 512  # dropped tokens that are compared with the kept ones at a time


@dataclass(frozen=True)
class Tokens:
    """keys before RoPE and values [B, n, heads, head_dim]; logits float32 [B, n, heads], which a query gives them."""

    keys: Tensor
    values: Tensor
    logits: Tensor

    def taken(self, index: Tensor) -> Tokens:
        """Those at index [B, k]."""
        return Tokens(*(_taken(x, index) for x in (self.keys, self.values, self.logits)))

    def part(self, which: slice) -> Tokens:
        return Tokens(*(x[:, which] for x in (self.keys, self.values, self.logits)))


def most_alike(keys: Tensor, others: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """keys [B, n, heads, head_dim], others [B, m, heads, head_dim], of which only `valid` ones, bool [B, m], count ->
    the cosine with the most similar of the others, over all heads together, float32 [B, n], and which one that is,
    int64 [B, n]."""
    one, other = (normalize(x.float().flatten(2), dim=-1) for x in (keys, others))
    barred = torch.zeros_like(other[..., 0]) if valid is None else torch.where(valid, 0.0, -torch.inf)
    best = [(some @ other.mT + barred[:, None]).max(2) for some in one.split(AT_ONCE, 1)]
    return torch.cat([most.values for most in best], 1), torch.cat([most.indices for most in best], 1)


def merged(
    kept: Tokens, lost: Tokens, into: Tensor, joins: Tensor, asked: Tensor, scale: float
) -> tuple[Tensor, Tensor]:
    """Keys and values of the kept tokens once the lost ones that join them, bool [B, n], have been merged `into` them,
    int64 [B, n]. For the query that is `asked`, float32 [B, m, heads, head_dim], turned back to the place of each kept
    token, nothing changes: a merged token gets as much attention as its parts together, and gives their sum.

    Its value, and its key so far as that is open, are the mean of the parts, weighted by that attention; then the key
    is moved along the query, to the logit that the parts have together. scale: of logits before the softmax.
    """
    more = lost.logits - _taken(kept.logits, into)
    weight = (scale * more).exp().masked_fill(~joins[..., None], 0)
    total = 1 + summed(weight, into, kept.logits.shape[1])
    keys = _mean(kept.keys, lost.keys, weight, total, into)
    values = _mean(kept.values, lost.values, weight, total, into)
    wanted = kept.logits + total.log() / scale
    missing = (wanted - (asked * keys).sum(-1)) / asked.square().sum(-1).clamp(min=1e-6)
    keys = keys + torch.where(total > 1, missing, 0)[..., None] * asked
    return keys.to(kept.keys.dtype), values.to(kept.values.dtype)


def _mean(kept: Tensor, lost: Tensor, weight: Tensor, total: Tensor, into: Tensor) -> Tensor:
    parts = summed(weight[..., None] * lost.float(), into, kept.shape[1])
    return (kept.float() + parts) / total[..., None]


def _taken(x: Tensor, index: Tensor) -> Tensor:
    return x.gather(1, _wide(index, x))


def _wide(index: Tensor, x: Tensor) -> Tensor:
    """index [B, k] -> for gathering from x [B, n, ...]."""
    return index.view(*index.shape, *[1] * (x.ndim - 2)).expand(-1, -1, *x.shape[2:])
