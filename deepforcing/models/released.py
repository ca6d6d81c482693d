"""Load a published model, or one of one's own in a published layout, from files on this machine, and see that its parts
fit together; or only rehearse that, which takes no memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ..config import SettingsError, VideoShape
from .checkpoint import load_transformer
from .components import Components, ModelError, best_device, fastest_dtype
from .found import Found, find
from .loading import Loading
from .shapes import LATENT_CHANNELS, SHAPES
from .sources import Source
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
    return Components(found.name, parts.denoiser, parts.text, parts.decoder, parts.shape, found.source.chunk_frames)


def rehearse(found: Found, loading: Loading, dtype: torch.dtype = torch.float32, *, head_dim: int = 128) -> Parts:
    """Do all that `load_released` does with what is on this machine, but on the meta device: every file is opened and
    every tensor's name and shape checked, and nothing is loaded. Raises ModelError and SettingsError."""
    return _load(found, replace(loading, text="device"), META, META, dtype, head_dim)


def _load(
    found: Found, loading: Loading, device: torch.device, home: torch.device, dtype: torch.dtype, head_dim: int
) -> Parts:
    """home: of the transformer."""
    paths, source = found.parts, found.source
    denoiser = text = decoder = None
    if "transformer" in paths:
        options = {"lora": paths.get("lora"), "head_dim": head_dim, "device": home}
        denoiser = CausalWan(load_transformer(paths["transformer"], dtype, **options), source.sampling)
    if {"text_encoder", "tokenizer"} <= paths.keys():
        text = load_text_encoder(_common_folder(paths), device, dtype, keep=loading.text)
    if "vae" in paths:
        decoder = load_decoder(paths["vae"], device, dtype)
    if "taehv" in paths:
        decoder = load_taehv(paths["taehv"], device, dtype)
    parts = Parts(denoiser, text, decoder, _shape(source, loading, decoder))
    _check_fit(parts, source)
    return parts


def _common_folder(paths: Mapping[str, Path]) -> Path:
    folder = paths["text_encoder"].parent
    if paths["tokenizer"].parent != folder:
        raise ModelError(f"expected the tokenizer beside the text encoder in {folder}, found {paths['tokenizer']}")
    return folder


def _shape(source: Source, loading: Loading, decoder: WanDecoder | TinyCodec | None) -> VideoShape:
    height, width = loading.height or source.shape.height, loading.width or source.shape.width
    space = decoder.spatial_factor if decoder else source.shape.space
    if height % space or width % space:
        raise SettingsError(f"a video of {width}x{height} cannot be made: both sides must be multiples of {space}")
    return VideoShape(height, width, source.shape.fps, space)


def _check_fit(parts: Parts, source: Source) -> None:
    """ModelError unless text, transformer and decoder are of one family, those still to be fetched as published;
    SettingsError unless the transformer's patches tile the video."""
    if parts.denoiser is None:
        return
    wanted, made = parts.denoiser.transformer.config.text_dim, parts.denoiser.channels
    given = parts.text.text_dim if parts.text else SHAPES[source.size].text_dim
    if given != wanted:
        raise ModelError(f"the text encoder gives rows of {given}, the transformer expects {wanted}")
    expected = parts.decoder.channels if parts.decoder else LATENT_CHANNELS
    if expected != made:
        raise ModelError(f"the decoder expects latents of {expected} channels, the transformer makes {made}")
    height, width = parts.shape.height // parts.shape.space, parts.shape.width // parts.shape.space
    parts.denoiser.geometry(height, width, source.chunk_frames)
