"""Load a TAEHV decoder, the small stand-in for Wan's VAE, into the tiny model's codec class at TAEHV's widths.

Facts are from https://github.com/madebyollin/taehv. `taew2_1` is the file for Wan 2.1.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

from .components import ModelError
from .tiny_codec import CodecConfig, TinyCodec
from .weight_files import check_tensors, read_tensors

FIRST_BLOCK = 3  # the decoder's layers begin with a clamp, a convolution and a ReLU
GROWS = re.compile(r"decoder\.(\d+)\.conv\.weight")


def load_taehv(path: Path, device: torch.device, dtype: torch.dtype) -> TinyCodec:
    """The decoder of a TAEHV file (.pth or .safetensors), its sizes read off the tensors' shapes.

    It takes latents as the diffusion model makes them: TAEHV "does not use any latent scales / shifts" (its README),
    so the codec's `mean` stays 0 and its `std` 1, and Wan's latents_mean and latents_std must not be applied. An
    encoder in the file is left out. The files for Wan 2.1 and for Hunyuan Video have the same shapes: a wrong choice
    between these two cannot be noticed here. Raises ModelError.
    """
    published = {name: tensor for name, tensor in read_tensors(path).items() if not name.startswith("encoder.")}
    config, growing = _recognised(published, path)
    codec = TinyCodec(config)
    ours = codec.decoder.state_dict()
    check_tensors({_published(name, growing): tensor for name, tensor in ours.items()}, published, path)
    codec.decoder.load_state_dict({name: published[_published(name, growing)] for name in ours})
    return codec.to(device, dtype).eval().requires_grad_(False)


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
