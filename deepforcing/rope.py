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


Rotation = tuple[Tensor, Tensor]  # cosines and sines [..., L, 1, channels / 2], float32


def _angles(position: Tensor, channels: int, theta: float) -> Tensor:
    """Positions [..., L] -> angles [..., L, channels / 2], float64 so that far positions stay exact."""
    exponent = torch.arange(0, channels, 2, dtype=torch.float64, device=position.device) / channels
    return position.to(torch.float64).unsqueeze(-1) * theta**-exponent


def _rotation(*angles: Tensor) -> Rotation:
    turn = torch.cat(angles, -1).unsqueeze(-2)
    return turn.cos().float(), turn.sin().float()


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Rotate the pairs of x [..., L, heads, channels] in float32; returns x's dtype."""
    cos, sin = rotation
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2).to(x.dtype)


def rotate_into(place: Tensor, x: Tensor, rotation: Rotation) -> Tensor:
    """As `rotate`, bit for bit, into `place`, of x's shape and dtype, which is returned; not differentiable."""
    if torch.compiler.is_compiling():  # compilers know no such places, and fuse it all
        return place.copy_(rotate(x, rotation))
    cos, sin = rotation
    even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
    first, second = place.unflatten(-1, (-1, 2)).unbind(-1)
    torch.sub(even * cos, odd * sin, out=first)
    torch.add(even * sin, odd * cos, out=second)
    return place


def rotation_3d(time: Tensor, row: Tensor, column: Tensor, dims: RopeDims) -> Rotation:
    """The rotation of all three axes at once; positions are [..., L]."""
    return _rotation(
        _angles(time, dims.time, dims.theta),
        _angles(row, dims.height, dims.theta),
        _angles(column, dims.width, dims.theta),
    )


def spatial_rope(x: Tensor, row: Tensor, column: Tensor, dims: RopeDims) -> Tensor:
    """Rotate the height and width channels of x [..., L, heads, head_dim]; row and column are [..., L]."""
    turn = _rotation(_angles(row, dims.height, dims.theta), _angles(column, dims.width, dims.theta))
    return torch.cat((x[..., : dims.time], rotate(x[..., dims.time :], turn)), -1)


def turn_in_time(x: Tensor, time: Tensor, dims: RopeDims) -> Tensor:
    """Move keys (or queries) along the timeline: rotate only their time channels, by exp(i omega_t * time).

    Deep Sink's temporal RoPE adjustment (arXiv 2512.05081, Eq. 3-6). x has no temporal rotation yet, so `time` is
    the position itself; on keys that already stand at t it is the shift (rotations add up).

    x: [..., L, heads, head_dim]; time: [..., L] latent frames, any sign, may be fractional. Returns x's shape and
    dtype; height and width channels are untouched.
    """
    turn = temporal_rotation(time, dims.time, dims.theta)
    return torch.cat((rotate(x[..., : dims.time], turn), x[..., dims.time :]), -1)


def temporal_rotation(time: Tensor, channels: int, theta: float) -> Rotation:
    """The rotation of the `channels` that carry time, at positions [..., L]."""
    return _rotation(_angles(time, channels, theta))


def sink_beside_window(frames: Tensor, now: int, reach: int, sink: int) -> Tensor:
    """Where in time frames [..., L] stand for a chunk that begins at frame `now`, counted from there: where they are,
    but for the first `sink`, which begin at most `reach` before the chunk (arXiv 2512.05081, Eq. 5)."""
    return torch.where(frames < sink, frames - min(reach, now), frames - now)
