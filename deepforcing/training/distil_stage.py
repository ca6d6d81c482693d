"""Distils the transformer on its own history, as Self Forcing does: whole roll-outs of 21 latent frames, four steps a
chunk, whose distribution is matched to the teacher's (arXiv 2506.08009, with DMD, arXiv 2405.14867).

No video is needed, only captions. Two networks score a roll-out once noise is added again: the teacher, who says where
real clips lie, and a critic that learns all along where the student's own clips lie. Their difference is the gradient.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from deepforcing.captions import sample_caption
from deepforcing.config import Sampling
from deepforcing.models.tiny_text import TinyTextEncoder
from deepforcing.models.wan import CausalWan
from deepforcing.training import parallel
from deepforcing.training.bundle import in_half_precision
from deepforcing.training.dit_stage import CHUNK, Batch, is_block_matrix, pick, warp, x0_loss
from deepforcing.training.optim import Optimizers
from deepforcing.training.phrases import Phrases, odds
from deepforcing.training.precision import fast_matrices
from deepforcing.training.progress import Clock, Report
from deepforcing.training.roll_out import RollOut, RollOuts
from deepforcing.training.run import Run
from deepforcing.training.teacher import predict


@dataclass(frozen=True)
class Distillation:
    """Time, batches of roll-outs (of which `source` means nothing), rates and noise."""

    seconds: float
    batches: tuple[Batch, ...]
    muon_lr: float = 4e-4
    adam_lr: float = 2e-4
    critic_rate: float = 2.5  # the critic's rates, in the student's
    critic_steps: int = 2  # a roll-out
    warmup_steps: int = 30  # in which only the critic learns
    decay_from: float = 0.5
    average: float = 0.98
    shift: float = 5.0  # of the noise that is added again
    captions: int = 10_000  # drawn ahead
    checkpoint_every: float = 180.0  # seconds


def noised(clean: Tensor, shift: float) -> tuple[Tensor, Tensor]:
    """Clean latents with noise again, and its level for each chunk [B, K], away from either end."""
    sigma = warp(0.02 + 0.96 * torch.rand(len(clean), clean.shape[2] // CHUNK, device=clean.device), shift)
    level = sigma.repeat_interleave(CHUNK, 1)[:, None, :, None, None]
    return (1 - level) * clean + level * torch.randn_like(clean), sigma


def matching_loss(made: Tensor, real: Tensor, fake: Tensor) -> Tensor:
    """A loss whose gradient moves `made` from where the student's clips lie to where real ones do.

    All [B, C, F, h, w]: the student's clean latents, and what teacher and critic take them for after noise. Each
    chunk's gradient is normalised by its distance from the teacher's answer (DMD, Eq. 8).
    """
    chunks = made.detach().unflatten(2, (-1, CHUNK))
    distance = (chunks - real.unflatten(2, (-1, CHUNK))).abs().mean((1, 3, 4, 5), keepdim=True)
    direction = ((fake - real).unflatten(2, (-1, CHUNK)) / distance.clamp(min=1e-3)).flatten(2, 3)
    return 0.5 * (made - (made.detach() - direction)).square().mean()


class Distiller:
    """Student, teacher and critic; the text encoder is the teacher's and rests."""

    def __init__(
        self,
        student: WanTransformer3DModel,
        teacher: WanTransformer3DModel,
        text: TinyTextEncoder,
        sampling: Sampling,
        config: Distillation,
        shape: tuple[int, int, int],
    ) -> None:
        """shape: channels, height and width of a latent. The critic begins as the student."""
        self.config, self.device, rng = config, student.device, np.random.default_rng(parallel.rank())
        self.text = text.requires_grad_(False)
        self.teacher = deepcopy(teacher).requires_grad_(False)
        self.student, self.critic = student, deepcopy(student)
        self._actor = in_half_precision(student).to(student.device)  # the student, as it plays
        self._play = RollOuts(CausalWan(self._actor, sampling), shape)
        captions = [sample_caption(rng) for _ in range(config.captions)]
        self._phrases, self._odds = Phrases(text, captions, rng, self.device, variants=1), odds(captions, self.device)

    @torch.no_grad()
    def roll_out(self, chunks: int, count: int) -> RollOut:
        """The student's own clips of random captions."""
        torch._foreach_copy_(list(self._actor.parameters()), list(self.student.parameters()))
        picks = torch.multinomial(self._odds, count, replacement=True)
        return self._play(self.text(*self._phrases.sample(picks)), chunks)

    def student_loss(self, seen: RollOut) -> tuple[Tensor, Tensor]:
        """The student's loss, and the clean latents that it gave [B, C, F, h, w]."""
        made = self._predict(self.student, seen, seen.noisy, seen.sigma)
        noisy, sigma = noised(made.detach(), self.config.shift)
        with torch.no_grad():
            real, fake = (self._predict(net, seen, noisy, sigma) for net in (self.teacher, self.critic))
        return matching_loss(made, real, fake), made.detach()

    def critic_loss(self, seen: RollOut, made: Tensor) -> Tensor:
        """How well the critic knows the student's clips."""
        noisy, sigma = noised(made, self.config.shift)
        predicted = self._predict(self.critic, seen, noisy, sigma)
        return x0_loss(predicted, made, sigma, torch.ones_like(made[:, 0]))

    @torch.no_grad()
    def made(self, seen: RollOut) -> Tensor:
        return self._predict(self.student, seen, seen.noisy, seen.sigma)

    @staticmethod
    def _predict(net: WanTransformer3DModel, seen: RollOut, noisy: Tensor, sigma: Tensor) -> Tensor:
        with fast_matrices(noisy.device):
            return predict(net, noisy, sigma, seen.text, seen.history)


def distil(both: Distiller, folder: Path, seed: int = 0) -> WanTransformer3DModel:
    """Train student and critic in turn; returns the averaged student. Continues folder/student.ckpt and critic.ckpt."""
    config = both.config
    clock = Clock(config.seconds, decay_from=config.decay_from)
    student, critic = (
        _run(net, rate, config, clock, folder / f"{name}.ckpt")
        for name, net, rate in (("student", both.student, 1.0), ("critic", both.critic, config.critic_rate))
    )
    kinds, report = np.random.default_rng((seed, critic.steps)), Report("distil", clock)
    torch.manual_seed(1_000_000 * parallel.rank() + seed + critic.steps)
    while student.going():
        batch = pick(config.batches, kinds)
        seen = both.roll_out(batch.chunks, batch.count)
        if critic.steps < config.warmup_steps:
            made = both.made(seen)
        else:
            loss, made = both.student_loss(seen)
            student.step(loss)
            report.add(**{f"student.{batch.chunks}": loss})
        for _ in range(config.critic_steps):
            loss = both.critic_loss(seen, made)
            critic.step(loss)
        report.add(**{f"critic.{batch.chunks}": loss})
    critic.save()
    return student.average.module


def _run(net: WanTransformer3DModel, rate: float, config: Distillation, clock: Clock, at: Path) -> Run:
    optimizers = Optimizers(net, is_block_matrix, rate * config.muon_lr, rate * config.adam_lr)
    return Run(net, optimizers, config.average, clock, at, config.checkpoint_every)
