"""A run that outlives its page: read by a thread of its own, and told from its start to whoever comes back for it."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ..player.messages import packet_of
from ..runs.files import Files
from .link import Link, Need
from .stalls import Stalls

MOST_BYTES = 40_000_000  # that are kept of a run; its oldest chunks go first
PACKET_BYTES = 2_000_000  # of one packet, which has one message at least
AGAIN_SECONDS = 3.0  # after which a packet that was not confirmed is sent again; later where it is large
AGAIN_BYTES = 20_000  # a second more for each of these
FILM = ("chunk", "round")  # kinds of messages that carry pictures


@dataclass(frozen=True)
class Told:
    """A message as it is sent, and what is still needed of it here."""

    text: str
    message: dict

    @classmethod
    def of(cls, message: dict) -> Told:
        small = {name: message[name] for name in ("run", "seq", "kind")} if message["kind"] in FILM else message
        return cls(json.dumps(message), small)


class KeptRun:
    """A run's messages and files. One viewer at a time follows it: who comes later takes over."""

    def __init__(self, name: str, play: Callable[[Path], Iterator[tuple[dict, Files]]]) -> None:
        """play: what yields (message, files so far), with a folder that stays until `forget`."""
        self.name, self.files, self.link, self.stalls = name, Files(), Link(), Stalls()
        self.quality = 0  # at which pictures are best sent, see `Link`
        self.left: float | None = None  # when its page went away
        self.over = False
        self._error: Exception | None = None
        self._told: deque[Told] = deque()
        self._bytes, self._need, self._fps, self._seen = 0, Need(), 1, -1
        self._changed = threading.Condition()
        self._viewer: object | None = None
        self._folder = TemporaryDirectory(prefix="deepforcing-")
        reads = (self._read, play(Path(self._folder.name)))  # where a GPU is lent: by the request it is lent for
        threading.Thread(target=copy_context().run, args=reads, name="kept-run", daemon=True).start()

    def confirm(self, seen: int) -> None:
        """The page has everything up to the message of this number."""
        with self._changed:
            if seen <= self._seen:
                return
            self._seen = seen
            self.link.arrived(seen)
            self.quality = self.link.quality(self.quality, self._need.rate)
            self._changed.notify_all()

    def follow(self) -> Iterator[tuple[str, dict, Files]]:
        """Everything that was told and is told yet, as (value for the page, its last message, files so far).

        The next packet leaves when the page has the one before; since a page may miss one, it is repeated in time.
        Raises what the run raised.
        """
        viewer, number, again = object(), -1, 0.0
        with self._changed:
            self._viewer, self._seen, self.left = viewer, -1, None
            self._changed.notify_all()
        try:
            while (packet := self._next(viewer, number, again)) is not None:
                value, last = packet_of([told.text for told in packet]), packet[-1].message
                number, again = last["seq"], time.monotonic() + AGAIN_SECONDS + len(value) / AGAIN_BYTES
                self.link.sent(number, len(value))
                yield value, last, self.files
                if last["kind"] == "ended":
                    return
        finally:
            with self._changed:
                mine = self._viewer is viewer
                self._viewer = None if mine else self._viewer
                self._changed.notify_all()
        if mine and self._error is not None:
            raise self._error

    def leave(self) -> None:
        """The page is gone."""
        self.left = time.monotonic()

    @property
    def alone(self) -> float:
        """Seconds since its page went away; 0 while it is there."""
        left = self.left
        return 0.0 if left is None else time.monotonic() - left

    @property
    def delivered(self) -> bool:
        """Whether it has ended, and its page, if it has one, has all of it."""
        with self._changed:
            newest = self._told[-1].message["seq"] if self._told else -1
            return self.over and (self._viewer is None or newest <= self._seen)

    def forget(self) -> None:
        """Remove its files, once it has ended and nobody is taking them."""
        with self._changed:
            self._changed.wait_for(lambda: self.over and self._viewer is None, 60)
        self._folder.cleanup()

    def _next(self, viewer: object, sent: int, again: float) -> list[Told] | None:
        """What to send next, when its time has come; None where nothing will come."""
        with self._changed:
            while self._viewer is viewer:
                newest = self._told[-1].message["seq"] if self._told else -1
                if newest > self._seen and (sent <= self._seen or time.monotonic() > again):
                    return self._packet()
                if self.over and newest <= self._seen:
                    return None
                self._changed.wait(0.5)
        return None

    def _packet(self) -> list[Told]:
        packet, size = [], 0
        for told in self._told:
            if told.message["seq"] <= self._seen:
                continue
            size += len(told.text)
            if packet and size > PACKET_BYTES:
                break
            packet.append(told)
        return packet

    def _read(self, messages: Iterator[tuple[dict, Files]]) -> None:
        try:
            for message, files in messages:
                self._add(message, files)
        except Exception as error:  # reaches the viewer
            self._error = error
        finally:
            with self._changed:
                self.over = True
                self._changed.notify_all()

    def _add(self, message: dict, files: Files) -> None:
        told = Told.of(message)
        with self._changed:
            self.files = files
            self._told.append(told)
            self._bytes += len(told.text)
            self._measure(message, len(told.text))
            while self._bytes > MOST_BYTES:
                oldest = next(told for told in self._told if told.message["kind"] in FILM)
                self._bytes -= len(oldest.text)
                self._told.remove(oldest)
            self._changed.notify_all()

    def _measure(self, message: dict, size: int) -> None:
        """What it takes of the link, and where it ends by now."""
        if message["kind"] == "started":
            self._fps = message["fps"]
        elif message["kind"] in FILM:
            frames = message["frames"] if message["kind"] == "chunk" else message["frames"][0]
            self._need.made(size, max(1, len(frames)), self._fps)
            self.stalls.made(message["first"] + len(frames))
