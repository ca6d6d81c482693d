"""Passes as CUDA graphs: what is thousands of small launches from Python becomes one.

In the steady state a pass depends on nothing but memory that stays where it is: its inputs, the cache as it is read,
the prompt's keys and values, the weights. A graph holds the addresses, so there is one for each variant of a pass: the
step, and where the layers read and write. A variant is recorded when it first comes back, and all are dropped when
something else changes, such as the prompt.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from threading import Lock

import torch
from torch import Tensor

Work = Callable[..., Tensor]  # tensors to one tensor; all else that it reads and writes stays where it is
Record = Callable[[Work, tuple[Tensor, ...]], Work]
MOST = 32  # variants of a run; some policies never read as many tokens twice

log = logging.getLogger("deepforcing")


@dataclass
class Recorder:
    """How passes are recorded. `trouble`: why that failed; from then on everything goes on without."""

    record: Record
    trouble: str | None = None


@dataclass
class Recordings:
    """The recorded passes of one run."""

    recorder: Recorder
    scene: Hashable = None
    passes: dict[Hashable, Work | None] = field(default_factory=dict)  # None: came once so far

    def run(self, scene: Hashable, variant: Hashable, work: Work, inputs: tuple[Tensor, ...]) -> Tensor:
        """`work` of the inputs, from a recording where there is one. scene: what all variants depend on."""
        if scene != self.scene:
            self.scene = scene
            self.passes.clear()
        if variant in self.passes and self.passes[variant] is None:
            self.passes[variant] = self._recorded(work, inputs)
        return (self._known(variant) or work)(*inputs)

    def _known(self, variant: Hashable) -> Work | None:
        """Its recording, if there is one; that it came is remembered, and the oldest are forgotten."""
        known = self.passes[variant] = self.passes.pop(variant, None)
        while len(self.passes) > MOST:
            del self.passes[next(iter(self.passes))]
        return known

    def _recorded(self, work: Work, inputs: tuple[Tensor, ...]) -> Work | None:
        if self.recorder.trouble is None:
            try:
                return self.recorder.record(work, inputs)
            except RuntimeError as error:
                self.recorder.trouble = str(error).partition("\n")[0]
                log.warning("no CUDA graphs, going on without: %s", self.recorder.trouble)
        return None


def places(tensors: Iterable[Tensor | None]) -> tuple:
    """Where the tensors are and how they lie: what a recording of their use depends on."""
    return tuple(None if t is None else (t.data_ptr(), t.shape, t.stride()) for t in tensors)


class CudaGraphs:
    """Records work as CUDA graphs. They share their memory: one begins when the one before is over, whatever streams
    they are in."""

    def __init__(self, capturing: Lock) -> None:
        """capturing: held while one is captured, which is done for one at a time on a device."""
        self._capturing, self._pool = capturing, torch.cuda.graph_pool_handle()
        self._replaying, self._over = Lock(), torch.cuda.Event()

    def __call__(self, work: Work, inputs: tuple[Tensor, ...]) -> Work:
        given, graph = tuple(x.clone() for x in inputs), torch.cuda.CUDAGraph()
        with self._capturing, torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            made = work(*given)  # while other threads are at work

        def replay(*inputs: Tensor) -> Tensor:
            with self._replaying:
                self._over.wait()
                for place, x in zip(given, inputs, strict=True):
                    place.copy_(x)
                graph.replay()
                out = made.clone()
                self._over.record()
            return out

        return replay
