"""The panels' plotly figures: layout, colours and traces as pure functions, for notebooks and exports."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from deepforcing import AttentionMass

from ..look.theme import GRID, INK, ROLE_COLOURS, ROLES


def attention_bars(attention: AttentionMass | None = None, theme: str = "light") -> go.Figure:
    """Attention mass by attended latent frame, mean over layers and heads, one bar a frame, coloured by its role."""
    figure = blank_figure(theme, "latent frame", "share of attention")
    frames, shares, roles = [], [], []
    if attention is not None:
        frames, shares, roles = attention.frames, attention.mass.mean((0, 1)), attention.roles
    colours = [ROLE_COLOURS[theme][role] for role in roles]
    hover = "frame %{x}: %{y:.1%} of attention<extra>%{customdata}</extra>"
    figure.add_bar(
        x=[str(frame) for frame in frames],
        y=list(shares),
        customdata=list(roles),
        marker_color=colours,
        hovertemplate=hover,
    )
    figure.update_xaxes(type="category", showgrid=False, tickangle=0, nticks=8)
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    return figure


def share_areas(seconds: Sequence[float] = (), shares: np.ndarray | None = None, theme: str = "light") -> go.Figure:
    """Attention by role over the video's time, stacked to 1: its lowest band is the sink mass.

    seconds: [chunks + 1], where each chunk begins and the last one ends. shares: [chunks, 4], columns in the order of
    `theme.ROLES`.
    """
    figure = blank_figure(theme, "seconds of video", "share of attention")
    for column, role in enumerate(ROLES):
        colour = ROLE_COLOURS[theme][role]
        figure.add_scatter(
            x=list(seconds),
            y=[] if shares is None else [*shares[:, column], shares[-1, column]],
            name=role,
            stackgroup="roles",
            line={"color": colour, "width": 2.5 if role == "sink" else 0.5, "shape": "hv"},
            fillcolor=_faded(colour, 0.75 if role == "sink" else 0.35),
            hovertemplate="%{y:.0%}",
        )
    figure.update_layout(hovermode="x unified")
    figure.update_yaxes(tickformat=".0%", range=[0, 1])
    figure.update_xaxes(showgrid=False, rangemode="tozero")
    return figure


def life_map(
    seconds: Sequence[float] = (), frames: Sequence[int] = (), alive: np.ndarray | None = None, theme: str = "light"
) -> go.Figure:
    """Which original frames live, over time: one column a chunk, one row a latent frame.

    seconds: [chunks + 1], where each chunk begins and the last one ends. frames: [frames].
    alive: [frames, chunks], the role's number in `theme.ROLES` plus the share of tokens alive (0..1]; NaN for none.
    """
    figure = blank_figure(theme, "seconds of video", "latent frame")
    figure.add_heatmap(
        x=list(seconds),
        y=list(frames),
        z=alive,
        customdata=None if alive is None else alive - np.ceil(alive) + 1,
        zmin=0,
        zmax=len(ROLES),
        colorscale=life_colours(theme),
        showscale=False,
        hoverongaps=False,
        hovertemplate="frame %{y} at %{x:.1f} s: %{customdata:.0%} of its tokens alive<extra></extra>",
    )
    figure.update_xaxes(showgrid=False, rangemode="tozero")
    figure.update_yaxes(showgrid=False, rangemode="tozero", nticks=6)
    return figure


def life_colours(theme: str) -> list[tuple[float, str]]:
    """A colour scale with one band a role, from faded (few tokens alive) to full (all)."""
    scale = []
    for number, role in enumerate(ROLES):
        colour = ROLE_COLOURS[theme][role]
        edge = 1e-4 if number else 0
        scale.append((number / len(ROLES) + edge, _faded(colour, 0.25)))
        scale.append(((number + 1) / len(ROLES), colour))
    return scale


def blank_figure(theme: str, x_title: str, y_title: str) -> go.Figure:
    axis = {
        "gridcolor": GRID[theme],
        "linecolor": GRID[theme],
        "zeroline": False,
        "title_font_size": 11,
        "title_standoff": 6,
    }
    return go.Figure(
        layout={
            "template": None,
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"color": INK[theme], "size": 11, "family": "system-ui, sans-serif"},
            "margin": {"l": 46, "r": 8, "t": 6, "b": 34},
            "showlegend": False,
            "bargap": 0.12,
            "dragmode": False,
            "uirevision": "keep",
            "xaxis": {**axis, "title_text": x_title},
            "yaxis": {**axis, "title_text": y_title},
        }
    )


def _faded(colour: str, alpha: float) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"
