"""Load a TAEHV decoder, the small stand-in for Wan's VAE, into the tiny model's codec class at TAEHV's widths.

Facts are from https://github.com/madebyollin/taehv. `taew2_1` is the file for Wan 2.1.
"""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from .components import ModelError
from .tiny_codec import CodecConfig, TinyCodec

FIRST_BLOCK = 3  # the decoder's layers begin with a clamp, a convolution and a ReLU
GROWS = re.compile(r"decoder\.(\d+)\.conv\.weight")
PICKLE_STARTS = (b"PK", b"\x80")  # torch.save: a zip archive, or the older bare stream


def load_taehv(path: Path, device: torch.device, dtype: torch.dtype) -> TinyCodec:
    """The decoder of a TAEHV file (.pth or .safetensors), its sizes read off the tensors' shapes.

    It takes latents as the diffusion model makes them: TAEHV "does not use any latent scales / shifts" (its README),
    so the codec's `mean` stays 0 and its `std` 1, and Wan's latents_mean and latents_std must not be applied. An
    encoder in the file is left out. The files for Wan 2.1 and for Hunyuan Video have the same shapes: a wrong choice
    between these two cannot be noticed here. Raises ModelError.
    """
    published = {name: tensor for name, tensor in _read(path).items() if not name.startswith("encoder.")}
    config, growing = _recognised(published, path)
    codec = TinyCodec(config)
    names = {f"decoder.{name}": _published(name, growing) for name in codec.decoder.state_dict()}
    _check({names[f"decoder.{name}"]: t for name, t in codec.decoder.state_dict().items()}, published, path)
    codec.load_state_dict({ours: published[theirs] for ours, theirs in names.items()}, strict=False)
    return codec.to(device, dtype).eval().requires_grad_(False)


def _read(path: Path) -> dict[str, Tensor]:
    """All tensors of a file, on the CPU; a pickle's code is never run."""
    try:
        with path.open("rb") as file:
            pickled = file.read(2).startswith(PICKLE_STARTS)
        tensors = torch.load(path, map_location="cpu", weights_only=True) if pickled else load_file(path)
    except FileNotFoundError:
        raise ModelError(f"{path} is missing: expected the weights of a TAEHV decoder, such as taew2_1") from None
    except (OSError, EOFError, RuntimeError, SafetensorError, pickle.UnpicklingError) as error:
        raise ModelError(f"{path} is damaged, or holds more than tensors: {_first_line(error)}") from None
    named = isinstance(tensors, dict) and all(isinstance(name, str) for name in tensors)
    if not named or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise ModelError(f"{path} is of another model: expected the tensors of a TAEHV decoder by name")
    return tensors


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _recognised(tensors: dict[str, Tensor], path: Path) -> tuple[CodecConfig, list[int]]:
    """The sizes of a published decoder, and its layers that grow time.

    A stage there is some memory blocks, an upsampling, which has no weights, the growth of time, and a convolution.
    """
    growing = sorted(int(match[1]) for name in tensors if (match := GROWS.fullmatch(name)))
    starts = [FIRST_BLOCK, *(layer + 2 for layer in growing)]
    try:
        first, grow = tensors["decoder.1.weight"], [tensors[f"decoder.{layer}.conv.weight"] for layer in growing]
        after = [tensors[f"decoder.{layer + 1}.weight"] for layer in growing]
        last = tensors[f"decoder.{starts[-1] + 1}.weight"]
    except KeyError as error:
        raise ModelError(f"{path} is not a TAEHV decoder: expected {error.args[0]}") from None
    try:
        config = CodecConfig(
            latent_channels=first.shape[1],
            patch_size=round((last.shape[0] / 3) ** 0.5),
            encoder_widths=(),
            encoder_blocks=(),
            decoder_widths=(first.shape[0], *(weight.shape[0] for weight in after)),
            decoder_blocks=tuple(layer - 1 - start for layer, start in zip(growing, starts, strict=False)),
            decoder_spatial=(True,) * len(growing),
            decoder_temporal=tuple(weight.shape[0] > weight.shape[1] for weight in grow),
            signed=False,
        )
    except (ValueError, IndexError) as error:
        raise ModelError(f"{path} is not a TAEHV decoder for Wan: {error}") from None
    return config, growing


def _published(name: str, growing: list[int]) -> str:
    """TAEHV's name of one of our decoder's tensors: there, growth comes after the upsampling, here before it."""
    layer, rest = name.split(".", 1)
    moved = rest == "conv.weight" and int(layer) + 1 in growing
    return f"decoder.{int(layer) + moved}.{rest}"


def _check(expected: dict[str, Tensor], found: dict[str, Tensor], path: Path) -> None:
    """Raise ModelError unless exactly the expected tensors are there; it names the first that differs."""
    for name, tensor in expected.items():
        if name not in found or found[name].shape != tensor.shape:
            has = f"found {tuple(found[name].shape)}" if name in found else "it is not there"
            raise ModelError(f"{path} is of another model: expected {name} with shape {tuple(tensor.shape)}, {has}")
    if extra := found.keys() - expected.keys():
        raise ModelError(f"{path} is of another model: it also has {min(extra)}")
