"""What a long run needs: a clock that sets the learning rate, lines with the time left, files that survive a kill."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from deepforcing.training import parallel


@dataclass
class Clock:
    """A stage that ends after `seconds`; training is measured in time because that is what there is of it."""

    seconds: float
    warmup: float = 20.0  # seconds of rising rate, at most a tenth of the whole
    decay_from: float = 0.0  # share of the time after which the cosine begins
    floor: float = 0.02
    spent: float = 0.0  # by earlier, interrupted runs
    started: float = field(default_factory=lambda: time.monotonic())
    elapsed: float = 0.0  # at the last tick

    def tick(self) -> bool:
        """Read the time, the same in all processes; False once the stage is over."""
        self.elapsed = parallel.from_first(self.spent + time.monotonic() - self.started)
        return not self.over

    @property
    def over(self) -> bool:
        return self.elapsed >= self.seconds

    def factor(self) -> float:
        """What to multiply the learning rates with now."""
        share = (self.elapsed / self.seconds - self.decay_from) / (1 - self.decay_from)
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, share))))
        return min(1.0, 0.05 + self.elapsed / min(self.warmup, 0.1 * self.seconds)) * max(self.floor, cosine)


class Report:
    """Prints running means of named numbers every so many seconds, with the time that is left."""

    def __init__(self, name: str, clock: Clock, every: float = 20.0) -> None:
        self.name, self.clock, self.every, self.steps = name, clock, every, 0
        self.values: dict[str, deque] = {}
        self.last = time.monotonic()

    def add(self, **numbers: Tensor) -> None:
        """A step's scalars; they stay on their device until a line is printed, so that nothing waits for them."""
        self.steps += 1
        for name, value in numbers.items():
            self.values.setdefault(name, deque(maxlen=200)).append(value.detach())
        if parallel.rank() == 0 and time.monotonic() - self.last >= self.every:
            self.last = time.monotonic()
            means = "  ".join(f"{name} {torch.stack([*v]).mean():.4f}" for name, v in self.values.items())
            left = max(0.0, self.clock.seconds - self.clock.elapsed)
            print(f"{self.name}  step {self.steps}  {means}  {left / 60:.1f} min left", flush=True)


def save_atomically(value, path: Path) -> None:
    """torch.save that never leaves half a file under the final name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(path.suffix + ".partial")
    torch.save(value, partial)
    partial.replace(path)
