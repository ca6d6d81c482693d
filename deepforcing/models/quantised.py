"""Weights that somebody has quantised: told apart by the tensors that their makers put beside them."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from .components import ModelError

INSTEAD = "Take the same model's weights in bfloat16, float16 or float32; --weights fp8 makes them small here"
KINDS = {  # how a name ends, or what follows the weight's own -> what that is
    "scaled_fp8": "fp8 with scales",
    ".scale_weight": "fp8 with scales",
    ".weight_scale": "fp8 with scales",
    ".comfy_quant": "by ComfyUI",
    ".weight.absmax": "bitsandbytes",
    ".SCB": "bitsandbytes, 8 bits",
    ".weight._data": "quanto",
    ".weight._scale": "quanto",
    ".qweight": "GPTQ, AWQ or SVDQuant",
    ".weight_packed": "compressed-tensors",
    ".wscales": "SVDQuant",
}


def check_not_quantised(tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The tensors. Raises ModelError where some of them are what is needed to read others."""
    for name in tensors:
        for mark, kind in KINDS.items():
            if name.endswith(mark):
                raise ModelError(f"{path} is quantised ({kind}: it has {name}), which is not read here. {INSTEAD}")
    return tensors
