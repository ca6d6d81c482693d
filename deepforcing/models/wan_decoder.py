"""Wan's own VAE as a streaming decoder: a latent frame at a time, its memory passed in and returned.

All that a causal convolution remembers are its last two input frames. diffusers keeps them in a list on the module;
here the list belongs to the stream, so that any number of streams may share one VAE, and may fail without a trace.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d, unpatchify
from torch import Tensor

from .components import ModelError
from .model_folder import read_config, read_weights
from .tiny_codec import TIME_FACTOR
from .weight_files import check_tensors

WEIGHTS = "diffusion_pytorch_model.safetensors"
Memory = tuple[Tensor | str | None, ...]


@dataclass(frozen=True)
class WanDecoderState:
    """What a stream carries from one call to the next: for each tile, each causal convolution's last inputs.

    An entry is [B, C, 1 or 2, h, w]; before the convolution has begun it is None, or "Rep", which is diffusers' mark
    for a layer that has seen the first frame alone.
    """

    tiles: tuple[Memory, ...]


@dataclass(frozen=True)
class Tiling:
    """How a picture of latents is cut: its size, a tile's, and the steps from tile to tile, as (rows, columns)."""

    size: tuple[int, int]
    tile: tuple[int, int]
    stride: tuple[int, int]

    @property
    def columns(self) -> int:
        """Tiles beside each other."""
        return len(range(0, self.size[1], self.stride[1]))

    @property
    def corners(self) -> list[tuple[int, int]]:
        """The top left corner of each tile, row by row."""
        return [(i, j) for i in range(0, self.size[0], self.stride[0]) for j in range(0, self.size[1], self.stride[1])]

    def cut(self, x: Tensor, corner: tuple[int, int]) -> Tensor:
        """The tile of [..., h, w] at a corner; at the far edges it is smaller."""
        return x[..., corner[0] : corner[0] + self.tile[0], corner[1] : corner[1] + self.tile[1]]


class WanDecoder:
    """`AutoencoderKLWan` as a VideoDecoder. It holds no state of any stream; threads may share it.

    After `vae.enable_tiling()`, frames larger than a tile are decoded in overlapping tiles that are blended, just as
    diffusers does it: that takes less memory, more time, and gives slightly other frames.
    """

    def __init__(self, vae: AutoencoderKLWan, folder: Path | None = None) -> None:
        """folder: where the encoder's weights are, if they were not loaded: they are read when they are needed."""
        self.vae, self._folder = vae.eval().requires_grad_(False), folder
        self._convolutions = sum(isinstance(module, WanCausalConv3d) for module in vae.decoder.modules())
        self._mean = torch.tensor(vae.config.latents_mean)[:, None, None, None]
        self._std = torch.tensor(vae.config.latents_std)[:, None, None, None]

    @property
    def config(self) -> Mapping:
        """The VAE's sizes."""
        return self.vae.config

    @property
    def channels(self) -> int:
        """Channels of a latent."""
        return self.vae.config.z_dim

    @property
    def spatial_factor(self) -> int:
        """Pixels a latent, along each side."""
        return 2 ** (len(self.vae.config.dim_mult) - 1) * self._patch

    @property
    def _patch(self) -> int:
        return self.vae.config.patch_size or 1

    @torch.no_grad()
    def decode(self, latents: Tensor, state: WanDecoderState | None = None) -> tuple[Tensor, WanDecoderState]:
        """Latents [B, F, C, h, w] as the transformer makes them -> (frames [B, n, 3, H, W] in 0..1, state), in float32.

        Without a state the clip begins here, and the first latent gives one frame; each other latent gives four.
        """
        z = self._denormalised(latents)
        tiling = self._tiling(*z.shape[-2:])
        pasts = [None] * len(tiling.corners) if state is None else state.tiles
        decoded = [
            self._decode(tiling.cut(z, corner), past) for corner, past in zip(tiling.corners, pasts, strict=True)
        ]
        pixels = self._joined([pixels for pixels, _ in decoded], tiling)
        frames = (unpatchify(pixels, self._patch).clamp(-1, 1).float() + 1) / 2
        return frames.transpose(1, 2), WanDecoderState(tuple(memory for _, memory in decoded))

    @property
    def encodes(self) -> bool:
        """Whether its encoder is at hand."""
        return self.vae.encoder is not None or self._folder is not None

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """Frames [B, 1 + 4 (F - 1), 3, H, W] in 0..1 -> latents [B, F, C, h, w] as the transformer makes them: the most
        likely ones, in float32. An encoder that was not loaded is, for this call."""
        vae = self.vae if self.vae.encoder is not None else load_vae(self._folder, self.vae.device, self.vae.dtype)
        x = (frames * 2 - 1).transpose(1, 2).to(vae.device, vae.dtype)
        z = vae.encode(x).latent_dist.mode().float()
        return ((z - self._mean.to(z.device)) / self._std.to(z.device)).transpose(1, 2)

    def _denormalised(self, latents: Tensor) -> Tensor:
        """[B, F, C, h, w] -> [B, C, F, h, w] in the VAE's own scale, on its device and in its precision."""
        z = latents.transpose(1, 2).float()
        z = z * self._std.to(z.device) + self._mean.to(z.device)
        return self.vae.post_quant_conv(z.to(self.vae.device, self.vae.dtype))

    def _decode(self, z: Tensor, past: Memory | None) -> tuple[Tensor, Memory]:
        """Latents of one tile [B, C, F, h, w] -> (pixels [B, 3 patch^2, n, H / patch, W / patch], what to remember)."""
        memory = [None] * self._convolutions if past is None else list(past)
        pixels = [
            self.vae.decoder(frame, feat_cache=memory, feat_idx=[0], first_chunk=past is None and index == 0)
            for index, frame in enumerate(z.split(1, 2))
        ]
        return torch.cat(pixels, 2), tuple(memory)

    def _tiling(self, height: int, width: int) -> Tiling:
        vae, pixels = self.vae, self.spatial_factor
        rows, columns = vae.tile_sample_min_height // pixels, vae.tile_sample_min_width // pixels
        if not vae.use_tiling or (height <= rows and width <= columns):
            return Tiling((height, width), (height, width), (height, width))
        stride = vae.tile_sample_stride_height // pixels, vae.tile_sample_stride_width // pixels
        return Tiling((height, width), (rows, columns), stride)

    def _joined(self, tiles: list[Tensor], tiling: Tiling) -> Tensor:
        """One picture of all tiles, the overlaps blended by diffusers."""
        scale = self.spatial_factor // self._patch
        overlap = [scale * (size - stride) for size, stride in zip(tiling.tile, tiling.stride, strict=True)]
        grid = [tiles[i : i + tiling.columns] for i in range(0, len(tiles), tiling.columns)]
        for i, row in enumerate(grid):
            for j, tile in enumerate(row):
                if i:
                    self.vae.blend_v(grid[i - 1][j], tile, overlap[0])  # changes the tile
                if j:
                    self.vae.blend_h(row[j - 1], tile, overlap[1])
        height, width = (scale * stride for stride in tiling.stride)
        return torch.cat([torch.cat([tile[..., :height, :width] for tile in row], -1) for row in grid], -2)


def load_decoder(folder: Path, device: torch.device, dtype: torch.dtype, *, tiling: bool = False) -> WanDecoder:
    """The decoder in a folder that `AutoencoderKLWan.save_pretrained` wrote, or in the folder `vae` within it.

    The weights for encoding are not read before they are needed, and on the device "meta" none is. Raises ModelError
    that names the file and what is wrong with it.
    """
    folder = folder / "vae" if (folder / "vae").is_dir() else folder
    vae = load_vae(folder, device, dtype, encoder=False)
    if tiling:
        vae.enable_tiling()
    return WanDecoder(vae, folder)


def load_vae(folder: Path, device: torch.device, dtype: torch.dtype, *, encoder: bool = True) -> AutoencoderKLWan:
    """The whole of it, or only what decodes, from a folder that `AutoencoderKLWan.save_pretrained` wrote. Raises
    ModelError."""
    vae = _empty(read_config(folder, "_class_name", AutoencoderKLWan.__name__), folder)
    weights = read_weights(folder, WEIGHTS)
    check_tensors(vae.state_dict(), weights, folder / WEIGHTS)
    if not encoder:
        vae.encoder = vae.quant_conv = None
    vae.load_state_dict({name: weights[name].to(device, dtype, copy=True) for name in vae.state_dict()}, assign=True)
    return vae.eval().requires_grad_(False)


def _empty(config: dict, folder: Path) -> AutoencoderKLWan:
    """A VAE of the configured sizes that takes no memory yet."""
    try:
        with torch.device("meta"):
            vae = AutoencoderKLWan.from_config(config)
        growth = 2 ** sum(vae.config.temperal_downsample)
        sizes = {len(vae.config.latents_mean), len(vae.config.latents_std)}
    except (TypeError, ValueError, RuntimeError, IndexError, AttributeError) as error:
        raise ModelError(f"{folder / 'config.json'} describes a VAE that cannot be built: {error}") from None
    if growth != TIME_FACTOR:
        raise ModelError(f"{folder} makes {growth} frames of a latent: expected a VAE of {TIME_FACTOR}, as Wan's is")
    if sizes != {vae.config.z_dim}:
        raise ModelError(
            f"{folder / 'config.json'}: expected latents_mean and latents_std of {vae.config.z_dim} numbers"
        )
    return vae
