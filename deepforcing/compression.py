"""Participative Compression: keep the cached tokens that recent queries attend to (arXiv 2512.05081, section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .sums import summed


@dataclass(frozen=True)
class TopC:
    """The winners: indices int64 [B, C], ascending, which is temporal order; `valid` bool [B, C] marks padding and is
    None when every row is full; scores float32 [B, n]."""

    indices: Tensor
    valid: Tensor | None
    scores: Tensor


def importance(keys: Tensor, query_sum: Tensor) -> Tensor:
    """Eq. 9: sum over the recent queries, and over heads, of q . k, in float32.

    A sum of dot products is the dot product with the sum, so the queries come summed.
    keys [B, n, heads, head_dim] and query_sum [B, heads, head_dim], both with RoPE applied -> [B, n].
    """
    return torch.einsum("bnhd,bhd->bn", keys.float(), query_sum.float())


def attention_mass(keys: Tensor, queries: Tensor, mask: Tensor | None = None, *, at_once: int = 128) -> Tensor:
    """How much attention each key gets: every query's softmax over the keys, summed over queries, in float32.

    keys [B, n, heads, head_dim], queries [B, q, heads, head_dim], both with RoPE applied; mask bool [B, n], the keys
    that may be attended to, None for all -> [B, heads, n], which sums to q over the keys. `at_once` queries are
    compared with the keys at a time.
    """
    keys = keys.float() * keys.shape[-1] ** -0.5
    mass = keys.new_zeros(keys.shape[0], keys.shape[2], keys.shape[1])
    for some in queries.float().split(at_once, 1):
        logits = torch.einsum("bqhd,bnhd->bhqn", some, keys)
        if mask is not None:
            logits = logits.masked_fill(~mask[:, None, None], -torch.inf)
        mass += logits.softmax(-1).sum(2)
    return mass


def by_frame(scores: Tensor, frames: Tensor, candidates: Tensor) -> Tensor:
    """The score of each candidate's whole frame, the sum of its candidates' scores: float32 [B, n], 0 elsewhere.

    scores float32, frames int64, candidates bool, all [B, n]; the tokens of one frame lie side by side.
    """
    begins = torch.ones_like(candidates)
    begins[:, 1:] = frames.diff(dim=1) != 0
    which = begins.cumsum(1) - 1
    alone = scores.masked_fill(~candidates, 0)
    return summed(alone, which, which.shape[1]).gather(1, which).masked_fill(~candidates, 0)


def choose_top_c(scores: Tensor, candidates: Tensor, count: int, *, barred: Tensor | None = None) -> TopC:
    """Eq. 10: the `count` candidates with the highest scores, in temporal order.

    scores      float32 [B, n], see `importance`; candidates bool [B, n], neither sink nor recent, `count` or more a row
    barred      bool [B, n], candidates that may not be chosen any more (released code: chosen 7 times); a row may then
                have fewer than `count` left: rows keep what they have, `valid` marks the padding
    Sinks are never candidates, so they cannot be thrown away. Raises ValueError for a negative count.
    """
    if count < 0:
        raise ValueError(f"count must not be negative, not {count}")
    eligible = candidates if barred is None else candidates & ~barred
    masked = scores.masked_fill(~eligible, -torch.inf)
    longest, full = count, True
    if barred is not None:
        per_row = eligible.sum(1)
        longest = min(count, int(per_row.max()))
        full = bool((per_row >= longest).all())
    chosen = masked.topk(longest, dim=1).indices.sort(dim=1).values  # [B, C]
    if full:
        return TopC(chosen, None, scores)
    valid = eligible.gather(1, chosen)
    order = (~valid).int().argsort(dim=1, stable=True)  # padding goes last, the rest stays in temporal order
    return TopC(chosen.gather(1, order), valid.gather(1, order), scores)
