"""Videos as files: H.264 MP4, written as they are made, fragmented, so that the file of a killed run still plays."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from .config import VideoShape

_LEAST_WIDTH = 384  # pixels; players scale very small videos badly
_MOST_PIXELS = 1 << 24  # of one picture of a file that is read


class VideoWriter:
    """Frames in, one MP4 out (yuv420p, enlarged without smoothing blur by whole factors when small).

    metadata: text that goes into the file, such as title, comment (prompt, seed, settings). Raises OSError with
    ffmpeg's words when the file cannot be written, a full disk included.
    """

    def __init__(self, path: str | Path, shape: VideoShape, metadata: dict[str, str] | None = None) -> None:
        self.path = Path(path)
        if not self.path.parent.is_dir():
            raise OSError(f"cannot write {self.path}: there is no folder {self.path.parent}")
        self._frame_shape = (shape.height, shape.width, 3)
        self._writer = imageio_ffmpeg.write_frames(
            str(self.path),
            (shape.width, shape.height),
            fps=shape.fps,
            codec="libx264",
            quality=None,
            pix_fmt_in="rgb24",
            pix_fmt_out="yuv420p",
            macro_block_size=1,
            ffmpeg_log_level="error",
            output_params=_output_params(_enlarged(shape), shape.fps, metadata or {}),
        )
        self._writer.send(None)
        self._open = True

    def write(self, frames: np.ndarray) -> None:
        """frames: uint8 [n, height, width, 3]."""
        if frames.shape[1:] != self._frame_shape or frames.dtype != np.uint8:
            raise ValueError(f"expected uint8 frames of {self._frame_shape}, not {frames.dtype} {frames.shape[1:]}")
        for frame in frames:
            self._writer.send(np.ascontiguousarray(frame))

    def close(self) -> None:
        """Finish the file; harmless when called again."""
        if self._open:
            self._open = False
            self._writer.close()

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *_) -> None:
        self.close()


@contextmanager
def read_frames(path: str | Path, shape: VideoShape) -> Iterator[Iterator[np.ndarray]]:
    """Opens an MP4 that VideoWriter made of videos of this shape: its frames, uint8 [height, width, 3], one by one.

    Nothing but MP4 is read, and no other file or address that it may point to. Frames end early where the file is
    damaged, cut short, or of smaller pictures.
    """
    process = subprocess.Popen(_reading(path, shape), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
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


def _reading(path: str | Path, shape: VideoShape) -> list[str]:
    scale = _enlarged(shape)
    crop = f"format=rgb24,crop={scale * shape.width}:{scale * shape.height}:0:0"
    shrink = f"scale={shape.width}:{shape.height}:flags=area"
    safe = ["-protocol_whitelist", "file", "-f", "mp4", "-max_pixels", str(_MOST_PIXELS)]
    plain = ["-map", "0:v:0", "-fps_mode", "passthrough", "-vf", f"{crop},{shrink}", "-f", "rawvideo", "-"]
    exe = imageio_ffmpeg.get_ffmpeg_exe()
    return [exe, "-v", "quiet", "-nostdin", *safe, "-i", f"file:{path}", *plain]


def _enlarged(shape: VideoShape) -> int:
    """The whole factor by which a file's pictures are larger than the frames."""
    return max(1, -(-_LEAST_WIDTH // shape.width))


def _output_params(scale: int, fps: int, metadata: dict[str, str]) -> list[str]:
    size = f"scale=iw*{scale}:ih*{scale}:flags=lanczos,pad=ceil(iw/2)*2:ceil(ih/2)*2"
    params = ["-vf", size, "-crf", "18", "-preset", "veryfast", "-g", str(2 * fps)]
    params += ["-movflags", "+frag_keyframe+empty_moov+default_base_moof+use_metadata_tags"]
    for key, value in metadata.items():
        params += ["-metadata", f"{key}={value}"]
    return params
