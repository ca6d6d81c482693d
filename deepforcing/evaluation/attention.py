"""Looking inside: how deep a model's attention sink is, whether a choice of tokens holds, and where the chosen lie."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..kv_cache import Reading
from ..pipeline import Pipeline, denoise_chunk
from ..policies import DeepForcing, Selection, SlidingWindow
from ..probe import AttentionProbe

SAMPLES = 32  # queries of a chunk whose attention is measured


@dataclass(frozen=True)
class FrameMass:
    """Attention mass on one frame of the window, 0 the earliest, by the window's last chunk, at its last step."""

    prompt: int
    layer: int
    head: int
    frame: int
    mass: float


@dataclass(frozen=True)
class Agreement:
    """Share of the tokens chosen at the first denoising step that a later step would choose too; mean over a video.

    chance: the share that a random choice would have in common.
    """

    prompt: int
    layer: int
    step: int
    share: float
    chance: float


@dataclass(frozen=True)
class SlotShare:
    """How much of one frame's place among the candidates is chosen, 0 right behind the sink; mean over a video."""

    prompt: int
    layer: int
    slot: int
    share: float


def attention_by_frame(pipeline: Pipeline, prompt: int, text: str, seed: int) -> list[FrameMass]:
    """Of a plain sliding window when it is just full (Fig. 4 and 16)."""
    denoiser, policy, generator = pipeline.denoiser, SlidingWindow(), torch.Generator().manual_seed(seed)
    cache, encoded = denoiser.new_cache(policy, pipeline.geometry, seed), pipeline.encode(text)
    probe = AttentionProbe(step=len(denoiser.sampling.steps) - 1, samples=SAMPLES)
    for _ in range(policy.window // pipeline.chunk_frames):
        with cache.probed(probe):
            x = denoise_chunk(pipeline, cache, encoded, generator)
        mass = probe.collect(cache).mass
        denoiser.remember(x, cache, encoded)
    return [FrameMass(prompt, *at, float(mass[at])) for at in np.ndindex(*mass.shape)]


class _AllQueries:
    """A probe that keeps every query of each denoising step: step -> layer -> [B, m, heads, head_dim]."""

    def __init__(self) -> None:
        self.seen: dict[int, dict[int, Tensor]] = {}

    def sample(self, step: int, tokens: int) -> Tensor | None:
        self.step = step
        return torch.arange(tokens)

    def observe(self, layer: int, queries: Tensor, reading: Reading) -> None:
        self.seen.setdefault(self.step, {})[layer] = queries


def choices(
    pipeline: Pipeline, prompt: int, text: str, seed: int, chunks: int
) -> tuple[list[Agreement], list[SlotShare]]:
    """How Deep Forcing's choices hold over a chunk's steps (Fig. 11), and where the chosen tokens lie (Fig. 13)."""
    agreed, slots = [], []
    for selections in _contests(pipeline, text, seed, chunks):
        # [steps, layers, n]
        chosen = torch.stack([torch.stack([s.chosen[0] for s in layers]) for layers in selections])
        stood = torch.stack([s.candidates[0] for s in selections[0]])
        both = (chosen[1:] & chosen[:1]).sum(-1) / chosen[0].sum(-1)
        agreed.append(torch.cat([both, (chosen[0].sum(-1) / stood.sum(-1))[None]]).numpy())
        first = torch.stack([c[s] for c, s in zip(chosen[0], stood, strict=True)])  # [layers, candidates]
        slots.append(first.float().unflatten(1, (-1, pipeline.geometry.tokens_per_frame)).mean(-1).numpy())
    most = max(slots, key=lambda s: s.shape[1]).shape
    agreed, slots = np.mean(agreed, 0), np.mean([s for s in slots if s.shape == most], 0)
    agreements = [
        Agreement(prompt, layer, step + 1, float(agreed[step, layer]), float(agreed[-1, layer]))
        for step, layer in np.ndindex(len(agreed) - 1, agreed.shape[1])
    ]
    return agreements, [SlotShare(prompt, *at, float(slots[at])) for at in np.ndindex(*slots.shape)]


def _contests(pipeline: Pipeline, text: str, seed: int, chunks: int) -> Iterator[list[list[Selection]]]:
    """For each chunk that compresses, what each step's queries would choose: [steps][layers]."""
    denoiser, prompt = pipeline.denoiser, pipeline.encode(text)
    generator = torch.Generator().manual_seed(seed)
    cache = denoiser.new_cache(DeepForcing(), pipeline.geometry, seed)
    for _ in range(chunks):
        before, probe = {i: copy(layer) for i, layer in cache.layers.items()}, _AllQueries()
        with cache.probed(probe):
            x = denoise_chunk(pipeline, cache, prompt, generator)
        if any(layer.dropped for layer in cache.layers.values()):
            yield [
                [cache.policy.choose(cache.view(layer, queries[i])) for i, layer in before.items()]
                for _, queries in sorted(probe.seen.items())
            ]
        denoiser.remember(x, cache, prompt)
