"""Muon for matrices and convolutions, AdamW for the rest, and the average of the weights that is shipped."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from deepforcing.models.components import fastest_dtype
from deepforcing.training import parallel


def orthogonalise(matrices: Tensor, steps: int = 4) -> Tensor:
    """Nearest semi-orthogonal matrices [k, m, n], by Newton-Schulz iterations, all together
    (https://kellerjordan.github.io/posts/muon/)."""
    x = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-7)
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    for _ in range(steps):
        gram = x @ x.mT
        mixed = torch.baddbmm(gram, gram, gram, beta=-4.775, alpha=2.0315)
        x = torch.baddbmm(x, mixed, x, beta=3.4445)
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised; more than two axes are seen as [outputs, everything else].

    Matrices of one shape are orthogonalised together: one by one they took more than half of a step on a GPU.
    """

    def __init__(self, parameters, lr: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for group in self.param_groups:
            used = [p for p in group["params"] if p.grad is not None]
            if used:
                updates = self._updates(used, group["momentum"])
                parallel.sum_over_processes(updates)
                torch._foreach_add_(used, updates, alpha=-group["lr"])

    def _updates(self, used: list[Tensor], momentum: float) -> list[Tensor]:
        """The orthogonalised step of each parameter; zeros where another process works it out."""
        gradients = [p.grad for p in used]
        buffers = [self._momentum(p) for p in used]
        torch._foreach_lerp_(buffers, gradients, 1 - momentum)
        updates = list(torch._foreach_lerp(gradients, buffers, momentum))
        alike: dict[torch.Size, list[int]] = {}
        for index, update in enumerate(updates):
            if index % parallel.processes() == parallel.rank():
                alike.setdefault(update.shape, []).append(index)
            else:
                update.zero_()
        for shape, indices in alike.items():
            matrices = torch.stack([updates[index].flatten(1) for index in indices])
            size = max(1.0, matrices.shape[1] / matrices.shape[2]) ** 0.5
            exact_enough = matrices.to(fastest_dtype(matrices.device))  # the iterations are approximate anyway
            for index, matrix in zip(indices, size * orthogonalise(exact_enough).float(), strict=True):
                updates[index] = matrix.reshape(shape)
        return updates

    def _momentum(self, p: Tensor) -> Tensor:
        state = self.state[p]
        if not state:
            state["momentum"] = torch.zeros_like(p)
        return state["momentum"]


class Optimizers:
    """Muon on the given matrices, AdamW on every other parameter; both rates follow one factor."""

    def __init__(self, module: nn.Module, is_matrix, muon_lr: float, adam_lr: float) -> None:
        named = [(n, p) for n, p in module.named_parameters() if p.requires_grad]
        matrices = [p for n, p in named if is_matrix(n, p)]
        rest = [p for n, p in named if not is_matrix(n, p)]
        self.parameters = matrices + rest
        self.parts = [
            (Muon(matrices, muon_lr), muon_lr),
            (torch.optim.AdamW(rest, adam_lr, (0.9, 0.98), weight_decay=0.0), adam_lr),
        ]

    def step(self, factor: float, clip: float = 1.0) -> None:
        """One update at `factor` times the full rates, from the mean of the processes' gradients."""
        gradients = [p.grad for p in self.parameters]
        parallel.sum_over_processes(gradients)
        if parallel.processes() > 1:
            torch._foreach_div_(gradients, parallel.processes())
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


def is_wide(name: str, p: Tensor) -> bool:
    """What Muon trains in a convolutional network: all convolutions but the narrowest."""
    return p.ndim == 4 and min(p.shape[0], p[0].numel()) > 16


class Average:
    """Exponential moving average of a module's parameters, warmed up; `module` is the averaged copy."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module, self.decay, self.steps = copy.deepcopy(module).requires_grad_(False), decay, 0

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        self.steps += 1
        share = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(list(self.module.parameters()), list(module.parameters()), share)
