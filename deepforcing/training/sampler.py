"""Sampling by the teacher-forcing forward: short clips for looking at while training, without a cache."""

from __future__ import annotations

import torch
from torch import Tensor

from deepforcing.training.dit_stage import CHUNK, TinyModel, warp
from deepforcing.training.teacher import predict


@torch.no_grad()
def sample_latents(
    model: TinyModel,
    prompts: list[str],
    chunks: int,
    size: int,
    shift: float,
    generator: torch.Generator,
    steps: tuple[float, ...] = (1.0, 0.75, 0.5, 0.25),
) -> Tensor:
    """Latents [B, C, F, size, size] of F = 3 * chunks frames; chunks = 0 gives stills of one latent frame."""
    text, channels = model.text.encode(prompts), model.transformer.config.in_channels
    length = CHUNK if chunks else 1
    done = text.new_zeros(len(prompts), channels, 0, size, size)
    sigmas = [float(warp(torch.tensor(s), shift)) for s in steps]
    for _ in range(max(1, chunks)):
        past = done.shape[2] // length
        x = torch.randn(len(prompts), channels, length, size, size, generator=generator)
        for sigma, following in zip(sigmas, [*sigmas[1:], 0.0], strict=True):
            noisy = torch.cat([done, x], 2)  # earlier chunks are recomputed and not used
            level = torch.cat([torch.full((len(prompts), past), 0.5), torch.full((len(prompts), 1), sigma)], 1)
            clean = predict(model.transformer, noisy, level, text, done if past else None)[:, :, -length:]
            x = (1 - following) * clean + following * torch.randn(clean.shape, generator=generator)
        done = torch.cat([done, clean], 2)
    return done
