"""Trains the classifier that reads the tiny model's video, on rendered scenes only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from deepforcing.captions import TABLES, Caption
from deepforcing.models.tiny_classifier import ATTRIBUTES, Classifier
from deepforcing.training.bank import Bank
from deepforcing.training.optim import Optimizers, is_wide
from deepforcing.training.precision import fast_matrices
from deepforcing.training.progress import Clock, Report

Truth = dict[str, Tensor]  # attribute -> index of its value, int64 [N]


def truth_of(captions: list[Caption], device: torch.device) -> Truth:
    """What the captions say, as the classifier's tables number it."""
    indices = {name: [tuple(TABLES[name]).index(getattr(caption, name)) for caption in captions] for name in ATTRIBUTES}
    return {name: torch.tensor(values, device=device) for name, values in indices.items()}


@dataclass(frozen=True)
class Shown:
    """Clips to read, and what each of them shows."""

    bank: Bank
    truth: Truth

    def sample(self, count: int) -> tuple[Tensor, Truth]:
        """Single frames [count, 3, H, W] in 0..1, and what they show."""
        video, clip = self.bank.sample(count, 1)
        return video[:, 0], {name: values[clip] for name, values in self.truth.items()}


def degrade(frames: Tensor, rng) -> Tensor:
    """Blur, noise and a shift, so that soft video is read as well as a sharp rendering."""
    if rng.random() < 0.6:
        small = int(frames.shape[-1] * rng.uniform(0.35, 0.9))
        frames = F.interpolate(
            F.interpolate(frames, size=(small, small), mode="area"), size=frames.shape[-2:], mode="bilinear"
        )
    most = frames.shape[-1] // 16
    rows, columns = (int(v) for v in rng.integers(-most, most + 1, 2))
    frames = frames.roll((rows, columns), (-2, -1))
    gain = 1 + 0.06 * torch.randn(len(frames), 3, 1, 1, device=frames.device)
    return (frames * gain + rng.uniform(0, 0.05) * torch.randn_like(frames)).clamp(0, 1)


def classifier_loss(model: Classifier, frames: Tensor, truth: Truth) -> tuple[Tensor, Tensor]:
    """Summed cross-entropies, and the share of right answers."""
    with fast_matrices(frames.device):
        logits = {name: values.float() for name, values in model(frames).items()}
    right = torch.stack([(logits[name].argmax(-1) == truth[name]).float().mean() for name in ATTRIBUTES]).mean()
    return sum(F.cross_entropy(logits[name], truth[name], label_smoothing=0.02) for name in ATTRIBUTES), right


def train_classifier(
    sources: list[Shown], seconds: float, model: Classifier, batch: int = 64, seed: int = 0
) -> Classifier:
    """Train on frames of clips, drawn from the sources in turn."""
    torch.manual_seed(seed)
    rng, clock = np.random.default_rng(seed), Clock(seconds, warmup=5, decay_from=0.3)
    optimizers, report = Optimizers(model, is_wide, 6e-3, 2e-3), Report("classifier", clock)
    while clock.tick():
        frames, truth = sources[report.steps % len(sources)].sample(batch)
        loss, right = classifier_loss(model, degrade(frames, rng), truth)
        loss.backward()
        optimizers.step(clock.factor())
        report.add(loss=loss, right=right)
    return model.eval()
