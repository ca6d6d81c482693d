"""Drift while a video is made: metrics of the stretch just made against the first five seconds, a chunk at a time.

A chunk is reduced to a few numbers when it arrives, and a stretch of video adds these up, so that the past is never
measured again. Large frames are sampled: see `_Piece`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from . import metrics
from .blend import leading
from .config import VideoShape
from .events import Chunk, StreamStarted

START_SECONDS = 5  # what later stretches are compared with, and the length of the trailing stretch itself
LEAST_SECONDS = 2  # of a trailing stretch that says something
SETTLE_SECONDS = 2  # after a change of prompt, before the new start begins: so long one picture turns into the other
SINK_LATENTS = 10  # frames that count as the sink's, whatever the policy keeps: the default sink, as in the evaluation
JUMP = 3.0  # a change this many times the usual one is a jump,
LEAST_JUMP = 1.0  # unless it is smaller than this, in 255ths of brightness
QUIET_SECONDS = 2  # between two jumps that are told
RESET = 0.85  # a jump to a picture this similar to one of the sink's is a sink reset
PIXELS = 128 * 128  # of a frame that are looked at for colour and motion
NO_DETAIL, NO_COLOUR, NO_MOTION = 1e-5, 1e-2, 1e-3  # added to both sides of a ratio: flat, grey, still videos have one


@dataclass(frozen=True)
class Jump:
    """A sudden change. frame: the video frame that it leads to; times: the usual change from frame to frame.

    likeness: the largest similarity to a sink frame in the latent frame that begins here; NaN in the first five
    seconds, when every frame is like the sink's.
    """

    frame: int
    times: float
    likeness: float

    @property
    def is_reset(self) -> bool:
        """The video goes back to its first frames."""
        return self.likeness >= RESET


@dataclass(frozen=True)
class Gauges:
    """What the last five seconds are like when a chunk is done; NaN where there is not enough video yet.

    start         the video frames compared with, as (first, past the last): the video's first five seconds, or, after
                  a change of prompt or a new scene, the first five once the picture has settled; None until they are
                  complete
    colour_drift  0..1, see `metrics.colour_drift`
    sharpness, saturation, motion  as a multiple of the start's, see `metrics.sharpness`, `metrics.saturation`,
                  `metrics.dynamic_degree`
    chunk_jump    1 = none, see `metrics.chunk_jump`
    sink_reset    -1..1, see `metrics.sink_reset`
    scenery       -1..1, see `metrics.scenery_kept`; says little when the camera moves
    jumps         in this chunk, at most one in two seconds; a sink reset is always told
    reset_at      where the last sink reset of the last five seconds lies, None without one
    seconds       spent on measuring this chunk
    old_scene     0 = the new prompt's scene, 1 = that of the prompt before, see `metrics.way_back`: the roll-back
                  of the paper's section 3.2; of this chunk alone; NaN without a change of prompt
    """

    start: tuple[int, int] | None
    colour_drift: float
    sharpness: float
    saturation: float
    motion: float
    chunk_jump: float
    sink_reset: float
    scenery: float
    jumps: tuple[Jump, ...]
    reset_at: int | None
    seconds: float
    old_scene: float = math.nan


@dataclass(frozen=True)
class _Piece:
    """A chunk in numbers. Colour, sharpness, scenery are read from one frame in each latent. All but sharpness, which
    needs neighbouring pixels, is read from every n-th row and column of a large frame.

    first: number of its first frame; hues [36] summed; colour, detail: saturation and sharpness of each frame read;
    cells: see `metrics.cells`; changes [frames], the first leads to its first frame and is NaN at the video's
    beginning; likeness [frames] to the sink.
    """

    first: int
    frames: int
    hues: np.ndarray
    colour: np.ndarray
    detail: np.ndarray
    cells: np.ndarray
    changes: np.ndarray
    likeness: np.ndarray

    @property
    def end(self) -> int:
        return self.first + self.frames


class DriftMeter:
    """The gauges of one video. Give it every chunk, in order."""

    def __init__(self, shape: VideoShape, chunk_frames: int) -> None:
        """chunk_frames: latent frames of a chunk."""
        self._time, self._chunk_frames = shape.time, chunk_frames
        self._fps, self._long, self._least = shape.fps, START_SECONDS * shape.fps, LEAST_SECONDS * shape.fps
        self._step = math.ceil(math.sqrt(shape.height * shape.width / PIXELS))
        self._sink_frames = min(shape.frames(SINK_LATENTS), self._long)
        self._sink: metrics.SinkPictures | None = None
        self._first: list[np.ndarray] = []  # brightness [n, h, w] of the first chunks, until the sink is complete
        self._last: list[np.ndarray] = []  # brightness [1, h, w] of the frame before the next chunk
        self._changes = np.empty(0, np.float32)  # of the last five seconds, whatever the prompt
        self._told: Jump | None = None  # the latest one
        self._shown: tuple[str, int] | None = None  # the prompt, and where its scene began
        self._settled = 0  # first frame that may belong to the start
        self._start: list[_Piece] = []
        self._recent: list[_Piece] = []
        self._old: np.ndarray | None = None  # picture [r, c] of the five seconds before the latest change of prompt

    @classmethod
    def of(cls, started: StreamStarted) -> DriftMeter:
        """For the run that began with this event."""
        shape = VideoShape(started.height, started.width, started.fps, time=started.stride)
        return cls(shape, started.chunk_frames)

    def add(self, chunk: Chunk) -> Gauges:
        """Measure the next chunk."""
        began = time.perf_counter()
        shown = leading(chunk.prompt), chunk.cache.origin
        changed = self._shown not in (None, shown)
        if changed:
            self._old = _picture(self._recent)
            self._settled, self._start, self._recent = chunk.first_frame + SETTLE_SECONDS * self._fps, [], []
        self._shown = shown
        piece = self._reduce(chunk)
        jumps = () if piece.first < self._settled else tuple(self._jumps(piece))  # a jump to a new prompt is wanted
        self._changes = np.append(self._changes, piece.changes[np.isfinite(piece.changes)])[-self._long :]
        self._recent = _latest([*self._recent, piece], self._long)
        if piece.first >= self._settled and _length(self._start) < self._long:
            self._start.append(piece)
        return self._read(jumps, piece.end, began)

    def _reduce(self, chunk: Chunk) -> _Piece:
        coarse = chunk.frames[:, :: self._step, :: self._step]
        y = metrics.luma(coarse)
        self._learn_sink(y)
        changes = metrics.steps(np.concatenate([*self._last, y]))
        self._last = [y[-1:]]
        early = self._sink is None or chunk.first_frame < self._long
        return _Piece(
            first=chunk.first_frame,
            frames=len(y),
            hues=metrics.hue_weights(coarse[:: self._time]),
            colour=metrics.saturations(coarse[:: self._time]),
            cells=metrics.cells(y[:: self._time]),
            detail=metrics.detail(metrics.luma(chunk.frames[:: self._time])),
            changes=np.concatenate([np.full(len(y) - len(changes), np.nan, np.float32), changes]),
            likeness=np.full(len(y), np.nan) if early else self._sink.likeness(y),
        )

    def _learn_sink(self, y: np.ndarray) -> None:
        if self._sink is not None:
            return
        self._first.append(y)
        if sum(map(len, self._first)) >= self._sink_frames:
            self._sink = metrics.SinkPictures.of(np.concatenate(self._first)[: self._sink_frames])
            self._first = []

    def _jumps(self, piece: _Piece) -> Iterator[Jump]:
        """Changes that are large beside the usual one, the median of the last five seconds."""
        if len(self._changes) < self._least:
            return
        usual = float(np.median(self._changes))
        for i in np.flatnonzero(piece.changes >= max(JUMP * usual, LEAST_JUMP)).tolist():
            likeness = float(piece.likeness[i : i + self._time].max())
            jump = Jump(piece.first + i, float(piece.changes[i]) / max(usual, 1e-3), likeness)
            if self._is_news(jump):
                self._told = jump
                yield jump

    def _is_news(self, jump: Jump) -> bool:
        told = self._told
        if told is None or (jump.is_reset and not told.is_reset):
            return True
        return jump.frame - told.frame >= QUIET_SECONDS * self._fps

    def _read(self, jumps: tuple[Jump, ...], end: int, began: float) -> Gauges:
        complete = _length(self._start) >= self._long
        later = [piece for piece in self._recent if complete and piece.first >= self._start[-1].end]
        ready = _length(later) >= self._least
        reset = self._told is not None and self._told.is_reset and self._told.frame >= end - self._long
        return Gauges(
            start=(self._start[0].first, self._start[-1].end) if complete else None,
            colour_drift=metrics.hue_distance(_hues(self._start), _hues(later)) if ready else math.nan,
            sharpness=_ratio(_detail(later), _detail(self._start), NO_DETAIL) if ready else math.nan,
            saturation=_ratio(_colour(later), _colour(self._start), NO_COLOUR) if ready else math.nan,
            motion=_ratio(_motion(later), _motion(self._start), NO_MOTION) if ready else math.nan,
            chunk_jump=self._chunk_jump() if _length(self._recent) >= self._least else math.nan,
            sink_reset=float(max(piece.likeness.max() for piece in later)) if ready else math.nan,
            scenery=metrics.scenery_likeness(_scenery(self._start), _scenery(later)) if ready else math.nan,
            jumps=jumps,
            reset_at=self._told.frame if reset else None,
            seconds=time.perf_counter() - began,
            old_scene=self._way_back(),
        )

    def _way_back(self) -> float:
        """Of the latest chunk, from the new prompt's scene as it is when it has just settled."""
        settled = _earliest(self._start, self._least)
        if self._old is None or _length(settled) < self._least:
            return math.nan
        return metrics.way_back(_picture(self._recent[-1:]), _picture(settled), self._old)

    def _chunk_jump(self) -> float:
        return metrics.border_jump(_inner(self._recent), self._recent[0].first + 1, self._chunk_frames, self._time)


def _latest(pieces: list[_Piece], frames: int) -> list[_Piece]:
    """The fewest latest pieces that make so many frames; all where they do not."""
    while _length(pieces[1:]) >= frames:
        pieces = pieces[1:]
    return pieces


def _earliest(pieces: list[_Piece], frames: int) -> list[_Piece]:
    """The fewest first pieces that make so many frames; all where they do not."""
    while _length(pieces[:-1]) >= frames:
        pieces = pieces[:-1]
    return pieces


def _length(pieces: list[_Piece]) -> int:
    return sum(piece.frames for piece in pieces)


def _hues(pieces: list[_Piece]) -> np.ndarray:
    return metrics.hue_shares(np.sum([piece.hues for piece in pieces], 0))


def _colour(pieces: list[_Piece]) -> float:
    return float(np.concatenate([piece.colour for piece in pieces]).mean())


def _detail(pieces: list[_Piece]) -> float:
    return float(np.concatenate([piece.detail for piece in pieces]).mean())


def _scenery(pieces: list[_Piece]) -> np.ndarray:
    return metrics.scenery(np.concatenate([piece.cells for piece in pieces]))


def _picture(pieces: list[_Piece]) -> np.ndarray:
    """What these pieces mostly show, [r, c]."""
    return np.median(np.concatenate([piece.cells for piece in pieces]), 0)


def _motion(pieces: list[_Piece]) -> float:
    return float(_inner(pieces).mean())


def _inner(pieces: list[_Piece]) -> np.ndarray:
    """Changes within a stretch, without the one that leads to its first frame."""
    return np.concatenate([piece.changes for piece in pieces])[1:]


def _ratio(value: float, start: float, least: float) -> float:
    return (value + least) / (start + least)
