"""diffusers' `WanTransformer3DModel`, at any size, as a causal denoiser of chunks."""

from __future__ import annotations

import threading

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from ..attention import CausalSelfAttention, Prompt, PromptCrossAttention
from ..config import Geometry, Sampling, SettingsError
from ..kv_cache import KVCache
from ..policies import Policy
from ..rope import RopeDims

CLEAN = -1  # the `step` of the pass over finished latents


class CausalWan:
    """A stock Wan transformer whose self-attention reads a KV cache. Several videos may share one, a call at a time."""

    def __init__(self, transformer: WanTransformer3DModel, sampling: Sampling) -> None:
        self.transformer = transformer.eval().requires_grad_(False)
        self.sampling = sampling
        self._lock = threading.Lock()
        for block in transformer.blocks:
            block.attn1.set_processor(CausalSelfAttention())
            block.attn2.set_processor(PromptCrossAttention())

    @property
    def layers(self) -> int:
        return self.transformer.config.num_layers

    @property
    def heads(self) -> int:
        return self.transformer.config.num_attention_heads

    @property
    def head_dim(self) -> int:
        return self.transformer.config.attention_head_dim

    @property
    def channels(self) -> int:
        return self.transformer.config.in_channels

    @property
    def device(self) -> torch.device:
        return self.transformer.device

    @property
    def dtype(self) -> torch.dtype:
        return self.transformer.patch_embedding.weight.dtype

    def geometry(self, height: int, width: int, chunk_frames: int = 3) -> Geometry:
        """Token grid of latents of height x width. Raises SettingsError when the patches do not tile them."""
        _, rows, columns = self.transformer.config.patch_size
        if height % rows or width % columns:
            raise SettingsError(f"latents of {height} x {width} cannot be cut into patches of {rows} x {columns}")
        return Geometry(height // rows, width // columns, chunk_frames)

    def new_cache(self, policy: Policy, geometry: Geometry, seed: int = 0) -> KVCache:
        return KVCache(policy, geometry, RopeDims.of_head(self.head_dim), self.heads, seed)

    @torch.no_grad()
    def flow(self, x: Tensor, timestep: float, cache: KVCache, prompt: Prompt, step: int = 0) -> Tensor:
        """Predicted flow (noise - x0) of a chunk [B, channels, frames, height, width] at `timestep` of 1000."""
        out = self._forward(x, timestep, cache, prompt, step=step)
        if self.sampling.prediction == "flow":
            return out
        return ((x.float() - out.float()) / (timestep / 1000)).to(x.dtype)

    @torch.no_grad()
    def remember(self, clean: Tensor, cache: KVCache, prompt: Prompt) -> Tensor:
        """The clean pass at t = 0: appends the chunk's keys and values to the cache. Returns the network's output."""
        out = self._forward(clean, 0.0, cache, prompt, step=CLEAN)
        cache.advance()
        return out

    def _forward(self, x: Tensor, timestep: float, cache: KVCache, prompt: Prompt, step: int) -> Tensor:
        t = torch.full((x.shape[0],), timestep, device=x.device)
        with self._lock, cache.one_pass(self.layers, x.device, step) as held:
            try:
                for block, layer, text in zip(
                    self.transformer.blocks, held, prompt.projected(self.layers), strict=True
                ):
                    block.attn1.processor.cache, block.attn1.processor.layer = cache, layer
                    block.attn2.processor.prompt = text
                return self.transformer(x.to(self.dtype), t, prompt.embeds, return_dict=False)[0].to(x.dtype)
            finally:
                for block in self.transformer.blocks:
                    block.attn1.processor.cache = block.attn1.processor.layer = block.attn2.processor.prompt = None
