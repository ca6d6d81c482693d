"""Rendered clips and their latents as memory-mapped arrays on disk, made once by as many processes as wanted."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from deepforcing.captions import Caption, sample_caption
from deepforcing.models.tiny_codec import TIME_FACTOR, TinyCodec
from deepforcing.training.world import render, subject_region


def caption_of(seed: int) -> Caption:
    """The caption that belongs to a clip's seed."""
    return sample_caption(np.random.default_rng((seed, 0)))


def render_seed(seed: int, size: int, frames: int) -> np.ndarray:
    return render(caption_of(seed), seed, size, frames)


def render_clips(path: Path, first_seed: int, count: int, size: int, frames: int, workers: int = 2) -> np.ndarray:
    """Clips of the seeds first_seed ..., uint8 [count, frames, size, size, 3], memory-mapped from `path`."""
    if path.exists():
        return np.load(path, mmap_mode="r")
    partial_path = path.with_suffix(".partial.npy")
    clips = np.lib.format.open_memmap(partial_path, "w+", np.uint8, (count, frames, size, size, 3))
    with ProcessPoolExecutor(workers) as pool:
        work = pool.map(
            partial(render_seed, size=size, frames=frames), range(first_seed, first_seed + count), chunksize=8
        )
        for index, clip in enumerate(work):
            clips[index] = clip
    clips.flush()
    partial_path.rename(path)
    return np.load(path, mmap_mode="r")


def to_video(clips: np.ndarray, device="cpu") -> torch.Tensor:
    """uint8 [..., H, W, 3] -> float [..., 3, H, W] in 0..1."""
    return torch.from_numpy(np.array(clips)).to(device).movedim(-1, -3).float() / 255


@torch.no_grad()
def encode_clips(
    path: Path, clips: np.ndarray, codec: TinyCodec, first_seed: int, batch: int = 4, device="cpu"
) -> None:
    """Write the latents of the clips, float16 [count, n, C, h, w], and beside them captions and subjects' regions."""
    if path.exists():
        return
    parts = []
    for start in range(0, len(clips), batch):
        parts.append(codec.encode(to_video(clips[start : start + batch], device)).half().cpu().numpy())
    latents = np.concatenate(parts)
    regions = subject_regions(first_seed, len(clips), latents.shape[-1], latents.shape[1])
    np.save(path.with_suffix(".regions.npy"), regions)
    captions = [json.dumps(asdict(caption_of(first_seed + i))) for i in range(len(clips))]
    path.with_suffix(".jsonl").write_text("\n".join(captions))
    partial_path = path.with_suffix(".partial.npy")
    np.save(partial_path, latents)
    partial_path.rename(path)


@torch.no_grad()
def decode_clips(path: Path, latents: np.ndarray, codec: TinyCodec, batch: int = 4, device="cpu") -> np.ndarray:
    """Latents [count, n, C, h, w] as clips again, uint8 [count, 1 + 4 (n - 1), H, W, 3], memory-mapped from `path`."""
    if not path.exists():
        parts = []
        for start in range(0, len(latents), batch):
            video, _ = codec.decode(torch.from_numpy(latents[start : start + batch].astype(np.float32)).to(device))
            parts.append(to_pixels(video))
        partial_path = path.with_suffix(".partial.npy")
        np.save(partial_path, np.concatenate(parts))
        partial_path.rename(path)
    return np.load(path, mmap_mode="r")


def to_pixels(video: torch.Tensor) -> np.ndarray:
    """float [..., 3, H, W] in 0..1 -> uint8 [..., H, W, 3]."""
    return (video.clamp(0, 1) * 255 + 0.5).movedim(-3, -1).to(torch.uint8).cpu().numpy()


@dataclass(frozen=True)
class LatentClips:
    """Latents [count, n, C, h, w] (float16), where their subjects are [count, n, h, w], and their captions."""

    latents: torch.Tensor
    regions: torch.Tensor
    captions: list[Caption]


def load_latents(path: Path) -> LatentClips:
    """What `encode_clips` wrote."""
    captions = [Caption(**json.loads(line)) for line in path.with_suffix(".jsonl").read_text("utf-8").splitlines()]
    regions = np.load(path.with_suffix(".regions.npy"))
    return LatentClips(torch.from_numpy(np.load(path)), torch.from_numpy(regions), captions)


def subject_regions(first_seed: int, count: int, size: int, latent_frames: int) -> np.ndarray:
    """Where subjects are on each latent frame, by its last video frame: bool [count, latent_frames, size, size]."""
    frames = 1 + TIME_FACTOR * (latent_frames - 1)
    seeds = range(first_seed, first_seed + count)
    return np.stack([subject_region(caption_of(seed), seed, size, frames)[::TIME_FACTOR] for seed in seeds])
