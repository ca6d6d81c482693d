"""Clips on the device that trains, and batches drawn from them there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

STEP = 64  # clips brought over at a time, while there are more to come


class Bank:
    """uint8 clips [N, T, H, W, 3], of which `ready` can be read by now. On the CPU it is the file itself."""

    def __init__(self, pixels: np.ndarray, device: torch.device, ready: Callable[[], int] | None = None) -> None:
        self._source, self._ready = torch.from_numpy(pixels), ready or (lambda: len(pixels))
        self._pixels = self._source if device.type == "cpu" else torch.empty_like(self._source, device=device)
        self._have = 0

    def sample(self, count: int, frames: int) -> tuple[Tensor, Tensor]:
        """Random clips with random beginnings, half of them mirrored: float [count, frames, 3, H, W] in 0..1, and which
        clip each was taken from [count]."""
        self._refill()
        device = self._pixels.device
        clip = torch.randint(self._have, (count,), device=device)
        start = torch.randint(self._pixels.shape[1] - frames + 1, (count, 1), device=device)
        video = to_video(self._pixels[clip[:, None], start + torch.arange(frames, device=device)])
        mirrored = torch.rand(count, 1, 1, 1, 1, device=device) < 0.5
        return torch.where(mirrored, video.flip(-1), video), clip

    def _refill(self) -> None:
        ready = self._ready()
        if ready - self._have < STEP and ready < len(self._source) and self._have:
            return
        if self._pixels is not self._source:
            for start in range(self._have, ready, STEP):
                span = slice(start, min(ready, start + STEP))
                self._pixels[span] = self._source[span].to(self._pixels.device)
        self._have = ready


def to_video(clips: Tensor) -> Tensor:
    """uint8 [..., H, W, 3] -> float [..., 3, H, W] in 0..1."""
    return clips.movedim(-1, -3).float() / 255
