"""Our attention, cache and policies against numbers recorded from the reference code, as released.

The fixture holds the reference's weights, the clean latents of each chunk and the noises of the last one, which is
rolled out freely and must come out as the reference's did. Selection is discrete: a wrong rule anywhere shows as 1e-2.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers
from safetensors import safe_open

from deepforcing.attention import Prompt
from deepforcing.config import Geometry, Sampling
from deepforcing.models.wan import CausalWan
from deepforcing.policies import make_policy

FIXTURE = Path(__file__).parent / "fixtures" / "parity.safetensors"
CHUNK = 3


@pytest.fixture(scope="module")
def recorded() -> tuple[dict, dict]:
    with safe_open(FIXTURE, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["parity"])  # noqa: SIM118


def denoiser_of(tensors: dict, config: dict) -> CausalWan:
    transformer = WanTransformer3DModel(
        num_attention_heads=config["num_heads"],
        attention_head_dim=config["dim"] // config["num_heads"],
        in_channels=config["in_dim"],
        out_channels=config["out_dim"],
        text_dim=config["text_dim"],
        freq_dim=config["freq_dim"],
        ffn_dim=config["ffn_dim"],
        num_layers=config["num_layers"],
        eps=config["eps"],
    )
    official = {name.removeprefix("weights."): t for name, t in tensors.items() if name.startswith("weights.")}
    transformer.load_state_dict(convert_wan_transformer_to_diffusers(official))
    return CausalWan(transformer, Sampling())


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


def deviation(got: torch.Tensor, expected: torch.Tensor) -> float:
    return ((got - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize("name", ["fifo9", "df_official"])
@pytest.mark.parametrize("copies", [1, 2])
def test_the_last_chunk_equals_the_reference(recorded, name, copies):
    tensors, meta = recorded
    got = roll_out(denoiser_of(tensors, meta["config"]), tensors, meta, name, copies)
    expected = tensors[f"{name}.chunk{meta['variants'][name]['chunks'] - 1}.latents"]
    for row in got:
        assert deviation(row[None], expected) < 1e-4


def test_bfloat16_stays_close_to_the_reference(recorded):
    tensors, meta = recorded
    denoiser = denoiser_of(tensors, meta["config"])
    denoiser.transformer.to(torch.bfloat16)
    expected = tensors[f"fifo9.chunk{meta['variants']['fifo9']['chunks'] - 1}.latents"]
    assert deviation(roll_out(denoiser, tensors, meta, "fifo9"), expected) < 0.05


def test_the_fixture_tells_a_wrong_window_apart(recorded):
    tensors, meta = recorded
    wrong = {**meta, "variants": {"fifo9": {**meta["variants"]["fifo9"], "window": 12}}}
    expected = tensors[f"fifo9.chunk{meta['variants']['fifo9']['chunks'] - 1}.latents"]
    assert deviation(roll_out(denoiser_of(tensors, meta["config"]), tensors, wrong, "fifo9"), expected) > 1e-3
