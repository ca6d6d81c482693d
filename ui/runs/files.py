"""The files of a run, written while it runs: the MP4, with what made it in its metadata, and the trace."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from deepforcing import (
    Chunk,
    Gauges,
    SettingsChanged,
    StreamEnded,
    StreamStarted,
    TraceWriter,
    VideoError,
    VideoShape,
    VideoWriter,
    __version__,
    rewrite_metadata,
)

ELSEWHERE = "To keep files elsewhere, start the app with TMPDIR set to a folder on a larger disk."


@dataclass(frozen=True)
class Files:
    """What a run leaves; None for what could not be written, or is not there yet."""

    video: Path | None = None
    trace: Path | None = None


class Recording:
    """Writes chunks to `folder`; `finish` gives the files. What cannot be written is told once, and left out.

    An MP4's metadata stands at its beginning; when prompts were added, or settings changed, during the run, `finish`
    copies the stream once into a file that names them all.
    """

    def __init__(self, folder: Path, started: StreamStarted) -> None:
        self._started = started
        self._prompts = [(0.0, started.prompt)]
        self._changed: SettingsChanged | None = None  # from the next chunk on
        self._changes: list[tuple[float, SettingsChanged]] = []
        self._path = folder / file_name(started.prompt, started.seed)
        self._left: Path | None = None  # of a video that could not be written to its end
        self._video: VideoWriter | None = None
        self._trace: TraceWriter | None = None
        self.troubles = self._attempt("video file", self._open_video) + self._attempt("trace", self._open_trace)

    def change(self, event: SettingsChanged) -> None:
        """The chunks to come have other settings."""
        self._changed = event
        if self._trace is not None:
            self._trace.write(event)

    def write(self, chunk: Chunk, gauges: Gauges) -> None:
        """What goes wrong is added to `troubles`, in words."""
        seconds = round(chunk.first_frame / self._started.fps, 3)
        if chunk.prompt != self._prompts[-1][1]:
            self._prompts.append((seconds, chunk.prompt))
        if self._changed is not None:
            self._changes.append((seconds, self._changed))
            self._changed = None
        if self._video is not None:
            self.troubles += self._attempt("video file", lambda: self._video.write(chunk.frames))
        if self._trace is not None:
            self.troubles += self._attempt("trace", lambda: self._trace.write(chunk, gauges))

    def close(self) -> None:
        """End the MP4 as it stands, and give up the trace; harmless when called again, and after `finish`."""
        for writer in (self._video, self._trace):
            if writer is not None:
                with suppress(OSError):
                    writer.close()

    def finish(self, ended: StreamEnded) -> Files:
        """Complete both files; of a video that could not be written to its end, what there is."""
        if self._video is not None:
            self.troubles += self._attempt("video file", self._video.close)
        if self._video is None:
            self.close()
            return Files(self._left)
        if len(self._prompts) > 1 or self._changes:
            self.troubles += self._attempt(
                "list of prompts and settings", lambda: rewrite_metadata(self._path, self._metadata())
            )
        if self._trace is not None:
            self.troubles += self._attempt("trace", lambda: self._finish_trace(ended))
        self.close()
        return Files(self._path, self._trace and self._trace.path)

    def _open_video(self) -> None:
        shape = VideoShape(self._started.height, self._started.width, self._started.fps)
        self._video = VideoWriter(self._path, shape, metadata=self._metadata())

    def _open_trace(self) -> None:
        self._trace = TraceWriter(self._path.with_suffix(".trace"))
        self._trace.write(self._started)

    def _finish_trace(self, ended: StreamEnded) -> None:
        self._trace.write(ended)
        self._trace.finish(self._path)

    def _attempt(self, what: str, write: Callable[[], None]) -> list[str]:
        try:
            write()
        except (OSError, ValueError) as error:  # of the system, of a trace that is full, of text that cannot be encoded
            return [self._give_up(what, error)]
        return []

    def _give_up(self, what: str, error: Exception) -> str:
        if what == "trace":
            writer, self._trace = self._trace, None
            writer and writer.close()
        elif what == "video file":
            self._video, self._left = None, left_by(error)
        return told(what, error)

    def _metadata(self) -> dict[str, str]:
        s = self._started
        made = {
            "deepforcing": __version__,
            "model": s.model,
            "seed": s.seed,
            "policy": s.policy,
            "settings": s.settings,
            "switch": s.switch,
            "stale_prompt": s.stale_prompt,
            "steps": s.steps,
            "device": s.device,
            "prompts": [{"seconds": seconds, "prompt": prompt} for seconds, prompt in self._prompts],
            "changes": [
                {"seconds": seconds, "before": change.before, "after": change.after}
                for seconds, change in self._changes
            ],
        }
        return {"title": s.prompt[:200], "comment": json.dumps(made, ensure_ascii=False)}


def save(files: list[Path]) -> Path:
    """Copy files of several runs, whatever they are called, into one folder that nobody removes; returns the folder."""
    folder = Path(tempfile.mkdtemp(prefix="deepforcing-ended-"))
    for number, file in enumerate(files):
        shutil.copyfile(file, folder / f"{number}-{file.name}")
    return folder


def left_by(error: Exception) -> Path | None:
    """What there is of a video that could not be written to its end."""
    return error.left if isinstance(error, VideoError) else None


def told(what: str, error: Exception) -> str:
    """For a viewer: what cannot be written any further, and what to do."""
    if not isinstance(error, VideoError):
        return f"The {what} cannot be written any further: {error}"
    so_far = "What there is of it can be downloaded at the end. " if error.left else ""
    return f"The {what} cannot be written any further: {error.why}. {so_far}{ELSEWHERE}"


def file_name(prompt: str, seed: int) -> str:
    """A short name that any file system takes, such as `a-red-balloon-seed-7.mp4`."""
    words = re.findall(r"[a-z0-9]+", prompt.lower())
    return f"{'-'.join(words)[:48].strip('-') or 'video'}-seed-{seed}.mp4"
