"""A small classifier that reads subject, colour, place and time of day from video; trained on rendered scenes only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from deepforcing.captions import TABLES, Caption
from deepforcing.training.data import to_video
from deepforcing.training.optim import Optimizers, is_wide
from deepforcing.training.progress import Clock, Report

ATTRIBUTES = ("subject", "colour", "place", "time")


class Residual(nn.Module):
    """Two normalised convolutions beside an identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*_conv(width, width), *_conv(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def _conv(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.GroupNorm(8, outputs), nn.ReLU()]


class Classifier(nn.Module):
    """Frames [N, 3, H, W] in 0..1 -> logits of every attribute's values, in the order of the caption tables."""

    def __init__(self, widths: tuple[int, ...] = (24, 48, 112, 144), deep: int = 2) -> None:
        super().__init__()
        layers, before = [], 3
        for stage, width in enumerate(widths):
            layers += _conv(before, width, 2)
            layers += [Residual(width) for _ in range(stage >= len(widths) - deep)]
            before = width
        self.features = nn.Sequential(*layers)
        self.heads = nn.ModuleDict({name: nn.Linear(2 * before, len(TABLES[name])) for name in ATTRIBUTES})

    def forward(self, frames: Tensor) -> dict[str, Tensor]:
        x = self.features(frames * 2 - 1)
        x = torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)
        return {name: head(x) for name, head in self.heads.items()}

    @torch.no_grad()
    def read(self, video: Tensor) -> dict[str, str]:
        """What a clip [T, 3, H, W] shows: the value that is likeliest over all frames together.

        A frame counts by its certainty, squared: one without the subject, or with half of it, says little about it.
        """
        values = {}
        for name, logits in self(video).items():
            shares = logits.softmax(-1)
            certainty = shares.amax(-1, keepdim=True).square()
            values[name] = tuple(TABLES[name])[int((shares * certainty).sum(0).argmax())]
        return values


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


def load_classifier(path: Path) -> Classifier:
    model = Classifier()
    model.load_state_dict(load_file(path))
    return model.float().eval()
