"""The page's panels as plotly figures, drawn from events: for notebooks and exports.

layer, head: numbers from 0, None for the mean of all. fps: of the video, see `StreamStarted`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from deepforcing import AttentionMass, Chunk

from ..look.theme import ROLES, RUNNER_COLOURS
from .figures import attention_bars, blank_figure, life_map, share_areas
from .keepmap import keep_figure, pictures_of
from .rope import rope_figure

if TYPE_CHECKING:  # the others are drawn without torch
    from deepforcing import Round, Runner

__all__ = [
    "attention_figure",
    "keep_figure",
    "life_figure",
    "pictures_of",
    "race_figure",
    "roles_figure",
    "rope_figure",
]

HEIGHT = 260  # pixels
LEAST_SHARE = 0.01  # drawn of a frame's tokens, so that the last few can be seen


def attention_figure(
    chunk: Chunk, layer: int | None = None, head: int | None = None, theme: str = "light"
) -> go.Figure:
    """Where attention goes: how much the chunk looked at each cached frame. Empty without a probe."""
    attention = chunk.attention and _picked(chunk.attention, layer, head)
    return attention_bars(attention, theme).update_layout(height=HEIGHT)


def roles_figure(
    chunks: Sequence[Chunk], fps: int = 16, layer: int | None = None, head: int | None = None, theme: str = "light"
) -> go.Figure:
    """Attention by role, over time; the lowest band is the sink mass. Empty without a probe."""
    probed = [chunk for chunk in chunks if chunk.attention is not None]
    if not probed:
        return share_areas(theme=theme).update_layout(height=HEIGHT)
    shares = np.stack([_by_role(chunk, layer, head) for chunk in probed])
    return share_areas(_edges(probed, fps), shares, theme).update_layout(height=HEIGHT)


def life_figure(chunks: Sequence[Chunk], fps: int = 16, layer: int | None = None, theme: str = "light") -> go.Figure:
    """The life of the cache: a row a latent frame, coloured while it lives, pale when thinned out."""
    if not chunks:
        return life_map(theme=theme).update_layout(height=HEIGHT)
    frames = np.arange(chunks[-1].latent_frames[1])
    alive = np.full((len(frames), len(chunks)), np.nan)
    for column, chunk in enumerate(chunks):
        for frame, role, share in _alive(chunk, layer):
            alive[frame, column] = ROLES.index(role) + np.clip(share, LEAST_SHARE, 1)
    return life_map(_edges(chunks, fps), frames, alive, theme).update_layout(height=HEIGHT)


def race_figure(
    runners: Sequence[Runner], rounds: Sequence[Round], what: str = "drift", fps: int = 16, theme: str = "light"
) -> go.Figure:
    """A line a runner. what: a field of `Standing`, such as drift, motion, sink_mass, cache_bytes."""
    figure = blank_figure(theme, "seconds of video", what.replace("_", " "))
    for number, runner in enumerate(runners):
        laps = [each.laps[number] for each in rounds]
        ends = [(lap.chunk.first_frame + len(lap.chunk.frames)) / fps for lap in laps]
        line = {"color": RUNNER_COLOURS[theme][number], "width": 2}
        figure.add_scatter(x=ends, y=[getattr(lap.standing, what) for lap in laps], name=runner.label, line=line)
    figure.update_traces(mode="lines")
    return figure.update_layout(height=HEIGHT, showlegend=True, legend={"orientation": "h", "y": 1.15})


def _picked(attention: AttentionMass, layer: int | None, head: int | None) -> AttentionMass:
    layers = slice(None) if layer is None else slice(layer, layer + 1)
    heads = slice(None) if head is None else slice(head, head + 1)
    return replace(attention, mass=attention.mass[layers, heads])


def _by_role(chunk: Chunk, layer: int | None, head: int | None) -> list[float]:
    """Attention on each of the roles, in the order of `theme.ROLES`."""
    attention = _picked(chunk.attention, layer, head)
    shares, roles = attention.mass.mean((0, 1)), np.array(attention.roles)
    return [float(shares[roles == role].sum()) for role in ROLES]


def _alive(chunk: Chunk, layer: int | None) -> list[tuple[int, str, float]]:
    """(latent frame, role, share of its tokens) of all that lives while the chunk is made, itself included."""
    cache = chunk.cache
    kept = cache.kept if layer is None else cache.kept[layer : layer + 1]
    held = zip(cache.frames.tolist(), cache.roles, kept.mean((0, 2, 3)).tolist(), strict=True)
    return [row for row in held if row[2] > 0] + [(own, "current", 1.0) for own in range(*chunk.latent_frames)]


def _edges(chunks: Sequence[Chunk], fps: int) -> list[float]:
    """Where each chunk begins, and where the last one ends, in seconds."""
    last = chunks[-1]
    return [chunk.first_frame / fps for chunk in chunks] + [(last.first_frame + len(last.frames)) / fps]
