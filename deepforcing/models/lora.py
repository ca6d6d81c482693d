"""Low-rank changes to a model's weights (LoRA, arXiv 2106.09685), under the names that various trainers give them:

- the PEFT library's, `blocks.0.self_attn.q.lora_A.weight` and `.lora_B.weight`, and LongLive's `.default.weight`;
- `.lora_down.weight` and `.lora_up.weight`, with `.alpha` beside them, also as `lora_unet_blocks_0_self_attn_q`;
- `.diff`, `.diff_b` and `.diff_m`: what is added to a weight, a bias, a modulation as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from ..config import SettingsError
from ..prompt import as_text
from .components import ModelError
from .model_folder import read_json
from .weight_files import read_tensors

KEYS = ("generator_lora", "lora", "state_dict")  # the first is where LongLive's training puts it
STRONGEST = 10  # times a LoRA can be added
DOWN, UP = "lora_A", "lora_B"
HALVES = {"lora_A": DOWN, "lora_down": DOWN, "lora.down": DOWN, "lora_B": UP, "lora_up": UP, "lora.up": UP}
ENDS = ("", ".weight", ".default.weight")
WHOLE = {"diff": "weight", "diff_b": "bias", "diff_m": "modulation"}
OTHER_KINDS = {  # in names of changes that are more than B @ A
    "hada_w": "LoHa",
    "lokr_w": "LoKr",
    "oft_": "OFT",
    "dora_scale": "DoRA",
    "lora_magnitude_vector": "DoRA",
    "lora_mid": "LoCon with a core",
}
PLAIN = {"use_rslora": False, "use_dora": False, "rank_pattern": {}, "alpha_pattern": {}}  # variants left out
FLAT = (  # Wan's names with their dots made `_`
    (r"blocks_(\d+)_(self_attn|cross_attn)_(\w+)", r"blocks.\1.\2.\3"),
    (r"blocks_(\d+)\.(.+)", r"blocks.\1.\2"),  # some writers leave the others
    (r"blocks_(\d+)_ffn_(\d)", r"blocks.\1.ffn.\2"),
    (r"blocks_(\d+)_(\w+)", r"blocks.\1.\2"),
    (r"(text_embedding|time_embedding|time_projection)_(\d)", r"\1.\2"),
    (r"head_head", "head.head"),
)


def named_loras(loras: Iterable[tuple[Path, float]]) -> list[tuple[str, float]]:
    """LoRAs and their strengths, by the names that settings have: `lora 1: style.safetensors`."""
    return [(f"lora {number}: {as_text(file.name)}", given) for number, (file, given) in enumerate(loras, 1)]


def check_strength(strength: float) -> float:
    """The strength itself. Raises SettingsError unless it is a number that is not too large."""
    if isinstance(strength, bool) or not isinstance(strength, int | float) or not abs(strength) <= STRONGEST:
        number = f"a number from -{STRONGEST} to {STRONGEST}"
        raise SettingsError(f"the strength of a LoRA is {number}, not {strength!r}")
    return strength


@dataclass(frozen=True)
class Lora:
    """Changes, by the name of a weight W. A product (A [rank, in], B [out, rank], scale) makes it W + scale * B @ A,
    a sum is added as it is; both times `strength`."""

    path: Path
    products: dict[str, tuple[Tensor, Tensor, float]] = field(default_factory=dict)
    sums: dict[str, Tensor] = field(default_factory=dict)
    strength: float = 1.0

    def merged(self, name: str, weight: Tensor) -> Tensor:
        """The weight with its changes added in float32, or, where there are none, as it is."""
        if name in self.products:
            down, up, scale = self.products[name]
            down, up = (half.to(weight.device).float() for half in (down, up))
            weight = weight.float().addmm(up, down, alpha=scale * self.strength)
        if name in self.sums:
            weight = weight.float() + self.strength * self.sums[name].to(weight.device).float()
        return weight

    def check(self, weights: Mapping[str, Tensor]) -> None:
        """Raise ModelError, naming the first change that has no weight to go with, or not one of its shape."""
        for name, (down, up, _) in self.products.items():
            fits = down.ndim == up.ndim == 2 and up.shape[1] == down.shape[0]
            found = f"B {tuple(up.shape)} by A {tuple(down.shape)}"
            self._check(name, weights, (up.shape[0], down.shape[1]) if fits else None, found)
        for name, added in self.sums.items():
            self._check(name, weights, tuple(added.shape), str(tuple(added.shape)))

    def _check(self, name: str, weights: Mapping[str, Tensor], shape: tuple[int, ...] | None, found: str) -> None:
        if name not in weights:
            raise ModelError(f"{self.path} is a LoRA for another model: there is no {name} for it to change")
        if shape != tuple(weights[name].shape):
            raise ModelError(
                f"{self.path} is a LoRA for another model: expected a change of {name} with shape "
                f"{tuple(weights[name].shape)}, found {found}"
            )


def is_lora(names) -> bool:
    """Whether tensors of these names are a LoRA's, or one of its relatives', rather than a model's."""
    marks = tuple(f".{mark}" for mark in (*HALVES, *WHOLE))
    return any(_kind(name) or any(name.endswith(mark) or f"{mark}." in name for mark in marks) for name in names)


def load_lora(path: Path, rename: Callable[[str], str], strength: float = 1.0) -> Lora:
    """A LoRA from disk, to be added so many times; `rename` turns Wan's name of a weight into the model's own.

    The scale is alpha / rank. Alpha stands beside the halves or, as PEFT has it, in adapter_config.json beside the
    file; without either the scale is 1: LongLive trains with alpha = rank = 256.
    Raises ModelError for a file that cannot be read, is no LoRA, or is of a kind that is more than B @ A.
    """
    tensors = read_tensors(path, KEYS)
    if not is_lora(tensors):
        found = next(iter(tensors), "nothing")
        raise ModelError(f"{path} is not a LoRA: expected names with lora_A and lora_B, or lora_down, found {found}")
    halves: dict[str, dict[str, Tensor]] = {}
    alphas, sums = {}, {}
    for name, tensor in tensors.items():
        module, what = _parted(name, path)
        if what in WHOLE:
            sums[rename(f"{module}.{WHOLE[what]}")] = tensor
        elif what == "alpha":
            alphas[rename(f"{module}.weight")] = float(tensor)
        else:
            halves.setdefault(rename(f"{module}.weight"), {})[what] = tensor
    scale = _scale(path)
    products = {name: _product(name, both, alphas.get(name), scale, path) for name, both in halves.items()}
    return Lora(path, products, sums, strength)


def _product(
    name: str, halves: dict[str, Tensor], alpha: float | None, scale: float, path: Path
) -> tuple[Tensor, Tensor, float]:
    for half in (DOWN, UP):
        if half not in halves:
            raise ModelError(f"{path} is incomplete: it lacks {half} for {name}")
    return halves[DOWN], halves[UP], scale if alpha is None else alpha / max(1, len(halves[DOWN]))


def _parted(name: str, path: Path) -> tuple[str, str]:
    """`blocks.0.self_attn.q.lora_A.default.weight` -> (`blocks.0.self_attn.q`, `lora_A`)."""
    if kind := _kind(name):
        raise ModelError(f"{path} is a {kind} (it has {name}): expected a plain LoRA. Merge it into the weights first")
    module, _, last = name.rpartition(".")
    if last in WHOLE or last == "alpha":
        return _wans(module), last
    for half, ours in HALVES.items():
        module, found, end = name.rpartition(f".{half}")
        if found and end in ENDS:
            return _wans(module), ours
    raise ModelError(f"{path} has {name}: expected nothing but lora_A.weight and lora_B.weight of linear layers")


def _kind(name: str) -> str | None:
    return next((kind for mark, kind in OTHER_KINDS.items() if f".{mark}" in name), None)


def _wans(module: str) -> str:
    """A module's name without what LoRA trainers put before it, and with Wan's dots."""
    module = module.removeprefix("base_model.model.")
    flat = re.sub(r"^lora_unet_+", "", module)
    if flat == module:
        return module
    return next((re.sub(*how, flat) for how in FLAT if re.fullmatch(how[0], flat)), flat)


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
