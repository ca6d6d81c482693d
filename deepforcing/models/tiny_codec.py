"""A small causal video codec: 8x in space, 4x in time; 1 + 4(n - 1) frames <-> n latent frames.

The layout is TAEHV's (https://github.com/madebyollin/taehv): ReLU convolutions, memory blocks that see the previous
frame's features, time pooled and grown by folding frames into channels. At TAEHV's own widths the decoder runs its
published weights (`taehv.py`). All that the decoder remembers between calls is passed in and returned, so a stream and
a whole decode are the same computation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .graphs import Recorder

TIME_FACTOR = 4  # frames a latent frame


@dataclass(frozen=True)
class CodecConfig:
    """Widths and depths by stage: the encoder's from pixels to latents, the decoder's from latents to pixels.

    Without encoder widths it is a decoder alone. The network's pixels run from -1 to 1 when `signed`, else from 0 to 1.
    """

    latent_channels: int = 24
    patch_size: int = 2
    encoder_widths: tuple[int, ...] = (32, 64, 128)
    encoder_blocks: tuple[int, ...] = (1, 1)
    decoder_widths: tuple[int, ...] = (128, 96, 48, 24)
    decoder_blocks: tuple[int, ...] = (2, 1, 1)
    decoder_spatial: tuple[bool, ...] = (True, True, False)
    decoder_temporal: tuple[bool, ...] = (False, True, True)
    signed: bool = True

    def __post_init__(self) -> None:
        if (
            not len(self.decoder_widths) - 1
            == len(self.decoder_blocks)
            == len(self.decoder_spatial)
            == len(self.decoder_temporal)
        ):
            raise ValueError("the decoder needs one width more than it has stages")
        if max(len(self.encoder_widths) - 1, 0) != len(self.encoder_blocks):
            raise ValueError("the encoder needs one width more than it has stages")
        if 2 ** sum(self.decoder_temporal) != TIME_FACTOR:
            raise ValueError(f"the decoder must grow time by {TIME_FACTOR}")

    @property
    def spatial_factor(self) -> int:
        """Pixels a latent, along each side."""
        return self.patch_size * 2 ** sum(self.decoder_spatial)


@dataclass(frozen=True)
class DecoderState:
    """What a decoder carries from one call to the next: each memory block's last input [B, C, h, w], in order."""

    memory: tuple[Tensor, ...]


class MemoryBlock(nn.Module):
    """Residual convolutions over a frame's features and the previous frame's."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            _conv(2 * channels, channels), nn.ReLU(), _conv(channels, channels), nn.ReLU(), _conv(channels, channels)
        )

    def forward(self, x: Tensor, batch: int, previous: Tensor | None) -> tuple[Tensor, Tensor]:
        """x [B*T, C, h, w], previous [B, C, h, w] or None at the start -> (the same shape, the last frame's input)."""
        frames = _as_they_lie(x).unflatten(0, (batch, -1))
        first = torch.zeros_like(frames[:, 0]) if previous is None else _as_they_lie(previous)
        past = torch.cat([first[:, None], frames[:, :-1]], 1)
        both = _channels_first(torch.cat([frames, past], -1).flatten(0, 1))
        last = _channels_first(frames[:, -1].clone())  # a view would keep them all
        return (self.conv(both) + x).relu_(), last


class TimePool(nn.Module):
    """Folds each pair of frames into one."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2 * channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        pairs = _as_they_lie(x).unflatten(0, (-1, 2)).movedim(1, 3)
        return self.conv(_channels_first(pairs.flatten(3)))


class TimeGrow(nn.Module):
    """Unfolds each frame into `factor` frames."""

    def __init__(self, channels: int, factor: int) -> None:
        super().__init__()
        self.factor = factor
        self.conv = nn.Conv2d(channels, factor * channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        grown = _as_they_lie(self.conv(x)).unflatten(-1, (self.factor, -1)).movedim(3, 1)
        return _channels_first(grown.flatten(0, 1))


class SoftClamp(nn.Module):
    """Keeps latents within +-3."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x / 3) * 3


def _as_they_lie(x: Tensor) -> Tensor:
    """[N, C, h, w] -> a view [N, h, w, C]: channels lie last in memory, and what is put together so stays so."""
    return x.movedim(1, -1)


def _channels_first(x: Tensor) -> Tensor:
    return x.movedim(-1, 1)


def _conv(inputs: int, outputs: int, **options) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, **options)


def _encoder(config: CodecConfig) -> nn.Sequential:
    widths = config.encoder_widths
    if not widths:
        return nn.Sequential()
    layers = [_conv(3 * config.patch_size**2, widths[0]), nn.ReLU()]
    for before, after, blocks in zip(widths, widths[1:], config.encoder_blocks, strict=False):
        layers += [TimePool(before), _conv(before, after, stride=2, bias=False)]
        layers += [MemoryBlock(after) for _ in range(blocks)]
    return nn.Sequential(*layers, _conv(widths[-1], config.latent_channels))


def _decoder(config: CodecConfig) -> nn.Sequential:
    widths = config.decoder_widths
    layers = [SoftClamp(), _conv(config.latent_channels, widths[0]), nn.ReLU()]
    stages = zip(config.decoder_blocks, config.decoder_spatial, config.decoder_temporal, strict=True)
    for (blocks, spatial, temporal), before, after in zip(stages, widths, widths[1:], strict=False):
        layers += [MemoryBlock(before) for _ in range(blocks)]
        # TAEHV upsamples first; a 1x1 convolution and nearest upsampling commute, and this order has less to multiply
        layers += [TimeGrow(before, 2 if temporal else 1), nn.Upsample(scale_factor=2) if spatial else nn.Identity()]
        layers += [_conv(before, after, bias=False)]
    return nn.Sequential(*layers, nn.ReLU(), _conv(widths[-1], 3 * config.patch_size**2))


class TinyCodec(nn.Module):
    """Encoder and streaming decoder; latents are normalised by the buffers `mean` and `std` to about unit variance."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: CodecConfig = CodecConfig()) -> None:
        super().__init__()
        self.config = config
        self.recorder: Recorder | None = None  # of decoding; None: it is not recorded
        self.encoder, self.decoder = _encoder(config), _decoder(config)
        self.register_buffer("mean", torch.zeros(config.latent_channels))
        self.register_buffer("std", torch.ones(config.latent_channels))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # for modules its stub has no such form

    @property
    def channels(self) -> int:
        """Channels of a latent."""
        return self.config.latent_channels

    @property
    def spatial_factor(self) -> int:
        """Pixels a latent, along each side."""
        return self.config.spatial_factor

    @property
    def encodes(self) -> bool:
        """Whether there is an encoder."""
        return bool(self.config.encoder_widths)

    def encode(self, frames: Tensor) -> Tensor:
        """Frames [B, 1 + 4(n - 1), 3, H, W] in 0..1 -> normalised latents [B, n, C, h, w]."""
        return (self.encode_raw(frames) - self.mean[:, None, None]) / self.std[:, None, None]

    def encode_raw(self, frames: Tensor) -> Tensor:
        """As `encode`, without the normalisation; the network works in the precision of its weights."""
        if not self.encodes:
            raise ValueError("this codec has no encoder")
        if frames.shape[1] % TIME_FACTOR != 1:
            raise ValueError(f"a clip has 1 + {TIME_FACTOR}k frames, not {frames.shape[1]}")
        batch = frames.shape[0]
        frames = torch.cat([frames[:, :1].expand(-1, TIME_FACTOR - 1, -1, -1, -1), frames], 1)
        frames = frames * 2 - 1 if self.config.signed else frames
        x = F.pixel_unshuffle(frames.flatten(0, 1), self.config.patch_size)
        x, _ = _run(self.encoder, _as_weights(x, self.encoder), batch, None)
        return x.unflatten(0, (batch, -1)).float()

    def decode(self, latents: Tensor, state: DecoderState | None = None) -> tuple[Tensor, DecoderState]:
        """Normalised latents [B, F, C, h, w] -> (frames [B, n, 3, H, W] in 0..1, state for the latents that follow).

        Without a state the clip begins here, and the first latent gives one frame; each other latent gives four.
        """
        raw = latents * self.std[:, None, None] + self.mean[:, None, None]
        frames, state = self.decode_raw(raw, state)
        return frames.clamp(0, 1), state

    def decode_raw(self, latents: Tensor, state: DecoderState | None = None) -> tuple[Tensor, DecoderState]:
        """As `decode`, from latents that are not normalised, and not clamped."""
        batch = latents.shape[0]
        x = _as_weights(latents.flatten(0, 1), self.decoder)
        x, memory = _run(self.decoder, x, batch, None if state is None else state.memory)
        frames = F.pixel_shuffle(x, self.config.patch_size).unflatten(0, (batch, -1)).float()
        frames = frames * 0.5 + 0.5 if self.config.signed else frames
        return frames[:, TIME_FACTOR - 1 :] if state is None else frames, DecoderState(memory)


def _as_weights(x: Tensor, layers: nn.Sequential) -> Tensor:
    """In the precision and memory order of the network that is to work on it."""
    return x.to(next(layers.parameters()).dtype, memory_format=torch.channels_last)


def _run(layers: nn.Sequential, x: Tensor, batch: int, memory: tuple[Tensor, ...] | None) -> tuple[Tensor, tuple]:
    """All layers over the frames x [B*T, C, h, w]; the memory blocks continue from `memory` and return the next."""
    kept: list[Tensor] = []
    for layer in layers:
        if isinstance(layer, MemoryBlock):
            x, last = layer(x, batch, None if memory is None else memory[len(kept)])
            kept.append(last)
        else:
            x = layer(x)
    return x, tuple(kept)
