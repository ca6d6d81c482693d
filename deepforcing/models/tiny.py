"""Load the embedded tiny model, or one of one's own: a folder with model.json, transformer/, codec.safetensors and
text.safetensors; teacher/ beside them is what the transformer was distilled from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import torch
from torch import nn

from ..config import Sampling, VideoShape
from .components import Components, ModelError, best_device, fastest_dtype
from .strengths import load_denoiser
from .tiny_codec import CodecConfig, TinyCodec
from .tiny_text import TinyTextConfig, TinyTextEncoder
from .weight_files import check_tensors, read_safetensors

Part = TypeVar("Part", bound=nn.Module)
_PACKAGE = Path(__file__).parents[1]
_PLACES = (_PACKAGE.parent / "assets" / "tiny", _PACKAGE / "tiny")  # in a checkout; in a wheel, see pyproject.toml
TINY_FOLDER = next((folder for folder in _PLACES if (folder / "model.json").is_file()), _PLACES[0])


TRANSFORMERS = MappingProxyType({"tiny": "transformer", "tiny-teacher": "teacher"})  # name -> its folder


def is_tiny(model: str | Path) -> bool:
    """Whether this is the embedded model or its teacher, or the path of one like it, rather than a published one."""
    return model in TRANSFORMERS or (Path(model) / "model.json").is_file()


def folders_of(model: str | Path) -> tuple[Path, Path]:
    """A tiny model's folder, and that of its transformer."""
    folder = TINY_FOLDER if model in TRANSFORMERS else Path(model)
    return folder, folder / TRANSFORMERS.get(str(model), "transformer")


def load_tiny(
    model: str | Path = "tiny",
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
    loras: Sequence[tuple[Path, float]] = (),
) -> Components:
    """Load every part, checked tensor by tensor, on the best device and in its fastest precision unless told otherwise.

    loras: files of changes to merge into the transformer, each with its strength. Raises ModelError that names the file
    and what is wrong with it.
    """
    device = device or best_device()
    dtype = dtype or fastest_dtype(device)
    folder, transformer = folders_of(model)
    card = _read_card(folder / "model.json")
    codec = _filled(TinyCodec(_config(CodecConfig, card["codec"])), folder / "codec.safetensors").to(device)
    for network in (codec.encoder, codec.decoder):  # not what scales the latents
        network.to(dtype)
    text = _filled(TinyTextEncoder(_config(TinyTextConfig, card["text"])), folder / "text.safetensors").to(device)
    sampling = Sampling(tuple(card["steps"]), card["shift"], card["prediction"])
    shape = VideoShape(card["size"], card["size"], card["fps"], codec.config.spatial_factor)
    denoiser = load_denoiser(transformer, dtype, sampling, loras)
    denoiser.transformer.to(device)
    name = str(model) if model in TRANSFORMERS else "tiny"
    return Components(name, denoiser, text, codec, shape, card["chunk_frames"])


def _read_card(path: Path) -> dict:
    needed = {"prediction", "steps", "shift", "chunk_frames", "size", "fps", "codec", "text"}
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path} is missing: expected the folder of a tiny model") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from None
    if not isinstance(card, dict) or not needed <= card.keys():
        missing = ", ".join(sorted(needed - set(card))) if isinstance(card, dict) else "everything"
        raise ModelError(f"{path} does not describe a tiny model: it lacks {missing}")
    return card


def _config(kind: type, values: dict):
    return kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})


def _filled(module: Part, path: Path) -> Part:
    """The module with the file's weights, in float32, ready for inference."""
    tensors = read_safetensors(path)
    check_tensors(module.state_dict(), tensors, path)
    module.load_state_dict(tensors)
    return module.float().eval().requires_grad_(False)
