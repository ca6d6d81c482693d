"""One run's decoder: from its latents, chunk after chunk, to its frames."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .components import VideoDecoder
from .graphs import Recordings, places
from .tiny_codec import TinyCodec


class Decoding:
    """Holds what the decoder remembers of the run, so that runs do not mix.

    Where the small decoder has a recorder, that stays where it is and is written in place: what decodes a chunk is then
    a function of its latents alone, and is recorded once it comes back, see `graphs`.
    """

    def __init__(self, decoder: VideoDecoder) -> None:
        self._decoder: Any = decoder
        self._state: Any = None
        recorder = decoder.recorder if isinstance(decoder, TinyCodec) else None
        self._recordings = Recordings(recorder) if recorder else None

    @torch.no_grad()
    def frames(self, latents: Tensor) -> Tensor:
        """Latents [B, F, channels, h, w] of the next chunk -> its frames [B, n, 3, H, W] in 0..1."""
        if self._recordings is None or self._state is None:
            frames, self._state = self._decoder.decode(latents, self._state)
            return frames
        return self._recordings.run(self._weights(), latents.shape, self._in_place, (latents,))

    def _in_place(self, latents: Tensor) -> Tensor:
        frames, after = self._decoder.decode(latents, self._state)
        for place, value in zip(self._state.memory, after.memory, strict=True):
            place.copy_(value)
        return frames

    def _weights(self) -> tuple:
        return places(self._decoder.state_dict().values())
