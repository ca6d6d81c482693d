"""What the model computes, said as plainly as can be: diffusers' own forward, three products for q, k and v, all tokens
that were ever made at hand, and for each pass the history looked up, turned and concatenated anew."""

from __future__ import annotations

import torch
from diffusers import WanTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanTransformerBlock
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from deepforcing.attention import CausalSelfAttention
from deepforcing.config import Sampling
from deepforcing.kv_cache import AGAIN, CLEAN
from deepforcing.models.wan import CausalWan
from deepforcing.policies import POLICIES
from deepforcing.rope import rotate, spatial_rope, turn_in_time

EDITS = tuple(POLICIES[name] for name in ("fade-mem", "tether-cache", "future-forcing"))


class PlainSelfAttention(CausalSelfAttention):
    """Over all tokens ever made, of which the cache only says where the ones stand that are read."""

    def __init__(self) -> None:
        super().__init__()
        self.keys = self.values = None  # [B, every token so far, heads, head_dim], keys before RoPE
        self.first = None, None  # the same, all as the first clean passes made them
        self.step = 0

    def __call__(self, attn, x: Tensor, *_) -> Tensor:
        layer, m = self.layer, x.shape[1]
        q, k, v = attn.norm_q(attn.to_q(x)), attn.norm_k(attn.to_k(x)), attn.to_v(x)
        q, k, v = (layer.as_rows(t.unflatten(2, (attn.heads, -1))) for t in (q, k, v))
        q, own = rotate(q, layer.rotation), rotate(k, layer.rotation)
        if layer.reading is None:
            self.cache.open(layer, q, k)
        self._edit()
        reading = layer.write(q, k, v)
        made = self.cache.next_frame * self.cache.geometry.tokens_per_frame
        if self.step == AGAIN:  # only the latest chunk is ever read as a second pass has made it
            self.keys, self.values = self.first
        self.keys, self.values = self._grown(self.keys, k, made), self._grown(self.values, v, made)
        if self.step == CLEAN:
            self.first = tuple(self._grown(*each, made) for each in zip(self.first, (k, v), strict=True))
        keys, values = self._history()
        if layer.alone:
            keys, values = keys[:, :0], values[:, :0]
        keys, values = (torch.cat(t, 1).transpose(1, 2) for t in ((keys, own), (values, v)))
        out = scaled_dot_product_attention(q.transpose(1, 2), keys, values, reading.mask).transpose(1, 2)
        return attn.to_out[0](layer.as_heads(out).flatten(2)[:, :m])

    def _history(self) -> tuple[Tensor, Tensor]:
        """Keys with RoPE, and values, of what is read."""
        layer = self.layer
        positions, index = layer.positions, layer.reading.index
        if index is not None:
            positions = positions.gather(1, index[..., None].expand(-1, -1, 3))
        _, row, column = positions.unbind(-1)
        number = self._numbers(positions)
        keys, values = (t.gather(1, number.expand(-1, -1, *t.shape[2:])) for t in (self.keys, self.values))
        keys = spatial_rope(keys, row, column, layer.dims)
        return turn_in_time(keys, layer.reading.time, layer.dims), values

    def _edit(self) -> None:
        """What a policy that edits tokens has just made of them takes their place."""
        if self.layer.fired_at != self.cache.next_frame or not isinstance(self.cache.policy, EDITS):
            return
        number = self._numbers(self.layer.positions)
        for made, edited in zip((self.keys, self.values), (self.layer.keys, self.layer.values), strict=True):
            made.scatter_(1, number.expand_as(edited), edited)

    def _numbers(self, positions: Tensor) -> Tensor:
        """Of all tokens ever made, which stand there: [B, n, 1, 1]."""
        frame, row, column = positions.unbind(-1)
        geometry = self.cache.geometry
        return ((frame * geometry.rows + row) * geometry.columns + column)[..., None, None]

    @staticmethod
    def _grown(all_made: Tensor | None, new: Tensor, before: int) -> Tensor:
        """The new tokens in their places, over what an earlier pass had there."""
        if all_made is None:
            return new
        return torch.cat((all_made[:, :before], new, all_made[:, before + new.shape[1] :]), 1)


class PlainWan(CausalWan):
    """For one video, or one batch of videos, at a time."""

    def __init__(self, transformer: WanTransformer3DModel, sampling: Sampling) -> None:
        super().__init__(transformer, sampling)
        transformer.__class__ = WanTransformer3DModel
        for block in transformer.blocks:
            block.__class__ = WanTransformerBlock
            block.attn1.set_processor(PlainSelfAttention())

    def _pass(self, work, inputs, cache, prompt, step, name) -> Tensor:
        texts = prompt.projected(self.layers)

        def network(x: Tensor, timestep: float) -> Tensor:
            t = torch.full((len(x),), timestep, device=x.device)
            return self.transformer(x.to(self.dtype), t, prompt.embeds, return_dict=False)[0].to(x.dtype)

        for block in self.transformer.blocks:
            block.attn1.processor.step = step
        with cache.one_pass(self.layers, inputs[0].device, step) as held, self._lent(cache, held, texts):
            return work(network, *inputs)
