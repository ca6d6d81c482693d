"""A generation thread that can be steered: start, new prompt, pause, resume, stop."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator

from .events import Chunk, Event, StreamEnded, StreamStarted
from .out_of_memory import explain_out_of_memory, is_out_of_memory, release
from .pipeline import Pipeline, check_seed, generate_long_video
from .policies import DeepForcing, Policy, settings_of
from .prompt import check_prompt
from .timeline import Timeline


class _Stop(Exception):
    """Raised inside the generation thread at a chunk boundary when the stream was told to stop."""


class VideoStream:
    """Generates in a thread of its own; events are read with `get` or by iterating.

    Every command takes effect at the next chunk boundary. Chunks made before a command are still delivered, in order;
    chunks begun after a prompt change have the new prompt. A chunk is begun when fewer than `max_queued` are unread, or
    when a reader waits for it: a slow reader slows the model down, and nothing is dropped. With `max_queued=0` nothing
    is made ahead of its reader, so that commands show soonest. Decoding beside the denoising (`overlap`) needs one
    chunk more. The last event is one StreamEnded, also after an error. As a context manager the stream stops on
    leaving.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        prompt: str | Timeline,
        *,
        policy: Policy | None = None,
        seed: int = 0,
        switch: str = "keep",
        num_frames: int | None = None,
        probe: bool = True,
        max_queued: int = 2,
        overlap: bool | None = None,
    ) -> None:
        """Raises PromptError or SettingsError at once for what cannot work; see `generate_long_video`."""
        self.pipeline, self.policy, self.seed, self.switch = pipeline, policy or DeepForcing(), check_seed(seed), switch
        self._timeline, self._typed = Timeline.of(prompt), None
        self._chunks = generate_long_video(
            pipeline,
            self._next_prompt,
            num_frames=num_frames,
            policy=self.policy,
            seed=seed,
            switch=switch,
            probe=probe,
            overlap=overlap,
        )
        self._max_queued = max_queued
        self._overlap = pipeline.denoiser.device.type == "cuda" if overlap is None else overlap
        self._events: deque[Event] = deque()
        self._changed = threading.Condition()
        self._read = self._readers = 0  # chunks handed out; readers that wait inside `get` now
        self._paused = self._stopping = self._ended = False
        self._thread = threading.Thread(target=self._run, name="deepforcing-stream", daemon=True)

    def start(self) -> VideoStream:
        """Begin to generate. A stream starts once."""
        self._thread.start()
        return self

    def change_prompt(self, text: str) -> None:
        """Use another prompt from the next chunk on, until the timeline's next one.

        Raises PromptError and changes nothing when it cannot be used.
        """
        text = check_prompt(text)
        with self._changed:
            self._typed = text

    def pause(self) -> None:
        """Hold generation at the next chunk boundary; what is queued can still be read."""
        self._set(paused=True)

    def resume(self) -> None:
        self._set(paused=False)

    def stop(self) -> None:
        """End at the next chunk boundary; StreamEnded('stopped') follows. Harmless at any time, any number of times."""
        self._set(stopping=True)

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the thread's end; whether it has ended."""
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    @property
    def paused(self) -> bool:
        return self._paused

    @property
    def max_queued(self) -> int:
        """Finished chunks that may wait unread; may be changed at any time, as the reader's needs change."""
        return self._max_queued

    @max_queued.setter
    def max_queued(self, chunks: int) -> None:
        with self._changed:
            self._max_queued = chunks
            self._changed.notify_all()

    def get(self, timeout: float | None = None) -> Event | None:
        """The next event; None after `timeout` seconds without one, and after StreamEnded was read."""
        with self._changed:
            self._readers += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._events or self._ended, timeout)
            self._readers -= 1
            event = self._events.popleft() if self._events else None
            self._read += isinstance(event, Chunk)
            self._changed.notify_all()
            return event

    def __iter__(self) -> Iterator[Event]:
        while (event := self.get()) is not None:
            yield event

    def __enter__(self) -> VideoStream:
        return self.start()

    def __exit__(self, *_) -> None:
        self.stop()
        self.join()

    def _set(self, paused: bool | None = None, stopping: bool = False) -> None:
        with self._changed:
            self._paused = self._paused if paused is None else paused
            self._stopping = self._stopping or stopping
            self._changed.notify_all()

    def _next_prompt(self, index: int) -> str:
        """The chunk boundary: wait while paused or far ahead, leave when stopped, else the prompt of the moment."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or (not self._paused and self._wanted(index)))
            if self._stopping:
                raise _Stop
            begins = self.pipeline.starts(index)
            if self._typed is not None:
                self._timeline, self._typed = self._timeline.interrupted(begins, self._typed), None
            return self._timeline.at(begins)

    def _wanted(self, index: int) -> bool:
        return index - self._read < self._max_queued + self._overlap + (self._readers > 0)

    def _put(self, event: Event) -> None:
        with self._changed:
            self._events.append(event)
            self._changed.notify_all()

    def _run(self) -> None:
        made, end = 0, ("finished", None)
        try:
            self._put(self._started())
            for chunk in self._chunks:
                self._put(chunk)
                made += 1
        except _Stop:
            end = ("stopped", None)
        except BaseException as error:  # everything reaches the reader, in words
            end = ("error", self._in_words(error))
        finally:
            self._chunks.close()
            release(self.pipeline.denoiser.device)  # before the end is told, so that the next run finds the room
            self._end(StreamEnded(end[0], made, end[1]))

    def _in_words(self, error: BaseException) -> str:
        if is_out_of_memory(error):
            return explain_out_of_memory(self.policy, self.pipeline.denoiser.device)
        return str(error) or type(error).__name__

    def _started(self) -> StreamStarted:
        p, policy = self.pipeline, self.policy
        return StreamStarted(
            p.name,
            self._typed or self._timeline.at(0),
            self.seed,
            policy.name,
            settings_of(policy),
            p.shape.fps,
            p.shape.height,
            p.shape.width,
            p.attention,
            self.switch,
        )

    def _end(self, event: StreamEnded) -> None:
        """The end never waits for room."""
        with self._changed:
            self._events.append(event)
            self._ended = True
            self._changed.notify_all()
