"""One viewer's run: its stream, recorded, and folded into messages."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from deepforcing import (
    Chunk,
    DriftMeter,
    Event,
    Gauges,
    Past,
    Pipeline,
    Policy,
    SettingsChanged,
    StreamEnded,
    StreamStarted,
    Timeline,
    VideoStream,
)

from ..drift.gauges import gauges_message
from ..player.messages import (
    changed_message,
    chunk_message,
    ended_message,
    sample_of,
    started_message,
    with_change,
)
from .files import Recording
from .paced_run import PacedRun

NOTHING = Past()


@dataclass(frozen=True)
class VideoOrder:
    """What a viewer asked for. num_frames: video frames, None = until stopped. switch: the cache at a new prompt.

    steps, stale_prompt, past, start: see `generate_long_video`. begun: seconds of video that the past has. loras: how
    strong each is, see `VideoStream`.
    """

    prompt: str | Timeline
    seed: int
    policy: Policy
    num_frames: int | None = None
    switch: str = "keep"
    stale_prompt: bool = False
    past: Past = NOTHING
    begun: float = 0.0
    start: np.ndarray | None = field(default=None, compare=False)
    steps: int | None = None
    loras: tuple[float, ...] | None = None

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
            past=self.past,
            start=self.start,
            steps=self.steps,
            loras=self.loras,
        )

    def changed(self, **settings: Any) -> VideoOrder:
        """The same with other settings; what is None stays."""
        return replace(self, **{name: value for name, value in settings.items() if value is not None})

    def gone_on(self, past: Past, prompt: str, seconds: float) -> VideoOrder:
        """The same from where the past ends, at so many seconds of video, with the prompt of that moment."""
        story = Timeline.of(self.prompt)
        return replace(self, past=past, prompt=story.interrupted(seconds, prompt), begun=seconds, start=None)

    def run(self, pipeline: Pipeline, folder: Path, name: str) -> Run:
        """Its run, for when its turn has come. Raises as `stream` does."""
        return Run(pipeline, self, folder, name)


class Run(PacedRun):
    """Made when its turn has come. Raises PromptError or SettingsError for an order that cannot work."""

    def __init__(self, pipeline: Pipeline, order: VideoOrder, folder: Path, name: str) -> None:
        super().__init__(order.stream(pipeline), pipeline.shape.fps, name)
        self._folder, self.order = folder, order  # what holds now of what was asked for
        self._started: StreamStarted | None = None
        self._meter: DriftMeter | None = None
        self._recording: Recording | None = None
        self._asked: list[str] = []  # prompts asked for, not yet announced to the page
        self._changes: list[SettingsChanged] = []  # of the time before there is a file
        self._changing = threading.Lock()  # one change a chunk: what was asked for first is answered first
        self._begun = order.begun * pipeline.shape.fps
        self.report(0, False)

    def report(self, frame: float, playing: bool) -> None:
        """What is there already is never waited with, wherever the playhead is."""
        super().report(max(frame, self._begun), playing)

    def change_prompt(self, text: str) -> None:
        """Raises PromptError and changes nothing when the text cannot be used."""
        self._stream.change_prompt(text)
        self._asked.append(text.strip())

    def change(
        self,
        policy: Policy | None = None,
        switch: str | None = None,
        steps: int | None = None,
        anew: bool = False,
        loras: Sequence[float] | None = None,
    ) -> float | None:
        """As `VideoStream.change`: the second from which it holds; None where that is known elsewhere only."""
        with self._changing:
            _, seconds = self._stream.change(policy=policy, switch=switch, steps=steps, anew=anew, loras=loras)
            self.order = self.order.changed(policy=policy, switch=switch, steps=steps, loras=loras)
        return seconds

    def _fold(self, event: Event | None) -> Iterator[dict]:
        while self._asked:
            yield {"kind": "prompt", "prompt": self._asked.pop(0)}
        if isinstance(event, StreamStarted):
            self._started = self._now = event
            self._meter = DriftMeter.of(event)
            yield {**started_message(event), "begun": self.order.begun}
        elif isinstance(event, SettingsChanged):
            self._changes.append(event)
            self._now = with_change(self._now, event)
            yield changed_message(self._now, event)
        elif isinstance(event, Chunk):
            self._made(len(event.frames))
            message = chunk_message(event, sample_of(self._started), self.quality)
            gauges = self._meter.add(event)
            if self.carries:
                message["made"] = (event.prompt, event.latents)
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
        while self._changes:
            self._recording.change(self._changes.pop(0))
        self._recording.write(chunk, gauges)
        yield from self._tell_troubles()

    def _tell_troubles(self) -> Iterator[dict]:
        while self._recording.troubles:
            yield {"kind": "notice", "text": self._recording.troubles.pop(0)}
