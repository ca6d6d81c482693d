"""Load a published model, or one of one's own in a published layout, from files on this machine, and see that its parts
fit together; or only rehearse that, which takes no memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ..config import SettingsError, VideoShape
from .components import Components, ModelError, best_device, fastest_dtype
from .found import Found, find
from .loading import Loading
from .shapes import LATENT_CHANNELS, PATCH, SHAPES
from .sources import Source
from .strengths import load_denoiser
from .taehv import load_taehv
from .tiny_codec import TinyCodec
from .wan import CausalWan
from .wan_decoder import WanDecoder, load_decoder
from .wan_text import WanTextEncoder, load_text_encoder

CPU, META = torch.device("cpu"), torch.device("meta")


@dataclass(frozen=True)
class Parts:
    """Those parts of a model that are on this machine, None for the others; and the video that it makes."""

    denoiser: CausalWan | None
    text: WanTextEncoder | None
    decoder: WanDecoder | TinyCodec | None
    shape: VideoShape


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
    found = find(model, loading)
    parts = _load(found, loading, device, CPU, dtype or fastest_dtype(device), head_dim)
    chunk_frames = loading.chunk_of(found.source)
    return Components(found.name, parts.denoiser, parts.text, parts.decoder, parts.shape, chunk_frames)


def rehearse(found: Found, loading: Loading, dtype: torch.dtype = torch.float32, *, head_dim: int = 128) -> Parts:
    """Do all that `load_released` does with what is on this machine, but on the meta device: every file is opened and
    every tensor's name and shape checked, and nothing is loaded. Raises ModelError and SettingsError."""
    return _load(found, replace(loading, text="device"), META, META, dtype, head_dim)


def _load(
    found: Found, loading: Loading, device: torch.device, home: torch.device, dtype: torch.dtype, head_dim: int
) -> Parts:
    """home: of the transformer."""
    paths, source = found.parts, found.source
    denoiser = text = None
    decoder: WanDecoder | TinyCodec | None = None
    if "transformer" in paths:
        own = ((paths["lora"], 1.0),) if "lora" in paths else ()
        how = paths["transformer"], dtype, source.sampling, loading.loras
        denoiser = load_denoiser(*how, own=own, head_dim=head_dim, device=home)
    if {"text_encoder", "tokenizer"} <= paths.keys():
        text = load_text_encoder(_common_folder(paths), device, dtype, keep=loading.text)
    if "vae" in paths:
        decoder = load_decoder(paths["vae"], device, dtype)
    if "taehv" in paths:
        decoder = load_taehv(paths["taehv"], device, dtype)
    parts = Parts(denoiser, text, decoder, _shape(source, loading, denoiser, decoder))
    _check_fit(parts, source)
    return parts


def _common_folder(paths: Mapping[str, Path]) -> Path:
    folder = paths["text_encoder"].parent
    if paths["tokenizer"].parent != folder:
        raise ModelError(f"expected the tokenizer beside the text encoder in {folder}, found {paths['tokenizer']}")
    return folder


def _shape(
    source: Source, loading: Loading, denoiser: CausalWan | None, decoder: WanDecoder | TinyCodec | None
) -> VideoShape:
    sides = loading.height or source.shape.height, loading.width or source.shape.width
    space = decoder.spatial_factor if decoder else source.shape.space
    _, *patch = denoiser.transformer.config.patch_size if denoiser else PATCH
    units = [space * pixels for pixels in patch]  # a token's height and width
    if any(side % unit for side, unit in zip(sides, units, strict=True)):
        raise SettingsError(_other_sizes(sides, units))
    return VideoShape(*sides, source.shape.fps, space)


def _other_sizes(sides: tuple[int, int], units: list[int]) -> str:
    """What to tell a person who asked for a size that does not divide into tokens."""
    below = "x".join(str(max(unit, side // unit * unit)) for side, unit in zip(sides, units, strict=True))
    above = "x".join(str(-(-side // unit) * unit) for side, unit in zip(sides, units, strict=True))
    multiples = f"multiples of {units[0]}" if len(set(units)) == 1 else f"multiples of {units[0]} and {units[1]}"
    nearest = " or ".join(dict.fromkeys([below, above]))
    return (
        f"a video of {sides[0]}x{sides[1]} pixels (height x width) cannot be made: this model's sides are {multiples}. "
        f"The nearest: --size {nearest}"
    )


def _check_fit(parts: Parts, source: Source) -> None:
    """ModelError unless text, transformer and decoder are of one family, those still to be fetched as published."""
    if parts.denoiser is None:
        return
    wanted, made = parts.denoiser.transformer.config.text_dim, parts.denoiser.channels
    given = parts.text.text_dim if parts.text else SHAPES[source.size].text_dim
    if given != wanted:
        raise ModelError(f"the text encoder gives rows of {given}, the transformer expects {wanted}")
    expected = parts.decoder.channels if parts.decoder else LATENT_CHANNELS
    if expected != made:
        raise ModelError(f"the decoder expects latents of {expected} channels, the transformer makes {made}")
