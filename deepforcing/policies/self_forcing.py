"""The sliding window."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

from torch import Tensor

from ..config import Geometry, SettingsError
from .base import CacheView, Selection, in_window_or_sink, kept_indices
from .settings import whole


@dataclass(frozen=True)
class SlidingWindow:
    """Self Forcing's own cache: the last `window` frames, nothing else (arXiv 2506.08009)."""

    name: ClassVar[str] = "self-forcing"
    summary: ClassVar[str] = "Sliding window: what was made more than five seconds ago is forgotten."
    window: int = 21

    def __post_init__(self) -> None:
        whole("window", self.window, 1)

    def on(self, pipe: Any) -> AbstractContextManager[Any]:
        """This policy's cache under a diffusers Wan pipeline, or a transformer, within a `with`; see
        `deepforcing.attached.attached`, which stands above the policies."""
        return import_module("deepforcing.attached").attached(self, pipe)

    @property
    def sink_frames(self) -> int:
        return 0

    @property
    def asks_queries(self) -> bool:
        return False

    @property
    def heads_apart(self) -> bool:
        return False

    @property
    def query_frames(self) -> int:
        return 0

    @property
    def read_frames(self) -> int:
        return 0

    @property
    def sums_attention(self) -> bool:
        return False

    @property
    def compares_predictions(self) -> bool:
        return False

    @property
    def clean_alone(self) -> bool:
        return False

    @property
    def context_frames(self) -> int:
        return 0

    def check(self, geometry: Geometry) -> None:
        if self.sink_frames + geometry.chunk_frames > self.window:
            raise SettingsError(
                f"sink {self.sink_frames} + a chunk of {geometry.chunk_frames} frames "
                f"exceed the window of {self.window}"
            )

    def recent_from(self, fired_at: int | None, geometry: Geometry) -> int:
        return self.sink_frames

    def whole_from(self, next_frame: int, geometry: Geometry) -> int:
        return next_frame + geometry.chunk_frames - (self.window - self.sink_frames)

    def due(self, cached: float, geometry: Geometry) -> bool:
        return cached + geometry.chunk_frames > self.window

    def choose(self, view: CacheView) -> Selection:
        g = view.geometry
        keep = in_window_or_sink(
            view.frames, next_frame=view.next_frame, incoming=g.chunk_frames, window=self.window, sink=self.sink_frames
        )
        return Selection(kept_indices(keep, (self.window - g.chunk_frames) * g.tokens_per_frame))

    def at_new_prompt(self, view: CacheView) -> Selection | None:
        return None

    def read(self, view: CacheView) -> Tensor | None:
        return None

    def context(self, view: CacheView) -> Tensor:
        raise NotImplementedError  # asked only of policies that have `context_frames`

    def place(self, view: CacheView) -> Tensor:
        return view.frames - view.next_frame
