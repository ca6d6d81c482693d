"""Times of day: the light of each, the sky with its sun, moon and stars, and the clouds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deepforcing.training.draw import Colour, circle, scale
from deepforcing.training.strips import Layer, Strip, strip_for


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
