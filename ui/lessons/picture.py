"""The picture that a reader takes home: own frames, own numbers, own prediction."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure
from PIL import Image

from .chart import COLOURS, YOURS, axes
from .lesson import Picture
from .outcome import Outcome
from .verdict import Answer, Chart, judge

_PAPER, _INK, _SOFT, _GRID = "#ffffff", "#1f2733", "#5c6675", "#e5e8ee"
_WIDTH, _DOTS = 8.0, 150  # inches; dots an inch
_HEAD, _CHART, _FOOT, _LABEL = 0.55, 2.6, 0.35, 0.42  # inches
_LINE = 0.2  # inches of a line of words
_DASHES = ("-", "--", ":", "-.")


def draw(lesson: str, wanted: Picture, outcomes: Mapping[str, Outcome], answers: Mapping[str, Answer]) -> bytes:
    """PNG. Runs that were not made are left out, and the words say so; the same input gives the same bytes."""
    runs = [outcomes[name] for name in wanted.strip if name in outcomes]
    verdict = None if wanted.chart is None else judge(wanted.chart, outcomes, answers)
    words = textwrap.wrap("" if verdict is None else verdict.words, 96)
    chart = verdict.chart if verdict is not None else None
    heights = [_HEAD + _LINE * (len(words) + 0.6), *map(_strip_height, runs), *([_CHART] if chart else []), _FOOT]
    figure = Figure((_WIDTH, sum(heights)), dpi=_DOTS, facecolor=_PAPER)
    FigureCanvasAgg(figure)
    head, *parts = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    _write_head(head, wanted.title, words, heights[0])
    for part, run in zip(parts, runs, strict=False):
        _draw_strip(part, run)
    if chart:
        _draw_chart(parts[len(runs)], chart)
    small = _small_print(lesson, runs or list(outcomes.values()))
    parts[-1].text(0.03, 0.5, small, fontsize=7.5, color=_SOFT, va="center", parse_math=False)
    return _png(figure)


def file_name(title: str) -> str:
    """A short name that any file system takes."""
    words = re.findall(r"[a-z0-9]+", title.lower())
    return f"{'-'.join(words)[:48].strip('-') or 'lesson'}.png"


def _strip_height(run: Outcome) -> float:
    width, height = _pictures(run)[0][1].size
    return _LABEL + 0.94 * _WIDTH / len(run.stills) * height / width


def _pictures(run: Outcome) -> list[tuple[float, Image.Image]]:
    return [(second, Image.open(io.BytesIO(still))) for second, still in run.stills]


def _write_head(part: SubFigure, title: str, words: list[str], height: float) -> None:
    place = {"va": "top", "parse_math": False}
    part.text(0.03, 1 - 0.16 / height, title, fontsize=14, fontweight="bold", color=_INK, **place)
    lines = "\n".join(words)
    part.text(0.03, 1 - 0.52 / height, lines, fontsize=9, color=_INK, linespacing=1.4, **place)


def _draw_strip(part: SubFigure, run: Outcome) -> None:
    panels = part.subplots(1, len(run.stills), squeeze=False)[0]
    whole = _strip_height(run)
    part.subplots_adjust(left=0.03, right=0.97, top=1 - 0.22 / whole, bottom=0.2 / whole, wspace=0.03)
    name = f"{run.label} (recorded run)" if run.recorded else run.label
    part.text(0.03, 1, name, fontsize=9, fontweight="bold", color=_INK, va="top", parse_math=False)
    for panel, (second, picture) in zip(panels, _pictures(run), strict=True):
        panel.imshow(picture)
        panel.set_axis_off()
        panel.text(0, -0.02, f"{second:.0f} s", transform=panel.transAxes, fontsize=7.5, color=_SOFT, va="top")


def _draw_chart(part: SubFigure, chart: Chart) -> None:
    panel = part.subplots()
    part.subplots_adjust(left=0.08, right=0.97, top=0.9, bottom=0.17)
    _plain(panel)
    for number, (label, series) in enumerate(chart.series):
        colour = COLOURS[number % 4]
        if chart.measure.bars:
            alpha = 0.8 if len(chart.series) == 1 else 0.55
            panel.bar(series.x, series.y, 0.9 / max(1, len(series.x)), color=colour, alpha=alpha, label=label)
        else:
            panel.plot(series.x, series.y, _DASHES[number % 4], color=colour, linewidth=1.8, label=label)
    if chart.level is not None:
        panel.axhline(chart.level, color=YOURS, linestyle="--", linewidth=1.4, label="my prediction")
    if chart.curve is not None:
        panel.plot(chart.curve.x, chart.curve.y, "--", color=YOURS, linewidth=1.8, label="what I drew")
    panel.set_ylim(bottom=min(0, panel.get_ylim()[0]))
    x, y = axes(chart)
    panel.set_xlabel(x, fontsize=8, color=_SOFT)
    panel.set_title(y, loc="left", fontsize=9, color=_INK, parse_math=False)
    if chart.measure.bars:
        panel.set_xticks([])
    legend = panel.legend(fontsize=8, frameon=False, ncols=3, loc="lower right", bbox_to_anchor=(1, 0.98))
    for text in legend.get_texts():
        text.set_parse_math(False)


def _plain(panel: Axes) -> None:
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.spines["bottom"].set_color(_SOFT)
    panel.tick_params(colors=_SOFT, labelsize=8, length=0)
    panel.grid(axis="y", color=_GRID, linewidth=0.8)
    panel.set_axisbelow(True)


def _small_print(lesson: str, runs: list[Outcome]) -> str:
    models = ", ".join(dict.fromkeys(run.model for run in runs))
    seeds = ", ".join(dict.fromkeys(run.seed for run in runs))
    made = f"{models} model, seed {seeds} · " if runs else ""
    return f"{made}Deep Forcing, lesson “{lesson}”"


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DOTS, metadata={"Software": None})
    return buffer.getvalue()
