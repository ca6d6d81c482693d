"""Positions that move along, and a cache that is flushed at a new prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .base import CacheView, Selection, kept_indices
from .streaming_llm import StreamingLLM


@dataclass(frozen=True)
class InfinityRoPE(StreamingLLM):
    """Block-Relativistic RoPE and KV Flush (Yesiltepe et al., https://arxiv.org/abs/2511.20649).

    The newest block stands at the end of the window and all others before it, so no position is ever beyond those
    that the model was trained with. At a new prompt only the sink and the last frame stay, so that the old prompt's
    frames do not hold it up. The paper's RoPE Cut, a jump in time for a change of scene, is left out.
    """

    name: ClassVar[str] = "infinity-rope"
    summary: ClassVar[str] = "As streaming-llm; a new prompt empties the cache but for the first and the last frame."

    def at_new_prompt(self, view: CacheView) -> Selection:
        keep = (view.frames < self.sink) | (view.frames == view.next_frame - 1)
        return Selection(kept_indices(keep, min(self.sink + 1, view.next_frame) * view.geometry.tokens_per_frame))
