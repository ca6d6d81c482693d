"""Signed distance functions and premultiplied painting, vectorised in numpy (negative inside, y points down)."""

from __future__ import annotations

import numpy as np

Colour = tuple[float, float, float]  # 0..1


def circle(x, y, cx: float, cy: float, radius: float):
    return np.hypot(x - cx, y - cy) - radius


def ellipse(x, y, cx: float, cy: float, rx: float, ry: float):
    """First-order distance to an axis-aligned ellipse: exact on the outline, which is where it is looked at."""
    x, y = x - cx, y - cy
    k1 = np.sqrt((x / rx) ** 2 + (y / ry) ** 2)
    k2 = np.sqrt((x / rx**2) ** 2 + (y / ry**2) ** 2)
    return k1 * (k1 - 1) / np.maximum(k2, 1e-4)


def box(x, y, cx: float, cy: float, hx: float, hy: float):
    return np.maximum(np.abs(x - cx) - hx, np.abs(y - cy) - hy)


def polygon(x, y, points):
    """Convex polygon, corners clockwise on the screen; distance to the farthest edge line."""
    distance = None
    for (ax, ay), (bx, by) in zip(points, points[1:] + points[:1], strict=True):
        length = float(np.hypot(bx - ax, by - ay))
        edge = (by - ay) / length * (x - ax) - (bx - ax) / length * (y - ay)
        distance = edge if distance is None else np.maximum(distance, edge)
    return distance


def segment(x, y, ax: float, ay: float, bx: float, by: float, thickness: float):
    dx, dy = bx - ax, by - ay
    along = np.clip(((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy), 0, 1)
    return np.hypot(x - ax - along * dx, y - ay - along * dy) - thickness


def star(x, y, radius: float, inner: float = 0.5):
    """Five-pointed star with one point up."""
    half = np.pi / 5
    angle = np.abs((np.arctan2(x, -y) + half) % (2 * half) - half)
    length = np.hypot(x, y)
    px, py = length * np.cos(angle), length * np.sin(angle)
    tip, dent = (radius, 0.0), (radius * inner * np.cos(half), radius * inner * np.sin(half))
    ex, ey = dent[0] - tip[0], dent[1] - tip[1]
    return ((px - tip[0]) * ey - (py - tip[1]) * ex) / float(np.hypot(ex, ey))


def mix(a: Colour, b: Colour, share: float) -> Colour:
    return tuple(float(p + (q - p) * share) for p, q in zip(a, b, strict=True))


def scale(colour: Colour, factor) -> Colour:
    return tuple(float(v) for v in np.clip(np.asarray(colour) * factor, 0, 1))


class Canvas:
    """Premultiplied RGBA, four planes of the given shape; `pixel` is a pixel's size in the units of the distances."""

    def __init__(self, shape: tuple[int, ...], pixel: float) -> None:
        self.planes = np.zeros((4, *shape), np.float32)
        self.pixel = pixel

    def coverage(self, distance):
        return np.clip(0.5 - distance / self.pixel, 0, 1)

    def paint(self, distance, colour, opacity: float = 1.0, within=None):
        """Paint where `distance` is negative (anti-aliased), inside the coverage `within`; returns the coverage."""
        cover = self.coverage(distance)
        if within is not None:
            cover = cover * within
        alpha = cover if opacity == 1.0 else cover * opacity
        keep = 1 - alpha
        for plane, value in zip(self.planes, (*colour, 1.0), strict=True):
            plane *= keep
            plane += alpha * value
        return cover
