"""What all pictures share: size, colours, letters, and how they are saved.

Pictures are opaque, so that they read alike on dark and on light pages; colours are Okabe and Ito's, which the
colour-blind can tell apart, and a line's name stands at its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from types import MappingProxyType

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from ...policies import Policy

PAPER, INK, SOFT, GRID = "#ffffff", "#1f2733", "#5c6675", "#e5e8ee"
BLUE, ORANGE, GREEN = "#0072b2", "#e69f00", "#009e73"
POLICY_COLOURS = MappingProxyType(
    {"self-forcing": "#d55e00", "attention-sink": "#b07d00", "deep-sink": "#3a9bd9", "deep-forcing": "#00517f"}
)
_OTHER = "#7b8494"
MAP = "cividis"  # even in brightness, and the same to the colour-blind
_WIDTH, _DOTS = 8.0, 200  # inches; dots an inch: twice the 800 pixels of a page


def colour_of(policy: Policy) -> str:
    return POLICY_COLOURS.get(policy.name, _OTHER)


def canvas(height: float, rows: int = 1, columns: int = 1, **shape) -> tuple[Figure, np.ndarray]:
    """A figure of the page's width and so many inches' height, and its panels [rows, columns]."""
    figure = Figure((_WIDTH, height), dpi=_DOTS, facecolor=PAPER, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1, wspace=0.02, hspace=0.03)
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False, **shape)
    for panel in panels.flat:
        _plain(panel)
    return figure, panels


def _plain(panel: Axes) -> None:
    panel.set_facecolor(PAPER)
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.spines["bottom"].set_color(SOFT)
    panel.tick_params(colors=SOFT, labelsize=8, length=0)
    panel.grid(axis="y", color=GRID, linewidth=0.8)
    panel.set_axisbelow(True)


def title(panel: Axes, text: str, about: str = "") -> None:
    """Left above a panel, in bold, with a softer line below it."""
    panel.set_title(text, loc="left", fontsize=9.5, fontweight="bold", color=INK, pad=16 if about else 6)
    if about:
        panel.annotate(
            about, (0, 1), (0, 4), "axes fraction", "offset points", fontsize=7.5, color=SOFT, annotation_clip=False
        )


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places moved as little as needed to be `gap` apart and within bounds, in the same order."""
    order = np.argsort(places, kind="stable")
    above = gap * np.arange(len(places))  # how far each must be above the lowest, if they stand close
    firsts = np.clip(np.asarray(places)[order] - above, low, high - gap * (len(places) - 1))
    groups: list[list[float]] = []  # those that touch, each as the wanted places of its lowest
    for first in firsts:
        groups.append([first])
        while len(groups) > 1 and np.mean(groups[-2]) >= np.mean(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    moved = np.empty(len(places))
    moved[order] = above + [np.mean(group) for group in groups for _ in group]
    return moved.tolist()


def name_lines(panel: Axes, names: list[str], ends: list[tuple[float, float]], colours: list[str]) -> None:
    """Write each line's name right of its end, where names would overlap a little above or below."""
    low, high = panel.get_ylim()
    known = [line for line in zip(names, ends, colours, strict=True) if np.isfinite(line[1][1])]
    heights = spread([y for _, (_, y), _ in known], 0.085 * (high - low), low, high)
    for (name, (x, _), colour), height in zip(known, heights, strict=True):
        panel.annotate(
            name,
            (x, height),
            (6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=colour,
            fontweight="bold",
            annotation_clip=False,
        )


def save(figure: Figure, path: Path) -> None:
    """Charts as PNG with a palette, which halves them, stills as WebP; the same figure gives the same bytes."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=_DOTS)
    picture = Image.open(buffer).convert("RGB")
    if path.suffix == ".webp":
        picture.save(path, quality=80, method=6)
    else:
        picture.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
