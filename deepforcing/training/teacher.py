"""The teacher-forcing forward of a stock `WanTransformer3DModel`, with one noise level a chunk and its clean history.

The same arithmetic as the stock forward with a timestep for each token, but modulation is broadcast over a chunk's
tokens instead of being copied to each of them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from deepforcing.training.attention import CrossProcessor, TeacherForcingProcessor


def predict(
    model: WanTransformer3DModel, noisy: Tensor, sigma: Tensor, text: Tensor, history: Tensor | None = None
) -> Tensor:
    """Clean latents that the model sees in `noisy`.

    noisy   [B, C, F, h, w], K chunks of F / K frames
    sigma   [B, K], the noise level of each chunk
    text    [B, rows, text_dim]
    history [B, C, F - F / K, h, w], clean (labelled as timestep 0): all chunks but the last; None where K = 1
    """
    chunks, frames = sigma.shape[1], noisy.shape[2]
    past = frames - frames // chunks
    cos, sin = (_pairs(r, past, frames) for r in model.rope(noisy))
    tokens = noisy if history is None else torch.cat([history, noisy], 2)
    x = model.patch_embedding(tokens).flatten(2).transpose(1, 2)
    per_chunk = x.shape[1] // (2 * chunks - 1)
    level = torch.cat([sigma.new_zeros(len(sigma), chunks - 1), sigma * 1000], 1)
    temb, modulation, text, _ = model.condition_embedder(level.flatten(), text, None, timestep_seq_len=level.shape[1])
    modulation = modulation.unflatten(2, (6, -1)).float()
    self_attention = TeacherForcingProcessor(per_chunk)
    run = _compiled_block() if noisy.is_cuda else _block
    for block in model.blocks:
        x = run(block, x, text, modulation, (cos, sin), self_attention)
    return _head(model, x[:, (chunks - 1) * per_chunk :], temb[:, chunks - 1 :], noisy.shape)


def _pairs(rotary: Tensor, past: int, frames: int) -> Tensor:
    """One angle a pair, [1, L, 1, d / 2], for the history's frames followed by the noisy ones."""
    pairs = rotary[..., ::2].unflatten(1, (frames, -1))
    return torch.cat([pairs[:, :past], pairs], 1).flatten(1, 2).float()


def _modulate(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """x [B, L, D] by one scale and shift a chunk, [B, chunks, D]."""
    return (x.unflatten(1, (scale.shape[1], -1)) * (1 + scale[:, :, None]) + shift[:, :, None]).flatten(1, 2)


def _gate(x: Tensor, gate: Tensor) -> Tensor:
    return (x.unflatten(1, (gate.shape[1], -1)) * gate[:, :, None]).flatten(1, 2)


def _block(
    block, x: Tensor, text: Tensor, modulation: Tensor, rotary, self_attention: TeacherForcingProcessor
) -> Tensor:
    shift1, scale1, gate1, shift2, scale2, gate2 = (block.scale_shift_table.unsqueeze(0) + modulation).unbind(2)
    y = _modulate(block.norm1(x), scale1, shift1)
    x = x + _gate(self_attention(block.attn1, y, rotary_emb=rotary), gate1)
    x = x + CrossProcessor()(block.attn2, block.norm2(x), text)
    return x + _gate(block.ffn(_modulate(block.norm3(x), scale2, shift2)), gate2)


@cache
def _compiled_block() -> Callable:
    """`_block` as one graph for all blocks, one a shape; what does not compile runs as it is."""
    torch._dynamo.config.recompile_limit = 64
    torch._dynamo.config.suppress_errors = True
    return torch.compile(_block, dynamic=False)


def _head(model: WanTransformer3DModel, x: Tensor, temb: Tensor, shape: torch.Size) -> Tensor:
    shift, scale = (model.scale_shift_table.unsqueeze(0) + temb.unsqueeze(2)).unbind(2)
    x = model.proj_out(_modulate(model.norm_out(x), scale, shift)).float()
    frames, (_, ph, pw) = shape[2], model.config.patch_size
    x = x.reshape(shape[0], frames, shape[3] // ph, shape[4] // pw, ph, pw, shape[1])
    return x.permute(0, 6, 1, 2, 4, 3, 5).reshape(shape)
