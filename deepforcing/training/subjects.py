"""The eight subjects, drawn in a frame of radius about 1 (x to the right, y down), with tones and highlights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deepforcing.training.draw import Canvas, Colour, box, circle, ellipse, mix, polygon, scale, segment, star
from deepforcing.training.motion import Path

HSV = {  # hue, saturation, value in the middle of each colour's range
    "red": (0.995, 0.86, 0.88),
    "orange": (0.075, 0.9, 0.97),
    "yellow": (0.145, 0.8, 0.98),
    "green": (0.37, 0.78, 0.66),
    "blue": (0.605, 0.82, 0.86),
    "purple": (0.755, 0.7, 0.66),
    "pink": (0.92, 0.48, 0.98),
    "white": (0.6, 0.03, 0.96),
}
PATTERNS = ("plain", "stripes", "bands", "dots")
EXTENT = 1.45  # nothing of a subject is farther than this from its centre
OUTLINE = 0.07
CREAM, INK, WOOD = (1.0, 0.97, 0.88), (0.13, 0.11, 0.16), (0.5, 0.33, 0.2)


@dataclass(frozen=True)
class Look:
    """What the caption does not say about a subject: its exact shade, pattern and size."""

    main: Colour
    accent: Colour
    pattern: str
    pitch: float  # of the pattern, in radii
    radius: float  # frame heights

    @property
    def dark(self) -> Colour:
        return scale(self.main, 0.66)

    @property
    def light(self) -> Colour:
        return mix(self.main, (1, 1, 1), 0.5)

    @property
    def ink(self) -> Colour:
        return scale(self.main, 0.36)


def sample_look(rng, colour: str) -> Look:
    hue, saturation, value = HSV[colour]
    spread = 0.0 if colour == "white" else 1.0
    main = hsv(
        hue + spread * rng.uniform(-0.014, 0.014),
        saturation * (1 - spread * rng.uniform(0, 0.25)),
        min(1.0, value * rng.uniform(0.88, 1.06)),
    )
    accent = mix(main, (1, 1, 1), 0.62) if rng.random() < 0.5 and colour != "white" else scale(main, 0.74)
    return Look(main, accent, str(rng.choice(PATTERNS)), rng.uniform(0.36, 0.55), rng.uniform(0.165, 0.225))


def hsv(hue: float, saturation: float, value: float) -> Colour:
    wheel = np.clip(np.abs((hue * 6 + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1, 0, 1)
    return tuple(float(v) for v in value * (1 - saturation + saturation * wheel))


class Brush(Canvas):
    """A canvas with the subject's look: outlined shapes, the pattern, the highlight."""

    def __init__(self, x, y, look: Look, pixel: float) -> None:
        super().__init__(x.shape, pixel)
        self.x, self.y, self.look = x, y, look

    def outlined(self, distance, colour: Colour):
        self.paint(distance - OUTLINE, self.look.ink)
        return self.paint(distance, colour)

    def body(self, distance, angle: float = 0.0):
        """Main colour with outline and this clip's pattern."""
        cover = self.outlined(distance, self.look.main)
        mark = self._pattern()
        if mark is not None:
            self.paint(mark, self.look.accent, within=cover)
        return cover

    def _pattern(self):
        pitch, width = self.look.pitch, 0.24 * self.look.pitch
        if self.look.pattern == "stripes":
            return np.abs((self.x + pitch / 2) % pitch - pitch / 2) - width
        if self.look.pattern == "bands":
            return np.abs((self.y + pitch / 2) % pitch - pitch / 2) - width
        if self.look.pattern == "dots":
            return circle((self.x + pitch / 2) % pitch, (self.y + pitch / 2) % pitch, pitch / 2, pitch / 2, 0.3 * pitch)
        return None

    def shade(self, distance, within) -> None:
        self.paint(distance, self.look.ink, 0.28, within)

    def gleam(self, cx: float, cy: float, rx: float, ry: float) -> None:
        self.paint(ellipse(self.x, self.y, cx, cy, rx, ry), (1, 1, 1), 0.6)

    def eye(self, cx: float, cy: float, radius: float) -> None:
        self.paint(circle(self.x, self.y, cx, cy, radius), (1, 1, 1))
        self.paint(circle(self.x, self.y, cx + 0.25 * radius, cy, 0.6 * radius), INK)


def balloon(b: Brush, phase) -> None:
    x, y = b.x, b.y
    for side in (-1, 1):
        b.paint(segment(x, y, side * 0.36, 0.3, side * 0.17, 0.95, 0.04), INK)
    b.outlined(box(x, y, 0, 1.08, 0.2, 0.16), WOOD)
    b.paint(box(x, y, 0, 0.97, 0.24, 0.05), scale(WOOD, 1.5))
    envelope = np.minimum(
        circle(x, y, 0, -0.35, 0.86), polygon(x, y, [(-0.82, -0.1), (0.82, -0.1), (0.24, 0.72), (-0.24, 0.72)])
    )
    cover = b.body(envelope)
    b.shade(-circle(x, y, -0.2, -0.45, 0.92), cover)
    b.gleam(-0.36, -0.68, 0.14, 0.24)


def boat(b: Brush, phase) -> None:
    x, y = b.x, b.y
    b.paint(segment(x, y, 0.0, -1.15, 0.0, 0.5, 0.06), scale(WOOD, 0.7))
    b.outlined(polygon(x, y, [(-0.13, -0.95), (-0.13, 0.28), (-0.85, 0.28)]), b.look.light)
    b.body(polygon(x, y, [(0.1, -1.15), (0.95, 0.28), (0.1, 0.28)]))
    hull = np.maximum(circle(x, y, 0, -0.15, 1.12), 0.45 - y)
    cover = b.outlined(hull, b.look.main)
    b.paint(np.abs(y - 0.53) - 0.07, CREAM, within=cover)
    b.shade(0.72 - y, cover)


def bird(b: Brush, phase) -> None:
    x, y = b.x, b.y
    b.outlined(polygon(x, y, [(-1.28, -0.28), (-0.5, -0.15), (-0.5, 0.3), (-1.2, 0.12)]), b.look.dark)
    b.outlined(polygon(x, y, [(0.95, -0.42), (1.4, -0.22), (0.93, -0.1)]), (0.98, 0.65, 0.15))
    cover = b.body(ellipse(x, y, -0.02, 0.08, 0.8, 0.52))
    b.paint(ellipse(x, y, 0.1, 0.42, 0.5, 0.3), b.look.light, 0.8, cover)
    b.outlined(circle(x, y, 0.66, -0.3, 0.4), b.look.main)
    b.eye(0.76, -0.36, 0.15)
    lift = 0.75 * np.sin(phase)
    wx, wy = x + 0.1, y + 0.02
    shear = wy + lift * np.clip(0.25 - wx, 0, None)
    b.outlined(ellipse(wx, shear + 0.42 * lift, -0.2, 0.0, 0.56, 0.3), b.look.dark)


def rocket(b: Brush, phase) -> None:
    x, y = b.x, b.y
    flame = 0.16 * np.sin(3 * phase) + 0.1 * np.sin(7.3 * phase)
    b.paint(ellipse(x, y, 0, 0.82, 0.28, 0.42 + flame), (0.99, 0.55, 0.12))
    b.paint(ellipse(x, y, 0, 0.78, 0.15, 0.28 + flame), (1.0, 0.9, 0.4))
    for side in (-1, 1):
        fin = [(0.3, 0.1), (0.78, 0.55), (0.78, 0.92), (0.25, 0.7)]
        b.outlined(polygon(side * x, y, fin), b.look.dark)
    hull = np.maximum(np.maximum(circle(x, y, -0.75, -0.12, 1.22), circle(x, y, 0.75, -0.12, 1.22)), y - 0.74)
    cover = b.body(hull)
    b.paint(y + 0.62, b.look.dark, within=cover)
    b.shade(0.2 - x, cover)
    b.paint(circle(x, y, 0, -0.2, 0.25), CREAM)
    b.paint(circle(x, y, 0, -0.2, 0.17), (0.3, 0.52, 0.72))
    b.gleam(-0.06, -0.26, 0.06, 0.05)


def kite(b: Brush, phase) -> None:
    x, y = b.x, b.y
    wave = 0.16 * np.sin(phase - 5 * y) * np.clip(y - 0.5, 0, 1) * 2
    b.paint(np.maximum(np.abs(x - wave) - 0.035, np.abs(y - 0.95) - 0.45), INK)
    for knot in (0.85, 1.22):
        b.paint(np.abs(x - wave) + 0.8 * np.abs(y - knot) * 2 - 0.2, b.look.main)
    corners = [(0, -1.2), (0.8, -0.35), (0, 0.72), (-0.8, -0.35)]
    cover = b.body(polygon(x, y, corners))
    b.paint(np.maximum(x, y + 0.35), b.look.light, 0.75, cover)
    b.paint(np.maximum(-x, -y - 0.35), b.look.dark, 0.75, cover)
    b.paint(np.minimum(np.abs(x), np.abs(y + 0.35)) - 0.035, b.look.ink, within=cover)


def fish(b: Brush, phase) -> None:
    x, y = b.x, b.y
    wag = 0.35 * np.sin(phase) * np.clip(-x - 0.3, 0, None)
    ty = y + wag
    upper = polygon(x, ty, [(-1.05, 0.05), (-1.3, -0.6), (-0.5, -0.1), (-0.5, 0.05)])
    lower = polygon(x, ty, [(-0.5, -0.05), (-0.5, 0.1), (-1.3, 0.6), (-1.05, -0.05)])
    b.outlined(np.minimum(upper, lower), b.look.dark)
    b.outlined(polygon(x, y, [(-0.35, -0.4), (0.05, -0.92), (0.35, -0.4)]), b.look.dark)
    cover = b.body(ellipse(x, ty, 0.15, 0.0, 0.86, 0.58))
    b.paint(ellipse(x, y, 0.2, 0.5, 0.7, 0.28), b.look.light, 0.8, cover)
    b.outlined(ellipse(x, y, -0.02, 0.14 + 0.06 * np.sin(phase), 0.17, 0.1), b.look.dark)
    b.eye(0.6, -0.14, 0.18)


def five_star(b: Brush, phase) -> None:
    x, y = b.x, b.y
    cover = b.body(star(x, y, 1.18) - 0.06)
    b.paint(circle(x, y, 0.0, 0.02, 0.5), b.look.main, within=cover)
    b.shade(0.55 - y, cover)
    for side in (-0.2, 0.2):
        b.paint(ellipse(x, y, side, -0.06, 0.08, 0.13), INK)
    b.paint(np.maximum(np.abs(circle(x, y, 0, 0.1, 0.18)) - 0.04, 0.16 - y), INK)
    b.gleam(-0.1, -0.62, 0.07, 0.16)


def ball(b: Brush, phase) -> None:
    angle = phase / 2
    x, y = np.cos(angle) * b.x + np.sin(angle) * b.y, np.cos(angle) * b.y - np.sin(angle) * b.x
    cover = b.body(circle(x, y, 0, 0, 0.98))
    sector = (np.arctan2(y, x) + np.pi) % (2 * np.pi / 3) - np.pi / 3
    edge = (np.abs(sector) - np.pi / 6) * np.maximum(np.hypot(x, y), 0.1)
    pale = CREAM if min(b.look.main) < 0.8 else (0.72, 0.75, 0.82)
    b.paint(edge, pale, within=cover)
    b.paint(circle(x, y, 0, 0, 0.2), b.look.dark)
    b.shade(-circle(b.x, b.y, -0.2, -0.22, 1.02), cover)
    b.gleam(-0.4, -0.48, 0.2, 0.14)


DRAW = {"balloon": balloon, "boat": boat, "bird": bird, "rocket": rocket, "kite": kite, "fish": fish}
DRAW |= {"star": five_star, "ball": ball}


def sprite(subject: str, look: Look, path: Path, size: int):
    """The subject in its box on every frame: planes [4, T, s, s] and the boxes' corners (rows, columns) [T]."""
    side = int(np.ceil(2 * EXTENT * look.radius * size)) + 2
    left = np.round(path.x * size - side / 2).astype(int)
    top = np.round(path.y * size - side / 2).astype(int)
    pixels = np.arange(side) + 0.5
    x = ((left[:, None] + pixels) / size - path.x[:, None]).astype(np.float32)[:, None, :] / look.radius
    y = ((top[:, None] + pixels) / size - path.y[:, None]).astype(np.float32)[:, :, None] / look.radius
    cos, sin = (f(path.tilt).astype(np.float32)[:, None, None] for f in (np.cos, np.sin))
    u, v = cos * x + sin * y, cos * y - sin * x
    brush = Brush(u, v, look, 1 / (look.radius * size))
    DRAW[subject](brush, path.phase.astype(np.float32)[:, None, None])
    return brush.planes, top, left
