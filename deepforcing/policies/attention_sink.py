"""A sliding window that keeps its first frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..config import SettingsError
from .self_forcing import SlidingWindow
from .settings import whole


@dataclass(frozen=True)
class AttentionSink(SlidingWindow):
    """Keep the first frames, their phase untouched: StreamingLLM's idea, LongLive's setting (arXiv 2509.22622)."""

    name: ClassVar[str] = "attention-sink"
    summary: ClassVar[str] = "A few first frames stay, at their true distance in time."
    sink: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("sink", self.sink, 0)
        if self.sink >= self.window:
            raise SettingsError(f"sink {self.sink} fills the whole window of {self.window}")

    @property
    def sink_frames(self) -> int:
        return self.sink
