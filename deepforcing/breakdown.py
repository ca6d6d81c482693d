"""Where a chunk's time goes, by PyTorch's profiler: attention, linear layers, the rest, and what lies between."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

# in names of operations and of kernels
ATTENTION = ("scaled_dot_product", "flash", "fmha", "sdpa", "attention", "::bmm", "softmax")
LINEAR = ("addmm", "::mm", "gemm", "nvjet", "cutlass", "xmma", "linear")


@dataclass(frozen=True)
class Breakdown:
    """Milliseconds a chunk. `between`: nothing runs on the device; on a CPU, Python and what PyTorch does to call."""

    wall: float
    attention: float
    linear: float
    rest: float

    @property
    def kernels(self) -> float:
        return self.attention + self.linear + self.rest

    @property
    def between(self) -> float:
        return max(0.0, self.wall - self.kernels)


def break_down(work: Callable[[], None], chunks: int, device: torch.device) -> Breakdown:
    """`work` makes so many chunks, and waits for them. The profiler's own time is in `between`."""
    cuda = device.type == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if cuda else ProfilerActivity.CPU]) as seen:
        started = time.perf_counter()
        work()
        wall = time.perf_counter() - started
    spent = {"attention": 0.0, "linear": 0.0, "rest": 0.0}
    for event in seen.key_averages():
        if (event.device_type == DeviceType.CUDA) == cuda:
            spent[_kind(event.key)] += event.self_device_time_total if cuda else event.self_cpu_time_total
    return Breakdown(1000 * wall / chunks, **{kind: us / 1000 / chunks for kind, us in spent.items()})


def _kind(name: str) -> str:
    """Attention is looked for first: its kernels are made of products too."""
    name = name.lower()
    if any(part in name for part in ATTENTION):
        return "attention"
    return "linear" if any(part in name for part in LINEAR) else "rest"
