"""Embeddings between embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .blend import Way


def mix(embeds: Sequence[Tensor], weights: Sequence[float], way: Way) -> Tensor:
    """Embeddings [B, rows, width] in these proportions, row by row; shorter ones are padded with rows of zeros, as text
    encoders pad. weights add up to 1."""
    rows = max(each.shape[1] for each in embeds)
    padded = [torch.nn.functional.pad(each.float(), (0, 0, 0, rows - each.shape[1])) for each in embeds]
    mixed, so_far = padded[0], weights[0]
    for each, weight in zip(padded[1:], weights[1:], strict=True):
        so_far += weight
        mixed = _between(mixed, each, weight / so_far, way)
    return mixed.to(embeds[0].dtype)


def _between(one: Tensor, other: Tensor, share: float, way: Way) -> Tensor:
    straight = torch.lerp(one, other, share)
    return straight if way == "linear" else _along_circle(one, other, share, straight)


def _along_circle(one: Tensor, other: Tensor, share: float, straight: Tensor) -> Tensor:
    """Each row turned by `share` of the angle between both, its length between theirs; straight where there is no one
    angle: for rows that are zero, or point the same way or opposite ways."""
    lengths = one.norm(dim=-1, keepdim=True), other.norm(dim=-1, keepdim=True)
    one, other = (x / length.clamp(min=1e-12) for x, length in zip((one, other), lengths, strict=True))
    angle = (one * other).sum(-1, keepdim=True).clamp(-1, 1).arccos()
    sine = angle.sin()
    turned = (((1 - share) * angle).sin() * one + (share * angle).sin() * other) / sine.clamp(min=1e-6)
    exists = (lengths[0] > 0) & (lengths[1] > 0) & (sine > 1e-3)
    return torch.where(exists, turned * torch.lerp(*lengths, share), straight)
