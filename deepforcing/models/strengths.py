"""A transformer with LoRAs, and these at other strengths: merged anew, always from the weights as they stand in their
file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import WanTransformer3DModel

from ..config import Sampling, SettingsError
from .checkpoint import changed_weights, load_transformer
from .lora import check_strength, named_loras
from .lora_hub import find_lora
from .wan import CausalWan


def load_denoiser(
    base: Path,
    dtype: torch.dtype,
    sampling: Sampling,
    loras: Sequence[tuple[Path, float]],
    *,
    own: tuple[tuple[Path, float], ...] = (),
    head_dim: int = 128,
    device: torch.device = torch.device("cpu"),
) -> CausalWan:
    """The transformer in `base`, see `load_transformer`, with LoRAs merged. own: those that are part of the model; the
    strength of the others can be changed. Raises ModelError."""
    found = [(find_lora(file), strength) for file, strength in loras]
    transformer = load_transformer(base, dtype, loras=[*own, *found], head_dim=head_dim, device=device)
    denoiser = CausalWan(transformer, sampling)
    if found:
        files, given = zip(*found, strict=True)
        denoiser.strengths = MergedLoras(transformer, base, own, files, given, head_dim)
    return denoiser


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
        self.names = tuple(name for name, _ in named_loras(zip(self.loras, self.given, strict=True)))

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
