"""Sums by place, added up in the same order on any device."""

from __future__ import annotations

import torch
from torch import Tensor


def summed(x: Tensor, into: Tensor, places: int) -> Tensor:
    """x [B, n, ...], each added up `into` one of so many places, int64 [B, n] -> [B, places, ...].

    In the order of n, so that a run that goes on is bit-equal to one that was never interrupted: `scatter_add` promises
    no order on CUDA.
    """
    videos = len(x)
    where = (into + places * torch.arange(videos, device=into.device)[:, None]).flatten()
    order, counts = where.argsort(stable=True), where.bincount(minlength=videos * places)
    added = torch.segment_reduce(x.flatten(0, 1)[order], "sum", lengths=counts, axis=0, initial=0)
    return added.unflatten(0, (videos, places))
