"""Chunks that are remembered by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .streaming_llm import StreamingLLM


@dataclass(frozen=True)
class IDForcing(StreamingLLM):
    """What is cached of a chunk depends on that chunk alone (ID-Forcing, https://arxiv.org/abs/2610.03120).

    Elsewhere the clean pass, which makes a chunk's keys and values, attends to the cache as well, and so each chunk
    hands on what was wrong with those before it. Here it attends to its own chunk only; the denoising steps read the
    cache as always. The window is short: the first three frames, the two latest chunks, and the one in flight.

    In the paper one of the two latest chunks is cached by itself and the other encoded anew with what is before it, and
    the model is trained for that; here both are by themselves. Positions count within the cache.
    """

    name: ClassVar[str] = "id-forcing"
    summary: ClassVar[str] = "A short window, and what is cached of a chunk was made without a look at the past."
    window: int = 12
    sink: int = 3

    @property
    def clean_alone(self) -> bool:
        return True
