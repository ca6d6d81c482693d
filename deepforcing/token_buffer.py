"""Tokens that come and go while their memory stays where it is, which is what a CUDA graph needs."""

from __future__ import annotations

import torch
from torch import Tensor


class TokenBuffer:
    """Room for tokens [B, n, ...], filled from the left.

    In memory the tokens of all rows lie side by side, so that whatever n is, the strides are the same.
    """

    def __init__(self, like: Tensor, tokens: int = 0) -> None:
        """like: any tokens [B, ?, ...], for everything but how many there is room for."""
        self._room = like.new_empty(tokens, like.shape[0], *like.shape[2:])

    def first(self, tokens: int) -> Tensor:
        """The memory of the first `tokens` tokens, as a view. It moves only where there was no room for so many."""
        if tokens > len(self._room):
            held, self._room = self._room, self._room.new_empty(tokens, *self._room.shape[1:])
            self._room[: len(held)] = held
        return self._room[:tokens].transpose(0, 1)

    def taken(self, index: Tensor) -> Tensor:
        """A copy of the tokens at index [B, k], in that order."""
        rows = len(index)
        flat = index.t() * rows + torch.arange(rows, device=index.device)
        return self._room.flatten(0, 1).index_select(0, flat.flatten()).unflatten(0, flat.shape).transpose(0, 1)

    def keep(self, index: Tensor) -> None:
        """Move the tokens at index [B, k] to the front; all others are lost."""
        self.fill(self.taken(index))

    def fill(self, tokens: Tensor) -> None:
        """Hold these tokens [B, n, ...] from now on, and no others."""
        self.first(tokens.shape[1]).copy_(tokens)
