"""How large a model is that begins with random weights; every other size follows from these."""

from __future__ import annotations

from dataclasses import dataclass, field

from deepforcing.models.tiny_codec import CodecConfig
from deepforcing.models.tiny_text import TinyTextConfig


@dataclass(frozen=True)
class ModelSizes:
    """pixels: of a side of the video; heads, head_dim and layers: the transformer's; codec and text: their own."""

    pixels: int = 128
    heads: int = 5
    head_dim: int = 64
    layers: int = 8
    codec: CodecConfig = field(default_factory=lambda: CodecConfig(decoder_blocks=(2, 2, 2)))
    text: TinyTextConfig = field(default_factory=TinyTextConfig)

    @property
    def width(self) -> int:
        """Channels of a token."""
        return self.heads * self.head_dim

    @property
    def side(self) -> int:
        """Rows, and columns, of a latent frame."""
        return self.pixels // self.codec.spatial_factor
