"""Make the lessons' pictures from the recorded runs: `python -m tests.ui.pictures`."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from deepforcing import Chunk, read_trace
from ui.lessons.library import SHIPPED as LESSONS
from ui.recordings.library import OF_LESSONS, SHIPPED

STRIPS = {  # a lesson's card: the recorded run that it is about, at these seconds
    "1-a-model-that-forgets": ("self-forcing", (1, 15, 29)),
    "3-pin-the-first-frames": ("deep-forcing", (0, 1, 2)),
    "4-time-travel": ("new-prompt", (5, 15, 37)),
    "6-a-minute-and-more": ("deep-forcing", (1, 15, 29)),
}
WINDOW = 21  # latent frames
GAP = 4  # pixels


def frames_of(name: str) -> tuple[np.ndarray, int, Sequence[Chunk]]:
    path = next(folder / f"{name}.trace" for folder in (SHIPPED, OF_LESSONS) if (folder / f"{name}.trace").exists())
    trace = read_trace(path)
    chunks = [event for event in trace if isinstance(event, Chunk)]
    return np.concatenate([chunk.frames for chunk in chunks]), trace.started.fps, chunks


def beside(stills: Sequence[np.ndarray], gap: int = GAP) -> np.ndarray:
    """Pictures [h, w, 3] in a row, on white."""
    space = np.full((stills[0].shape[0], gap, 3), 255, np.uint8)
    return np.concatenate([part for still in stills for part in (space, still)][1:], 1)


def with_grid(still: np.ndarray, rows: int) -> np.ndarray:
    """Twice as large, cut into so many rows and columns of tokens."""
    large, side = still.repeat(2, 0).repeat(2, 1), 2 * len(still) // rows
    large[::side] = large[:, ::side] = 255
    return large


def chosen(frames: np.ndarray, chunks: Sequence[Chunk], layer: int = 0) -> list[np.ndarray]:
    """The frames of the middle after the last compression: what this layer kept of them clear, what it let go pale."""
    cache = [chunk.cache for chunk in chunks if chunk.compression][-1]
    places = [place for place, role in enumerate(cache.roles) if role == "top-C" and cache.kept[layer, place].any()]
    best = sorted(places, key=lambda place: -cache.kept[layer, place].sum())[:3]
    return [faded(frames[4 * cache.frames[place]], cache.kept[layer, place]) for place in sorted(best)]


def faded(still: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """kept: [rows, columns] of tokens."""
    clear = kept.repeat(len(still) // len(kept), 0).repeat(len(still) // len(kept), 1)[..., None]
    return np.where(clear, still, still // 5 + 190).astype(np.uint8)


def save(picture: np.ndarray, name: str) -> None:
    folder = LESSONS / "pictures"
    folder.mkdir(exist_ok=True)
    Image.fromarray(picture).save(folder / f"{name}.webp", quality=80, method=6)


def main() -> None:
    """Write them all."""
    for name, (run, seconds) in STRIPS.items():
        frames, fps, _ = frames_of(run)
        save(beside([frames[second * fps] for second in seconds]), name)
    balloon, _, chunks = frames_of("self-forcing")
    window = [balloon[4 * latent] for latent in range(WINDOW)]
    save(beside([still[::2, ::2] for still in window], 2), "window")
    save(beside(window[:: WINDOW // 2]), "2-where-attention-goes")
    save(balloon[16], "balloon")
    save(frames_of("new-prompt")[0][16], "boat")
    save(with_grid(balloon[16], chunks[0].cache.kept.shape[2]), "tokens")
    deep, _, chunks = frames_of("deep-forcing")
    save(beside(chosen(deep, chunks)), "5-not-all-tokens-matter")


if __name__ == "__main__":
    main()
