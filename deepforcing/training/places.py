"""The places, each as layers from far to near."""

from __future__ import annotations

import numpy as np

from deepforcing.training.draw import Colour, box, circle, mix, scale
from deepforcing.training.skies import Light
from deepforcing.training.strips import Layer, Strip, outline, paint_columns, strip_for


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
        paint_columns(
            strip, near, box(strip.x[:, near], strip.y, cx, cy - radius, 0.006, 2 * radius), scale(colour, 0.6)
        )
        paint_columns(strip, near, circle(strip.x[:, near], strip.y, cx, cy - 2.1 * radius, 1.2 * radius), colour)


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
            paint_columns(strip, near, np.maximum(np.abs(x - left - width / 2) - width / 2, roof - y), shade)
            if windows:
                _windows(
                    rng, strip, near, left, width, roof, pane if light.windows else scale(shade, 0.7), light, shade
                )
            elif rng.random() < 0.3:
                paint_columns(strip, near, box(x, y, left + width / 2, roof - 0.03, 0.006, 0.05), shade)
        left += width


def _windows(rng, strip, near, left, width, roof, pane, light: Light, wall: Colour) -> None:
    pitch = 0.046
    x, y = strip.x[:, near] - left - (width % pitch) / 2, strip.y - roof - 0.02
    columns, rows = int(width / pitch), int((0.95 - roof) / pitch)
    lit = rng.random((rows + 1, columns + 1)) < (light.windows or 0.9)
    shown = lit[np.clip((y / pitch).astype(int), 0, rows), np.clip((x / pitch).astype(int), 0, columns)]
    inside = np.maximum(np.abs(x % pitch - pitch / 2) - 0.012, np.abs(y % pitch - pitch / 2) - 0.012)
    valid = (x >= 0) & (x < columns * pitch) & (y >= 0)
    paint_columns(strip, near, np.where(shown & valid, inside, 1.0), pane)


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
        paint_columns(strip, near, np.minimum(arms, box(x, y, cx, cy - 0.7 * height, 0.015, height)), colour)


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
        paint_columns(strip, near, body, colour)


PLACES = {"sea": sea, "hills": hills, "city": city, "desert": desert, "mountains": mountains}
