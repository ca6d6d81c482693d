"""What a video can start from: a picture, or a clip of up to five seconds, cut and scaled to a model's frames."""

from __future__ import annotations

import warnings
from collections import deque
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .config import SettingsError, VideoShape
from .video_file import ENDING, read_clip

Start = str | Path | Image.Image | np.ndarray  # a file; a picture; frames uint8 [H, W, 3] or [n, H, W, 3]
MOST_PIXELS = 50_000_000
LEAST_LIKENESS = 23.0  # dB
MOST_LATENTS = 21  # latent frames: as many as the models here were trained on at a time


def opening_frames(start: Start, shape: VideoShape, chunk_frames: int) -> np.ndarray:
    """The frames that a video begins with: uint8 [n, height, width, 3], n those of one chunk or several whole ones.

    A picture is shown for a chunk. Of a clip the end is taken, so that the video goes on from there; where it is
    shorter than a chunk, its last frame stands still. Both are cut to the video's proportions about their middle, and
    scaled.

    Raises SettingsError for what is neither, for more than 50 megapixels, for what moves but is no MP4, and for
    transparent pictures; OSError for a file that cannot be read. An orientation tag is obeyed.
    """
    frames = _frames(start, shape)
    chunks = max(1, _latents(len(frames), shape) // chunk_frames)
    wanted = shape.frames(min(chunks, MOST_LATENTS // chunk_frames) * chunk_frames)
    frames = [*frames, *[frames[-1]] * (wanted - len(frames))][-wanted:]
    return np.stack(frames)


def likeness(frames: np.ndarray, made: np.ndarray) -> float:
    """How much of the given frames a model's own are, as the peak signal-to-noise ratio in dB; infinite for the same.
    A codec draws what it was trained on at 30 and more; below LEAST_LIKENESS little is left of a picture."""
    error = np.square(frames.astype(np.float32) - made).mean()
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def check_start(path: str | Path) -> None:
    """Raises what `opening_frames` raises for a picture in a file; of a clip, whether there is one."""
    if not _is_clip(path):
        _read_picture(path)
    elif not Path(path).is_file():
        raise OSError(f"there is no file {path}")


def _frames(start: Start, shape: VideoShape) -> list[np.ndarray]:
    if isinstance(start, str | Path):
        return _read_clip(Path(start), shape) if _is_clip(start) else [_fitted(_read_picture(start), shape)]
    if isinstance(start, Image.Image):
        return [_fitted(_checked(start, "the picture"), shape)]
    if not isinstance(start, np.ndarray) or start.dtype != np.uint8 or start.ndim not in (3, 4) or start.shape[-1] != 3:
        raise SettingsError("a video starts from a file, a picture, or frames uint8 [n, height, width, 3]")
    if not start.size:
        raise SettingsError("there is no frame to start from")
    return [_fitted(Image.fromarray(frame), shape) for frame in start.reshape(-1, *start.shape[-3:])]


def _latents(frames: int, shape: VideoShape) -> int:
    """Whole latent frames in so many frames."""
    return (frames - 1) // shape.time + 1


def _is_clip(path: str | Path) -> bool:
    return Path(path).suffix.lower() == ENDING


def _read_clip(path: Path, shape: VideoShape) -> list[np.ndarray]:
    if not path.is_file():
        raise OSError(f"there is no file {path}")
    most = shape.frames(MOST_LATENTS)
    with read_clip(path, shape, 1 + most / shape.fps) as frames:
        last = list(deque(frames, maxlen=most))
    if not last:
        raise SettingsError(f"{path.name} is no MP4 with a video in it that can be read")
    return last


def _read_picture(path: str | Path) -> Image.Image:
    name = Path(path).name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(path) as picture:
                return _checked(picture, name)
        except UnidentifiedImageError:
            raise SettingsError(f"{name} is no picture that can be read: give a PNG, JPEG or WebP, or an MP4") from None
        except Image.DecompressionBombError:
            raise _too_large(name) from None
        except (SettingsError, FileNotFoundError, IsADirectoryError, PermissionError):
            raise
        except Exception as error:  # of any kind: each of Pillow's readers has its own
            raise SettingsError(f"{name} is damaged: {error}") from None


def _checked(picture: Image.Image, name: str) -> Image.Image:
    """As RGB, upright."""
    if picture.width * picture.height > MOST_PIXELS:
        raise _too_large(name, picture.width * picture.height)
    if getattr(picture, "n_frames", 1) > 1:
        raise SettingsError(f"{name} moves: save one picture of it, or make it an MP4")
    if picture.mode.startswith(("I", "F")):
        raise SettingsError(f"{name} has more than 8 bits a channel: save it with 8")
    picture = ImageOps.exif_transpose(picture)
    if picture.has_transparency_data and np.asarray(picture.convert("RGBA"))[..., 3].min() < 255:
        raise SettingsError(f"{name} is transparent in places: put it on a background first")
    return picture.convert("RGB")


def _too_large(name: str, pixels: int = 0) -> SettingsError:
    has = f"has {pixels / 1e6:.0f} megapixels" if pixels else "is far too large"
    return SettingsError(f"{name} {has}: make it smaller, at most {MOST_PIXELS / 1e6:.0f} megapixels are read")


def _fitted(picture: Image.Image, shape: VideoShape) -> np.ndarray:
    return np.asarray(ImageOps.fit(picture, (shape.width, shape.height), Image.Resampling.LANCZOS))
