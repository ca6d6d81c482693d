"""Means and 95 % intervals over prompts and seeds.

A prompt is one observation, and the mean of its seeds is its value: two videos of one prompt have more in common than
videos of two. Policies are compared video by video, on the same prompts and noise, which takes out what all of them
share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan, nan, sqrt

import numpy as np

Video = tuple[int, int]  # prompt, seed
Values = Mapping[Video, float]

_Z = 1.959964  # of a normal distribution: 95 % lies within it


@dataclass(frozen=True)
class Estimate:
    """A mean and its 95 % interval, NaN where there are too few prompts for one."""

    mean: float
    low: float
    high: float
    prompts: int
    videos: int


def mean_of(values: Values) -> Estimate:
    """By Student's t over prompts; from three prompts on, two say next to nothing about how far prompts differ."""
    prompts, videos = _by_prompt(values)
    if not videos:
        return Estimate(nan, nan, nan, 0, 0)
    mean, half = float(prompts.mean()), nan
    if len(prompts) > 2:
        half = t_quantile(len(prompts) - 1) * float(prompts.std(ddof=1)) / sqrt(len(prompts))
    return Estimate(mean, mean - half, mean + half, len(prompts), videos)


def share_of(values: Values) -> Estimate:
    """Of ones and zeros, by Wilson's score interval (1927), which also holds when all or none are one."""
    prompts, videos = _by_prompt(values)
    if not videos:
        return Estimate(nan, nan, nan, 0, 0)
    p, n = float(prompts.mean()), _independent(prompts, videos)
    centre, scale = p + _Z**2 / (2 * n), 1 + _Z**2 / n
    half = _Z * sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
    return Estimate(p, (centre - half) / scale, (centre + half) / scale, len(prompts), videos)


def weighted(*terms: tuple[float, Values], constant: float = 0.0) -> dict[Video, float]:
    """Weighted sum of several values, video by video, over the videos that all of them have."""
    common = set.intersection(*(set(values) for _, values in terms))
    return {key: constant + sum(weight * values[key] for weight, values in terms) for key in sorted(common)}


def difference(a: Values, b: Values) -> Estimate:
    """How far a is above b, over the videos that both have."""
    return mean_of(weighted((1, a), (-1, b)))


def t_quantile(freedom: int) -> float:
    """Within 95 % of Student's t (Abramowitz and Stegun, 26.7.5): 0.1 % off at 3 degrees of freedom, less above."""
    z, n = _Z, freedom
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * n**4)
    )


def _by_prompt(values: Values) -> tuple[np.ndarray, int]:
    """Each prompt's mean over its seeds, and the number of videos; NaN counts as not there."""
    seeds: dict[int, list[float]] = {}
    for (prompt, _), value in values.items():
        if not isnan(value):
            seeds.setdefault(prompt, []).append(value)
    return np.array([np.mean(found) for found in seeds.values()]), sum(map(len, seeds.values()))


def _independent(prompts: np.ndarray, videos: int) -> float:
    """How many independent videos a share rests on: between the number of prompts (seeds of a prompt agree) and that of
    videos (they do not), by how far prompts differ (Kish's design effect). Unanimity cannot tell: prompts."""
    p = float(prompts.mean())
    if len(prompts) < 2 or p * (1 - p) == 0:
        return len(prompts)
    spread = float(prompts.var(ddof=1)) / len(prompts)
    return min(max(p * (1 - p) / spread, len(prompts)), videos) if spread else videos
