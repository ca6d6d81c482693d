"""Trains the classifier that reads the tiny model's video, on rendered scenes only."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from deepforcing.captions import TABLES, Caption
from deepforcing.models.tiny_classifier import ATTRIBUTES, Classifier
from deepforcing.training.data import to_video
from deepforcing.training.optim import Optimizers, is_wide
from deepforcing.training.progress import Clock, Report


def targets(captions: list[Caption]) -> dict[str, Tensor]:
    return {name: torch.tensor([tuple(TABLES[name]).index(getattr(c, name)) for c in captions]) for name in ATTRIBUTES}


def degrade(frames: Tensor, rng) -> Tensor:
    """Blur, noise, a shift and a mirror, so that soft video is read as well as a sharp rendering."""
    if rng.random() < 0.6:
        small = int(frames.shape[-1] * rng.uniform(0.35, 0.9))
        frames = F.interpolate(
            F.interpolate(frames, size=(small, small), mode="area"), size=frames.shape[-2:], mode="bilinear"
        )
    if rng.random() < 0.5:
        frames = frames.flip(-1)
    rows, columns = (int(v) for v in rng.integers(-6, 7, 2))
    frames = frames.roll((rows, columns), (-2, -1))
    gain = 1 + 0.06 * torch.randn(len(frames), 3, 1, 1)
    return (frames * gain + rng.uniform(0, 0.05) * torch.randn_like(frames)).clamp(0, 1)


def classifier_loss(model: Classifier, frames: Tensor, captions: list[Caption]) -> tuple[Tensor, float]:
    """Summed cross-entropies, and the share of right answers."""
    logits, truth = model(frames), targets(captions)
    right = np.mean([(logits[n].argmax(-1) == truth[n]).float().mean().item() for n in ATTRIBUTES])
    return sum(F.cross_entropy(logits[n], truth[n], label_smoothing=0.02) for n in ATTRIBUTES), float(right)


def train_classifier(
    sources: list[tuple[np.ndarray, list[Caption]]],
    seconds: float,
    model: Classifier | None = None,
    batch: int = 64,
    seed: int = 0,
) -> Classifier:
    """Train on frames of rendered clips: pairs of uint8 [N, T, H, W, 3] and their captions, drawn from in turn."""
    torch.manual_seed(seed)
    model, rng, clock = model or Classifier(), np.random.default_rng(seed), Clock(seconds, warmup=5, decay_from=0.3)
    optimizers, report = Optimizers(model, is_wide, 6e-3, 2e-3), Report("classifier", clock)
    while clock.tick():
        clips, captions = sources[report.steps % len(sources)]
        picks = rng.integers(0, len(clips), batch)
        frames = to_video(np.stack([clips[i, rng.integers(clips.shape[1])] for i in picks]))
        loss, right = classifier_loss(model, degrade(frames, rng), [captions[i] for i in picks])
        loss.backward()
        optimizers.step(clock.factor())
        report.add(loss=loss.item(), right=right)
    return model.eval()
