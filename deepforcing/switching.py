"""What becomes of the cache when the prompt changes.

keep        nothing: cached frames go on carrying the old prompt until they leave
reencode    every cached token gets keys and values made with the new prompt, and the picture goes on: LongLive's
            KV-recache (arXiv 2509.22622), for a cache that holds single tokens too
sink        only the frames stay that the policy keeps for ever; without any, the new prompt begins from nothing
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .attention import Prompt
from .config import SettingsError
from .kv_cache import KVCache, LayerCache
from .models.wan import CausalWan
from .policies import Selection


class Keep:
    """The cache as it is, and what the other ways have in common: they are told of each chunk and of each turn."""

    def __init__(self, denoiser: CausalWan, cache: KVCache) -> None:
        self.denoiser, self.cache = denoiser, cache

    def made(self, clean: Tensor) -> None:
        """A chunk has become history; its clean latents [B, channels, frames, height, width]."""

    def turn(self, prompt: Prompt) -> None:
        """The next chunk is the first with this prompt; at the video's first chunk the cache is empty."""


class SinkOnly(Keep):
    """Drops all but the sink. That is the latest drop of tokens, so the policy places the sink by it."""

    def turn(self, prompt: Prompt) -> None:
        sink = self.cache.policy.sink_frames
        for layer in self.cache.layers.values():
            if _keep_where(layer, layer.positions[..., 0] < sink):
                layer.fired_at = self.cache.next_frame


@dataclass(frozen=True)
class _Made:
    """A chunk of which tokens are still held: its first latent frame, its clean latents [B, channels, frames, height,
    width], and each layer's `fired_at` while it was made, which says how the policy placed its history."""

    first: int
    clean: Tensor
    fired_at: tuple[int | None, ...]


class _Replay(KVCache):
    """Reads as the policy places, and never chooses: what is held is known."""

    def due(self, layer: LayerCache) -> bool:
        return False


class Reencode(Keep):
    """Rebuilds the cache: chunks that have tokens left pass through the network again, in order, clean, at their own
    place in time, with the new prompt; each sees what is held of those before it, and of its own tokens those stay
    that were held before. So the cache holds the same tokens, chosen as they were, with new keys and values.

    A turn takes one pass for each such chunk, two where the policy has chunks encoded anew: seven for a window of 21
    frames, more where compression has left single tokens of many chunks.
    """

    def __init__(self, denoiser: CausalWan, cache: KVCache) -> None:
        super().__init__(denoiser, cache)
        self._past: list[_Made] = []

    def made(self, clean: Tensor) -> None:
        first, size = self.cache.next_frame - self.cache.geometry.chunk_frames, self.cache.geometry.chunk_frames
        fired_at = tuple(layer.fired_at for layer in self.cache.layers.values())
        alive = torch.cat([layer.positions[_real(layer)][:, 0] for layer in self.cache.layers.values()]).unique()
        chunks = set((alive // size).tolist())
        self._past = [made for made in (*self._past, _Made(first, clean, fired_at)) if made.first // size in chunks]

    def turn(self, prompt: Prompt) -> None:
        if not self._past:
            return
        cache, held = self.cache, self.cache.layers
        new = _Replay(cache.policy, cache.geometry, cache.dims, self.denoiser.heads)
        for layer in held.values():
            layer.release()  # first, so that there are never two caches
        for made in self._past:
            new.next_frame = made.first
            for layer, fired_at in zip(new.layers.values(), made.fired_at, strict=False):
                layer.fired_at = fired_at
            self.denoiser.remember(made.clean, new, prompt)
            for index, layer in new.layers.items():
                _keep_where(layer, torch.isin(self._numbers(layer), self._numbers(held[index])))
        for index, layer in new.layers.items():
            _take_counts(layer, held[index])
        cache.layers = new.layers

    def _numbers(self, layer: LayerCache) -> Tensor:
        """A number for each token [B, n], the same in both caches, other ones in each row of the batch; -1: padding."""
        frame, row, column = layer.positions.unbind(-1)
        batch = torch.arange(len(frame), device=frame.device)[:, None]
        token = (frame * self.cache.geometry.rows + row) * self.cache.geometry.columns + column
        return torch.where(_real(layer), token * len(frame) + batch, -1)


SWITCHES: dict[str, type[Keep]] = {"keep": Keep, "reencode": Reencode, "sink": SinkOnly}


def check_switch(name: str) -> str:
    """The name itself. Raises SettingsError unless it is in SWITCHES."""
    if name not in SWITCHES:
        raise SettingsError(f"switch must be one of {', '.join(SWITCHES)}, not {name!r}")
    return name


def new_switch(name: str, denoiser: CausalWan, cache: KVCache) -> Keep:
    """What this name stands for, for one run."""
    return SWITCHES[name](denoiser, cache)


def _real(layer: LayerCache) -> Tensor:
    """bool [B, n]: which tokens are no padding."""
    return torch.ones_like(layer.reused, dtype=torch.bool) if layer.valid is None else layer.valid


def _take_counts(layer: LayerCache, held: LayerCache) -> None:
    """What was known of the same tokens: how often each was chosen, the attention it received, the latest drop."""
    here, there = _real(layer), _real(held)
    layer.reused[here] = held.reused[there]
    if held.received is not None:
        layer.received[here] = held.received[there]
    if held.changed is not None:
        layer.changed[here] = held.changed[there]
    layer.fired_at, layer.dropped = held.fired_at, None


def _keep_where(layer: LayerCache, stays: Tensor) -> bool:
    """Drop the tokens [B, n] that do not stay; whether there were any."""
    real = _real(layer)
    if (stays | ~real).all():
        return False
    stays = stays & real
    count = stays.sum(1, keepdim=True)
    longest = int(count.max())
    valid = torch.arange(longest, device=stays.device) < count
    order = (~stays).int().argsort(dim=1, stable=True)[:, :longest]  # those that stay, in temporal order, then padding
    layer.keep(Selection(order, None if valid.all() else valid))
    return True
