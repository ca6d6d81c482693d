"""Chunks that are remembered by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ..config import Geometry, SettingsError
from .base import CacheView
from .settings import one_of
from .streaming_llm import StreamingLLM

Latest = Literal["re-encoded", "self-cached"]


@dataclass(frozen=True)
class IDForcing(StreamingLLM):
    """What is cached of a chunk depends on that chunk alone (ID-Forcing, https://arxiv.org/abs/2610.03120).

    Elsewhere the clean pass, which makes a chunk's keys and values, attends to the cache as well, and so each chunk
    hands on what was wrong with those before it, and none was ever cached as in training. Here it attends to its own
    chunk only: the chunk is self-cached. The denoising steps read the cache as always. The window is short: the first
    chunk, the two latest, and the one in flight.

    latest: of the two, the one before is always read self-cached. The latest is `re-encoded`, as the authors have it
    for Self Forcing: it is cached a second time, attending to the chunk before it, and the next chunk reads that; it is
    then forgotten, and the self-cached one stays. `self-cached`, as they have it for LongLive, spares that pass.

    All that is the authors', as their code has it. Theirs lets Self Forcing make its first 21 frames as it was trained
    to; here, as with their LongLive, the first chunk is where it begins. With a larger window than theirs, which is 12,
    the latest chunk attends to all self-cached ones that will be left beside the sink: that is our reading. While there
    are no others the sink stands in for them.
    """

    name: ClassVar[str] = "id-forcing"
    summary: ClassVar[str] = "A short window, and what is cached of a chunk was made without a look at the past."
    window: int = 12
    sink: int = 3
    latest: Latest = "re-encoded"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self, "latest")

    @property
    def clean_alone(self) -> bool:
        return True

    @property
    def context_frames(self) -> int:
        return self.window - self.sink if self.latest == "re-encoded" else 0

    def check(self, geometry: Geometry) -> None:
        super().check(geometry)
        if self.latest == "re-encoded" and self._before(geometry) < 1:
            raise SettingsError(
                f"sink {self.sink}, the latest chunk and the next leave no frame of a window of {self.window} that the "
                "latest could be re-encoded with"
            )

    def context(self, view: CacheView) -> Tensor:
        held = view.frames.shape[1]
        least = max(0, held - self._before(view.geometry) * view.geometry.tokens_per_frame)
        return torch.arange(least, held, device=view.frames.device).expand(len(view.frames), -1)

    def _before(self, geometry: Geometry) -> int:
        """Frames that the next chunk will find between the sink and the latest chunk."""
        return self.window - self.sink - 2 * geometry.chunk_frames
