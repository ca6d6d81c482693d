"""Latents of rendered clips as arrays on disk, made once; and those clips again, as the codec gives them back."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deepforcing.captions import Caption
from deepforcing.models.fingerprint import fingerprint
from deepforcing.models.tiny_codec import TinyCodec
from deepforcing.training.bank import to_video
from deepforcing.training.precision import fast_matrices
from deepforcing.training.rendering import Clips

FRAMES = 256  # in one batch of a codec, about


@torch.no_grad()
def encode_clips(
    path: Path, clips: Clips, codec: TinyCodec, device: torch.device, seconds: float = float("inf")
) -> int:
    """Write the latents of the clips that are ready, or of as many as there is time for, float16 [count, n, C, h, w],
    and beside them captions, and where subjects are; unless this encoder did that before. Returns their count."""
    if _is_made_by(path, _encoder_of(codec)):
        return len(np.load(path, mmap_mode="r"))
    parts = []
    for span in _batches(clips.ready, clips.source.frames, seconds):
        video = to_video(torch.from_numpy(clips.pixels[span]).to(device))
        with fast_matrices(device):
            parts.append(codec.encode(video).half().cpu().numpy())
    latents = np.concatenate(parts)
    np.save(path.with_suffix(".regions.npy"), clips.regions[: len(latents)])
    captions = [json.dumps(asdict(caption)) for caption in clips.captions[: len(latents)]]
    path.with_suffix(".jsonl").write_text("\n".join(captions), "utf-8")
    _save_whole(path, latents, _encoder_of(codec))
    return len(latents)


def _encoder_of(codec: TinyCodec) -> str:
    """What tells latents of one codec from those of another; the decoder may learn on."""
    units = torch.stack([codec.mean, codec.std]).flatten().tolist()
    return f"{fingerprint(codec.encoder)} {units}"


@torch.no_grad()
def decode_clips(
    path: Path, latents: np.ndarray, codec: TinyCodec, device: torch.device, seconds: float = float("inf")
) -> np.ndarray:
    """Latents [count, n, C, h, w], or as many as there is time for, as clips again, mapped from `path`: uint8
    [count, 1 + 4 (n - 1), H, W, 3]; unless this codec did that before."""
    if not _is_made_by(path, fingerprint(codec)):
        parts = []
        for span in _batches(len(latents), 4 * latents.shape[1] - 3, seconds):
            with fast_matrices(device):
                video, _ = codec.decode(torch.from_numpy(latents[span].astype(np.float32)).to(device))
            parts.append(to_pixels(video))
        _save_whole(path, np.concatenate(parts), fingerprint(codec))
    return np.load(path, mmap_mode="c")  # copied where written to: PyTorch takes no read-only array


def _batches(count: int, frames: int, seconds: float) -> Iterator[slice]:
    """Spans of `count` clips of so many frames; at least one of them, and none that begins too late."""
    size, end = max(1, FRAMES // frames), time.monotonic() + seconds
    for start in range(0, count, size):
        if start and time.monotonic() > end:
            return
        yield slice(start, min(count, start + size))


def _is_made_by(path: Path, maker: str) -> bool:
    return path.exists() and _mark(path).exists() and _mark(path).read_text("utf-8") == maker


def _mark(path: Path) -> Path:
    """The file beside an array that says whose it is."""
    return path.with_suffix(".made-by.txt")


def _save_whole(path: Path, array: np.ndarray, maker: str) -> None:
    """np.save that never leaves half a file, or another maker's, under the final name."""
    partial = path.with_suffix(".partial.npy")
    np.save(partial, array)
    path.unlink(missing_ok=True)
    _mark(path).write_text(maker, "utf-8")
    partial.rename(path)


def to_pixels(video: Tensor) -> np.ndarray:
    """float [..., 3, H, W] in 0..1 -> uint8 [..., H, W, 3]."""
    return (video.clamp(0, 1) * 255 + 0.5).movedim(-3, -1).to(torch.uint8).cpu().numpy()


@dataclass(frozen=True)
class LatentClips:
    """Latents [count, n, C, h, w] (float16), where their subjects are [count, n, h, w], and their captions."""

    latents: Tensor
    regions: Tensor
    captions: list[Caption]


def load_latents(path: Path, device: torch.device) -> LatentClips:
    """What `encode_clips` wrote."""
    captions = [Caption(**json.loads(line)) for line in path.with_suffix(".jsonl").read_text("utf-8").splitlines()]
    arrays = (np.load(path), np.load(path.with_suffix(".regions.npy")))
    return LatentClips(*(torch.from_numpy(array).to(device) for array in arrays), captions)
