"""One viewer's run: its stream, recorded, and folded into messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deepforcing import (
    Chunk,
    DriftMeter,
    Event,
    Gauges,
    Pipeline,
    Policy,
    StreamEnded,
    StreamStarted,
    Timeline,
    VideoStream,
)

from ..drift.gauges import gauges_message
from ..player.messages import chunk_message, ended_message, sample_of, started_message
from .files import Recording
from .paced_run import PacedRun


@dataclass(frozen=True)
class VideoOrder:
    """What a viewer asked for. num_frames: video frames, None = until stopped. switch: the cache at a new prompt.

    stale_prompt: see `generate_long_video`.
    """

    prompt: str | Timeline
    seed: int
    policy: Policy
    num_frames: int | None = None
    switch: str = "keep"
    stale_prompt: bool = False

    def stream(self, pipeline: Pipeline) -> VideoStream:
        """Not started. Raises PromptError or SettingsError for an order that cannot work."""
        return VideoStream(
            pipeline,
            self.prompt,
            policy=self.policy,
            seed=self.seed,
            switch=self.switch,
            num_frames=self.num_frames,
            max_queued=0,
            stale_prompt=self.stale_prompt,
        )

    def run(self, pipeline: Pipeline, folder: Path, name: str) -> Run:
        """Its run, for when its turn has come. Raises as `stream` does."""
        return Run(pipeline, self, folder, name)


class Run(PacedRun):
    """Made when its turn has come. Raises PromptError or SettingsError for an order that cannot work."""

    def __init__(self, pipeline: Pipeline, order: VideoOrder, folder: Path, name: str) -> None:
        super().__init__(order.stream(pipeline), pipeline.shape.fps, name)
        self._folder = folder
        self._started: StreamStarted | None = None
        self._meter: DriftMeter | None = None
        self._recording: Recording | None = None
        self._asked: list[str] = []  # prompts asked for, not yet announced to the page

    def change_prompt(self, text: str) -> None:
        """Raises PromptError and changes nothing when the text cannot be used."""
        self._stream.change_prompt(text)
        self._asked.append(text.strip())

    def _fold(self, event: Event | None) -> Iterator[dict]:
        while self._asked:
            yield {"kind": "prompt", "prompt": self._asked.pop(0)}
        if isinstance(event, StreamStarted):
            self._started, self._meter = event, DriftMeter.of(event)
            yield started_message(event)
        elif isinstance(event, Chunk):
            self._made(len(event.frames))
            message = chunk_message(event, sample_of(self._started), self.quality)
            gauges = self._meter.add(event)
            yield {**message, "gauges": gauges_message(gauges, self._started.fps)}  # first the viewer, then the file
            yield from self._record(event, gauges)
        elif isinstance(event, StreamEnded):
            if self._recording is not None:
                self.files = self._recording.finish(event)
                yield from self._tell_troubles()
            yield {**ended_message(event), "note": self.note}

    def _close(self) -> None:
        if self._recording is not None:
            self._recording.close()

    def _record(self, chunk: Chunk, gauges: Gauges) -> Iterator[dict]:
        if self._recording is None:
            self._recording = Recording(self._folder, self._started)
        self._recording.write(chunk, gauges)
        yield from self._tell_troubles()

    def _tell_troubles(self) -> Iterator[dict]:
        while self._recording.troubles:
            yield {"kind": "notice", "text": self._recording.troubles.pop(0)}
