"""Our attention, cache and policies against numbers recorded from the reference code, as released.

Selection is discrete: a wrong rule anywhere shows as 1e-2.
"""

from __future__ import annotations

import pytest
import torch
from diffusers import WanTransformer3DModel
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers
from parity import deviation, last_chunk, official_weights, read_recorded, roll_out

from deepforcing.config import Sampling
from deepforcing.models.schedule import new_schedule, steps_of
from deepforcing.models.wan import CausalWan


@pytest.fixture(scope="module")
def recorded() -> tuple[dict, dict]:
    return read_recorded()


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
    transformer.load_state_dict(convert_wan_transformer_to_diffusers(official_weights(tensors)))
    return CausalWan(transformer, Sampling())


@pytest.mark.parametrize("name", ["fifo9", "df_official"])
@pytest.mark.parametrize("copies", [1, 2])
def test_the_last_chunk_equals_the_reference(recorded, name, copies):
    tensors, meta = recorded
    got = roll_out(denoiser_of(tensors, meta["config"]), tensors, meta, name, copies)
    expected = last_chunk(tensors, meta, name)
    for row in got:
        assert deviation(row[None], expected) < 1e-4


def test_bfloat16_stays_close_to_the_reference(recorded):
    tensors, meta = recorded
    denoiser = denoiser_of(tensors, meta["config"])
    denoiser.transformer.to(torch.bfloat16)
    expected = last_chunk(tensors, meta, "fifo9")
    assert deviation(roll_out(denoiser, tensors, meta, "fifo9"), expected) < 0.05


def test_the_fixture_tells_a_wrong_window_apart(recorded):
    tensors, meta = recorded
    wrong = {**meta, "variants": {"fifo9": {**meta["variants"]["fifo9"], "window": 12}}}
    expected = last_chunk(tensors, meta, "fifo9")
    assert deviation(roll_out(denoiser_of(tensors, meta["config"]), tensors, wrong, "fifo9"), expected) > 1e-3


def test_users_sample_by_the_schedule_that_was_recorded(recorded):
    tensors, _ = recorded
    schedule = new_schedule(Sampling())
    torch.testing.assert_close(schedule.timesteps, tensors["denoising_steps"].float(), atol=1e-3, rtol=0)
    torch.testing.assert_close(schedule.sigmas[:-1], tensors["sigmas"].float(), atol=1e-6, rtol=0)
    assert schedule.sigmas[-1] == 0


def test_a_step_of_that_schedule_makes_new_noise_of_the_next_level():
    schedule, seed = new_schedule(Sampling()), lambda: torch.Generator().manual_seed(3)
    x, flow = torch.randn(1, 2, 3, 4, 4, generator=seed()), torch.full((1, 2, 3, 4, 4), 0.25)
    for step, t in enumerate(schedule.timesteps):
        now, following = schedule.sigmas[step], schedule.sigmas[step + 1]
        stepped = schedule.step(flow, t, x, generator=seed(), return_dict=False)[0]
        noise = torch.randn(x.shape, generator=seed())
        torch.testing.assert_close(stepped, (1 - following) * (x - now * flow) + following * noise)
        own = steps_of(Sampling())[step]
        assert torch.equal(own.take(x, flow, noise), stepped)
        torch.testing.assert_close(own.clean(stepped, noise), x - now * flow, atol=1e-4, rtol=1e-4)
