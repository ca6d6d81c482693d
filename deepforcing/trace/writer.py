"""Record a run: chunk by chunk into a file that gets its name when it is whole."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

from ..events import Chunk, Event, SettingsChanged, StreamEnded, StreamStarted
from ..gauges import Gauges
from ..output import check_place
from .archive import INDEX, MOST_BYTES, MOST_CHUNK_BYTES, MOST_INDEX_BYTES, VIDEO, chunk_name
from .arrays import pack
from .fields import TraceError
from .index import MOST_CHUNKS, ChunkFacts, Index, to_json

_MOST_RECORDED = MOST_BYTES - MOST_INDEX_BYTES


class TraceWriter:
    """Takes a run's events, then its video, and makes one file of them.

    Until `finish` nothing stands at `path`. As a context manager it gives up what was not finished. Raises OSError, in
    words, when the file cannot be written, a full disk included.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = check_place(path)
        self._part = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex[:8]}.part")
        self._started: StreamStarted | None = None
        self._ended: StreamEnded | None = None
        self._chunks: list[ChunkFacts] = []
        self._changes: list[SettingsChanged] = []
        self._bytes = 0
        with _in_words(self.path):
            self._file = self._part.open("xb")
        self._zip = ZipFile(self._file, "w", ZIP_DEFLATED)

    @property
    def chunks(self) -> int:
        """Recorded so far."""
        return len(self._chunks)

    def write(self, event: Event, gauges: Gauges | None = None) -> None:
        """The next event of the run; of a chunk, what was measured of it. Raises TraceError where there is no room."""
        if isinstance(event, StreamStarted):
            self._started = event
        elif isinstance(event, StreamEnded):
            self._ended = event
        elif isinstance(event, SettingsChanged):
            self._changes.append(event)
        else:
            self._add(event, gauges)

    def finish(self, video: str | Path) -> Path:
        """Add the run's MP4, and put the trace in its place. Raises TraceError where there is no chunk, or no room."""
        if self._started is None or not self._chunks:
            raise TraceError("nothing was recorded: the run has no chunk")
        if self._bytes + Path(video).stat().st_size > _MOST_RECORDED:
            raise TraceError("the video is too large for a trace")
        ended = self._ended or StreamEnded("stopped", len(self._chunks))
        with _in_words(self.path):
            self._zip.write(video, VIDEO, ZIP_STORED)
            self._zip.writestr(INDEX, to_json(Index(self._started, tuple(self._chunks), ended, self._taken_up())))
            self._zip.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.replace(self.path)
        return self.path

    def _taken_up(self) -> tuple[SettingsChanged, ...]:
        """The changes that a chunk was made with."""
        return tuple(change for change in self._changes if change.chunk < len(self._chunks))

    def close(self) -> None:
        """Give up what was not finished; harmless after `finish`, and when called again."""
        with suppress(OSError, ValueError):
            self._zip.close()
        with suppress(OSError):
            self._file.close()
        self._part.unlink(missing_ok=True)

    def __enter__(self) -> TraceWriter:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _add(self, chunk: Chunk, gauges: Gauges | None) -> None:
        arrays = pack(chunk)
        self._bytes += len(arrays)
        if len(self._chunks) == MOST_CHUNKS or len(arrays) > MOST_CHUNK_BYTES or self._bytes > _MOST_RECORDED:
            raise TraceError(f"a trace cannot hold more than the {len(self._chunks)} chunks recorded so far")
        with _in_words(self.path):
            self._zip.writestr(chunk_name(len(self._chunks)), arrays)
        self._chunks.append(ChunkFacts.of(chunk, gauges))


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror or error}") from None
