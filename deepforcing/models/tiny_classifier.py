"""A small classifier that reads subject, colour, place and time of day from the tiny model's video.

It was trained on rendered scenes and their round trips through the codec, never on generated video.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ..captions import TABLES
from .tiny import TINY_FOLDER
from .weight_files import check_tensors, read_safetensors

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


def load_classifier(path: Path = TINY_FOLDER / "classifier.safetensors") -> Classifier:
    """The reader that ships with the tiny model. Raises ModelError for a file that is missing or of another model."""
    model, tensors = Classifier(), read_safetensors(path)
    check_tensors(model.state_dict(), tensors, path)
    model.load_state_dict(tensors)
    return model.float().eval().requires_grad_(False)
