"""Captions as sentences in tokens, made ahead, so that a training step draws them on its own device; and how often
each of them is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from deepforcing.captions import Caption
from deepforcing.models.tiny_text import TinyTextEncoder

VARIANTS = 4  # ways of saying a caption
OFTEN = MappingProxyType({"bird": 3.0})  # drawn, for once of another subject: the hardest to draw


def odds(captions: Sequence[Caption], device: torch.device) -> Tensor:
    """How often each caption is to be drawn, [N], up to a factor."""
    return torch.tensor([OFTEN.get(caption.subject, 1.0) for caption in captions], device=device)


class Phrases:
    """Several sentences for each of N captions; int16 tokens [N, variants, rows], and how many of them are words."""

    def __init__(
        self, text: TinyTextEncoder, captions: Sequence[Caption], rng, device: torch.device, variants: int = VARIANTS
    ) -> None:
        tokens = np.zeros((len(captions), variants, text.config.rows), np.int16)
        lengths = np.zeros((len(captions), variants, 1), np.int16)
        for index, caption in enumerate(captions):
            for variant in range(variants):
                found = text.tokenize(caption.phrase(rng))
                tokens[index, variant, : len(found)], lengths[index, variant] = found, len(found)
        self._tokens, self._lengths = (torch.from_numpy(part).to(device) for part in (tokens, lengths))

    def sample(self, picks: Tensor, drop: float = 0.0) -> tuple[Tensor, Tensor]:
        """One sentence for each of the captions `picks` [B], or none at all for a share `drop` of them.

        Returns what the text encoder takes: tokens [B, rows], and which of them are words.
        """
        device, (_, variants, rows) = picks.device, self._tokens.shape
        variant = torch.randint(variants, picks.shape, device=device)
        told = torch.rand(len(picks), 1, device=device) >= drop
        present = torch.arange(rows, device=device) < self._lengths[picks, variant]
        return self._tokens[picks, variant].long(), present & told
