"""A CUDA graph's stand-in on a CPU: every operation of a pass, done again at the same addresses and on nothing else."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Tape(TorchDispatchMode):
    """Remembers operations; one that brings a number to Python cannot be recorded, as on CUDA. What they write over is
    as it was once recording ends, however it does: recording computes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple] = []
        self._before: list[tuple[Tensor, Tensor]] = []

    def __exit__(self, *error) -> None:
        super().__exit__(*error)
        for place, value in reversed(self._before):
            place.copy_(value)

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        if operation is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("operation not permitted when stream is capturing\nand more that nobody reads")
        if operation._schema.is_mutable:
            self._before += [(x, x.clone()) for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        made = operation(*args, **(kwargs or {}))
        self.operations.append((operation, args, kwargs or {}, made))
        return made

    def again(self) -> None:
        for operation, args, kwargs, made in self.operations:
            anew = operation(*args, **kwargs)
            for place, value in zip(tree_leaves(made), tree_leaves(anew), strict=True):
                if isinstance(value, Tensor) and value.data_ptr() != place.data_ptr():
                    place.copy_(value)


class Tapes:
    """Records passes on tapes, and counts: `recorded`, and how often they were `replayed`."""

    def __init__(self) -> None:
        self.recorded = self.replayed = 0

    def __call__(self, work: Callable, inputs: tuple[Tensor, ...]) -> Callable:
        given, tape = tuple(x.clone() for x in inputs), Tape()
        with tape:
            made = work(*given)
        self.recorded += 1

        def replay(*inputs: Tensor) -> Tensor:
            for place, x in zip(given, inputs, strict=True):
                place.copy_(x)
            tape.again()
            self.replayed += 1
            return made.clone()

        return replay
