"""The pictures of videos' readings: over time, at the end, against the sink's depth."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from ..comparison import Comparison, short_names
from ..measure import WINDOW_SECONDS
from ..quantities import QUANTITIES, Quantity
from ..statistics import Estimate, mean_of
from .drawing import BLUE, GRID, INK, SOFT, canvas, colour_of, name_lines, title

_DASHED = (0, (2, 2))
_STYLES = ("-", "--", ":", "-.")  # of policies with the same name
_SECONDS = f"seconds of video; dashed: {WINDOW_SECONDS} s, as long as trained"
_BEST_DEPTHS = (10, 15)  # frames, of the paper, Fig. 5 and 10


def over_time(found: Comparison, quantities: Sequence[str]) -> Figure:
    """A panel a quantity, a line a policy with its interval as a band; a window stands at its end."""
    rows = -(-len(quantities) // 2)
    figure, panels = canvas(2.5 * rows, rows, 2)
    for panel, name in zip(panels.flat, quantities, strict=False):
        title(panel, QUANTITIES[name].title, QUANTITIES[name].about)
        _lines_over_time(panel, found, QUANTITIES[name])
    for panel in panels[-1]:
        panel.set_xlabel(_SECONDS, fontsize=8, color=SOFT)
    return figure


def over_chance(found: Comparison, quantities: Sequence[str]) -> Figure:
    """As `over_time`, over the line on which two videos lie that have nothing but the caption in common."""
    figure, ((panel,),) = canvas(3.4)
    (name,) = quantities
    title(panel, QUANTITIES[name].title, QUANTITIES[name].about)
    _lines_over_time(panel, found, QUANTITIES[name])
    chance, says = mean_of(found.values(found.policies[0], "chance")).mean, "another video of the same caption"
    panel.axhline(chance, color=SOFT, linewidth=0.8, linestyle=_DASHED)
    panel.annotate(says, (1, chance), (0, -10), textcoords="offset points", fontsize=8, color=SOFT)
    panel.set_xlabel(_SECONDS, fontsize=8, color=SOFT)
    return figure


def _lines_over_time(panel: Axes, found: Comparison, quantity: Quantity) -> None:
    times, ends = [start + WINDOW_SECONDS for start in found.starts], []
    for number, policy in enumerate(found.policies):
        estimates = [found.estimate(policy, quantity.name, start) for start in found.starts]
        namesakes = sum(other.name == policy.name for other in found.policies[:number])
        bold = policy.name == "deep-forcing" and not namesakes
        _line(panel, times, estimates, colour_of(policy), bold, _STYLES[namesakes])
        ends.append((times[-1], estimates[-1].mean))
    _scale(panel, quantity)
    panel.set_xlim(0, times[-1])
    panel.set_xticks(range(0, times[-1] + 1, 10 if times[-1] > 30 else 5))
    panel.axvline(WINDOW_SECONDS, color=SOFT, linewidth=0.8, linestyle=_DASHED)
    names = short_names(found.policies)
    name_lines(panel, [names[p] for p in found.policies], ends, [colour_of(p) for p in found.policies])


def _line(
    panel: Axes, x: Sequence[float], estimates: Sequence[Estimate], colour: str, bold: bool, style: str = "-"
) -> None:
    means = [e.mean for e in estimates]
    panel.fill_between(x, [e.low for e in estimates], [e.high for e in estimates], color=colour, alpha=0.13, lw=0)
    panel.plot(x, means, style, color=colour, linewidth=2.6 if bold else 1.6, zorder=3 if bold else 2)
    panel.plot(x[-1:], means[-1:], "o", color=colour, markersize=4, clip_on=False, zorder=4)


def _scale(panel: Axes, quantity: Quantity) -> None:
    """From 0 where 0 means none, so that a slope looks as large as it is."""
    panel.yaxis.set_major_locator(MaxNLocator(5))
    if quantity.share:
        panel.set_ylim(0, 1.04)
        panel.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    elif quantity.from_zero:
        panel.set_ylim(0, 1.08 * panel.get_ylim()[1])


def at_the_end(found: Comparison, quantities: Sequence[str]) -> Figure:
    """A row a policy, a column a quantity: the last window's mean and interval, over a line where all began."""
    figure, panels = canvas(1.0 + 0.3 * len(found.policies), 1, len(quantities), sharey=True)
    names = short_names(found.policies)
    for panel, name in zip(panels[0], quantities, strict=True):
        title(panel, QUANTITIES[name].title.replace(" ", "\n") if len(quantities) > 4 else QUANTITIES[name].title)
        _dots(panel, found, QUANTITIES[name])
    panels[0][0].set_yticks(range(len(names)), names.values(), fontsize=8.5, color=INK)
    panels[0][0].set_ylim(len(names) - 0.4, -0.6)
    about = f"dot and bar: mean and 95 % interval at {found.seconds} s; dashed: mean at {WINDOW_SECONDS} s"
    figure.supxlabel(about, fontsize=8, color=SOFT)
    return figure


def _dots(panel: Axes, found: Comparison, quantity: Quantity) -> None:
    panel.grid(axis="x", color=GRID, linewidth=0.8)
    panel.xaxis.set_major_locator(MaxNLocator(3))
    start = found.estimate(found.policies[0], quantity.name, 0).mean
    panel.axvline(start, color=SOFT, linewidth=0.8, linestyle=_DASHED)
    for row, policy in enumerate(found.policies):
        end, colour = found.estimate(policy, quantity.name), colour_of(policy)
        panel.plot([end.low, end.high], [row, row], color=colour, linewidth=2.2, alpha=0.45, solid_capstyle="round")
        panel.plot(end.mean, row, "o", color=colour, markersize=5.5)
    if quantity.share:
        panel.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def by_depth(found: Comparison, quantities: Sequence[str]) -> Figure:
    """A panel a quantity, at the end, against the number of sink frames; the paper's best depths are shaded."""
    figure, panels = canvas(2.4, 1, len(quantities))
    for panel, name in zip(panels[0], quantities, strict=True):
        title(panel, QUANTITIES[name].title)
        _depth(panel, found, QUANTITIES[name])
    about = f"sink frames; means and 95 % intervals at {found.seconds} s; shaded: the paper's best"
    figure.supxlabel(about, fontsize=8, color=SOFT)
    return figure


def _depth(panel: Axes, found: Comparison, quantity: Quantity) -> None:
    depths = [policy.sink_frames for policy in found.policies]
    panel.axvspan(*_BEST_DEPTHS, color=GRID, linewidth=0, zorder=0)
    estimates = [found.estimate(policy, quantity.name) for policy in found.policies]
    _line(panel, depths, estimates, BLUE, bold=False)
    panel.plot(depths, [e.mean for e in estimates], "o", color=BLUE, markersize=3.5)
    _scale(panel, quantity)
    panel.set_xticks(depths[:: max(1, len(depths) // 4)])
