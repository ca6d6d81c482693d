"""Where a loaded transformer's weights are kept, and in which precision."""

from __future__ import annotations

from typing import Literal

import torch

from .wan import CausalWan

Weights = Literal["resident", "fp8", "offload"]
FP8 = torch.float8_e4m3fn


def place_weights(denoiser: CausalWan, weights: Weights, device: torch.device) -> None:
    """Bring a loaded transformer to the device as a plan says."""
    if weights == "offload":
        return offload_weights(denoiser, device)
    if weights == "fp8":
        store_in_fp8(denoiser)
    denoiser.transformer.to(device)


def store_in_fp8(denoiser: CausalWan) -> None:
    """Keep the weights of linear layers in 8 bits, cast to the transformer's precision as each is used."""
    denoiser.transformer.enable_layerwise_casting(storage_dtype=FP8, compute_dtype=denoiser.dtype)


def offload_weights(denoiser: CausalWan, device: torch.device) -> None:
    """Keep the weights on the CPU; each block comes to the device while it runs, on CUDA beside the one before."""
    denoiser.transformer.enable_group_offload(
        onload_device=device,
        offload_device=torch.device("cpu"),
        offload_type="block_level",
        num_blocks_per_group=1,
        use_stream=device.type == "cuda",
    )
