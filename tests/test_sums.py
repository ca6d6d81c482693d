"""Sums by place."""

import torch

from deepforcing.sums import summed


def test_everything_is_added_up_where_it_goes_in_the_order_of_its_coming():
    x = torch.tensor([[1e8, 1.0, -1e8, 3.0], [1.0, 1e8, 5.0, -1e8]])
    into = torch.tensor([[2, 2, 2, 0], [1, 1, 0, 1]])
    expected = torch.tensor([[3.0, 0.0, 0.0], [5.0, 0.0, 0.0]])  # in float32 1e8 + 1 is 1e8
    assert torch.equal(summed(x, into, 3), expected)
    wide = summed(x[..., None, None].expand(-1, -1, 2, 5), into, 3)
    assert torch.equal(wide, expected[..., None, None].expand(-1, -1, 2, 5))
