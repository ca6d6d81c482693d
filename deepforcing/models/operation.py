"""An attention kernel in 8 bits as one operation of PyTorch's: compiled blocks call it and do not look into it."""

from __future__ import annotations

import torch
from torch import Tensor

from ..eight_bit import EightBitKernel, Rounded


def as_operation(kernel: EightBitKernel, name: str) -> EightBitKernel:
    """The kernel, under this name among PyTorch's operations."""

    @torch.library.custom_op(f"deepforcing::{name}", mutates_args=())
    def operation(
        queries: Tensor,
        keys: Tensor,
        values: Tensor,
        key_mean: Tensor,
        value_mean: Tensor,
        key_scale: Tensor,
        value_scale: Tensor,
    ) -> Tensor:
        read = Rounded(keys, values, key_mean, value_mean, key_scale, value_scale)
        return kernel(queries, read).contiguous()  # as the compiler is told

    @operation.register_fake
    def _(queries: Tensor, *_: Tensor) -> Tensor:
        return queries.new_empty(queries.shape)

    return lambda queries, read: operation(queries, *read)
