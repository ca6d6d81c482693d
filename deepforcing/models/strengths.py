"""LoRAs of a loaded model at other strengths: merged anew, always from the weights as they stand in their file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import WanTransformer3DModel

from ..config import SettingsError
from .checkpoint import changed_weights
from .lora import check_strength


@dataclass
class MergedLoras:
    """How strongly each LoRA is in a transformer's weights now.

    base: the transformer's file or folder, and what of LoRAs is part of the model; loras: the files that may be
    changed; given: their strengths at loading. names: of settings, one for each, `lora 1: style.safetensors`.
    """

    transformer: WanTransformer3DModel
    base: Path
    own: tuple[tuple[Path, float], ...]
    loras: tuple[Path, ...]
    given: tuple[float, ...]
    head_dim: int

    def __post_init__(self) -> None:
        self.now = self.given
        self.names = tuple(f"lora {number}: {file.name}" for number, file in enumerate(self.loras, 1))

    def check(self, strengths: Sequence[float]) -> tuple[float, ...]:
        """The strengths. Raises SettingsError unless there is one for each LoRA."""
        if len(strengths) != len(self.loras):
            raise SettingsError(f"expected the strengths of {len(self.loras)} LoRAs, not {len(strengths)}")
        return tuple(float(check_strength(strength)) for strength in strengths)

    @torch.no_grad()
    def set(self, strengths: tuple[float, ...]) -> None:
        """Merge anew, in place, as loading with these strengths would have. Files are read again, so nothing has to be
        kept; a second or two for a large model. Raises ModelError where they are gone, and changes nothing."""
        if strengths == self.now:
            return
        loras = [*self.own, *zip(self.loras, strengths, strict=True)]
        for name, weight in changed_weights(self.base, loras, self.head_dim).items():
            self.transformer.get_parameter(name).data.copy_(weight)
        self.now = strengths
