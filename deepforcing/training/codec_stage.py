"""Trains the codec on rendered clips."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from deepforcing.models.tiny_codec import TinyCodec
from deepforcing.training.bank import Bank
from deepforcing.training.optim import Optimizers, is_wide
from deepforcing.training.precision import fast_matrices
from deepforcing.training.progress import Clock, Report
from deepforcing.training.run import Run


@dataclass(frozen=True)
class CodecTraining:
    """Seconds, batches and weights of the codec's training."""

    seconds: float
    shapes: tuple[tuple[int, int], ...]  # clips, frames; in turn
    muon_lr: float = 4e-3
    adam_lr: float = 1e-3
    average: float = 0.995
    noise: tuple[float, float] = (0.06, 0.06)  # on raw latents: the least and the most of a batch
    gradient_weight: float = 0.15
    motion_weight: float = 3.0
    decoder_only: bool = False  # leaves the latents as they are, so that a model trained on them stays valid
    checkpoint_every: float = 120.0  # seconds
    decay_from: float = 0.4  # share of the time after which the rates fall

    @classmethod
    def of_decoder(cls, seconds: float, shapes: tuple[tuple[int, int], ...]) -> CodecTraining:
        """For a codec that is good already: gentler, its encoder resting; some batches as clean as real latents."""
        return cls(
            seconds,
            shapes,
            muon_lr=3e-3,
            adam_lr=7.5e-4,
            average=0.998,
            noise=(0.0, 0.05),
            decoder_only=True,
            decay_from=0.2,
        )


def codec_loss(output: Tensor, target: Tensor, gradient_weight: float, motion_weight: float) -> Tensor:
    """4 MSE + 0.5 L1 + differences of neighbours, what moves counting more; both [B, T, 3, H, W] in 0..1."""
    error = output - target
    moving = (target - target.mean(1, keepdim=True)).abs().mean(2, keepdim=True)
    weight = 1 + motion_weight * (moving / 0.1).clamp(max=1)
    edges = sum(error.diff(dim=axis).abs().mean() for axis in (-1, -2))
    return (weight * (4 * error.square() + 0.5 * error.abs())).mean() + gradient_weight * edges


def train_codec(
    codec: TinyCodec, bank: Bank, config: CodecTraining, checkpoint: Path, device: torch.device, seed: int = 0
) -> TinyCodec:
    """Train for the configured time; returns the averaged, normalised codec. Continues from `checkpoint`."""
    codec.encoder.requires_grad_(not config.decoder_only)
    optimizers = Optimizers(codec, is_wide, config.muon_lr, config.adam_lr)
    clock = Clock(config.seconds, decay_from=config.decay_from)
    run = Run(codec, optimizers, config.average, clock, checkpoint, config.checkpoint_every)
    report, begun = Report("codec", clock), run.steps
    torch.manual_seed(seed + run.steps)
    while run.going():
        video, _ = bank.sample(*config.shapes[run.steps % len(config.shapes)])
        with fast_matrices(device):
            latents = codec.encode_raw(video)
            output, _ = codec.decode_raw(latents + _level(config, device) * torch.randn_like(latents))
        run.step(codec_loss(output, video, config.gradient_weight, config.motion_weight))
        report.add(psnr=-10 * (output.detach().clamp(0, 1) - video).square().mean().log10())
    made = run.average.module
    if not config.decoder_only and (run.steps > begun or bool((made.std == 1).all())):
        normalise(made, bank, config.shapes[-1], device)
        run.save()  # who comes back finds the units in which latents were made
    return made


def _level(config: CodecTraining, device: torch.device) -> Tensor:
    least, most = config.noise
    return least + (most - least) * torch.rand((), device=device)


@torch.no_grad()
def normalise(codec: TinyCodec, bank: Bank, shape: tuple[int, int], device: torch.device, batches: int = 16) -> None:
    """Set the latents' mean and standard deviation from real clips."""
    with fast_matrices(device):
        raw = torch.cat([codec.encode_raw(bank.sample(*shape)[0]) for _ in range(batches)])
    codec.mean.copy_(raw.mean((0, 1, 3, 4)))
    codec.std.copy_(raw.std((0, 1, 3, 4)))
