"""The numbers recorded from the reference code, and the roll-out that is held against them.

The fixture holds the reference's weights under their official names, the clean latents of each chunk and the noises of
the last one, which is rolled out freely and must come out as the reference's did.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import safe_open

from deepforcing.attention import Prompt
from deepforcing.config import Geometry
from deepforcing.models.wan import CausalWan
from deepforcing.policies import make_policy

FIXTURE = Path(__file__).parent / "fixtures" / "parity.safetensors"


def read_recorded() -> tuple[dict, dict]:
    """The recorded tensors by name, and the description of the runs."""
    with safe_open(FIXTURE, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["parity"])  # noqa: SIM118


def official_weights(tensors: dict) -> dict:
    """The reference's weights by their official names."""
    return {name.removeprefix("weights."): t for name, t in tensors.items() if name.startswith("weights.")}


def policy_of(variant: dict):
    if variant.get("kind") == "deep_forcing":
        names = ("window", "sink", "budget", "recent", "max_reuse")
        return make_policy("deep-forcing", phase="released", **{name: variant[name] for name in names})
    return make_policy("self-forcing", window=variant["window"])


def roll_out(denoiser: CausalWan, tensors: dict, meta: dict, name: str, copies: int = 1) -> torch.Tensor:
    """The last chunk, from its noise, over a history of recorded clean chunks: [copies, frames, channels, h, w]."""
    variant = meta["variants"][name]
    cache = denoiser.new_cache(policy_of(variant), Geometry(*meta["grid"]))
    prompt = Prompt("", tensors[f"{name}.prompt_embeds"].expand(copies, -1, -1).to(denoiser.dtype))
    steps, sigmas = tensors["denoising_steps"], tensors["sigmas"]

    def chunk(kind: str, index: int) -> torch.Tensor:
        return tensors[f"{name}.chunk{index}.{kind}"].expand(copies, -1, -1, -1, -1).transpose(1, 2)

    for index in range(variant["chunks"] - 1):
        if f"{name}.chunk{index}.noise" in tensors:  # compression looks at the noisy queries
            denoiser.flow(chunk("noise", index), steps[0].item(), cache, prompt)
        denoiser.remember(chunk("latents", index), cache, prompt)
    x = chunk("noise", variant["chunks"] - 1)
    for i, step in enumerate(steps):
        x0 = x - sigmas[i] * denoiser.flow(x, step.item(), cache, prompt)
        if i + 1 < len(steps):
            renoise = tensors[f"{name}.renoise"][i].transpose(0, 1)
            x = (1 - sigmas[i + 1]) * x0 + sigmas[i + 1] * renoise
    return x0.transpose(1, 2)


def last_chunk(tensors: dict, meta: dict, name: str) -> torch.Tensor:
    """What the reference made of the last chunk."""
    return tensors[f"{name}.chunk{meta['variants'][name]['chunks'] - 1}.latents"]


def deviation(got: torch.Tensor, expected: torch.Tensor) -> float:
    return ((got - expected).abs().max() / expected.abs().max()).item()
