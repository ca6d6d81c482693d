"""Low-rank changes to a model's weights (LoRA, arXiv 2106.09685), in the layout that the PEFT library writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from .components import ModelError
from .model_folder import read_json
from .weight_files import read_tensors

KEYS = ("generator_lora",)  # where LongLive's training puts it
HALVES = (".lora_A", ".lora_B")
PLAIN = {"use_rslora": False, "use_dora": False, "rank_pattern": {}, "alpha_pattern": {}}  # variants left out


@dataclass(frozen=True)
class Lora:
    """Changes by the name of the weight: (A [rank, in], B [out, rank]). A weight W becomes W + scale * B @ A."""

    path: Path
    changes: dict[str, tuple[Tensor, Tensor]]
    scale: float = 1.0

    def merged(self, name: str, weight: Tensor) -> Tensor:
        """The weight with its change added in float32, or, where there is none, as it is."""
        if name not in self.changes:
            return weight
        down, up = (half.to(weight.device).float() for half in self.changes[name])
        return weight.float().addmm(up, down, alpha=self.scale)

    def check(self, weights: dict[str, Tensor]) -> None:
        """Raise ModelError, naming the first change that has no weight to go with, or not one of its shape."""
        for name, (down, up) in self.changes.items():
            wanted = (up.shape[0], down.shape[1]) if down.ndim == up.ndim == 2 else None
            if name not in weights:
                raise ModelError(f"{self.path} is a LoRA for another model: there is no {name} for it to change")
            if wanted != tuple(weights[name].shape) or up.shape[1] != down.shape[0]:
                raise ModelError(
                    f"{self.path} is a LoRA for another model: expected a change of {name} with shape "
                    f"{tuple(weights[name].shape)}, found B {tuple(up.shape)} by A {tuple(down.shape)}"
                )


def is_lora(names) -> bool:
    """Whether tensors of these names are a LoRA's rather than a model's."""
    return any(half in name for name in names for half in HALVES)


def load_lora(path: Path, rename: Callable[[str], str]) -> Lora:
    """A LoRA from disk; `rename` turns the name of a weight into the model's own.

    PEFT writes the scale, alpha / rank, into adapter_config.json beside the weights. Without that file the scale is 1:
    LongLive trains with alpha = rank = 256.
    Raises ModelError for a file that cannot be read, is no LoRA, or is of a kind that is more than B @ A.
    """
    halves: dict[str, dict[str, Tensor]] = {}
    tensors = read_tensors(path, KEYS)
    if not is_lora(tensors):
        found = next(iter(tensors), "nothing")
        raise ModelError(f"{path} is not a LoRA: expected names with lora_A and lora_B, found {found}")
    for name, tensor in tensors.items():
        module, half = _parted(name, path)
        halves.setdefault(rename(f"{module}.weight"), {})[half] = tensor
    for name, found in halves.items():
        for half in HALVES:
            if half not in found:
                raise ModelError(f"{path} is incomplete: it lacks {half[1:]} for {name}")
    return Lora(path, {name: (found[".lora_A"], found[".lora_B"]) for name, found in halves.items()}, _scale(path))


def _parted(name: str, path: Path) -> tuple[str, str]:
    """`blocks.0.self_attn.q.lora_A.default.weight` -> (`blocks.0.self_attn.q`, `.lora_A`)."""
    for half in HALVES:
        module, found, end = name.rpartition(half)
        if found and end in (".weight", ".default.weight"):
            return module.removeprefix("base_model.model."), half
    raise ModelError(f"{path} has {name}: expected nothing but lora_A.weight and lora_B.weight of linear layers")


def _scale(path: Path) -> float:
    file = path.with_name("adapter_config.json")
    if not file.is_file():
        return 1.0
    config = read_json(file, "the settings of a LoRA")
    for option, plain in PLAIN.items():
        if config.get(option, plain) != plain:
            raise ModelError(f"{file} has {option}: expected a plain LoRA. Merge it into the weights with PEFT")
    try:
        return config["lora_alpha"] / config["r"]
    except (KeyError, TypeError, ZeroDivisionError):
        raise ModelError(f"{file} gives no scale: expected the numbers lora_alpha and r") from None
