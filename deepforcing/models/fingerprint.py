"""Tell models apart by their weights."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn


def fingerprint(module: nn.Module) -> str:
    """16 hex digits of the SHA-256 over every weight, by name.

    Weights are rounded to bfloat16, so that a model has the same one in whichever precision it was loaded.
    """
    digest = hashlib.sha256()
    for name, weight in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(weight.shape)}".encode())
        digest.update(_bytes(weight))
    return digest.hexdigest()[:16]


def _bytes(weight: Tensor) -> memoryview:
    rounded = weight.detach().to(torch.bfloat16).cpu().contiguous()
    return rounded.flatten().view(torch.uint8).numpy().data
