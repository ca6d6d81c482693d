import torch
from diffusers.models.transformers.transformer_wan import WanRotaryPosEmbed

from deepforcing.rope import RopeDims, rotate, rotation_3d, spatial_rope, turn_in_time

DIMS = RopeDims.of_head(32)


def keys(n=5, heads=2):
    return torch.randn(1, n, heads, 32, generator=torch.Generator().manual_seed(0))


def test_wans_split_is_uneven():
    assert RopeDims.of_head(128) == RopeDims(44, 42, 42)
    assert RopeDims.of_head(32) == RopeDims(12, 10, 10)


def test_rotation_equals_diffusers_tables():
    cos, sin = WanRotaryPosEmbed(32, (1, 1, 1), 64)(torch.zeros(1, 1, 3, 2, 4))
    x = keys(24)
    even, odd = x[..., 0::2], x[..., 1::2]
    expected = torch.stack(
        (even * cos[..., ::2] - odd * sin[..., 1::2], even * sin[..., 1::2] + odd * cos[..., ::2]), -1
    )
    grid = torch.stack(torch.meshgrid(torch.arange(3), torch.arange(2), torch.arange(4), indexing="ij"), -1).reshape(
        -1, 3
    )
    got = rotate(x, rotation_3d(*grid.unbind(-1), DIMS))
    torch.testing.assert_close(got, expected.flatten(-2), atol=1e-6, rtol=0)


def test_time_and_space_apart_equal_all_three_axes_at_once():
    x, t, row, column = keys(), torch.arange(5) - 9, torch.arange(5) % 2, torch.arange(5) % 3
    apart = turn_in_time(spatial_rope(x, row, column, DIMS), t, DIMS)
    torch.testing.assert_close(apart, rotate(x, rotation_3d(t, row, column, DIMS)))


def test_temporal_rotation_leaves_space_alone_and_adds_up():
    x = keys()
    moved = turn_in_time(x, torch.full((5,), 7), DIMS)
    assert torch.equal(moved[..., 12:], x[..., 12:])
    assert not torch.allclose(moved[..., :12], x[..., :12])
    twice = turn_in_time(turn_in_time(x, torch.full((5,), 3), DIMS), torch.full((5,), 4), DIMS)
    torch.testing.assert_close(twice, moved, atol=1e-5, rtol=0)


def test_spatial_rotation_leaves_time_alone():
    x = keys()
    turned = spatial_rope(x, torch.arange(5), torch.arange(5), DIMS)
    assert torch.equal(turned[..., :12], x[..., :12])


def test_only_differences_of_positions_matter_even_far_out():
    q, k = keys(), keys() * 0.5

    def product(start):
        time = torch.arange(5) + start
        return (turn_in_time(q, time, DIMS) * turn_in_time(k, time.flip(0), DIMS)).sum(-1)

    torch.testing.assert_close(product(0), product(-1_000_000), atol=1e-4, rtol=0)


def test_dtype_is_kept():
    assert turn_in_time(keys().bfloat16(), torch.arange(5), DIMS).dtype == torch.bfloat16
