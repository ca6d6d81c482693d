"""The choices there are when a model is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ..config import SettingsError
from .lora import check_strength, named_loras
from .placement import Weights
from .sources import Source
from .wan_text import Keep

Decoder = Literal["full", "small"]
Device = Literal["auto", "cuda", "cpu"]
Attention = Literal["exact", "fp8"]
MOST_CHUNK = 21  # latent frames, all of the five seconds that published models were trained on
_PASSING = {"fp8": "cast from fp8", "offload": "offloaded"}


@dataclass(frozen=True)
class Loading:
    """How a model is to be loaded, where there is a choice.

    decoder        full: Wan's VAE; small: TAEHV, which is many times faster, a little softer, and a part of its own
    text           where the text encoder lives: device, move, cpu or free, as in `WanTextEncoder`
    weights        of the transformer: resident, stored in fp8, or offloaded to the CPU but for the block at work
    height, width  pixels of the video; None for what the model was trained at
    chunk          latent frames denoised together, as the transformer was trained; None for as many as its model's
    compiled       compile the transformer's blocks: the first chunks take minutes, later ones are faster
    graphs         record whole passes as CUDA graphs
    loras          files of low-rank changes to merge into the transformer, each with its strength, see `lora`
    attention      exact, or fp8: self-attention in 8 bits, on a GPU that has it
    device         where it runs; auto: on CUDA where there is one, else on the CPU, which `needs_of` refuses if the
                   model is large
    """

    decoder: Decoder = "full"
    text: Keep = "device"
    weights: Weights = "resident"
    height: int | None = None
    width: int | None = None
    chunk: int | None = None
    compiled: bool = False
    graphs: bool = False
    device: Device = "auto"
    loras: tuple[tuple[Path, float], ...] = ()
    attention: Attention = "exact"

    def __post_init__(self) -> None:
        choices = {"decoder": Decoder, "text": Keep, "weights": Weights, "device": Device, "attention": Attention}
        for name, allowed in choices.items():
            if getattr(self, name) not in get_args(allowed):
                known = ", ".join(get_args(allowed))
                raise SettingsError(f"{name} must be one of {known}, not {getattr(self, name)!r}")
        for _, strength in self.loras:
            check_strength(strength)
        for name in ("height", "width"):
            if (side := getattr(self, name)) is not None and side < 1:
                raise SettingsError(f"{name} must be at least 1 pixel, not {side}")
        if self.chunk is not None and not 1 <= self.chunk <= MOST_CHUNK:
            raise SettingsError(f"chunk must be from 1 to {MOST_CHUNK} latent frames, not {self.chunk}")
        for asked, done in ((self.compiled, "compiled"), (self.graphs, "in a CUDA graph")):
            if asked and self.weights != "resident":
                raise SettingsError(f"weights that are {_PASSING[self.weights]} cannot be {done}: use one or the other")

    @property
    def named_loras(self) -> list[tuple[str, float]]:
        """See `lora.named_loras`."""
        return named_loras(self.loras)

    def chunk_of(self, source: Source) -> int:
        """Latent frames of a chunk."""
        return self.chunk or source.chunk_frames

    def parts(self, source: Source) -> tuple[str, ...]:
        """Names of the source's parts that are needed."""
        needed = {part.name for part in source.parts if not part.optional}
        return tuple(sorted(needed - {"vae"} | {"taehv"} if self.decoder == "small" else needed))
