"""Rendered clips and their latents as memory-mapped arrays on disk, made once by as many processes as wanted."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch

from deepforcing.captions import Caption, sample_caption
from deepforcing.models.tiny_codec import TinyCodec
from deepforcing.training.world import render


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
        work = pool.map(partial(render_seed, size=size, frames=frames), range(first_seed, first_seed + count), chunksize=8)
        for index, clip in enumerate(work):
            clips[index] = clip
    clips.flush()
    partial_path.rename(path)
    return np.load(path, mmap_mode="r")


def to_video(clips: np.ndarray, device="cpu") -> torch.Tensor:
    """uint8 [..., H, W, 3] -> float [..., 3, H, W] in 0..1."""
    return torch.from_numpy(np.ascontiguousarray(clips)).to(device).movedim(-1, -3).float() / 255


@torch.no_grad()
def encode_clips(path: Path, clips: np.ndarray, codec: TinyCodec, first_seed: int, batch: int = 4, device="cpu") -> None:
    """Write the latents of the clips, float16 [count, n, C, h, w], and beside them the captions as JSON lines."""
    if path.exists():
        return
    parts = []
    for start in range(0, len(clips), batch):
        parts.append(codec.encode(to_video(clips[start : start + batch], device)).half().cpu().numpy())
    captions = [json.dumps(asdict(caption_of(first_seed + i))) for i in range(len(clips))]
    path.with_suffix(".jsonl").write_text("\n".join(captions))
    partial_path = path.with_suffix(".partial.npy")
    np.save(partial_path, np.concatenate(parts))
    partial_path.rename(path)


def load_latents(path: Path) -> tuple[torch.Tensor, list[Caption]]:
    """Latents [count, n, C, h, w] (float16) and their captions."""
    captions = [Caption(**json.loads(line)) for line in path.with_suffix(".jsonl").read_text().splitlines()]
    return torch.from_numpy(np.load(path)), captions
