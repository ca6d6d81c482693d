"""The MP4 of a run, written while it runs, with what made it in its metadata."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import imageio_ffmpeg

from deepforcing import Chunk, StreamStarted, VideoShape, VideoWriter, __version__


class Recording:
    """Writes chunks to `folder` and returns one playable file at the end.

    A file's metadata stands at its beginning; when prompts were added during the run, `finish` copies the stream once
    into a file that names them all.
    """

    def __init__(self, folder: Path, shape: VideoShape, started: StreamStarted) -> None:
        self._started = started
        self._prompts = [(0.0, started.prompt)]
        self._path = folder / file_name(started.prompt, started.seed)
        self._writer = VideoWriter(self._path, shape, metadata=self._metadata())

    def write(self, chunk: Chunk) -> None:
        """Raises OSError when the file cannot be written."""
        if chunk.prompt != self._prompts[-1][1]:
            self._prompts.append((round(chunk.first_frame / self._started.fps, 3), chunk.prompt))
        self._writer.write(chunk.frames)

    def close(self) -> None:
        """End the file as it stands; harmless when called again."""
        self._writer.close()

    def finish(self) -> Path:
        """Close the file, complete its metadata, and return its path."""
        self.close()
        if len(self._prompts) > 1:
            _rewrite_metadata(self._path, self._metadata())
        return self._path

    def _metadata(self) -> dict[str, str]:
        s = self._started
        made = {
            "deepforcing": __version__,
            "model": s.model,
            "seed": s.seed,
            "policy": s.policy,
            "settings": s.settings,
            "switch": s.switch,
            "prompts": [{"seconds": seconds, "prompt": prompt} for seconds, prompt in self._prompts],
        }
        return {"title": s.prompt[:200], "comment": json.dumps(made, ensure_ascii=False)}


def file_name(prompt: str, seed: int) -> str:
    """A short name that any file system takes, such as `a-red-balloon-seed-7.mp4`."""
    words = re.findall(r"[a-z0-9]+", prompt.lower())
    return f"{'-'.join(words)[:48].strip('-') or 'video'}-seed-{seed}.mp4"


def _rewrite_metadata(path: Path, metadata: dict[str, str]) -> None:
    """Copy the streams, unchanged, into a file with this metadata. Keeps the old file when ffmpeg fails."""
    copy = path.with_suffix(".new.mp4")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", str(path), "-c", "copy"]
    for key, value in metadata.items():
        command += ["-metadata", f"{key}={value}"]
    command += ["-movflags", "+faststart+use_metadata_tags", str(copy)]
    if subprocess.run(command, check=False, stdin=subprocess.DEVNULL).returncode == 0:
        copy.replace(path)
    else:
        copy.unlink(missing_ok=True)
