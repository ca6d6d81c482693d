"""Trains the transformer and the text encoder together: stills, then first chunks, then clips."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from deepforcing.captions import Caption
from deepforcing.training import parallel
from deepforcing.training.data import load_latents
from deepforcing.training.optim import Optimizers
from deepforcing.training.precision import fast_matrices
from deepforcing.training.progress import Clock, Report
from deepforcing.training.run import Run
from deepforcing.training.teacher import predict

CHUNK = 3  # latent frames


@dataclass(frozen=True)
class Batch:
    """A kind of batch: `count` samples of `chunks` chunks; a still is the first latent frame alone (chunks = 0)."""

    source: str
    count: int
    chunks: int
    share: float = 1.0


@dataclass(frozen=True)
class Stage:
    """What is trained on, until this many seconds of the whole training are over.

    guidance: g; the model learns to predict as under classifier-free guidance of scale 1 / (1 - g). Guiding begins when
    captions already mean something to the model.
    """

    name: str
    until: float
    batches: tuple[Batch, ...]
    guidance: float = 0.0


@dataclass(frozen=True)
class DitTraining:
    """Rates, noise and the stages; the learning rate falls from `decay_from` of the whole time on."""

    stages: tuple[Stage, ...]
    muon_lr: float = 4e-3
    adam_lr: float = 2e-3
    decay_from: float = 0.55
    average: float = 0.99
    drop_caption: float = 0.1
    history_noise: float = 0.15
    subject_weight: float = 3.0  # what an error on the subject counts for, beyond one elsewhere
    steps: tuple[float, ...] = (1.0, 0.75, 0.5, 0.25)  # sampling steps before the shift
    shifts: tuple[float, ...] = (3.0, 5.0)  # half of the noise levels are sampling steps under one of these
    checkpoint_every: float = 180.0  # seconds


class TinyModel(nn.Module):
    """The two parts that are trained together."""

    def __init__(self, transformer: nn.Module, text: nn.Module) -> None:
        super().__init__()
        self.transformer, self.text = transformer, text


def warp(sigma: Tensor, shift: Tensor | float) -> Tensor:
    return shift * sigma / (1 + (shift - 1) * sigma)


def sample_sigma(shape: tuple[int, int], config: DitTraining) -> Tensor:
    """Noise levels [B, K]: half of them sampling steps, half anywhere."""
    steps = torch.tensor(config.steps)[torch.randint(len(config.steps), shape)]
    shift = torch.tensor(config.shifts)[torch.randint(len(config.shifts), shape)]
    return warp(torch.where(torch.rand(shape) < 0.5, steps, torch.rand(shape)), shift)


def x0_loss(predicted: Tensor, target: Tensor, sigma: Tensor, weight: Tensor) -> Tensor:
    """Squared error of the clean latents [B, C, F, h, w], weighted by place [B, F, h, w] and by 1 / max(sigma, 0.2)^2
    of each chunk [B, K]."""
    error = (predicted - target).square().mean(1) * weight / weight.mean()
    error = error.mean((2, 3)).unflatten(1, (sigma.shape[1], -1)).mean(-1)
    return (error / sigma.clamp(min=0.2).square()).mean()


class Latents:
    """Named latent files, loaded when they are first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.loaded = folder, {}

    def sample(self, batch: Batch, rng) -> tuple[Tensor, Tensor, list[Caption]]:
        """Clean latents [B, C, F, h, w], regions of subjects [B, F, h, w], captions. Half of the clips begin at the
        beginning."""
        if batch.source not in self.loaded:
            self.loaded[batch.source] = load_latents(self.folder / f"{batch.source}.npy")
        data = self.loaded[batch.source]
        latents = data.latents
        picks = rng.integers(0, len(latents), batch.count)
        length = max(1, CHUNK * batch.chunks)
        spare = 0 if batch.chunks == 0 else latents.shape[1] // CHUNK - batch.chunks
        starts = rng.integers(0, spare + 1, batch.count) * CHUNK * (rng.random(batch.count) < 0.5)
        spans = [(i, slice(s, s + length)) for i, s in zip(picks, starts, strict=True)]
        clips, regions = (torch.stack([part[i, span] for i, span in spans]) for part in (latents, data.regions))
        return clips.transpose(1, 2).float(), regions.float(), [data.captions[i] for i in picks]


def training_loss(
    model: TinyModel,
    clean: Tensor,
    weight: Tensor,
    captions: list[Caption],
    config: DitTraining,
    rng,
    chunks: int,
    guidance: float = 0.0,
) -> Tensor:
    """One teacher-forcing step's loss on clean latents [B, C, F, h, w]."""
    prompts = ["" if rng.random() < config.drop_caption else caption.phrase(rng) for caption in captions]
    sigma = sample_sigma((len(clean), max(1, chunks)), config).to(clean.device)
    frames = clean.shape[2]
    level = sigma.repeat_interleave(frames // sigma.shape[1], 1)[:, None, :, None, None]
    noisy = (1 - level) * clean + level * torch.randn_like(clean)
    history = None
    if chunks > 1:
        past = clean[:, :, : frames - CHUNK]
        share = torch.rand(len(clean), 1, chunks - 1, 1, 1, device=clean.device)
        dirt = config.history_noise * share.repeat_interleave(CHUNK, 2)
        history = (1 - dirt) * past + dirt * torch.randn_like(past)
    with fast_matrices(clean.device):
        predicted = predict(model.transformer, noisy, sigma, model.text.encode(prompts), history)
        target = guided(model, predicted.detach(), clean, prompts, noisy, sigma, history, guidance)
    return x0_loss(predicted, target, sigma, weight)


@torch.no_grad()
def guided(
    model: TinyModel, predicted: Tensor, clean: Tensor, prompts: list[str], noisy, sigma, history, guidance: float
) -> Tensor:
    """The target that bakes guidance in, so that sampling needs one pass a step (arXiv 2502.12154).

    Clean latents, moved by g times what the caption changes in the model's own prediction; not moved without caption.
    """
    if guidance == 0:
        return clean
    blind = predict(model.transformer, noisy, sigma, model.text.encode([""] * len(prompts)), history)
    told = torch.tensor([bool(prompt) for prompt in prompts], device=clean.device)[:, None, None, None, None]
    return clean + guidance * told * (predicted - blind)


def is_block_matrix(name: str, p: Tensor) -> bool:
    """What Muon trains: matrices inside blocks; embeddings, projections in and out and vectors are AdamW's."""
    return p.ndim == 2 and ("blocks." in name or "text.layers." in name)


def train_dit(model: TinyModel, config: DitTraining, folder: Path, device="cpu", seed: int = 0) -> TinyModel:
    """Train through the stages on the latents in `folder`; returns the averaged model. Continues folder/dit.ckpt."""
    clock = Clock(config.stages[-1].until, decay_from=config.decay_from)
    optimizers = Optimizers(model, is_block_matrix, config.muon_lr, config.adam_lr)
    run = Run(model, optimizers, config.average, clock, folder / "dit.ckpt", config.checkpoint_every)
    rng, kinds = np.random.default_rng((seed, run.steps, parallel.rank())), np.random.default_rng((seed, run.steps))
    torch.manual_seed(1_000_000 * parallel.rank() + seed + run.steps)
    report, data = Report("transformer", clock), Latents(folder)
    while run.going():
        stage = next(s for s in config.stages if clock.elapsed < s.until)
        shares = np.array([b.share for b in stage.batches])
        batch = stage.batches[int(kinds.choice(len(shares), p=shares / shares.sum()))]
        clean, regions, captions = data.sample(batch, rng)
        weight = (1 + config.subject_weight * regions).to(device)
        loss = training_loss(model, clean.to(device), weight, captions, config, rng, batch.chunks, stage.guidance)
        run.step(loss)
        report.add(**{f"{stage.name}/{batch.source}.{batch.chunks}": loss.item()})
    return run.average.module
