"""A published model, or one of one's own in a published layout, from files on this machine: find its parts, load them,
and see that they fit together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch

from ..config import SettingsError, VideoShape
from .checkpoint import load_transformer
from .components import Components, ModelError, TextEncoder, VideoDecoder, best_device, fastest_dtype
from .fetch import find_local, present
from .placement import Weights
from .sources import SELF_FORCING, SOURCES, Source
from .taehv import load_taehv
from .wan import CausalWan
from .wan_decoder import load_decoder
from .wan_text import Keep, load_text_encoder

Decoder = Literal["full", "small"]
_PASSING = {"fp8": "cast from fp8", "offload": "offloaded"}


@dataclass(frozen=True)
class Loading:
    """How a model is to be loaded, where there is a choice.

    decoder        full: Wan's VAE; small: TAEHV, which is many times faster, a little softer, and a part of its own
    text           where the text encoder lives: device, move, cpu or free, as in `WanTextEncoder`
    weights        of the transformer: resident, stored in fp8, or offloaded to the CPU but for the block at work
    height, width  pixels of the video; None for what the model was trained at
    compiled       compile the transformer's blocks: the first chunks take minutes, later ones are faster
    """

    decoder: Decoder = "full"
    text: Keep = "device"
    weights: Weights = "resident"
    height: int | None = None
    width: int | None = None
    compiled: bool = False

    def __post_init__(self) -> None:
        for name, allowed in (("decoder", Decoder), ("text", Keep), ("weights", Weights)):
            if getattr(self, name) not in get_args(allowed):
                known = ", ".join(get_args(allowed))
                raise SettingsError(f"{name} must be one of {known}, not {getattr(self, name)!r}")
        if self.compiled and self.weights != "resident":
            raise SettingsError(f"weights that are {_PASSING[self.weights]} cannot be compiled: use one or the other")

    def parts(self, source: Source) -> tuple[str, ...]:
        """Names of the source's parts that are needed."""
        needed = {part.name for part in source.parts if not part.optional}
        return tuple(sorted(needed - {"vae"} | {"taehv"} if self.decoder == "small" else needed))


@dataclass(frozen=True)
class Found:
    """A model on this machine: what it was published as, and where each part is."""

    name: str
    source: Source
    parts: Mapping[str, Path]


def find(model: str | Path, loading: Loading = Loading()) -> Found:
    """The parts of a model: of a name in SOURCES, of a folder with all parts, or of a transformer alone.

    A transformer alone, a file or a diffusers folder, takes the other parts from Self Forcing's, which must be on this
    machine. Raises ModelError that says what is missing and how to get it.
    """
    if str(model) in SOURCES:
        return _published(SOURCES[str(model)], loading)
    path = Path(model)
    if not path.exists():
        raise ModelError(f"unknown model {str(model)!r}: expected tiny, {', '.join(SOURCES)}, or a path that exists")
    if path.is_file() or (path / "config.json").is_file():
        others = tuple(name for name in loading.parts(SELF_FORCING) if name != "transformer")
        shared = present(SELF_FORCING, parts=others)
        if lost := [name for name in others if name not in shared]:
            raise ModelError(f"{path} is a transformer without {_fetch_these(SELF_FORCING, lost)}")
        return Found(path.stem, SELF_FORCING, {**shared, "transformer": path})
    wanted = loading.parts(SELF_FORCING)
    if not present(SELF_FORCING, parts=wanted, folder=path):
        raise ModelError(
            f"{path} holds no model: expected the parts of a published one (vae, text_encoder, tokenizer and a "
            "checkpoint), a transformer in diffusers' layout (config.json), or a tiny model (model.json)"
        )
    return Found(path.name, SELF_FORCING, find_local(SELF_FORCING, path, wanted))


def _published(source: Source, loading: Loading) -> Found:
    wanted = loading.parts(source)
    parts = present(source, parts=wanted)
    if lost := [name for name in wanted if name not in parts]:
        raise ModelError(f"{source.title} is not on this machine without {_fetch_these(source, lost)}")
    return Found(source.name, source, parts)


def _fetch_these(source: Source, names: list[str]) -> str:
    return f"{', '.join(names)}: get them with `python -m deepforcing fetch {source.name}`"


def load_released(
    model: str | Path,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
    loading: Loading = Loading(),
    *,
    head_dim: int = 128,
) -> Components:
    """Load a model that `find` finds, every part checked, in the device's fastest precision.

    Text encoder and decoder go where they will work; the transformer stays on the CPU, to be placed as
    `loading.weights` says. head_dim: channels of a head, where the transformer's file does not tell.
    Raises ModelError and SettingsError.
    """
    device = device or best_device()
    dtype = dtype or fastest_dtype(device)
    found = find(model, loading)
    parts, source = found.parts, found.source
    transformer = load_transformer(parts["transformer"], dtype, lora=parts.get("lora"), head_dim=head_dim)
    text = load_text_encoder(_common_folder(parts), device, dtype, keep=loading.text)
    decoder = _load_decoder(parts, loading, device, dtype)
    denoiser = CausalWan(transformer, source.sampling)
    _check_fit(denoiser, text, decoder)
    shape = _shape(source, loading, decoder)
    denoiser.geometry(shape.height // shape.space, shape.width // shape.space, source.chunk_frames)
    return Components(found.name, denoiser, text, decoder, shape, source.chunk_frames)


def _common_folder(parts: Mapping[str, Path]) -> Path:
    folder = parts["text_encoder"].parent
    if parts["tokenizer"].parent != folder:
        raise ModelError(f"expected the tokenizer beside the text encoder in {folder}, found {parts['tokenizer']}")
    return folder


def _load_decoder(parts: Mapping[str, Path], loading: Loading, device: torch.device, dtype: torch.dtype):
    if loading.decoder == "small":
        return load_taehv(parts["taehv"], device, dtype)
    return load_decoder(parts["vae"], device, dtype)


def _check_fit(denoiser: CausalWan, text: TextEncoder, decoder: VideoDecoder) -> None:
    """ModelError unless text, transformer and decoder are of one family."""
    wanted = denoiser.transformer.config.text_dim
    if text.text_dim != wanted:
        raise ModelError(f"the text encoder gives rows of {text.text_dim}, the transformer expects {wanted}")
    if decoder.channels != denoiser.channels:
        raise ModelError(
            f"the decoder expects latents of {decoder.channels} channels, the transformer makes {denoiser.channels}"
        )


def _shape(source: Source, loading: Loading, decoder: VideoDecoder) -> VideoShape:
    height, width = loading.height or source.shape.height, loading.width or source.shape.width
    space = decoder.spatial_factor
    if min(height, width) < space or height % space or width % space:
        raise SettingsError(f"a video of {width}x{height} cannot be made: both sides must be multiples of {space}")
    return VideoShape(height, width, source.shape.fps, space)
