"""Attention in two products, where it pays: on CPUs that multiply in bfloat16 and hold no tiles."""

import pytest
import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn

from deepforcing import plain_attention
from deepforcing.plain_attention import attend


def inputs(dtype=torch.bfloat16):
    generator = torch.Generator().manual_seed(0)
    ring = torch.randn(2, 300, 3, 16, generator=generator).to(dtype)  # keys and values are parts of a cache
    return 2 * torch.randn(2, 40, 3, 16, generator=generator).to(dtype), ring[:, 20:250], ring.flip(1)[:, 20:250]


@pytest.fixture(autouse=True)
def without_tiles(monkeypatch):
    monkeypatch.setattr(plain_attention, "WITHOUT_TILES", True)


def test_two_products_are_attention():
    q, k, v = inputs()
    exact = dispatch_attention_fn(q.double(), k.double(), v.double())
    made = attend(q, k, v)
    assert made.shape == q.shape and made.dtype == q.dtype
    assert (made - exact).norm() < 0.01 * exact.norm()
    assert not torch.equal(made, dispatch_attention_fn(q, k, v)), "PyTorch's own rounds otherwise"


@pytest.mark.parametrize("why", ["float32", "tiles", "large", "mask"])
def test_elsewhere_it_is_pytorchs_own(why, monkeypatch):
    q, k, v = inputs(torch.float32 if why == "float32" else torch.bfloat16)
    mask = (torch.arange(230) < 100)[None, None, None] if why == "mask" else None
    if why == "tiles":
        monkeypatch.setattr(plain_attention, "WITHOUT_TILES", False)
    if why == "large":
        monkeypatch.setattr(plain_attention, "MOST_SCORES", 2 * 3 * 40 * 230 - 1)
    assert torch.equal(attend(q, k, v, mask), dispatch_attention_fn(q, k, v, attn_mask=mask))
