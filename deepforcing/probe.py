"""Attention mass by cached frame, measured on a sample of queries while a chunk is denoised.

A probe only looks: outputs are bit-equal with and without it. Attach it with `cache.probed(probe)`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .events import AttentionMass
from .kv_cache import KVCache, Reading
from .telemetry import roles_of


class AttentionProbe:
    """Exact softmax over all keys for `samples` queries spread evenly over the chunk, at one denoising step."""

    def __init__(self, step: int, samples: int = 8) -> None:
        self.step, self.samples = step, samples
        self._seen: dict[int, tuple[Tensor, Tensor]] = {}  # layer -> (frames [F], mass [heads, F])

    def sample(self, step: int, tokens: int) -> Tensor | None:
        """Evenly spread positions in the chunk [s], at the probed step only."""
        if step != self.step:
            return None
        return torch.linspace(0, tokens - 1, min(self.samples, tokens)).round().long()

    def observe(self, layer: int, queries: Tensor, reading: Reading) -> None:
        """queries [B, s, heads, head_dim] with RoPE; the first video of the batch is measured."""
        self._seen[layer] = _mass_by_frame(queries[: reading.rows], reading)

    def collect(self, cache: KVCache) -> AttentionMass | None:
        """The chunk in flight as an event, all layers; None when nothing was observed. Forgets it afterwards."""
        seen = [tuple(t.cpu().numpy() for t in self._seen[layer]) for layer in sorted(self._seen)]
        self._seen = {}
        if not seen:
            return None
        frames = np.unique(np.concatenate([f for f, _ in seen]))
        mass = np.zeros((len(seen), seen[0][1].shape[0], len(frames)), np.float32)
        for i, (held, share) in enumerate(seen):
            mass[i][:, np.searchsorted(frames, held)] = share
        return AttentionMass(frames + cache.origin, roles_of(frames, cache), mass)


def _mass_by_frame(queries: Tensor, reading: Reading) -> tuple[Tensor, Tensor]:
    """queries [rows, s, heads, head_dim] -> (latent frames [F], mean attention mass [rows * heads, F])."""
    rows = slice(len(queries))
    logits = torch.einsum("rshd,rnhd->rhsn", queries.float(), reading.keys[rows].float()) * queries.shape[-1] ** -0.5
    if reading.mask is not None:
        logits = logits.masked_fill(~reading.mask[rows], -torch.inf)
    share = logits.softmax(-1).mean(2)  # [rows, heads, n]
    frames, slot = reading.frames[rows].unique(return_inverse=True)  # slot: [rows, n]
    mass = share.new_zeros(*share.shape[:2], len(frames)).scatter_add_(2, slot[:, None].expand_as(share), share)
    return frames, mass.flatten(0, 1)
