"""Videos as files: H.264 MP4, written as they are made, fragmented, so that the file of a killed run still plays."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from . import ffmpeg
from .config import VideoShape
from .output import check_place

ENDING = ".mp4"
_LEAST_WIDTH = 384  # pixels; players scale very small videos badly
_MOST_PIXELS = 1 << 24  # of one picture of a file that is read


class VideoError(OSError):
    """A video that cannot be written on. why: in ffmpeg's words; left: a file that plays as far as it came, if any."""

    def __init__(self, path: Path, why: str, left: Path | None) -> None:
        super().__init__(f"cannot write {path}: {why}" + (f". The video so far is in {left}" if left else ""))
        self.why, self.left = why, left


class VideoWriter:
    """Frames in, one MP4 out (yuv420p, enlarged without smoothing blur by whole factors when small).

    The file gets its name when it is whole, in `close`. Until then it grows beside that, as `NAME.part-1a2b3c4d.mp4`,
    which plays as far as it has come, whatever ends the program. Without a frame there is no file.

    metadata: text that goes into the file, such as title, comment (prompt, seed, settings). Raises OSError at once for
    a path where no file can be; later, where the file cannot be written on, a full disk included, VideoError.
    """

    def __init__(self, path: str | Path, shape: VideoShape, metadata: dict[str, str] | None = None) -> None:
        self.path = check_video_path(path)
        self._part = self.path.with_name(f"{self.path.stem[:40]}.part-{uuid.uuid4().hex[:8]}{ENDING}")
        self._shape, self._frames, self._open = shape, 0, True
        self._words = ffmpeg.metadata_file(metadata or {})
        try:
            self._part.open("xb").close()
            self._process = ffmpeg.start(_writing(self._part, self._words, shape), stdin=subprocess.PIPE)
        except OSError as error:
            self._clean_up(self._part)
            raise OSError(f"cannot write {self.path}: {error.strerror or error}") from None

    def write(self, frames: np.ndarray) -> None:
        """frames: uint8 [n, height, width, 3]."""
        expected = (self._shape.height, self._shape.width, 3)
        if frames.shape[1:] != expected or frames.dtype != np.uint8:
            raise ValueError(f"expected uint8 frames of {expected}, not {frames.dtype} {frames.shape[1:]}")
        self._frames += len(frames)
        try:
            self._process.stdin.write(np.ascontiguousarray(frames).data)
        except OSError:  # ffmpeg has gone; `close` says why
            self.close()

    def close(self) -> None:
        """Finish the file; harmless when called again."""
        if not self._open:
            return
        self._open = False
        with suppress(OSError):
            self._process.stdin.close()
        if trouble := ffmpeg.said(self._process):
            raise VideoError(self.path, trouble, self._what_is_left())
        if self._frames:
            self._part.replace(self.path)
        self._clean_up(self._part)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _what_is_left(self) -> Path | None:
        """A part without a picture is thrown away."""
        with read_frames(self._part, self._shape) as frames:
            plays = next(frames, None) is not None
        self._clean_up(*() if plays else (self._part,))
        return self._part if plays else None

    def _clean_up(self, *also: Path) -> None:
        for path in (self._words, *also):
            path.unlink(missing_ok=True)


def check_video_path(path: str | Path) -> Path:
    """The path. Raises OSError, which says why, where an MP4 could not be written, for want of ffmpeg too."""
    path = check_place(path)
    ffmpeg.find_ffmpeg()
    if path.suffix.lower() != ENDING:
        raise OSError(f"cannot write {path}: the video is an MP4, so its name has to end in {ENDING}")
    return path


def rewrite_metadata(path: Path, metadata: dict[str, str]) -> None:
    """Put other text into an MP4: its streams are copied, unchanged. Raises OSError, and then the file is as it was."""
    copy, words = path.with_name(f"{uuid.uuid4().hex}{ENDING}"), ffmpeg.metadata_file(metadata)
    source = ["-i", f"file:{path}", *_texts(words), "-map", "0", "-c", "copy"]
    try:
        process = ffmpeg.start([*source, "-movflags", "+faststart+use_metadata_tags", f"file:{copy}"])
        if trouble := ffmpeg.said(process):
            raise OSError(f"cannot write the prompts into {path}: {trouble}")
        copy.replace(path)
    finally:
        for file in (copy, words):
            file.unlink(missing_ok=True)


@contextmanager
def read_frames(path: str | Path, shape: VideoShape) -> Iterator[Iterator[np.ndarray]]:
    """Opens an MP4 that VideoWriter made of videos of this shape: its frames, uint8 [height, width, 3], one by one.

    Nothing but MP4 is read, and no other file or address that it may point to. Frames end early where the file is
    damaged, cut short, or of smaller pictures. Raises OSError where there is no ffmpeg.
    """
    scale = _enlarged(shape)
    crop = f"format=rgb24,crop={scale * shape.width}:{scale * shape.height}:0:0"
    with _decoded(path, shape, f"{crop},scale={shape.width}:{shape.height}:flags=area") as frames:
        yield frames


@contextmanager
def read_clip(path: str | Path, shape: VideoShape, seconds: float) -> Iterator[Iterator[np.ndarray]]:
    """As `read_frames`, for the last seconds of anybody's MP4: cut to the shape's proportions, scaled, at its rate."""
    fit = f"scale={shape.width}:{shape.height}:force_original_aspect_ratio=increase:flags=lanczos"
    filters = f"fps={shape.fps},{fit},crop={shape.width}:{shape.height},format=rgb24"
    end = ["-sseof", f"-{seconds:g}", "-t", f"{seconds:g}"]  # gaps in a file can be years long
    with _decoded(path, shape, filters, end) as frames:
        yield frames


@contextmanager
def _decoded(
    path: str | Path, shape: VideoShape, filters: str, part: Sequence[str] = ()
) -> Iterator[Iterator[np.ndarray]]:
    process = subprocess.Popen(_reading(path, filters, part), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        yield _frames(process.stdout, (shape.height, shape.width, 3))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _frames(pipe, size: tuple[int, int, int]) -> Iterator[np.ndarray]:
    count = int(np.prod(size))
    while len(data := pipe.read(count)) == count:
        yield np.frombuffer(data, np.uint8).reshape(size)


def _reading(path: str | Path, filters: str, part: Sequence[str]) -> list[str]:
    safe = ["-protocol_whitelist", "file", "-f", "mp4", "-max_pixels", str(_MOST_PIXELS)]
    plain = ["-map", "0:v:0", "-fps_mode", "passthrough", "-vf", filters, "-f", "rawvideo", "-"]
    return [ffmpeg.find_ffmpeg(), "-v", "quiet", "-nostdin", *safe, *part, "-i", f"file:{path}", *plain]


def _enlarged(shape: VideoShape) -> int:
    """The whole factor by which a file's pictures are larger than the frames."""
    return max(1, -(-_LEAST_WIDTH // shape.width))


def _writing(path: Path, words: Path, shape: VideoShape) -> list[str]:
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{shape.width}x{shape.height}", "-r", str(shape.fps)]
    scale = _enlarged(shape)
    size = f"scale=iw*{scale}:ih*{scale}:flags=lanczos,pad=ceil(iw/2)*2:ceil(ih/2)*2"
    coded = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "18", "-preset", "veryfast", "-g", str(2 * shape.fps)]
    flags = "+frag_keyframe+empty_moov+default_base_moof+use_metadata_tags"
    source = [*raw, "-i", "pipe:", *_texts(words), "-map", "0:v"]
    return [*source, "-vf", size, *coded, "-movflags", flags, "-f", "mp4", f"file:{path}"]


def _texts(words: Path) -> list[str]:
    """The metadata in a file, as the second input."""
    return ["-f", "ffmetadata", "-i", f"file:{words}", "-map_metadata", "1"]
