"""The cache under somebody else's pipeline: a stock diffusers Wan pipeline, or its transformer alone, made a chunk at a
time, each with the cached past before it.

The transformer's weights stay where they are and as they are; what attends, and the way through the blocks, is lent for
the duration of a `with`, and given back whatever happens.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from .attention import Prompt
from .config import Sampling, SettingsError
from .kv_cache import KVCache
from .models.wan import CausalWan
from .policies import Policy

ALONE = "cond"  # the pass that there always is; diffusers' name for it


class CachedTransformer:
    """Stands in for the transformer: each call denoises a chunk that reads the cache, `remember` adds a clean one.

    cache     the cache by the pass that it belongs to: "cond", and with guidance "uncond"
    latents   what was remembered so far [B, channels, frames, h, w], None before the first chunk
    """

    def __init__(self, policy: Policy, transformer: WanTransformer3DModel) -> None:
        self.cache: dict[str, KVCache] = {}
        self.latents: Tensor | None = None
        self._policy, self._transformer = policy, transformer
        self._denoiser = CausalWan(transformer, Sampling())
        self._prompts: dict[str, Prompt] = {}
        self._pass = ALONE

    def __getattr__(self, name: str) -> Any:
        """Everything else is the transformer's: its config, device, dtype ..."""
        return getattr(self._transformer, name)

    @contextmanager
    def cache_context(self, name: str, **_: Any) -> Iterator[None]:
        """Whose pass comes next, as diffusers' pipelines say it."""
        before, self._pass = self._pass, name
        try:
            yield
        finally:
            self._pass = before

    def __call__(
        self,
        hidden_states: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        encoder_hidden_states_image: Tensor | None = None,
        return_dict: bool = False,
        attention_kwargs: dict | None = None,
    ) -> tuple[Tensor]:
        """As `WanTransformer3DModel`'s: noisy latents of one chunk [B, channels, frames, h, w], timestep [B] of 1000,
        embeddings [B, rows, text_dim] -> (flow,). Raises SettingsError for what is not text to video, and another size.
        """
        if encoder_hidden_states_image is not None or timestep.ndim > 1 or len(timestep.unique()) > 1:
            raise SettingsError("the cache is for text to video, with one timestep for a whole chunk")
        cache, prompt = self._cache_for(hidden_states), self._prompt(encoder_hidden_states)
        flow = self._denoiser.flow(hidden_states, timestep[0].item(), cache, prompt)
        return (flow,)

    def remember(self, clean: Tensor) -> None:
        """Add a finished chunk [B, channels, frames, h, w], by a clean pass for each kind that it was made with."""
        for name, prompt in self._prompts.items():
            self._denoiser.remember(clean.to(self._denoiser.dtype), self.cache[name], prompt)
        self.latents = clean if self.latents is None else torch.cat((self.latents, clean), 2)

    def _cache_for(self, x: Tensor) -> KVCache:
        geometry = self._denoiser.geometry(x.shape[3], x.shape[4], x.shape[2])
        cache = self.cache.get(self._pass)
        if cache is None:
            cache = self.cache[self._pass] = self._denoiser.new_cache(self._policy, geometry)
        if cache.geometry != geometry:
            raise SettingsError(f"all chunks of a video have the same size: {geometry} follows {cache.geometry}")
        return cache

    def _prompt(self, embeds: Tensor) -> Prompt:
        known = self._prompts.get(self._pass)
        if known is not None and known.embeds.shape == embeds.shape and torch.equal(known.embeds, embeds):
            return known
        if known is not None:
            self.cache[self._pass].begin_prompt()
        self._prompts[self._pass] = Prompt("", embeds)
        return self._prompts[self._pass]


@contextmanager
def attached(policy: Policy, pipe: Any) -> Iterator[CachedTransformer]:
    """Put a policy's cache under a diffusers `WanPipeline`, or under a `WanTransformer3DModel`, for a while.

    A pipeline makes one chunk a call, and each is remembered when its last step is done; with a transformer alone, call
    what this yields, and `remember` what came out. Raises SettingsError for another kind, or two transformers.
    """
    transformer = pipe if isinstance(pipe, WanTransformer3DModel) else getattr(pipe, "transformer", None)
    if not isinstance(transformer, WanTransformer3DModel) or getattr(pipe, "transformer_2", None) is not None:
        raise SettingsError("the cache goes under a diffusers pipeline with one Wan transformer, or under that itself")
    with _lent(transformer):
        cached = CachedTransformer(policy, transformer)
        if pipe is transformer:
            yield cached
            return
        with _in_place(pipe, transformer, cached):
            yield cached


@contextmanager
def _in_place(pipe: Any, transformer: WanTransformer3DModel, cached: CachedTransformer) -> Iterator[None]:
    """The pipeline calls what is cached, and its scheduler tells when a chunk is done."""
    scheduler, step = pipe.scheduler, pipe.scheduler.step

    def step_and_remember(*args: Any, **kwargs: Any) -> Any:
        made = step(*args, **kwargs)
        if scheduler.step_index >= len(scheduler.timesteps):
            cached.remember(made[0])
        return made

    vars(pipe)["transformer"], scheduler.step = cached, step_and_remember
    try:
        yield
    finally:
        vars(pipe)["transformer"] = transformer
        del scheduler.step


@contextmanager
def _lent(transformer: WanTransformer3DModel) -> Iterator[None]:
    """Whatever is done to the transformer meanwhile, it is as it was afterwards."""
    attentions = [attn for block in transformer.blocks for attn in (block.attn1, block.attn2)]
    processors, training = [attn.processor for attn in attentions], transformer.training
    kinds = [(module, module.__class__) for module in (transformer, *transformer.blocks)]
    learning = [parameter for parameter in transformer.parameters() if parameter.requires_grad]
    try:
        yield
    finally:
        for module, kind in kinds:
            module.__class__ = kind
        for attn, processor in zip(attentions, processors, strict=True):
            attn.set_processor(processor)
        for parameter in learning:
            parameter.requires_grad_(True)
        transformer.train(training)
