"""Layers of ground and sky wider than the frame, which slide past at their own speed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deepforcing.training.draw import Canvas, Colour

SUBPIXELS = 4  # a panorama's columns per pixel, so that it can slide by quarters of one


@dataclass(frozen=True)
class Layer:
    """A painted strip: phases[k] is the strip seen k/SUBPIXELS of a pixel further right, rows `top` and below."""

    colour: np.ndarray  # [SUBPIXELS, rows, columns, 3], premultiplied
    clear: np.ndarray  # [SUBPIXELS, rows, columns, 1], 1 - alpha
    top: int
    offsets: np.ndarray  # [frames], columns in sub-pixels

    def over(self, frame: np.ndarray, index: int) -> None:
        """Lay the strip as seen on frame `index` over `frame` [H, W, 3]."""
        shift, phase = divmod(int(self.offsets[index]), len(self.colour))
        columns = slice(shift, shift + frame.shape[1])
        rows = slice(self.top, self.top + self.colour.shape[1])
        view = frame[rows]
        view *= self.clear[phase, :, columns]
        view += self.colour[phase, :, columns]


class Strip(Canvas):
    """Canvas of a layer: world columns from `start` to `end` (frame heights), `sub` columns a pixel."""

    def __init__(self, size: int, start: float, end: float, sub: int) -> None:
        columns = int(np.ceil((end - start) * size * sub)) + 2 * sub
        super().__init__((size, columns), 1 / size)
        self.size, self.sub, self.start = size, sub, start
        self.x = (start + (np.arange(columns, dtype=np.float32) + 0.5) / (size * sub))[None, :]
        self.y = ((np.arange(size, dtype=np.float32) + 0.5) / size)[:, None]

    def layer(self, travel: np.ndarray) -> Layer:
        """Freeze into phases; `travel` [frames] is where the frame's left edge stands, in frame heights."""
        planes, sub = self.planes, self.sub
        rows = np.flatnonzero(planes[3].any(1))
        top, bottom = (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 1)
        planes = planes[:, top:bottom]
        length = planes.shape[2] - sub + 1
        blurred = sum(planes[:, :, k : k + length] for k in range(sub)) / sub
        width = length // sub
        phases = blurred[:, :, : width * sub].reshape(4, bottom - top, width, sub).transpose(3, 1, 2, 0)
        offsets = np.round((travel - self.start) * self.size * sub).astype(int)
        colour = np.ascontiguousarray(phases[..., :3])
        return Layer(colour, np.ascontiguousarray(1 - phases[..., 3:]), top, offsets)


def strip_for(size: int, travel: np.ndarray) -> Strip:
    """A strip that is wide enough for the way `travel`."""
    return Strip(size, float(travel.min()), float(travel.max()) + 1, SUBPIXELS if len(travel) > 1 else 1)


def outline(rng, x, level: float, height: float, detail: float):
    """A random smooth skyline over the world columns `x`: rolling hills of about `height`."""
    total = np.zeros_like(x)
    for octave in range(4):
        frequency = detail * 1.9**octave * rng.uniform(0.8, 1.2)
        total += np.sin(2 * np.pi * (frequency * x + rng.random())).astype(np.float32) * 0.55**octave
    return level - height * total / 1.6


def paint_columns(strip: Strip, columns: slice, distance, colour: Colour) -> None:
    """As strip.paint, on some columns only: the rest of a wide strip need not be looked at."""
    part = Canvas((0,), strip.pixel)
    part.planes = strip.planes[:, :, columns]
    part.paint(distance, colour)
