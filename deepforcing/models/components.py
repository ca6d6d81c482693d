"""What a video model is made of, whatever its size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ..config import VideoShape
from .wan import CausalWan


class ModelError(RuntimeError):
    """Weights that are missing, damaged or of another model. The message says what was expected and what was found."""


class TextEncoder(Protocol):
    def encode(self, prompts: list[str]) -> Tensor:
        """Prompts -> embeddings [B, rows, text_dim]; padding rows are zeros, and are attended to."""

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """All words the model knows; empty where it can make something of any text."""

    def unknown_words(self, prompt: str) -> list[str]:
        """Words the model has never seen, each once, in order."""

    def unread(self, prompt: str) -> str:
        """The end of a prompt that is longer than the model can read; empty where all of it is read."""


class VideoDecoder(Protocol):
    def decode(self, latents: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Latents [B, F, channels, h, w] -> (frames [B, n, 3, H, W] in 0..1, state for the next call).

        The first call gives 1 + 4 (F - 1) frames, later ones, with the state, 4 F.
        """

    @property
    def encodes(self) -> bool:
        """Whether it comes with the encoder that its latents are from."""

    def encode(self, frames: Tensor) -> Tensor:
        """Frames [B, 1 + 4 (F - 1), 3, H, W] in 0..1 -> latents [B, F, channels, h, w], as the transformer makes them;
        where it `encodes`."""


@dataclass(frozen=True)
class Components:
    """The parts of a loaded model."""

    name: str
    denoiser: CausalWan
    text: TextEncoder
    decoder: VideoDecoder
    shape: VideoShape
    chunk_frames: int = 3


def best_device() -> torch.device:
    """CUDA where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_for(asked: str) -> torch.device:
    """The device asked for: 'cuda', 'cpu', or 'auto' for the best. Raises ModelError for CUDA where there is none."""
    if asked == "cuda" and not torch.cuda.is_available():
        raise without_cuda("--device cuda", "Take --device cpu if that will do")
    return best_device() if asked == "auto" else torch.device(asked)


def without_cuda(what: str, instead: str) -> ModelError:
    """What to raise where CUDA is expected and there is none; `instead` says what to do."""
    return ModelError(f"{what} expects a GPU with CUDA; PyTorch {torch.__version__} found none. {instead}")


def fastest_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it faster; a CPU without instructions for it is faster in float32."""
    if device.type != "cpu":
        return torch.bfloat16
    can = torch.cpu.get_capabilities()
    return torch.bfloat16 if can.get("amx_bf16", False) or can.get("avx512_bf16", False) else torch.float32
