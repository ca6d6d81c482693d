"""The student's own clips: whole roll-outs, four steps a chunk, each chunk on the cache of those before."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from deepforcing.attention import Prompt
from deepforcing.models.wan import CausalWan
from deepforcing.policies import SlidingWindow
from deepforcing.training.dit_stage import CHUNK, warp
from deepforcing.training.replay import Work, replayed

WINDOW = 21  # latent frames: all that the model is ever trained on


@dataclass(frozen=True)
class RollOut:
    """What the student made by itself: clean [B, C, F, h, w], text [B, rows, width]; and of each chunk the input of one
    denoising step, `noisy` like `clean`, at level `sigma` [B, K]."""

    clean: Tensor
    noisy: Tensor
    sigma: Tensor
    text: Tensor

    @property
    def history(self) -> Tensor | None:
        """All chunks but the last; None where there is but one."""
        return self.clean[:, :, :-CHUNK] if self.clean.shape[2] > CHUNK else None


class RollOuts:
    """Samples clips of a denoiser, whose weights may change in place between calls."""

    def __init__(self, denoiser: CausalWan, shape: tuple[int, int, int]) -> None:
        """shape: channels, height and width of a latent."""
        self._denoiser, self._shape = denoiser, shape
        self._sigmas = [warp(step / 1000, denoiser.sampling.shift) for step in denoiser.sampling.steps]
        self._levels = torch.tensor(self._sigmas, device=denoiser.device)
        self._ways: dict[tuple[int, int], Work] = {}  # by batch and chunks

    @torch.no_grad()
    def __call__(self, text: Tensor, chunks: int) -> RollOut:
        """Clips of `chunks` chunks for text [B, rows, width], and of each chunk the input of a random step."""
        key, seen = (len(text), chunks), text.to(self._denoiser.dtype)
        if key not in self._ways:
            self._ways[key] = replayed(partial(self._play, chunks=chunks), seen)
        clean, inputs = self._ways[key](seen)
        picked = torch.randint(len(self._sigmas), key, device=text.device)
        frames = picked.repeat_interleave(CHUNK, 1)[None, :, None, :, None, None]
        noisy = inputs.gather(0, frames.expand_as(inputs[:1]))[0]
        return RollOut(clean, noisy, self._levels[picked], text)

    def _play(self, text: Tensor, chunks: int) -> tuple[Tensor, Tensor]:
        """Clean latents [B, C, F, h, w], and the inputs of all steps that led to them [steps, B, C, F, h, w]."""
        denoiser, (channels, *side) = self._denoiser, self._shape
        cache = denoiser.new_cache(SlidingWindow(WINDOW), denoiser.geometry(*side, CHUNK))
        prompt, clean, inputs = Prompt("", text), [], []
        for _ in range(chunks):
            x, steps = torch.randn(len(text), channels, CHUNK, *side, device=text.device), []
            for step, sigma in enumerate(self._sigmas):
                x = x if step == 0 else (1 - sigma) * x + sigma * torch.randn_like(x)
                steps.append(x)
                x = x - sigma * denoiser.flow(x, 1000 * sigma, cache, prompt, step=step)
            denoiser.remember(x, cache, prompt)
            clean.append(x)
            inputs.append(torch.stack(steps))
        return torch.cat(clean, 2), torch.cat(inputs, 3)
