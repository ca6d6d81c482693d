"""Wan's 3-D rotary embedding as pure functions, with time kept apart from space.

A head's channels are split into time, height and width; each axis rotates interleaved pairs (2i, 2i + 1). Only
differences of positions matter, so time is counted from the first frame of the chunk in flight: the past is negative,
and there is no table to run out of.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class RopeDims:
    """Channels of a head that belong to each axis; `theta` is the base of every axis."""

    time: int
    height: int
    width: int
    theta: float = 10000.0

    @classmethod
    def of_head(cls, head_dim: int) -> RopeDims:
        """Wan's split: height and width get 2 * (head_dim // 6) channels each, time the rest (44/42/42 of 128)."""
        space = 2 * (head_dim // 6)
        return cls(head_dim - 2 * space, space, space)


def _angles(position: Tensor, channels: int, theta: float) -> Tensor:
    """Positions [..., L] -> angles [..., L, channels / 2], float64 so that far positions stay exact."""
    exponent = torch.arange(0, channels, 2, dtype=torch.float64, device=position.device) / channels
    return position.to(torch.float64).unsqueeze(-1) * theta**-exponent


def _rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Rotate the pairs of x [..., L, heads, channels] by angles [..., L, channels / 2], in float32."""
    cos, sin = angles.cos().float().unsqueeze(-2), angles.sin().float().unsqueeze(-2)  # [..., L, 1, channels / 2]
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2).to(x.dtype)


def spatial_rope(x: Tensor, row: Tensor, column: Tensor, dims: RopeDims) -> Tensor:
    """Rotate the height and width channels of x [..., L, heads, head_dim]; row and column are [..., L]."""
    angles = torch.cat((_angles(row, dims.height, dims.theta), _angles(column, dims.width, dims.theta)), -1)
    return torch.cat((x[..., : dims.time], _rotate(x[..., dims.time :], angles)), -1)


def dynamic_temporal_rope(x: Tensor, time: Tensor, dims: RopeDims) -> Tensor:
    """Move keys (or queries) along the timeline: rotate only their time channels, by exp(i omega_t * time).

    Deep Sink's temporal RoPE adjustment (arXiv 2512.05081, Eq. 3-6). x has no temporal rotation yet, so `time` is
    the position itself; on keys that already stand at t it is the shift (rotations add up).

    x: [..., L, heads, head_dim]; time: [..., L] latent frames, any sign, may be fractional. Returns x's shape and
    dtype; height and width channels are untouched.
    """
    return torch.cat((_rotate(x[..., : dims.time], _angles(time, dims.time, dims.theta)), x[..., dims.time :]), -1)


def rope_3d(x: Tensor, time: Tensor, row: Tensor, column: Tensor, dims: RopeDims) -> Tensor:
    """All three axes at once; x is [..., L, heads, head_dim], the positions are [..., L]."""
    return dynamic_temporal_rope(spatial_rope(x, row, column, dims), time, dims)
