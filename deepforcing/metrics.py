"""How a long video changes: colour, contrast, sharpness, motion, jumps, and returns to its first frames.

Every function takes uint8 frames [n, height, width, 3] and needs numpy only. None of them knows what the video shows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

HUE_BINS = 36
BACK, GONE = 0.25, 0.15  # of the way to an old scene: it is back, and gone again
SAME_SCENE = 0.02  # of brightness, 0..1: two scenes that differ by less, a cell on average, are one
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


def luma(frames: np.ndarray) -> np.ndarray:
    """Brightness, 0..1, float32 [n, height, width]."""
    return frames.astype(np.float32) @ (_LUMA / 255)


def hue_histogram(frames: np.ndarray) -> np.ndarray:
    """Share of each of 36 hues in all frames together, a pixel counted by its chroma; float64 [36], sums to 1.

    Grey pixels have no hue: a video without any colour gives an even histogram.
    """
    return hue_shares(hue_weights(frames))


def hue_weights(frames: np.ndarray) -> np.ndarray:
    """Chroma summed over all pixels of each of 36 hues, float64 [36]; adds up over stretches of a video."""
    red, green, blue = np.ascontiguousarray(np.moveaxis(frames, -1, 0), np.float32) / 255  # whole planes: much faster
    chroma = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    angle = np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue) / (2 * np.pi)
    angle += angle < 0
    bins = np.minimum((angle * HUE_BINS).astype(int), HUE_BINS - 1)
    return np.bincount(bins.ravel(), chroma.ravel(), HUE_BINS)


def hue_shares(weights: np.ndarray) -> np.ndarray:
    """Weights [36] as shares of their sum; even ones where there is no colour at all."""
    total = weights.sum()
    return weights / total if total > 0 else np.full(HUE_BINS, 1 / HUE_BINS)


def colour_drift(first: np.ndarray, last: np.ndarray) -> float:
    """Distance of two stretches' hue histograms, 0 (same hues) .. 1 (no hue in common).

    The earth mover's distance on the colour circle, in units of half a turn: a shade that moves by one bin is a small
    drift, whichever bin border it crosses (Rabin et al. 2009, circular transport).
    """
    return hue_distance(hue_histogram(first), hue_histogram(last))


def hue_distance(first: np.ndarray, last: np.ndarray) -> float:
    """The distance of `colour_drift`, of two histograms [36]."""
    steps = np.cumsum(last - first)
    return float(np.abs(steps - np.median(steps)).sum() / (HUE_BINS / 2))


def saturation(frames: np.ndarray) -> float:
    """Mean saturation, (max - min) / max of a pixel's channels, 0..1."""
    return float(saturations(frames).mean())


def saturations(frames: np.ndarray) -> np.ndarray:
    """The saturation of each frame, float32 [n]."""
    red, green, blue = np.ascontiguousarray(np.moveaxis(frames, -1, 0), np.float32)  # whole planes: much faster
    high, low = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    return ((high - low) / np.maximum(high, 1)).mean((1, 2))


def contrast(frames: np.ndarray) -> float:
    """Standard deviation of brightness within a frame, mean over frames, 0..0.5. Burnt colours raise it."""
    return float(luma(frames).std((1, 2)).mean())


def sharpness(frames: np.ndarray) -> float:
    """Standard deviation of the brightness's Laplacian, mean over frames (Pech-Pacheco et al. 2000); 0 is flat."""
    return float(detail(luma(frames)).mean())


def detail(y: np.ndarray) -> np.ndarray:
    """The sharpness of each frame of brightness [n, H, W], float32 [n]."""
    around = y[:, :-2, 1:-1] + y[:, 2:, 1:-1] + y[:, 1:-1, :-2] + y[:, 1:-1, 2:]
    return (around - 4 * y[:, 1:-1, 1:-1]).std((1, 2))


def changes(frames: np.ndarray) -> np.ndarray:
    """Mean absolute change of brightness from each frame to the next, in 255ths, float32 [n - 1]."""
    return steps(luma(frames))


def steps(y: np.ndarray) -> np.ndarray:
    """As `changes`, of brightness [n, H, W]."""
    return 255 * np.abs(np.diff(y, axis=0)).mean((1, 2))


def dynamic_degree(frames: np.ndarray) -> float:
    """Mean change from frame to frame, in 255ths of brightness; a frozen video has 0.

    VBench's metric of this name asks the same of optical flow; frame differences also count flicker, so read it
    together with `chunk_jump`.
    """
    return float(changes(frames).mean()) if len(frames) > 1 else 0.0


def chunk_jump(frames: np.ndarray, first_frame: int, latents: int = 3, time: int = 4) -> float:
    """How much more changes across the borders of chunks than across the other latents' borders; 1 = no jump.

    first_frame: the number of frames[0] in its video, whose frame 0 is a latent of its own, and each `time` frames
    after it are one more. Flicker and roll-back between chunks raise it. NaN where there is nothing to compare.
    """
    return border_jump(changes(frames), first_frame + 1, latents, time)


def border_jump(step: np.ndarray, first_frame: int, latents: int = 3, time: int = 4) -> float:
    """As `chunk_jump`, of changes [n], the first of which leads to frame `first_frame`."""
    into = first_frame + np.arange(len(step))
    starts, latent = (into - 1) % time == 0, (into - 1) // time + 1
    across, within = step[starts & (latent % latents == 0)], step[starts & (latent % latents != 0)]
    if not len(across) or not len(within) or within.mean() == 0:
        return float("nan")
    return float(across.mean() / within.mean())


def sink_reset(frames: np.ndarray, sink: np.ndarray) -> float:
    """How closely the video comes back to its first frames: the largest similarity of any frame to a sink frame, -1..1.

    Similarity is the correlation of what differs from the sink's mean picture, on a grid of 16 x 16, so that a
    background that stays is no return. 1: a sink frame is shown again, the collapse that LoL describes (arXiv
    2601.16914). 0 where nothing differs.
    """
    return float(SinkPictures.of(luma(sink)).likeness(luma(frames)).max())


@dataclass(frozen=True)
class SinkPictures:
    """The first frames, to compare others with: their mean picture [r, c], and how each differs, unit rows [s, r c]."""

    middle: np.ndarray
    differences: np.ndarray

    @classmethod
    def of(cls, y: np.ndarray) -> SinkPictures:
        """y: brightness [s, H, W] of the sink's frames."""
        pictures = _grid(y)
        middle = pictures.mean(0)
        return cls(middle, _unit((pictures - middle).reshape(len(y), -1)))

    def likeness(self, y: np.ndarray) -> np.ndarray:
        """Similarity of each frame of brightness [n, H, W] to the sink frame that it is closest to, [n]."""
        return (_unit((_grid(y) - self.middle).reshape(len(y), -1)) @ self.differences.T).max(1)


def scenery_kept(first: np.ndarray, last: np.ndarray) -> float:
    """How much of what stands still in one stretch stands in another: their correlation, -1..1; 0 where nothing does.

    A camera that moves takes its scenery along: ask this of a still one only.
    """
    return scenery_likeness(*(scenery(cells(luma(frames))) for frames in (first, last)))


def cells(y: np.ndarray) -> np.ndarray:
    """Brightness [n, H, W] averaged over a grid of 24 x 24, for `scenery`."""
    return _grid(y, 24)


def scenery(y: np.ndarray) -> np.ndarray:
    """What stands still in a stretch of `cells` [n, r, c]: the median of each, less its row's mean; [r, c].

    The rows' means go, since sky above and ground below are in every video of the same caption.
    """
    still = np.median(y, 0)
    return still - still.mean(1, keepdims=True)


def scenery_likeness(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of two sceneries [r, c]."""
    length = np.linalg.norm(one) * np.linalg.norm(other)
    return float((one * other).sum() / length) if length > 1e-6 else 0.0


def way_back(now: np.ndarray, new: np.ndarray, old: np.ndarray) -> float:
    """How far a picture has gone from a new scene back to an old one: 0 is the new scene, 1 the old; all [r, c].

    It is `now` projected on the line between them, so that what both scenes share, and what neither shows, counts for
    nothing. NaN where the two hardly differ.
    """
    there = old - new
    if np.abs(there).mean() < SAME_SCENE:
        return float("nan")
    return float(((now - new) * there).sum() / np.square(there).sum())


def roll_backs(ways: Iterable[float]) -> list[int]:
    """How often a video has rolled back by each of these readings of `way_back`, in order.

    It is back once it has gone BACK of the way to the old scene, and can only come back again when less than GONE is
    left; NaN changes nothing.
    """
    counts, count, back = [], 0, False
    for way in ways:
        if not back and way >= BACK:
            count, back = count + 1, True
        elif way < GONE:
            back = False
        counts.append(count)
    return counts


def _grid(y: np.ndarray, side: int = 16) -> np.ndarray:
    """Brightness [n, H, W] averaged over at most side x side cells."""
    rows, columns = (np.linspace(0, size, min(side, size), endpoint=False).astype(int) for size in y.shape[1:])
    summed = np.add.reduceat(np.add.reduceat(y, rows, 1), columns, 2)
    area = np.diff(np.append(rows, y.shape[1]))[:, None] * np.diff(np.append(columns, y.shape[2]))
    return summed / area


def _unit(x: np.ndarray, least: float = 1e-3) -> np.ndarray:
    """Rows of unit length; rows of almost nothing stay nothing."""
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return np.where(length > least, x / np.maximum(length, least), 0)
