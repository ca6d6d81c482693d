"""Where RoPE thinks things are, as a figure: each cached frame when it was made, and where it is put.

As on the page, what lies further back than the window is squeezed into the left of both rails.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from deepforcing import Chunk

from ..look.theme import INK, ROLE_COLOURS, ROLES
from .figures import blank_figure
from .packing import mean_time

SQUEEZED = 0.2  # of the width, for everything older than the window
THICK = 0.24  # of a rail, where the rails are 1 apart
STEP = 5  # latent frames between two numbers on the axis


@dataclass(frozen=True)
class Item:
    """A latent frame: its true place and the one that RoPE gives it, both from the chunk's first; share: held of it."""

    frame: int
    role: str
    made: float
    put: float
    share: float


@dataclass(frozen=True)
class Scale:
    """Latent frames from the chunk -> 0..1 along the rails."""

    near: int  # what is older is squeezed
    oldest: float
    end: int

    def __call__(self, time: float) -> float:
        if time < -self.near:
            return SQUEEZED * (time - self.oldest) / (-self.near - self.oldest)
        return SQUEEZED + (1 - SQUEEZED) * (time + self.near) / (self.near + self.end)


def rope_figure(chunk: Chunk, window: int = 21, layer: int | None = None, theme: str = "light") -> go.Figure:
    """Upper rail: when each frame was made; lower rail: where it is put for this chunk, which stands at 0.

    window: latent frames, the policy's. layer: from 0, None for the mean of all.
    """
    items = items_of(chunk, layer)
    near, end = window + 2, chunk.latent_frames[1] - chunk.latent_frames[0]
    scale = Scale(near, min([-2 * near, *(min(item.made, item.put) for item in items)]), end)
    figure = blank_figure(theme, "latent frames from the chunk", "")
    for role in reversed(ROLES):  # the sink is drawn over the others
        own = [item for item in items if item.role == role]
        figure.add_scatter(**_threads(own, scale), line={"color": ROLE_COLOURS[theme][role], "shape": "spline"})
        for place, rail in (("made", 1), ("put", 0)):
            figure.add_bar(**_bars(own, scale, place, rail), marker_color=ROLE_COLOURS[theme][role], name=role)
    times = list(range(0, -near, -STEP))
    figure.update_xaxes(range=[0, 1], showgrid=False, tickvals=[scale(t + 0.5) for t in times], ticktext=times)
    figure.update_yaxes(range=[-0.2, 1.2], showgrid=False, tickvals=[0, 1], ticktext=["put", "made"])
    figure.update_layout(barmode="overlay", height=220)
    figure.add_vline(scale(-near), line={"color": INK[theme], "width": 1, "dash": "dot"})
    return figure


def items_of(chunk: Chunk, layer: int | None = None) -> list[Item]:
    """What has a place, oldest first; the chunk itself last."""
    cache, (first, end) = chunk.cache, chunk.latent_frames
    put = mean_time(cache) if layer is None else cache.time[layer]
    share = (cache.kept if layer is None else cache.kept[layer : layer + 1]).mean((0, 2, 3))
    rows = zip(cache.frames.tolist(), cache.roles, put.tolist(), share.tolist(), strict=True)
    held = [Item(frame, role, frame - first, at, part) for frame, role, at, part in rows if np.isfinite(at)]
    return held + [Item(frame, "current", frame - first, frame - first, 1.0) for frame in range(first, end)]


def _bars(items: list[Item], scale: Scale, place: str, rail: int) -> dict:
    begins = [getattr(item, place) for item in items]
    return {
        "orientation": "h",
        "base": [scale(begin) for begin in begins],
        "x": [scale(begin + 1) - scale(begin) for begin in begins],
        "y": [rail] * len(items),
        "width": THICK,
        "marker_opacity": [0.3 + 0.7 * item.share for item in items],
        "marker_line_width": 0,
        "text": [_number(item, begin >= -scale.near) for item, begin in zip(items, begins, strict=True)],
        "textposition": "inside",
        "insidetextanchor": "middle",
        "textangle": 0,
        "customdata": [(item.frame, item.role, item.made, item.put, item.share) for item in items],
        "hovertemplate": "frame %{customdata[0]}, %{customdata[1]}: made at %{customdata[2]}, put at "
        "%{customdata[3]:.1f}, %{customdata[4]:.0%} of its tokens held<extra></extra>",
    }


def _number(item: Item, fits: bool) -> str:
    return str(item.frame) if fits and item.share == 1 else ""


def _threads(items: list[Item], scale: Scale) -> dict:
    """A curve from each frame's true place to where it is put."""
    x, y = [], []
    for item in items:
        made, put = scale(item.made + 0.5), scale(item.put + 0.5)
        x += [made, made + (put - made) * 0.15, made + (put - made) * 0.85, put, None]
        y += [1 - THICK / 2, 0.7, 0.3, THICK / 2, None]
    return {"x": x, "y": y, "mode": "lines", "line_width": 1, "opacity": 0.6, "hoverinfo": "skip"}
