"""A function of tensors as one CUDA graph: what is thousands of small launches from Python becomes one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Work = Callable[[Tensor], tuple[Tensor, ...]]


def replayed(work: Work, example: Tensor) -> Work:
    """`work`, for inputs like `example`, as a graph; or as it is, off CUDA and where it cannot be captured.

    The arithmetic is the same, and random numbers go on from call to call. `work` must not look at values from the
    CPU, and what it reads besides its input must stay where it is.
    """
    if not example.is_cuda:
        return work
    try:
        return _captured(work, example)
    except RuntimeError as error:
        print(f"no CUDA graph, going on without: {error}", flush=True)
        return work


def _captured(work: Work, example: Tensor) -> Work:
    given, graph, aside = example.clone(), torch.cuda.CUDAGraph(), torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        work(given)  # what is set up at first use is set up now
    torch.cuda.current_stream().wait_stream(aside)
    with torch.cuda.graph(graph):
        made = work(given)

    def again(value: Tensor) -> tuple[Tensor, ...]:
        given.copy_(value)
        graph.replay()
        return tuple(tensor.clone() for tensor in made)

    return again
