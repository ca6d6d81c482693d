"""Load the embedded tiny model: a folder with model.json, transformer/, codec.safetensors and text.safetensors."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import WanTransformer3DModel
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from ..config import Sampling, VideoShape
from .components import Components, ModelError, best_device, fastest_dtype
from .tiny_codec import CodecConfig, TinyCodec
from .tiny_text import TinyTextConfig, TinyTextEncoder
from .wan import CausalWan

TINY_FOLDER = Path(__file__).parents[2] / "assets" / "tiny"
TRANSFORMER_FILE = Path("transformer") / "diffusion_pytorch_model.safetensors"


def load_tiny(
    folder: Path = TINY_FOLDER, device: torch.device | None = None, dtype: torch.dtype | None = None
) -> Components:
    """Load every part, checked tensor by tensor, on the best device and in its fastest precision unless told otherwise.

    Raises ModelError that names the file and what is wrong with it.
    """
    device = device or best_device()
    dtype = dtype or fastest_dtype(device)
    card = _read_card(folder / "model.json")
    codec = _filled(TinyCodec(_config(CodecConfig, card["codec"])), folder / "codec.safetensors").to(device)
    text = _filled(TinyTextEncoder(_config(TinyTextConfig, card["text"])), folder / "text.safetensors").to(device)
    sampling = Sampling(tuple(card["steps"]), card["shift"], card["prediction"])
    shape = VideoShape(card["size"], card["size"], card["fps"], codec.config.spatial_factor)
    denoiser = CausalWan(_transformer(folder, dtype).to(device), sampling)
    return Components("tiny", denoiser, text, codec, shape, card["chunk_frames"])


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


def _transformer(folder: Path, dtype: torch.dtype) -> WanTransformer3DModel:
    try:
        config = WanTransformer3DModel.load_config(folder / "transformer", local_files_only=True)
        with torch.device("meta"):
            expected = WanTransformer3DModel.from_config(config).state_dict()
        check_weights(expected, folder / TRANSFORMER_FILE)
        return WanTransformer3DModel.from_pretrained(
            folder / "transformer", torch_dtype=dtype, use_safetensors=True, local_files_only=True
        )
    except OSError as error:
        raise ModelError(f"{folder / 'transformer'} cannot be read: {error}") from None


def _filled(module: nn.Module, path: Path) -> nn.Module:
    """The module with the file's weights, in float32, ready for inference."""
    check_weights(module.state_dict(), path)
    module.load_state_dict(load_file(path))
    return module.float().eval().requires_grad_(False)


def check_weights(expected: dict[str, torch.Tensor], path: Path) -> None:
    """Raise ModelError unless a safetensors file holds exactly these tensors; it names the first that differs."""
    if not path.is_file():
        raise ModelError(f"{path} is missing")
    try:
        with safe_open(path, "pt") as file:
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is damaged or not a safetensors file: {error}") from None
    for name, tensor in expected.items():
        if found.pop(name, None) != tuple(tensor.shape):
            raise ModelError(f"{path} is of another model: expected {name} with shape {tuple(tensor.shape)}")
    if found:
        raise ModelError(f"{path} is of another model: it also has {next(iter(found))}")
