"""One viewer's run: its stream, paced by the viewer's playhead, recorded, and folded into messages."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from deepforcing import Chunk, Event, Pipeline, Policy, StreamEnded, StreamStarted, VideoStream

from .gauges import Measuring
from .pacing import Pace
from .recording import Files, Recording
from .view import chunk_message, ended_message, sample_of, started_message

SILENT_SECONDS = 150  # a hidden tab's timers fire once a minute; longer silence means that nobody is there
GAVE_WAY = "Others were waiting, so this run was ended. Generate again to get back in line."


@dataclass(frozen=True)
class Order:
    """What a viewer asked for. num_frames: video frames, None = until stopped."""

    prompt: str
    seed: int
    policy: Policy
    num_frames: int | None = None


class Run:
    """Made when its turn has come. Raises PromptError or SettingsError for an order that cannot work."""

    def __init__(self, pipeline: Pipeline, order: Order, folder: Path, name: str) -> None:
        self.id = name
        self._pipeline, self._folder = pipeline, folder
        self._stream = VideoStream(
            pipeline, order.prompt, policy=order.policy, seed=order.seed, num_frames=order.num_frames, max_queued=0
        )
        self._pace = Pace(pipeline.shape.fps)
        self._stopping = threading.Event()
        self._started: StreamStarted | None = None
        self._measuring: Measuring | None = None
        self._recording: Recording | None = None
        self._asked: list[str] = []  # prompts asked for, not yet announced to the page
        self.seen = -1
        self.note = ""  # why the run was ended, where the viewer did not end it
        self.files = Files()

    def change_prompt(self, text: str) -> None:
        """Raises PromptError and changes nothing when the text cannot be used."""
        self._stream.change_prompt(text)
        self._asked.append(text.strip())

    def report(self, frame: float, playing: bool, seen: int = -1) -> None:
        """The viewer's playhead, and the number of the last message seen; also the sign that somebody is there."""
        self.seen = seen
        self._pace.report(frame, playing)

    def pause(self, paused: bool) -> None:
        self._stream.pause() if paused else self._stream.resume()

    def stop(self, note: str = "") -> None:
        """End at the next chunk boundary; harmless at any time."""
        self.note = self.note or note
        self._stopping.set()
        self._stream.stop()

    def messages(self, give_way: Callable[[], bool]) -> Iterator[dict]:
        """Run to the end. `give_way` is asked between chunks whether somebody else's turn has come."""
        try:
            for event in self._events(give_way):
                yield from self._announce_prompts()
                yield from self._fold(event)
        finally:
            self.stop()
            self._stream.join(timeout=30)
            if self._recording is not None:
                self._recording.close()

    def _events(self, give_way: Callable[[], bool]) -> Iterator[Event | None]:
        """Events as the viewer needs them; None from time to time, so that announcements get out."""
        self._stream.start()
        while True:
            self._look_after(give_way)
            if self._pace.ahead_enough and not self._stopping.is_set():
                self._stopping.wait(0.05)
                yield None
                continue
            event = self._stream.get(timeout=0.1)
            yield event
            if isinstance(event, StreamEnded):
                return

    def _look_after(self, give_way: Callable[[], bool]) -> None:
        if self._pace.silent_seconds() > SILENT_SECONDS:
            self.stop("The page fell silent, so the run was ended.")
        elif give_way():
            self.stop(GAVE_WAY)

    def _announce_prompts(self) -> Iterator[dict]:
        while self._asked:
            yield {"kind": "prompt", "prompt": self._asked.pop(0)}

    def _fold(self, event: Event | None) -> Iterator[dict]:
        if isinstance(event, StreamStarted):
            self._started, self._measuring = event, Measuring(event)
            yield started_message(event)
        elif isinstance(event, Chunk):
            self._pace.made += len(event.frames)
            # The model goes on while this chunk is encoded, unless enough is made: then the next prompt shows sooner.
            self._stream.max_queued = 0 if self._pace.ahead_enough else 1
            message = chunk_message(event, sample_of(self._started))
            yield {**message, "gauges": self._measuring.of(event)}  # first the viewer, then the file
            yield from self._record(event)
        elif isinstance(event, StreamEnded):
            if self._recording is not None:
                self.files = self._recording.finish(event)
                yield from self._tell_troubles()
            yield {**ended_message(event), "note": self.note}

    def _record(self, chunk: Chunk) -> Iterator[dict]:
        if self._recording is None:
            self._recording = Recording(self._folder, self._started)
        self._recording.write(chunk)
        yield from self._tell_troubles()

    def _tell_troubles(self) -> Iterator[dict]:
        while self._recording.troubles:
            yield {"kind": "notice", "text": self._recording.troubles.pop(0)}
