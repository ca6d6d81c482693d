"""Clips rendered by processes beside training, into files that grow and that any process can read meanwhile.

Nothing here imports torch: processes that only draw start in a moment.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np

from deepforcing.captions import Caption, sample_caption
from deepforcing.training.world import render, subject_region

POLITENESS = 10  # of the processes that draw: training goes first where cores are few


class FolderError(ValueError):
    """The folder to work in holds something else."""


@dataclass(frozen=True)
class Source:
    """A set of clips: its first seed, how many, frames, pixels of a side, and the codec's factors in space and time;
    of how many the classifier sees a round trip through the codec."""

    first_seed: int
    count: int
    frames: int
    size: int
    space: int = 8
    time: int = 4
    decoded: int = 0


def caption_of(seed: int) -> Caption:
    """The caption that belongs to a clip's seed."""
    return sample_caption(np.random.default_rng((seed, 0)))


class Clips:
    """A source's clips in `folder`: pixels uint8 [count, frames, size, size, 3], and where their subjects are on each
    latent frame, bool [count, n, h, w]; both mapped from files. Those before `ready` are whole."""

    def __init__(self, folder: Path, name: str, source: Source) -> None:
        """Raises FolderError when the files there are of another size."""
        self.name, self.source = name, source
        latent_frames, side = 1 + (source.frames - 1) // source.time, source.size // source.space
        shapes = {"pixels": (source.frames, source.size, source.size, 3), "regions": (latent_frames, side, side)}
        self.pixels = _mapped(folder / f"{name}_pixels.npy", np.uint8, (source.count, *shapes["pixels"]))
        self.regions = _mapped(folder / f"{name}_regions.npy", np.bool_, (source.count, *shapes["regions"]))
        self.done = _mapped(folder / f"{name}_done.npy", np.bool_, (source.count,))

    def __len__(self) -> int:
        return self.source.count

    @property
    def ready(self) -> int:
        """How many can be read: all before the first that is not whole."""
        return len(self) if self.done.all() else int(self.done.argmin())

    @property
    def enough(self) -> int:
        """How many to begin with: a tenth."""
        return math.ceil(len(self) / 10)

    @property
    def captions(self) -> list[Caption]:
        return [caption_of(self.source.first_seed + index) for index in range(len(self))]

    def render(self, indices: Iterable[int]) -> Iterable[int]:
        """Draw those that are missing, one each time the next is asked for."""
        for index in indices:
            if not self.done[index]:
                seed, source = self.source.first_seed + index, self.source
                caption = caption_of(seed)
                self.pixels[index] = render(caption, seed, source.size, source.frames)
                regions = subject_region(caption, seed, self.regions.shape[-1], source.frames)
                self.regions[index] = regions[:: source.time]
                self.done[index] = True
            yield index


def _mapped(path: Path, dtype: type, shape: tuple[int, ...]) -> np.memmap:
    """The array in a file, made where there is none."""
    if not path.exists():
        return np.lib.format.open_memmap(path, "w+", dtype, shape)
    array = np.load(path, mmap_mode="r+")
    if array.dtype != dtype or array.shape != shape:
        raise FolderError(
            f"{path} holds {array.dtype} {array.shape}, not {shape}: delete it, or work in another folder"
        )
    return array


class Rendering:
    """Draws sources in `workers` processes for the time of a `with`; what is drawn stays, and is not drawn again.

    The first tenth of each comes before the rest of any, so that nothing that needs a few waits long. Without workers,
    this process draws what is waited for.
    """

    def __init__(self, folder: Path, sources: Mapping[str, Source], workers: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.sources, self.count = folder, dict(sources), workers
        self.clips = {name: Clips(folder, name, source) for name, source in sources.items()}
        self._workers: list[BaseProcess] = []

    def __enter__(self) -> Rendering:
        context = multiprocessing.get_context("spawn")
        for worker in range(self.count):
            arguments = (self.folder, self.sources, worker, self.count)
            self._workers.append(context.Process(target=render_share, args=arguments, daemon=True))
            self._workers[-1].start()
        return self

    def __exit__(self, *_) -> None:
        for worker in self._workers:
            worker.terminate()
        for worker in self._workers:
            worker.join()

    def wait(self, name: str, count: int) -> Clips:
        """The clips of a source, once `count` of them can be read. Raises RuntimeError when nobody draws any more."""
        clips = self.clips[name]
        if not self._workers:
            list(clips.render(range(count)))
        while clips.ready < count:
            if any(worker.exitcode for worker in self._workers):
                raise RuntimeError(f"a process that drew {name!r} ended early; run this again, and it goes on")
            time.sleep(0.02)
        return clips


def render_share(folder: Path, sources: Mapping[str, Source], worker: int, workers: int) -> None:
    """One process's part: every `workers`th clip, as long as the process lives that started it."""
    if os.name == "posix":
        os.nice(POLITENESS)
    parent = multiprocessing.parent_process()
    everything = [Clips(folder, name, source) for name, source in sources.items()]
    first = [clips.render(range(worker, clips.enough, workers)) for clips in everything]
    rest = [clips.render(range(worker, len(clips), workers)) for clips in everything]
    for drawn in (*first, *rest):
        for _ in drawn:
            if not parent.is_alive():
                return
