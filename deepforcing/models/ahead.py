"""Blocks as functions of tensors alone, for a compiler that works ahead of time: what it makes of one serves them all.

What a block reads and writes of its cache and of its prompt, it is given: K and V are inputs. Passes that do more than
read and write, and those that a probe samples or that know padding, are made as before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, ShapesCollection

from ..attention import LayerPrompt
from ..config import SettingsError
from ..kv_cache import LayerCache, Reading
from ..rope import Rotation
from .network import CausalBlock, Modulation
from .speed import has_passing_weights
from .wan import CausalWan


class TensorBlock(nn.Module):
    """A block of the transformer, once `tensor_blocks` has put this in its place. `forward` can be replaced by what was
    compiled of it."""

    def __init__(self, block: CausalBlock) -> None:
        super().__init__()
        self.block = block
        self._eager: Callable[..., Tensor] = block.forward
        self._like: LayerCache | None = None  # the layer that was read last

    def forward(
        self,
        x: Tensor,
        modulation: tuple[Tensor, ...],
        rotation: Rotation,
        slots: Tensor,
        keys: Tensor,
        values: Tensor,
        query_sums: Tensor,
        text_keys: Tensor,
        text_values: Tensor,
    ) -> Tensor:
        """The block's output; slots, keys, values and query_sums get what the pass writes."""
        like = self._like
        layer = LayerCache(like.made_for, like.geometry, like.dims, rotation, like.rows)
        layer.slots, layer.query_sums, layer.reading = slots, query_sums, Reading(keys, values, None, None, None)
        with self._held(layer, LayerPrompt(text_keys, text_values)):
            return self._eager(x, modulation, None)

    def call(self, x: Tensor, modulation: Modulation, text: Tensor | None) -> Tensor:
        """As the block itself."""
        layer, prompt = self.block.attn1.processor.layer, self.block.attn2.processor.prompt
        if not self._fits(layer):
            return self._eager(x, modulation, text)
        self._like, reading = layer, layer.reading
        held = layer.slots, reading.keys, reading.values, layer.query_sums
        return self(x, tuple(modulation), layer.rotation, *held, prompt.keys, prompt.values)

    @property
    def weights(self) -> dict[str, Tensor]:
        """By name, as what is compiled asks for them."""
        return {**dict(self.named_parameters()), **dict(self.named_buffers())}

    def _fits(self, layer: LayerCache) -> bool:
        """Whether the pass only reads and writes what `forward` is given."""
        own, text = self.block.attn1.processor, self.block.attn2.processor
        exact = layer.in_8_bits is None
        plain = layer.rows == 1 and not layer.alone and layer.sample is None and layer.queries is None and exact
        return plain and own.ready and text.ready and layer.tokens > 0 and layer.reading.mask is None

    @contextmanager
    def _held(self, layer: LayerCache, prompt: LayerPrompt) -> Iterator[None]:
        own, text = self.block.attn1.processor, self.block.attn2.processor
        before = own.layer, text.prompt
        own.layer, text.prompt = layer, prompt
        try:
            yield
        finally:
            own.layer, text.prompt = before


def tensor_blocks(denoiser: CausalWan) -> list[TensorBlock]:
    """Have the denoiser's blocks work through functions of tensors, in place. Raises SettingsError for weights that
    come in as a block runs."""
    if has_passing_weights(denoiser.transformer):
        raise SettingsError("weights that are offloaded or stored in fp8 cannot be compiled: use one or the other")
    blocks = [TensorBlock(block) for block in denoiser.transformer.blocks]
    for block in blocks:
        block.block.forward = block.call  # type: ignore[method-assign]
    return blocks


def export_block(block: TensorBlock, inputs: tuple) -> ExportedProgram:
    """The block as a graph for any length of history; inputs: those of any call."""
    x, _, _, slots, keys, values, *_ = inputs
    own = x.shape[1]  # the chunk's own tokens, which the history is added to
    lengths: Any = ShapesCollection()
    history = Dim("history", min=own)
    lengths[slots], lengths[keys], lengths[values] = {1: Dim("slots", min=own)}, {1: history}, {1: history}
    with torch.no_grad():
        return torch.export.export(block, inputs, dynamic_shapes=lengths)
