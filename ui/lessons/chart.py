"""A comparison as a Plotly figure. Inks and lines follow the page's theme in lessons.css."""

from __future__ import annotations

import plotly.graph_objects as go

from ..look.theme import RUNNER_COLOURS
from ..memory.figures import blank_figure
from .verdict import Chart

COLOURS = RUNNER_COLOURS["light"]
DASHES = ("solid", "dash", "dot", "dashdot")  # besides colour, for eyes that do not tell colours apart
YOURS = "#b07d00"


def figure(chart: Chart) -> go.Figure:
    """Lines over seconds, or bars over the window; what was predicted is dashed."""
    made = _bars(chart) if chart.measure.bars else _lines(chart)
    made.update_layout(
        showlegend=True,
        height=250,
        margin={"l": 52, "r": 10, "t": 30, "b": 36},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "bgcolor": "rgba(0,0,0,0)"},
    )
    return made


def axes(chart: Chart) -> tuple[str, str]:
    """What the axes of a chart are."""
    x = "the window, oldest frame to newest" if chart.measure.bars else "seconds of video"
    return x, f"{chart.measure.title}, {chart.measure.unit}"


def _lines(chart: Chart) -> go.Figure:
    made = blank_figure("light", *axes(chart))
    for number, (label, series) in enumerate(chart.series):
        line = {"color": COLOURS[number % 4], "width": 2.5, "dash": DASHES[number % 4]}
        made.add_scatter(x=series.x, y=series.y, name=label, mode="lines", line=line, hovertemplate="%{y:.3g}")
    if chart.level is not None:
        ends = [x for _, series in chart.series for x in series.x]
        line = {"color": YOURS, "width": 2, "dash": "dash"}
        x = [min(ends, default=0), max(ends, default=1)]
        made.add_scatter(x=x, y=[chart.level] * 2, name="your prediction", mode="lines", line=line)
    made.update_layout(hovermode="x unified")
    made.update_xaxes(showgrid=False)
    made.update_yaxes(rangemode="tozero")
    return made


def _bars(chart: Chart) -> go.Figure:
    made = blank_figure("light", *axes(chart))
    for number, (label, series) in enumerate(chart.series):
        made.add_bar(
            x=series.x,
            y=series.y,
            width=0.9 / max(1, len(series.x)),
            name=label,
            marker_color=COLOURS[number % 4],
            opacity=0.8 if len(chart.series) == 1 else 0.55,
            hovertemplate="%{y:.1f} %",
        )
    if chart.curve is not None:
        line = {"color": YOURS, "width": 2.5, "dash": "dash"}
        made.add_scatter(x=chart.curve.x, y=chart.curve.y, name="what you drew", mode="lines", line=line)
    made.update_layout(barmode="overlay")
    made.update_xaxes(showgrid=False, range=[0, 1], showticklabels=False)
    return made
