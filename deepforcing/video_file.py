"""Write a video as it is made: H.264 MP4, fragmented, so that the file of a killed run still plays."""

from __future__ import annotations

from pathlib import Path

import imageio_ffmpeg
import numpy as np

from .config import VideoShape

_LEAST_WIDTH = 384  # pixels; players scale very small videos badly


class VideoWriter:
    """Frames in, one MP4 out (yuv420p, enlarged without smoothing blur by whole factors when small).

    metadata: text that goes into the file, such as title, comment (prompt, seed, settings). Raises OSError with
    ffmpeg's words when the file cannot be written, a full disk included.
    """

    def __init__(self, path: str | Path, shape: VideoShape, metadata: dict[str, str] | None = None) -> None:
        self.path = Path(path)
        if not self.path.parent.is_dir():
            raise OSError(f"cannot write {self.path}: there is no folder {self.path.parent}")
        scale = max(1, -(-_LEAST_WIDTH // shape.width))
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
            output_params=_output_params(scale, shape.fps, metadata or {}),
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


def _output_params(scale: int, fps: int, metadata: dict[str, str]) -> list[str]:
    size = f"scale=iw*{scale}:ih*{scale}:flags=lanczos,pad=ceil(iw/2)*2:ceil(ih/2)*2"
    params = ["-vf", size, "-crf", "18", "-preset", "veryfast", "-g", str(2 * fps)]
    params += ["-movflags", "+frag_keyframe+empty_moov+default_base_moof+use_metadata_tags"]
    for key, value in metadata.items():
        params += ["-metadata", f"{key}={value}"]
    return params
