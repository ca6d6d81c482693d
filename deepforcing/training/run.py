"""One resumable training run: a module, its optimisers and its average, driven by a clock, kept in one checkpoint."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from torch import Tensor, nn

from deepforcing.training import parallel
from deepforcing.training.optim import Average, Optimizers
from deepforcing.training.progress import Clock, save_atomically


class Run:
    """Takes steps until its clock is over; saves every so many seconds, and begins where the checkpoint left off."""

    def __init__(
        self, module: nn.Module, optimizers: Optimizers, decay: float, clock: Clock, checkpoint: Path, every: float
    ) -> None:
        self.module, self.optimizers, self.average = module, optimizers, Average(module, decay)
        self.clock, self.checkpoint, self.every, self.saved_at = clock, checkpoint, every, time.monotonic()
        if checkpoint.exists():
            self._load(torch.load(checkpoint, weights_only=True, map_location="cpu"))

    @property
    def steps(self) -> int:
        return self.average.steps

    def going(self) -> bool:
        """Whether there is time left; the last call, when there is none, saves."""
        if self.clock.tick():
            return True
        self.save()
        return False

    def step(self, loss: Tensor) -> None:
        """Update all weights, and save if it is time to."""
        loss.backward()
        self.optimizers.step(self.clock.factor())
        self.average.update(self.module)
        if time.monotonic() - self.saved_at > self.every:
            self.saved_at = time.monotonic()
            self.save()

    def save(self) -> None:
        if parallel.rank() == 0:
            parts = {"module": self.module, "average": self.average.module, "optimizers": self.optimizers}
            states = {name: part.state_dict() for name, part in parts.items()}
            save_atomically(states | {"steps": self.steps, "spent": self.clock.elapsed}, self.checkpoint)

    def _load(self, saved: dict) -> None:
        self.module.load_state_dict(saved["module"])
        self.average.module.load_state_dict(saved["average"])
        self.optimizers.load_state_dict(saved["optimizers"])
        self.average.steps, self.clock.spent = saved["steps"], saved["spent"]
