"""The few steps of a distilled model, and each step as a function of tensors."""

from __future__ import annotations

from dataclasses import dataclass

from diffusers import FlowMatchEulerDiscreteScheduler
from torch import Tensor

from ..config import Sampling


@dataclass(frozen=True)
class Step:
    """One step: its number, its timestep of 1000, its noise level sigma and the next step's, 0 after the last."""

    number: int
    timestep: float
    sigma: float
    next_sigma: float

    def take(self, x: Tensor, flow: Tensor, noise: Tensor) -> Tensor:
        """From x at this level to the next one: what the flow says is clean, with new noise. All float32."""
        return (1 - self.next_sigma) * (x - self.sigma * flow) + self.next_sigma * noise

    def clean(self, made: Tensor, noise: Tensor) -> Tensor:
        """What the flow said is clean, of what `take` made with this noise. The next level is below 1."""
        return (made - self.next_sigma * noise) / (1 - self.next_sigma)


def new_schedule(sampling: Sampling) -> FlowMatchEulerDiscreteScheduler:
    """diffusers' schedule of one chunk."""
    scheduler = FlowMatchEulerDiscreteScheduler(shift=sampling.shift, stochastic_sampling=True)
    scheduler.set_timesteps(sigmas=[step / 1000 for step in sampling.steps])
    return scheduler


def steps_of(sampling: Sampling) -> tuple[Step, ...]:
    """The steps of every chunk."""
    schedule = new_schedule(sampling)
    timesteps, sigmas = schedule.timesteps.tolist(), schedule.sigmas.tolist()
    return tuple(Step(i, t, *sigmas[i : i + 2]) for i, t in enumerate(timesteps))
