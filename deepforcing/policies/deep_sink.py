"""Half the window pinned to the first frames, which travel along in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from ..rope import sink_beside_window
from .attention_sink import AttentionSink
from .base import CacheView
from .settings import one_of

Phase = Literal["released", "contiguous", "none"]


@dataclass(frozen=True)
class DeepSink(AttentionSink):
    """Keep about half the window as sinks and move their phase with the timeline (arXiv 2512.05081, section 3.2).

    phase: `contiguous` puts the sink right before the recent frames (the paper's text); `released` starts it a window
    before the chunk, as the authors' code does, which is a chunk further back; `none` leaves it where it was.
    """

    name: ClassVar[str] = "deep-sink"
    summary: ClassVar[str] = "Half the window is pinned to the first frames, which travel along in time."
    sink: int = 10
    phase: Phase = "released"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self, "phase")

    def place(self, view: CacheView) -> Tensor:
        if self.phase == "none":
            return view.frames - view.next_frame
        reach = self.window if self.phase == "released" else self.window - view.geometry.chunk_frames
        return sink_beside_window(view.frames, view.next_frame, reach, self.sink)
