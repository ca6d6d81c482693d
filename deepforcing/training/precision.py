"""Matrix products in bfloat16 where that is faster; everything else, weights and sums included, stays in float32."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from deepforcing.models.components import fastest_dtype


def prepare(device: torch.device) -> None:
    """Settings of PyTorch that make training fast on a GPU, for this process."""
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")  # what is left in float32: optimisers
        torch.backends.cudnn.benchmark = True
        torch.set_num_threads(4)  # other cores draw


def fast_matrices(device: torch.device) -> AbstractContextManager:
    """For the forward pass of a network that is trained; the backward pass follows it."""
    dtype = fastest_dtype(device)
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)
