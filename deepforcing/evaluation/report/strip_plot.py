"""The film strip: stills of the same prompt under two policies, one above the other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from ..strip import Strip, prompt_of
from .drawing import SOFT, canvas, colour_of, title

_GAP = 0.04  # of a still's width
_STILLS, _WORDS = 6.8, 0.55  # inches: a row of stills, what is written above and below a pair


def film_strip(strips: Sequence[Strip]) -> Figure:
    """A panel a video, a row a policy; the strips must have been made."""
    groups = [list(group) for _, group in groupby(strips, key=lambda strip: strip.video)]
    row = _STILLS / len(strips[0].seconds)
    figure, panels = canvas(row * len(strips) + _WORDS * len(groups), len(groups), 1)
    for panel, group in zip(panels[:, 0], groups, strict=True):
        title(panel, f"“{prompt_of(group[0].video)}”")
        _pair(panel, group)
    return figure


def _pair(panel: Axes, group: Sequence[Strip]) -> None:
    count = len(group[0].seconds)
    panel.axis("off")
    panel.set_anchor("E")  # the room that is left goes to the names
    for row, strip in enumerate(group):
        tiles = np.split(np.asarray(Image.open(strip.path).convert("RGB")), count, axis=1)
        height = tiles[0].shape[0] / tiles[0].shape[1]
        top = row * (height + _GAP)
        for column, tile in enumerate(tiles):
            left = column * (1 + _GAP)
            panel.imshow(tile, extent=(left, left + 1, top + height, top), interpolation="bicubic")
        panel.text(
            -0.08,
            top + height / 2,
            strip.policy.name,
            fontsize=8,
            fontweight="bold",
            ha="right",
            va="center",
            color=colour_of(strip.policy),
        )
    for column, second in enumerate(group[0].seconds):
        left = column * (1 + _GAP) + 0.5
        panel.text(left, top + height + 0.02, f"{second} s", fontsize=8, ha="center", va="top", color=SOFT)
    panel.set_xlim(0, count * (1 + _GAP) - _GAP)
    panel.set_ylim(top + height + 0.15, 0)
