"""Attention in 8 bits, simulated: near exact attention, nearer for smoothed keys, and measured on a whole model."""

import pytest
import torch
from conftest import small_pipeline
from parity import deviation, last_chunk, read_recorded, roll_out
from test_parity import denoiser_of
from torch.nn.functional import scaled_dot_product_attention

from deepforcing.attention_error import attention_error
from deepforcing.eight_bit import attend_in_8_bits, rounded
from deepforcing.models.speed import attention_in_8_bits


def tensors(shared: float = 0.0):
    """q [2, 9, 3, 16] and k, v [2, 40, 3, 16]; `shared` is added to every key."""
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, n, 3, 16, generator=generator) for n in (9, 40, 40))
    return q, k + shared * torch.randn(16, generator=generator), v


def exact(q, k, v, mask=None):
    return scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v)), mask).transpose(1, 2)


def error(made, expected):
    return ((made - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("shared", [0.0, 30.0])
def test_it_is_near_exact_attention_whatever_all_keys_share(shared):
    q, k, v = tensors(shared)
    assert 1e-3 < error(attend_in_8_bits(q, k, v, None), exact(q, k, v)) < 0.06


def test_what_is_masked_changes_nothing():
    q, k, v = tensors()
    mask = torch.ones(2, 1, 1, 40, dtype=torch.bool)
    mask[1, ..., 30:] = False
    before = attend_in_8_bits(q, k, v, mask)
    k[1, 30:] += 5
    assert torch.equal(attend_in_8_bits(q, k, v, mask), before) and error(before, exact(q, k, v, mask)) < 0.06


def test_rounding_keeps_four_significant_bits():
    x = torch.tensor([1.0, -0.3, 0.01, 448.0])
    assert ((rounded(x) - x).abs() <= x.abs() / 16).all() and rounded(x)[3] == 448


def test_on_the_recorded_numbers_it_stays_close():
    recorded, meta = read_recorded()
    for name in ("fifo9", "df_official"):
        denoiser = denoiser_of(recorded, meta["config"])
        with attention_in_8_bits(denoiser):
            off = deviation(roll_out(denoiser, recorded, meta, name), last_chunk(recorded, meta, name))
        assert 1e-4 < off < 0.1
        assert deviation(roll_out(denoiser, recorded, meta, name), last_chunk(recorded, meta, name)) < 1e-4


def test_what_it_changes_in_a_video_is_told():
    rows = {row.name: row.value for row in attention_error(small_pipeline(), seconds=9)}
    first = float(rows["latents of the first chunk, 8 bits against exact"].split()[0])
    assert 0 < first < 0.05 and float(rows["choices of the first compression that flip"].split()[0]) < 50
    assert len(rows) == 8 and all(" / " in value for name, value in rows.items() if "after 9 s" in name)
