"""Trains the codec on crops and whole frames of rendered clips."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deepforcing.models.tiny_codec import TinyCodec
from deepforcing.training.data import to_video
from deepforcing.training.optim import Average, Optimizers
from deepforcing.training.progress import Clock, Report, save_atomically


@dataclass(frozen=True)
class CodecTraining:
    """Seconds, batches and weights of the codec's training."""

    seconds: float = 1500.0
    shapes: tuple[tuple[int, int, int], ...] = ((10, 9, 64), (10, 9, 64), (6, 17, 64), (5, 9, 96))  # clips, frames, pixels
    muon_lr: float = 4e-3
    adam_lr: float = 1e-3
    average: float = 0.995
    noise: float = 0.06  # on raw latents
    gradient_weight: float = 0.15
    motion_weight: float = 3.0


def codec_loss(output: Tensor, target: Tensor, gradient_weight: float, motion_weight: float) -> Tensor:
    """4 MSE + 0.5 L1 + differences of neighbours, what moves counting more; both [B, T, 3, H, W] in 0..1."""
    error = output - target
    moving = (target - target.mean(1, keepdim=True)).abs().mean(2, keepdim=True)
    weight = 1 + motion_weight * (moving / 0.1).clamp(max=1)
    edges = sum(error.diff(dim=axis).abs().mean() for axis in (-1, -2))
    return (weight * (4 * error.square() + 0.5 * error.abs())).mean() + gradient_weight * edges


def sample_batch(clips: np.ndarray, rng, shape: tuple[int, int, int]) -> Tensor:
    """Random crops in space and time, [B, T, 3, s, s]."""
    count, frames, size = shape
    height, crops = clips.shape[2], []
    for index in rng.integers(0, len(clips), count):
        t = int(rng.integers(0, clips.shape[1] - frames + 1))
        row, column = (int(v) for v in rng.integers(0, height - size + 1, 2))
        crop = clips[index, t : t + frames, row : row + size, column : column + size]
        crops.append(crop[:, :, ::-1] if rng.random() < 0.5 else crop)
    return to_video(np.stack(crops))


def train_codec(codec: TinyCodec, clips: np.ndarray, config: CodecTraining, checkpoint: Path, device="cpu", seed: int = 0) -> TinyCodec:
    """Train for the configured time and return the averaged, normalised codec; continues from `checkpoint` if it is there."""
    optimizers = Optimizers(codec, lambda name, p: p.ndim == 4 and min(p.shape[0], p[0].numel()) > 16, config.muon_lr, config.adam_lr)
    average, clock = Average(codec, config.average), Clock(config.seconds, decay_from=0.35)
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        codec.load_state_dict(saved["codec"])
        average.module.load_state_dict(saved["average"])
        optimizers.load_state_dict(saved["optimizers"])
        average.steps, clock.spent = saved["steps"], saved["spent"]
    rng, report, saved_at = np.random.default_rng((seed, average.steps)), Report("codec", clock), time.monotonic()
    while not clock.over:
        video = sample_batch(clips, rng, config.shapes[average.steps % len(config.shapes)]).to(device)
        latents = codec.encode_raw(video)
        output, _ = codec.decode_raw(latents + config.noise * torch.randn_like(latents))
        loss = codec_loss(output, video, config.gradient_weight, config.motion_weight)
        loss.backward()
        optimizers.step(clock.factor())
        average.update(codec)
        mse = (output.detach().clamp(0, 1) - video).square().mean()
        report.add(loss=loss.item(), psnr=-10 * mse.log10().item())
        if time.monotonic() - saved_at > 120:
            saved_at = time.monotonic()
            save_atomically(dict(codec=codec.state_dict(), average=average.module.state_dict(), steps=average.steps,
                                 optimizers=optimizers.state_dict(), spent=clock.elapsed), checkpoint)
    normalise(average.module, clips, rng)
    save_atomically(dict(codec=codec.state_dict(), average=average.module.state_dict(), steps=average.steps,
                         optimizers=optimizers.state_dict(), spent=clock.elapsed), checkpoint)
    return average.module


@torch.no_grad()
def normalise(codec: TinyCodec, clips: np.ndarray, rng, count: int = 64) -> None:
    """Set the latents' mean and standard deviation from real clips."""
    device = codec.mean.device
    raw = torch.cat([codec.encode_raw(sample_batch(clips, rng, (4, 17, clips.shape[2])).to(device)) for _ in range(count // 4)])
    codec.mean.copy_(raw.mean((0, 1, 3, 4)))
    codec.std.copy_(raw.std((0, 1, 3, 4)))
