"""The way through Wan's transformer, with what recurs computed once; layers and weights are diffusers' own.

A few timesteps come back for ever, and what they do to each block depends on nothing else; a prompt's text is needed
until every layer has projected it. So once the cache and the prompt are ready, a pass is a function of tensors that
looks at nothing from the CPU: what a CUDA graph can hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from diffusers import WanTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanTransformerBlock
from torch import Tensor


class Modulation(NamedTuple):
    """What a timestep does to a block before and after attention and feed-forward net: float32 [B, 1, width] each."""

    shift: Tensor
    scale: Tensor
    gate: Tensor
    ffn_shift: Tensor
    ffn_scale: Tensor
    ffn_gate: Tensor


@dataclass(frozen=True)
class Moment:
    """What a timestep does to the network: to each block, and as shift and scale [B, 1, width] to its end."""

    blocks: tuple[Modulation, ...]
    shift: Tensor
    scale: Tensor


class Moments:
    """The moments of a run, each computed at its first use."""

    def __init__(self) -> None:
        self._known: dict[tuple[float, int], Moment] = {}

    def at(self, timestep: float, transformer: CausalTransformer, x: Tensor) -> Moment:
        """The moment for inputs like x, in the network's precision."""
        key = timestep, len(x)
        if key not in self._known:
            self._known[key] = transformer.moment(timestep, x)
        return self._known[key]


class CausalBlock(WanTransformerBlock):
    """A block that is handed its modulation; its cache and its prompt are with its attention's processors."""

    def forward(self, x: Tensor, modulation: Modulation, text: Tensor | None) -> Tensor:
        """x [B, m, width]; text [B, rows, width], None once this block has projected it."""
        shift, scale, gate, ffn_shift, ffn_scale, ffn_gate = modulation
        seen = (self.norm1(x.float()) * scale).add_(shift).type_as(x)
        x = (x + self.attn1(seen) * gate).type_as(x)  # in float32, as the gate is
        x = x + self.attn2(self.norm2(x.float()).type_as(x), text)
        seen = (self.norm3(x.float()) * ffn_scale).add_(ffn_shift).type_as(x)
        return (x + self.ffn(seen) * ffn_gate).type_as(x)


class CausalTransformer(WanTransformer3DModel):
    """The whole network, from latents to what it predicts."""

    def forward(self, x: Tensor, timestep: float, moments: Moments, text: Tensor | None) -> Tensor:
        """x [B, channels, frames, height, width] in the network's precision, at `timestep` of 1000 -> the same shape.

        text: a prompt's embeddings [B, rows, text_dim], None once all blocks have projected them.
        """
        moment = moments.at(timestep, self, x)
        text = None if text is None else self.condition_embedder.text_embedder(text)
        h = self.patch_embedding(x).flatten(2).transpose(1, 2).contiguous()
        for block, modulation in zip(self.blocks, moment.blocks, strict=True):
            h = block(h, modulation, text)
        h = self.proj_out((self.norm_out(h.float()) * moment.scale).add_(moment.shift).type_as(h))
        return self._pixels(h, x)

    def moment(self, timestep: float, x: Tensor) -> Moment:
        """What this timestep does to a pass over inputs like x."""
        embedder = self.condition_embedder
        angles = embedder.timesteps_proj(torch.full((len(x),), timestep, device=x.device))
        embedded = embedder.time_embedder(angles.to(embedder.time_embedder.linear_1.weight.dtype)).type_as(x)
        added = embedder.time_proj(embedder.act_fn(embedded)).unflatten(1, (6, -1)).float()
        shift, scale = (self.scale_shift_table.to(x.device) + embedded[:, None]).chunk(2, 1)
        blocks = (_modulation(block.scale_shift_table.to(x.device) + added) for block in self.blocks)
        return Moment(tuple(blocks), shift, 1 + scale)

    def _pixels(self, tokens: Tensor, like: Tensor) -> Tensor:
        """Tokens [B, m, channels of a patch] as latents like `like`, cut into patches."""
        patch = self.config.patch_size
        grid = [size // side for size, side in zip(like.shape[2:], patch, strict=True)]
        return (
            tokens.reshape(len(tokens), *grid, *patch, -1)
            .permute(0, 7, 1, 4, 2, 5, 3, 6)
            .reshape(len(tokens), -1, *like.shape[2:])
        )


def make_causal(transformer: WanTransformer3DModel) -> None:
    """Have this transformer work as described here, in place."""
    transformer.__class__ = CausalTransformer
    for block in transformer.blocks:
        block.__class__ = CausalBlock


def _modulation(table: Tensor) -> Modulation:
    """[B, 6, width]: three for attention, three for the feed-forward net; scales are changes of 1."""
    shift, scale, gate, ffn_shift, ffn_scale, ffn_gate = table.chunk(6, 1)
    return Modulation(shift, 1 + scale, gate, ffn_shift, 1 + ffn_scale, ffn_gate)
