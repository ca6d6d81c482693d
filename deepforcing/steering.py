"""A thread that makes things for a reader and can be steered: start, pause, resume, stop; one StreamEnded, always."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from typing import Any, ClassVar

import torch

from .config import SettingsError
from .events import EndReason, StreamEnded
from .out_of_memory import release
from .turns import Turn

OVER = "this run is over: it is for the next one"


class Stop(Exception):
    """Raised inside the thread at a boundary when it was told to stop."""


class Steered:
    """Makes items in a thread of its own; events are read with `get` or by iterating.

    Every command takes effect at the next boundary: the moment before an item is begun. An item is begun when fewer
    than `max_queued` are unread, or when a reader waits for it: a slow reader slows the model down, and nothing is
    dropped. With `max_queued=0` nothing is made ahead of its reader, so that commands show soonest. The last event is
    one StreamEnded, also after an error. As a context manager it stops on leaving.

    A subclass says what its items are: it sets `_items`, which asks `_boundary` before each one, and gives `_started`
    and `_in_words`.
    """

    item: ClassVar[type]
    thread_name: ClassVar[str]
    _items: Generator

    def __init__(self, device: torch.device, max_queued: int, ahead: int = 0) -> None:
        """ahead: items that have to be under way besides those that wait to be read."""
        self._device, self._max_queued, self._ahead = device, max_queued, ahead
        self._events: deque[Any] = deque()
        self._changed = threading.Condition()
        self._read = self._readers = 0  # items handed out; readers that wait inside `get` now
        self._paused = self._stopping = self._ended = False
        self._turn: Turn | None = None
        self._jobs: deque[tuple[Callable[[int], Any], Future]] = deque()  # see `_at_boundary`
        self._thread = threading.Thread(target=self._run, name=self.thread_name, daemon=True)

    def _started(self) -> Any:
        """The first event."""
        raise NotImplementedError

    def _in_words(self, error: BaseException) -> str:
        """An error, for a person to read."""
        return str(error) or type(error).__name__

    def share(self, turn: Turn) -> None:
        """Make each item only when it is its turn, since others work on the same device; to be said before `start`."""
        self._turn = turn

    def start(self):
        """Begin. It starts once."""
        self._thread.start()
        return self

    def pause(self) -> None:
        """Hold at the next boundary; what is queued can still be read."""
        self._set(paused=True)

    def resume(self) -> None:
        self._set(paused=False)

    def stop(self) -> None:
        """End at the next boundary; StreamEnded('stopped') follows. Harmless at any time, any number of times."""
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
        """Finished items that may wait unread; may be changed at any time, as the reader's needs change."""
        return self._max_queued

    @max_queued.setter
    def max_queued(self, items: int) -> None:
        with self._changed:
            self._max_queued = items
            self._changed.notify_all()

    def get(self, timeout: float | None = None) -> Any:
        """The next event; None after `timeout` seconds without one, and after StreamEnded was read."""
        with self._changed:
            self._readers += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._events or self._ended, timeout)
            self._readers -= 1
            event = self._events.popleft() if self._events else None
            self._read += isinstance(event, self.item)
            self._changed.notify_all()
            return event

    def __iter__(self) -> Iterator:
        while (event := self.get()) is not None:
            yield event

    def __enter__(self):
        return self.start()

    def __exit__(self, *_) -> None:
        self.stop()
        self.join()

    def _set(self, paused: bool | None = None, stopping: bool = False) -> None:
        with self._changed:
            self._paused = self._paused if paused is None else paused
            self._stopping = self._stopping or stopping
            self._changed.notify_all()

    def _boundary(self, index: int) -> None:
        """Wait while paused or far ahead, and for the turn, before the item of this number; raise Stop when stopped."""
        if self._turn is not None:
            self._turn.give()
        with self._changed:
            while not (self._stopping or (not self._paused and self._wanted(index))):
                self._do_jobs(index)
                self._changed.wait()
        if self._turn is not None:
            self._turn.take(lambda: self._stopping)
        if self._stopping:
            raise Stop
        with self._changed:
            self._do_jobs(index)

    def _at_boundary(self, job: Callable[[int], Any]) -> Any:
        """Have the thread do something at the next boundary, with the number of the item that comes then; what it
        returns. Raises what it raises, and SettingsError where there is no such boundary."""
        done: Future = Future()
        with self._changed:
            if self._thread.ident is None or self._stopping or self._ended:
                raise SettingsError(OVER)
            self._jobs.append((job, done))
            self._changed.notify_all()
        return done.result()

    def _do_jobs(self, index: int) -> None:
        while self._jobs:
            job, done = self._jobs.popleft()
            try:
                done.set_result(job(index))
            except Exception as error:  # for who asked
                done.set_exception(error)

    def _wanted(self, index: int) -> bool:
        return index - self._read < self._max_queued + self._ahead + (self._readers > 0)

    def _put(self, event: Any) -> None:
        with self._changed:
            self._events.append(event)
            self._changed.notify_all()

    def _run(self) -> None:
        made, error = 0, None
        reason: EndReason = "finished"
        try:
            self._put(self._started())
            for item in self._items:
                self._put(item)
                made += isinstance(item, self.item)
        except Stop:
            reason = "stopped"
        except BaseException as caught:  # everything reaches the reader, in words
            reason, error = "error", self._in_words(caught)
        finally:
            self._items.close()
            if self._turn is not None:
                self._turn.give()
            try:
                release(self._device)  # before the end is told, so that the next run finds the room
            except RuntimeError as caught:  # the device is lost
                reason, error = "error", error or self._in_words(caught)
            finally:
                self._end(StreamEnded(reason, made, error))

    def _end(self, event: StreamEnded) -> None:
        """The end never waits for room."""
        with self._changed:
            self._events.append(event)
            self._ended = True
            for _, done in self._jobs:
                done.set_exception(SettingsError(OVER))
            self._changed.notify_all()
