"""Muon for matrices and convolutions, AdamW for the rest, and the average of the weights that is shipped."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


def orthogonalise(matrix: Tensor, steps: int = 5) -> Tensor:
    """Nearest semi-orthogonal matrix, by Newton-Schulz iterations (https://kellerjordan.github.io/posts/muon/)."""
    x = matrix / (matrix.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(steps):
        gram = x @ x.T
        x = 3.4445 * x + (-4.775 * gram + 2.0315 * gram @ gram) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised; parameters of more than two axes are seen as [outputs, everything else]."""

    def __init__(self, parameters, lr: float, momentum: float = 0.95, weight_decay: float = 0.0) -> None:
        super().__init__(parameters, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._update(p, group)

    def _update(self, p: Tensor, group: dict) -> None:
        state = self.state[p]
        if not state:
            state["momentum"] = torch.zeros_like(p)
        buffer = state["momentum"].lerp_(p.grad, 1 - group["momentum"])
        update = p.grad.lerp(buffer, group["momentum"]).flatten(1)
        size = max(1.0, update.shape[0] / update.shape[1]) ** 0.5
        p.mul_(1 - group["lr"] * group["weight_decay"])
        p.add_(orthogonalise(update).reshape(p.shape), alpha=-group["lr"] * size)


class Optimizers:
    """Muon on the given matrices, AdamW on every other parameter; both rates follow one factor."""

    def __init__(self, module: nn.Module, is_matrix, muon_lr: float, adam_lr: float) -> None:
        named = [(n, p) for n, p in module.named_parameters() if p.requires_grad]
        matrices = [p for n, p in named if is_matrix(n, p)]
        rest = [p for n, p in named if not is_matrix(n, p)]
        self.parameters = matrices + rest
        self.parts = [(Muon(matrices, muon_lr), muon_lr), (torch.optim.AdamW(rest, adam_lr, (0.9, 0.98), weight_decay=0.0), adam_lr)]

    def step(self, factor: float, clip: float = 1.0) -> None:
        """One update at `factor` times the full rates."""
        nn.utils.clip_grad_norm_(self.parameters, clip)
        for part, lr in self.parts:
            part.param_groups[0]["lr"] = lr * factor
            part.step()
            part.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict]:
        return [part.state_dict() for part, _ in self.parts]

    def load_state_dict(self, states: list[dict]) -> None:
        for (part, _), state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)


class Average:
    """Exponential moving average of a module's parameters, warmed up; `module` is the averaged copy."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module, self.decay, self.steps = copy.deepcopy(module).requires_grad_(False), decay, 0

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        self.steps += 1
        share = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(list(self.module.parameters()), list(module.parameters()), share)
