"""Places and times of day: skies, and layers of ground wider than the frame that slide past at their own speed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deepforcing.training.draw import Canvas, Colour, box, circle, mix, scale

SUBPIXELS = 4  # a panorama's columns per pixel, so that it can slide by quarters of one


@dataclass(frozen=True)
class Light:
    """A time of day."""

    zenith: Colour
    horizon: Colour
    ground: Colour  # multiplies the ground's own colours
    cloud: Colour
    disc: Colour  # sun or moon
    disc_height: tuple[float, float]
    disc_radius: float
    windows: float  # share of lit windows


LIGHTS = {
    "day": Light(
        (0.30, 0.62, 0.93), (0.80, 0.94, 0.99), (1, 1, 1), (1, 1, 1), (1.0, 0.93, 0.55), (0.12, 0.22), 0.075, 0.0
    ),
    "dawn": Light(
        (0.66, 0.64, 0.86),
        (1.0, 0.88, 0.80),
        (0.92, 0.82, 0.88),
        (1.0, 0.92, 0.92),
        (1.0, 0.97, 0.86),
        (0.38, 0.5),
        0.09,
        0.15,
    ),
    "sunset": Light(
        (0.33, 0.16, 0.42),
        (1.0, 0.56, 0.22),
        (0.78, 0.48, 0.46),
        (0.98, 0.55, 0.45),
        (1.0, 0.78, 0.25),
        (0.46, 0.58),
        0.13,
        0.35,
    ),
    "night": Light(
        (0.02, 0.04, 0.14),
        (0.13, 0.19, 0.40),
        (0.30, 0.36, 0.56),
        (0.22, 0.27, 0.45),
        (0.96, 0.95, 0.84),
        (0.13, 0.24),
        0.08,
        0.6,
    ),
}


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


def sky(rng, light: Light, size: int) -> np.ndarray:
    """Gradient, sun or moon with its glow, stars at night. [H, W, 3]"""
    canvas = Strip(size, 0.0, 1.0, 1)
    x, y = canvas.x[:, :size], canvas.y
    share = np.clip(y / 0.72, 0, 1) ** rng.uniform(0.8, 1.3)
    zenith, horizon = (np.asarray(c, np.float32) for c in (light.zenith, light.horizon))
    frame = np.broadcast_to((zenith + (horizon - zenith) * share)[:, None, :], (size, size, 3)).copy()
    if light is LIGHTS["night"]:
        _stars(rng, frame)
    cx, cy, radius = (
        rng.uniform(0.12, 0.88),
        rng.uniform(*light.disc_height),
        light.disc_radius * rng.uniform(0.85, 1.2),
    )
    distance = circle(x, y, cx, cy, radius)
    disc = np.clip(0.5 - distance * size, 0, 1)
    if light is LIGHTS["night"] and rng.random() < 0.6:
        disc = disc * np.clip(0.5 + circle(x, y, cx + 0.5 * radius, cy - 0.3 * radius, radius) * size, 0, 1)
    glow = (0.14 if light is LIGHTS["night"] else 0.42) * np.exp(-np.clip(distance, 0, None) / (1.1 * radius))
    alpha = np.maximum(disc, glow)[..., None]
    return frame * (1 - alpha) + alpha * np.asarray(light.disc, np.float32)


def _stars(rng, frame: np.ndarray) -> None:
    size = frame.shape[0]
    count = int(rng.integers(14, 36))
    rows, columns = rng.integers(0, int(0.55 * size), count), rng.integers(0, size, count)
    frame[rows, columns] = np.maximum(frame[rows, columns], rng.uniform(0.5, 1.0, (count, 1)))


def clouds(rng, light: Light, size: int, travel: np.ndarray) -> Layer:
    strip = strip_for(size, travel)
    left, right = float(travel.min()), float(travel.max()) + 1
    for _ in range(int(rng.integers(1, 4)) + int(2 * (right - left - 1))):
        cx, cy, width = rng.uniform(left, right), rng.uniform(0.08, 0.42), rng.uniform(0.07, 0.13)
        puffs = [
            circle(
                strip.x,
                strip.y,
                cx + k * 0.75 * width,
                cy - rng.uniform(0, 0.3) * width,
                width * rng.uniform(0.4, 0.75),
            )
            for k in (-1, 0, 1)
        ]
        body = np.minimum(np.minimum(puffs[0], puffs[1]), puffs[2])
        shape = np.maximum(body, strip.y - cy - 0.22 * width)
        strip.paint(shape, light.cloud, 0.88)
        strip.paint(
            np.maximum(body, cy + 0.02 * width - strip.y + 0 * body),
            scale(light.cloud, 0.9),
            0.5,
            strip.coverage(shape),
        )
    return strip.layer(travel)


def sea(rng, light: Light, size: int, camera: np.ndarray, wind: np.ndarray) -> list[Layer]:
    base = mix((0.10, 0.45, 0.68), (0.12, 0.55, 0.62), rng.random())
    base = scale(base, light.ground)
    layers = []
    for k, (level, parallax) in enumerate(((0.66, 0.15), (0.76, 0.45), (0.87, 0.9))):
        travel = camera * parallax + wind * (0.5 + 0.9 * k) * (-1) ** k
        strip = strip_for(size, travel)
        colour = mix(mix(base, light.horizon, 0.32 - 0.14 * k), scale(base, 0.8), 0.25 * k)
        if k == 0 and rng.random() < 0.6:
            _island(rng, strip, light, level)
        pitch = rng.uniform(0.16, 0.22) * (1 + 0.5 * k)
        crest = level - (0.012 + 0.014 * k) * np.abs(np.sin(np.pi * strip.x / pitch + rng.random() * 3)) * 1.6
        crest = crest + 0.008 * np.sin(2 * np.pi * strip.x / rng.uniform(0.5, 0.8))
        cover = strip.paint(crest - strip.y, colour)
        strip.paint(np.abs(strip.y - crest - 0.012) - 0.008 - 0.003 * k, mix(colour, (1, 1, 1), 0.55), 0.85, cover)
        layers.append(strip.layer(travel))
    return layers


def _island(rng, strip: Strip, light: Light, level: float) -> None:
    cx, width = strip.start + rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.22)
    hump = circle((strip.x - cx) / width, (strip.y - level) / (0.55 * width), 0, 0, 1) * 0.55 * width
    strip.paint(hump, mix(scale((0.36, 0.5, 0.42), light.ground), light.horizon, 0.35))


def hills(rng, light: Light, size: int, camera: np.ndarray, wind: np.ndarray) -> list[Layer]:
    hue = rng.uniform(-0.06, 0.06)
    layers = []
    for k, (level, height, parallax) in enumerate(((0.60, 0.07, 0.15), (0.72, 0.055, 0.45), (0.86, 0.04, 0.9))):
        strip = strip_for(size, camera * parallax)
        green = scale((0.42 + hue - 0.06 * k, 0.70 - 0.07 * k, 0.36 - hue - 0.04 * k), light.ground)
        colour = mix(green, light.horizon, 0.42 - 0.2 * k)
        top = outline(rng, strip.x, level, height, 0.6 + 0.25 * k)
        if k > 0:
            _trees(rng, strip, top, scale(colour, 0.72), k)
        cover = strip.paint(top - strip.y, colour)
        strip.paint(np.abs(strip.y - top - 0.015) - 0.012, mix(colour, (1, 1, 0.8), 0.22), 1.0, cover)
        layers.append(strip.layer(camera * parallax))
    return layers


def _trees(rng, strip: Strip, top, colour: Colour, k: int) -> None:
    width = strip.x.shape[1]
    for column in rng.integers(0, width, max(1, int(rng.integers(2, 5) * (width / strip.sub / strip.size)))):
        cx, cy, radius = float(strip.x[0, column]), float(top[0, column]), rng.uniform(0.022, 0.034) * (0.8 + 0.4 * k)
        near = slice(max(0, column - 3 * strip.size * strip.sub // 20), column + 3 * strip.size * strip.sub // 20)
        _paint_columns(
            strip, near, box(strip.x[:, near], strip.y, cx, cy - radius, 0.006, 2 * radius), scale(colour, 0.6)
        )
        _paint_columns(strip, near, circle(strip.x[:, near], strip.y, cx, cy - 2.1 * radius, 1.2 * radius), colour)


def _paint_columns(strip: Strip, columns: slice, distance, colour: Colour) -> None:
    part = Canvas((0,), strip.pixel)
    part.planes = strip.planes[:, :, columns]
    part.paint(distance, colour)


def city(rng, light: Light, size: int, camera: np.ndarray, wind: np.ndarray) -> list[Layer]:
    tint = mix((0.52, 0.55, 0.68), (0.66, 0.52, 0.52), rng.random())
    layers = []
    for k, (level, height, parallax) in enumerate(((0.58, 0.2, 0.2), (0.72, 0.22, 0.6))):
        strip = strip_for(size, camera * parallax)
        colour = mix(scale(tint, np.asarray(light.ground) * (1 - 0.32 * k)), light.horizon, 0.38 - 0.3 * k)
        _blocks(rng, strip, light, colour, level, height, windows=k == 1)
        layers.append(strip.layer(camera * parallax))
    strip = strip_for(size, camera)
    strip.paint(0.9 - strip.y, scale((0.34, 0.35, 0.40), light.ground))
    strip.paint(np.abs(strip.y - 0.905) - 0.012, scale((0.62, 0.62, 0.62), light.ground))
    dash = np.abs((strip.x + 0.06) % 0.2 - 0.1) - 0.05
    strip.paint(np.maximum(dash, np.abs(strip.y - 0.955) - 0.01), scale((0.95, 0.9, 0.7), light.ground))
    return [*layers, strip.layer(camera)]


def _blocks(rng, strip: Strip, light: Light, colour: Colour, level: float, height: float, windows: bool) -> None:
    """A row of buildings; lit windows are a random grid on the nearer row."""
    left, end = strip.start - rng.uniform(0, 0.1), float(strip.x[0, -1])
    pane = mix(light.horizon, (1.0, 0.86, 0.45), 0.9)
    while left < end:
        width, roof = rng.uniform(0.1, 0.19), level - height * rng.uniform(-0.5, 0.75)
        first, last = (
            int(np.clip((e - strip.start) * strip.size * strip.sub, 0, strip.x.shape[1]))
            for e in (left - 0.03, left + width + 0.03)
        )
        if last > first:
            near, shade = slice(first, last), scale(colour, rng.uniform(0.85, 1.12))
            x, y = strip.x[:, near], strip.y
            _paint_columns(strip, near, np.maximum(np.abs(x - left - width / 2) - width / 2, roof - y), shade)
            if windows:
                _windows(
                    rng, strip, near, left, width, roof, pane if light.windows else scale(shade, 0.7), light, shade
                )
            elif rng.random() < 0.3:
                _paint_columns(strip, near, box(x, y, left + width / 2, roof - 0.03, 0.006, 0.05), shade)
        left += width


def _windows(rng, strip, near, left, width, roof, pane, light: Light, wall: Colour) -> None:
    pitch = 0.046
    x, y = strip.x[:, near] - left - (width % pitch) / 2, strip.y - roof - 0.02
    columns, rows = int(width / pitch), int((0.95 - roof) / pitch)
    lit = rng.random((rows + 1, columns + 1)) < (light.windows or 0.9)
    shown = lit[np.clip((y / pitch).astype(int), 0, rows), np.clip((x / pitch).astype(int), 0, columns)]
    inside = np.maximum(np.abs(x % pitch - pitch / 2) - 0.012, np.abs(y % pitch - pitch / 2) - 0.012)
    valid = (x >= 0) & (x < columns * pitch) & (y >= 0)
    _paint_columns(strip, near, np.where(shown & valid, inside, 1.0), pane)


def desert(rng, light: Light, size: int, camera: np.ndarray, wind: np.ndarray) -> list[Layer]:
    sand = scale(mix((0.96, 0.80, 0.52), (0.93, 0.70, 0.46), rng.random()), light.ground)
    layers = []
    for k, (level, height, parallax) in enumerate(((0.64, 0.05, 0.15), (0.75, 0.05, 0.45), (0.88, 0.035, 0.9))):
        strip = strip_for(size, camera * parallax)
        colour = mix(scale(sand, 1 - 0.1 * k), light.horizon, 0.3 - 0.14 * k)
        if k == 0:
            _mesas(rng, strip, light, level)
        top = outline(rng, strip.x, level, height, 0.5 + 0.2 * k)
        if k == 1:
            _cacti(rng, strip, top, scale((0.25, 0.52, 0.33), light.ground))
        cover = strip.paint(top - strip.y, colour)
        strip.paint(np.abs(strip.y - top - 0.04 - 0.02 * k) - 0.008, scale(colour, 0.88), 1.0, cover)
        layers.append(strip.layer(camera * parallax))
    return layers


def _mesas(rng, strip: Strip, light: Light, level: float) -> None:
    colour = mix(scale((0.80, 0.45, 0.32), light.ground), light.horizon, 0.3)
    for _ in range(int(rng.integers(1, 3))):
        cx, width, height = strip.start + rng.uniform(0.05, 1.2), rng.uniform(0.06, 0.14), rng.uniform(0.08, 0.17)
        slope = np.abs(strip.x - cx) - width - 0.25 * (strip.y - level)
        strip.paint(np.maximum(slope, level - height - strip.y), colour)


def _cacti(rng, strip: Strip, top, colour: Colour) -> None:
    width = strip.x.shape[1]
    for column in rng.integers(0, width, int(rng.integers(1, 4))):
        cx, cy, height = float(strip.x[0, column]), float(top[0, column]), rng.uniform(0.05, 0.08)
        reach = 3 * strip.size * strip.sub // 20
        near = slice(max(0, column - reach), column + reach)
        x, y = strip.x[:, near], strip.y
        arms = np.minimum(
            box(x, y, cx + 0.03, cy - height, 0.011, 0.028), box(x, y, cx + 0.015, cy - 0.8 * height, 0.02, 0.011)
        )
        arms = np.minimum(
            arms,
            np.minimum(
                box(x, y, cx - 0.03, cy - 1.2 * height, 0.011, 0.025), box(x, y, cx - 0.015, cy - height, 0.02, 0.011)
            ),
        )
        _paint_columns(strip, near, np.minimum(arms, box(x, y, cx, cy - 0.7 * height, 0.015, height)), colour)


def mountains(rng, light: Light, size: int, camera: np.ndarray, wind: np.ndarray) -> list[Layer]:
    rock, snow = scale((0.46, 0.52, 0.66), light.ground), scale((0.95, 0.97, 1.0), light.ground)
    layers = []
    for k, (level, height, parallax) in enumerate(((0.62, 0.24, 0.12), (0.72, 0.17, 0.4))):
        strip = strip_for(size, camera * parallax)
        top = _peaks(rng, strip, level, height)
        colour = mix(rock, light.horizon, 0.35 - 0.2 * k)
        cover = strip.paint(top - strip.y, colour)
        cap = (
            top
            + 0.045
            + 0.014 * np.sin(70 * strip.x + rng.random() * 6)
            + 0.4 * np.clip(level - height * 0.7 - top, 0, None)
        )
        strip.paint(np.maximum(strip.y - cap, strip.y - level + 0.02), mix(snow, light.horizon, 0.15), 1.0, cover)
        layers.append(strip.layer(camera * parallax))
    strip = strip_for(size, camera * 0.9)
    top = outline(rng, strip.x, 0.84, 0.035, 0.7)
    _pines(rng, strip, top, scale((0.18, 0.36, 0.34), light.ground))
    cover = strip.paint(top - strip.y, snow)
    strip.paint(strip.y * 0 + top + 0.05 - strip.y, scale(snow, 0.9), 1.0, cover)
    return [*layers, strip.layer(camera * 0.9)]


def _peaks(rng, strip: Strip, level: float, height: float):
    """Triangular summits at random places and heights: the highest at each column."""
    top = np.full_like(strip.x, level)
    centre = strip.start - 0.1
    while centre < float(strip.x[0, -1]) + 0.2:
        summit = height * rng.uniform(0.55, 1.25)
        top = np.minimum(top, level - summit + np.abs(strip.x - centre) * rng.uniform(0.9, 1.4))
        centre += rng.uniform(0.16, 0.34)
    return top


def _pines(rng, strip: Strip, top, colour: Colour) -> None:
    width = strip.x.shape[1]
    for column in rng.integers(0, width, max(2, int(rng.integers(3, 7) * width / strip.sub / strip.size))):
        cx, cy, height = float(strip.x[0, column]), float(top[0, column]), rng.uniform(0.07, 0.12)
        reach = strip.size * strip.sub // 10
        near = slice(max(0, column - reach), column + reach)
        x, y = strip.x[:, near], strip.y
        body = np.maximum(np.abs(x - cx) - 0.32 * (y - cy + height), y - cy - 0.02) * 0.9
        _paint_columns(strip, near, body, colour)


PLACES = {"sea": sea, "hills": hills, "city": city, "desert": desert, "mountains": mountains}
