"""Trains the transformer and the text encoder together: stills, then first chunks, then clips."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from deepforcing.models.tiny_text import TinyTextEncoder
from deepforcing.training import parallel
from deepforcing.training.data import load_latents
from deepforcing.training.optim import Optimizers
from deepforcing.training.phrases import Phrases, odds
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
    """What is trained on, until this share of the whole training's time is over.

    guidance: g; the model learns to predict as under classifier-free guidance of scale 1 / (1 - g). Guiding begins when
    captions already mean something to the model.
    """

    name: str
    until: float
    batches: tuple[Batch, ...]
    guidance: float = 0.0


@dataclass(frozen=True)
class DitTraining:
    """Time, rates, noise and the stages; the learning rate falls from `decay_from` of the whole time on.

    history_noise: at the most. Each chunk of history has its own level, this times u^2, so that one far back may be the
    cleanest to look at: it decides how far back the model's attention reaches.
    """

    seconds: float
    stages: tuple[Stage, ...]
    muon_lr: float = 4e-3
    adam_lr: float = 2e-3
    decay_from: float = 0.55
    average: float = 0.99
    drop_caption: float = 0.1
    history_noise: float = 0.4
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


class NoiseLevels:
    """Draws levels on a device: half of them sampling steps under one of the shifts, half anywhere."""

    def __init__(self, config: DitTraining, device: torch.device) -> None:
        self._steps, self._shifts = (torch.tensor(values, device=device) for values in (config.steps, config.shifts))

    def sample(self, *shape: int) -> Tensor:
        """Levels above 0 and at most 1, [B, K]."""
        device = self._steps.device
        steps, shift = (
            values[torch.randint(len(values), shape, device=device)] for values in (self._steps, self._shifts)
        )
        anywhere = 1 - torch.rand(shape, device=device)
        return warp(torch.where(torch.rand(shape, device=device) < 0.5, steps, anywhere), shift)


def dirty(past: Tensor, most: float) -> Tensor:
    """History [B, C, F, h, w] with noise, each chunk at a level of its own, `most` times u^2."""
    chunks = past.shape[2] // CHUNK
    level = most * torch.rand(len(past), 1, chunks, 1, 1, device=past.device).square().repeat_interleave(CHUNK, 2)
    return (1 - level) * past + level * torch.randn_like(past)


def x0_loss(predicted: Tensor, target: Tensor, sigma: Tensor, weight: Tensor) -> Tensor:
    """Squared error of the clean latents [B, C, F, h, w], weighted by place [B, F, h, w] and by 1 / max(sigma, 0.2)^2
    of each chunk [B, K]."""
    error = (predicted - target).square().mean(1) * weight / weight.mean()
    error = error.mean((2, 3)).unflatten(1, (sigma.shape[1], -1)).mean(-1)
    return (error / sigma.clamp(min=0.2).square()).mean()


@dataclass(frozen=True)
class Lesson:
    """What one step learns from: clean latents [B, C, F, h, w], regions of subjects [B, F, h, w], and a sentence each,
    as tokens [B, rows] and which of them are words."""

    clean: Tensor
    regions: Tensor
    tokens: Tensor
    present: Tensor


class Latents:
    """Named latent files on the device that trains, loaded when they are first asked for."""

    def __init__(self, folder: Path, text: TinyTextEncoder, drop_caption: float, device: torch.device) -> None:
        self._folder, self._text, self._drop, self._device = folder, text, drop_caption, device
        self._loaded: dict[str, tuple[Tensor, Tensor, Tensor, Phrases]] = {}

    def sample(self, batch: Batch) -> Lesson:
        """Random clips; half of them begin at the beginning."""
        latents, regions, wanted, phrases = self._source(batch.source)
        length = max(1, CHUNK * batch.chunks)
        spare = 0 if batch.chunks == 0 else latents.shape[1] // CHUNK - batch.chunks
        picks = torch.multinomial(wanted, batch.count, replacement=True)
        later = torch.rand(batch.count, device=self._device) < 0.5
        start = later * CHUNK * torch.randint(spare + 1, (batch.count,), device=self._device)
        at = picks[:, None], start[:, None] + torch.arange(length, device=self._device)
        clean = latents[at].transpose(1, 2).float().contiguous()  # what is compiled knows one layout
        return Lesson(clean, regions[at].float(), *phrases.sample(picks, self._drop))

    def _source(self, name: str) -> tuple[Tensor, Tensor, Tensor, Phrases]:
        if name not in self._loaded:
            data = load_latents(self._folder / f"{name}_latents.npy", self._device)
            phrases = Phrases(self._text, data.captions, np.random.default_rng(0), self._device)
            self._loaded[name] = data.latents, data.regions, odds(data.captions, self._device), phrases
        return self._loaded[name]


def training_loss(
    model: TinyModel, lesson: Lesson, levels: NoiseLevels, config: DitTraining, chunks: int, guidance: float = 0.0
) -> Tensor:
    """One teacher-forcing step's loss."""
    clean = lesson.clean
    sigma = levels.sample(len(clean), max(1, chunks))
    level = sigma.repeat_interleave(clean.shape[2] // sigma.shape[1], 1)[:, None, :, None, None]
    noisy = (1 - level) * clean + level * torch.randn_like(clean)
    history = dirty(clean[:, :, :-CHUNK], config.history_noise) if chunks > 1 else None
    with fast_matrices(clean.device):
        text = model.text(lesson.tokens, lesson.present)
        predicted = predict(model.transformer, noisy, sigma, text, history)
        target = clean
        if guidance:
            blind = unprompted(model, noisy, sigma, text, history)
            target = guided(clean, predicted.detach(), blind, lesson.present.any(1), guidance)
    return x0_loss(predicted, target, sigma, 1 + config.subject_weight * lesson.regions)


@torch.no_grad()
def unprompted(model: TinyModel, noisy: Tensor, sigma: Tensor, text: Tensor, history: Tensor | None) -> Tensor:
    """What the model predicts without a caption, of which all rows are zeros."""
    return predict(model.transformer, noisy, sigma, torch.zeros_like(text), history)


def guided(clean: Tensor, predicted: Tensor, blind: Tensor, told: Tensor, guidance: float) -> Tensor:
    """The target that bakes guidance in, so that sampling needs one pass a step (arXiv 2502.12154).

    Clean latents, moved by g times what the caption changes in the model's own prediction; not moved where there is no
    caption (`told` [B]).
    """
    return clean + guidance * told[:, None, None, None, None] * (predicted - blind)


def is_block_matrix(name: str, p: Tensor) -> bool:
    """What Muon trains: matrices inside blocks; embeddings, projections in and out and vectors are AdamW's."""
    return p.ndim == 2 and ("blocks." in name or "text.layers." in name)


def train_dit(model: TinyModel, config: DitTraining, folder: Path, device: torch.device, seed: int = 0) -> TinyModel:
    """Train through the stages on the latents in `folder`; returns the averaged model. Continues folder/dit.ckpt."""
    clock = Clock(config.seconds, decay_from=config.decay_from)
    optimizers = Optimizers(model, is_block_matrix, config.muon_lr, config.adam_lr)
    run = Run(model, optimizers, config.average, clock, folder / "dit.ckpt", config.checkpoint_every)
    kinds, report = np.random.default_rng((seed, run.steps)), Report("transformer", clock)
    torch.manual_seed(1_000_000 * parallel.rank() + seed + run.steps)
    data, levels = Latents(folder, model.text, config.drop_caption, device), NoiseLevels(config, device)
    while run.going():
        stage = next(s for s in config.stages if clock.elapsed < s.until * config.seconds)
        batch = pick(stage.batches, kinds)
        loss = training_loss(model, data.sample(batch), levels, config, batch.chunks, stage.guidance)
        run.step(loss)
        report.add(**{f"{stage.name}/{batch.source}.{batch.chunks}": loss})
    return run.average.module


def pick(batches: tuple[Batch, ...], rng) -> Batch:
    """One of them, by their shares."""
    shares = np.array([batch.share for batch in batches])
    return batches[int(rng.choice(len(batches), p=shares / shares.sum()))]
