"""Trains the codec on crops and whole frames of rendered clips."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deepforcing.models.tiny_codec import TinyCodec
from deepforcing.training.data import to_video
from deepforcing.training.optim import Optimizers, is_wide
from deepforcing.training.progress import Clock, Report
from deepforcing.training.run import Run


@dataclass(frozen=True)
class CodecTraining:
    """Seconds, batches and weights of the codec's training."""

    seconds: float = 1500.0
    shapes: tuple[tuple[int, int, int], ...] = (
        (10, 9, 64),
        (10, 9, 64),
        (6, 17, 64),
        (5, 9, 96),
    )  # clips, frames, pixels
    muon_lr: float = 4e-3
    adam_lr: float = 1e-3
    average: float = 0.995
    noise: float = 0.06  # on raw latents
    gradient_weight: float = 0.15
    motion_weight: float = 3.0
    decoder_only: bool = False  # leaves the latents as they are, so that a model trained on them stays valid
    checkpoint_every: float = 120.0  # seconds
    decay_from: float = 0.35  # share of the time after which the rates fall


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


def train_codec(
    codec: TinyCodec, clips: np.ndarray, config: CodecTraining, checkpoint: Path, device="cpu", seed: int = 0
) -> TinyCodec:
    """Train for the configured time; returns the averaged, normalised codec. Continues from `checkpoint`."""
    codec.encoder.requires_grad_(not config.decoder_only)
    optimizers = Optimizers(codec, is_wide, config.muon_lr, config.adam_lr)
    clock = Clock(config.seconds, decay_from=config.decay_from)
    run = Run(codec, optimizers, config.average, clock, checkpoint, config.checkpoint_every)
    rng, report = np.random.default_rng((seed, run.steps)), Report("codec", clock)
    while run.going():
        video = sample_batch(clips, rng, config.shapes[run.steps % len(config.shapes)]).to(device)
        latents = codec.encode_raw(video)
        output, _ = codec.decode_raw(latents + config.noise * torch.randn_like(latents))
        run.step(codec_loss(output, video, config.gradient_weight, config.motion_weight))
        mse = (output.detach().clamp(0, 1) - video).square().mean()
        report.add(psnr=-10 * mse.log10().item())
    if not config.decoder_only:
        normalise(run.average.module, clips, rng)
    return run.average.module


@torch.no_grad()
def normalise(codec: TinyCodec, clips: np.ndarray, rng, count: int = 64) -> None:
    """Set the latents' mean and standard deviation from real clips."""
    device = codec.mean.device
    raw = torch.cat(
        [codec.encode_raw(sample_batch(clips, rng, (4, 17, clips.shape[2])).to(device)) for _ in range(count // 4)]
    )
    codec.mean.copy_(raw.mean((0, 1, 3, 4)))
    codec.std.copy_(raw.std((0, 1, 3, 4)))
