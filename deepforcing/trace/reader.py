"""Read a trace back: its index at once, chunks and frames as they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

import numpy as np

from ..config import VideoShape
from ..events import Chunk, Event, SettingsChanged, StreamStarted
from ..gauges import Gauges
from ..video_file import read_frames
from .archive import INDEX, MOST_BYTES, MOST_CHUNK_BYTES, MOST_INDEX_BYTES, VIDEO, chunk_name, entry, opened, pieces
from .arrays import unpack
from .fields import TraceError
from .index import ChunkFacts, Index, from_json


@dataclass(frozen=True)
class Trace:
    """A recorded run, see `read_trace`. Iterate it for its events; each iteration begins anew."""

    path: Path
    index: Index

    @property
    def started(self) -> StreamStarted:
        return self.index.started

    @property
    def prompts(self) -> tuple[tuple[float, str], ...]:
        """(second of the video, prompt that holds from there on)."""
        return self.index.prompts

    @property
    def changes(self) -> tuple[SettingsChanged, ...]:
        """Settings that were changed while the run went on."""
        return self.index.changes

    @property
    def seconds(self) -> float:
        """Length of the video."""
        return self.index.frames / self.started.fps

    @property
    def is_measured(self) -> bool:
        """Whether every chunk's gauges were recorded."""
        return all(chunk.gauges is not None for chunk in self.index.chunks)

    def gauges(self, number: int) -> Gauges | None:
        """What was measured of a chunk while the run was live; None where that was not recorded."""
        return self.index.chunks[number].gauges

    def __iter__(self) -> Iterator[Event]:
        """StreamStarted, the chunks with their frames, each after a change of settings where there is one, StreamEnded.
        Raises TraceError at something damaged."""
        yield self.started
        with opened(self.path) as archive, _video(archive, self.started) as frames:
            first_frame, changes = 0, {change.chunk: change for change in self.index.changes}
            for number, facts in enumerate(self.index.chunks):
                if number in changes:
                    yield changes[number]
                pictures = list(islice(frames, facts.frames))
                if len(pictures) < facts.frames:
                    here = first_frame + len(pictures)
                    raise TraceError(f"its video ends after {here} of {self.index.frames} frames")
                yield self._chunk(archive, number, facts, first_frame, np.stack(pictures))
                first_frame += facts.frames
        yield self.index.ended

    def _chunk(self, archive: ZipFile, number: int, facts: ChunkFacts, first_frame: int, frames: np.ndarray) -> Chunk:
        return Chunk(
            index=number,
            first_frame=first_frame,
            latent_frames=facts.latent_frames,
            frames=frames,
            prompt=facts.prompt,
            timings=facts.timings,
            **unpack(entry(archive, chunk_name(number), MOST_CHUNK_BYTES), self.started, facts),
        )


def read_trace(path: str | Path) -> Trace:
    """Open a trace and check its index. Raises TraceError for a file that is none, damaged, or newer than this."""
    path = Path(path)
    with opened(path) as archive:
        index = from_json(entry(archive, INDEX, MOST_INDEX_BYTES))
        if len(archive.namelist()) != 2 + len(index.chunks):
            raise TraceError("its index names other chunks than it has")
    return Trace(path, index)


@contextmanager
def _video(archive: ZipFile, started: StreamStarted) -> Iterator[Iterator[np.ndarray]]:
    """The video's frames, one by one; ffmpeg needs a file of its own."""
    with TemporaryDirectory(prefix="deepforcing-") as folder:
        path = Path(folder) / VIDEO
        with path.open("wb") as file:
            file.writelines(pieces(archive, VIDEO, MOST_BYTES))
        with read_frames(path, VideoShape(started.height, started.width, started.fps)) as frames:
            yield frames
