"""Models of a published shape with random weights, for measuring speed where there is nothing to load."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from torch import Tensor

from ..config import Sampling, SettingsError, VideoShape
from .components import Components
from .tiny_codec import CodecConfig, TinyCodec
from .wan import CausalWan
from .wan_decoder import WanDecoder

LATENT_CHANNELS = 16
PATCH = (1, 2, 2)  # latent frames, rows and columns of a token


@dataclass(frozen=True)
class Shape:
    """Sizes of a transformer of Wan's kind, its text and its decoders; height and width in pixels."""

    height: int
    width: int
    heads: int
    head_dim: int
    ffn: int
    layers: int
    text_rows: int
    text_dim: int
    vae_base: int
    taehv_widths: tuple[int, int, int, int]


SHAPES = {
    "self-forcing": Shape(480, 832, 12, 128, 8960, 30, 512, 4096, 96, (256, 128, 64, 64)),
    "small": Shape(64, 112, 2, 64, 746, 3, 32, 64, 8, (32, 16, 8, 8)),  # in the same proportions
}


def transformer_config(shape: Shape) -> dict:
    """Arguments of `WanTransformer3DModel`."""
    return {
        "patch_size": PATCH,
        "num_attention_heads": shape.heads,
        "attention_head_dim": shape.head_dim,
        "in_channels": LATENT_CHANNELS,
        "out_channels": LATENT_CHANNELS,
        "text_dim": shape.text_dim,
        "ffn_dim": shape.ffn,
        "num_layers": shape.layers,
    }


def vae_config(shape: Shape) -> dict:
    """Arguments of `AutoencoderKLWan`."""
    return {"base_dim": shape.vae_base}


def taehv_config(shape: Shape) -> CodecConfig:
    """A decoder of TAEHV's layout."""
    return CodecConfig(
        latent_channels=LATENT_CHANNELS,
        patch_size=1,
        encoder_widths=(),
        encoder_blocks=(),
        decoder_widths=shape.taehv_widths,
        decoder_blocks=(3, 3, 3),
        decoder_spatial=(True, True, True),
        signed=False,
    )


def shape_named(name: str) -> Shape:
    """Raises SettingsError for a name that is not in SHAPES."""
    if name not in SHAPES:
        raise SettingsError(f"unknown shape {name!r}; there are {', '.join(SHAPES)}")
    return SHAPES[name]


class RandomText:
    """Stands in for a text encoder: fixed random rows [B, rows, text_dim], whatever the prompt."""

    vocabulary = ()

    def __init__(self, rows: int, dim: int) -> None:
        self.embeds = torch.randn(1, rows, dim, generator=torch.Generator().manual_seed(0))

    def encode(self, prompts: list[str]) -> Tensor:
        return self.embeds.expand(len(prompts), -1, -1)

    def unknown_words(self, prompt: str) -> list[str]:
        return []

    def unread(self, prompt: str) -> str:
        return ""


class NoDecoder:
    """Gives black frames at once: what is left is the time of the transformer."""

    def __init__(self, shape: VideoShape) -> None:
        self.shape = shape

    @property
    def encodes(self) -> bool:
        return False

    def encode(self, frames: Tensor) -> Tensor:
        raise NotImplementedError("there is no encoder")

    def decode(self, latents: Tensor, state: bool | None = None) -> tuple[Tensor, bool]:
        frames = self.shape.frames(latents.shape[1]) if state is None else self.shape.time * latents.shape[1]
        return latents.new_zeros(latents.shape[0], frames, 3, self.shape.height, self.shape.width), True


def random_components(name: str, device: torch.device, dtype: torch.dtype) -> Components:
    """The parts of a shape with random weights, without a decoder. Raises SettingsError for an unknown name."""
    shape = shape_named(name)
    with _as_default(device, dtype):
        transformer = WanTransformer3DModel(**transformer_config(shape))
    video, text = VideoShape(shape.height, shape.width), RandomText(shape.text_rows, shape.text_dim)
    return Components(f"{name} shape", CausalWan(transformer, Sampling()), text, NoDecoder(video), video)


def random_taehv(name: str, device: torch.device, dtype: torch.dtype) -> TinyCodec:
    """A decoder of TAEHV's layout, at this shape's widths."""
    config = taehv_config(shape_named(name))
    return TinyCodec(config).to(device, dtype).eval().requires_grad_(False)


def random_vae(name: str, device: torch.device, dtype: torch.dtype) -> WanDecoder:
    """Wan's VAE, at this shape's width."""
    with _as_default(device, dtype):
        return WanDecoder(AutoencoderKLWan(**vae_config(shape_named(name))))


class _as_default:
    """New parameters are made on this device and in this precision: 1.3B of them take seconds on CUDA."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype

    def __enter__(self) -> None:
        self.before = torch.get_default_dtype()
        torch.set_default_dtype(self.dtype)
        self.device.__enter__()

    def __exit__(self, *error) -> None:
        self.device.__exit__(*error)
        torch.set_default_dtype(self.before)
