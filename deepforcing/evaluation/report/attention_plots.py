"""The pictures of attention: mass by frame and head, agreement of the steps, where the chosen tokens lie."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, MultipleLocator, PercentFormatter

from ...policies import DeepForcing
from ..attention import Agreement, FrameMass, SlotShare
from ..statistics import Estimate, mean_of
from .drawing import BLUE, GREEN, INK, MAP, ORANGE, PAPER, SOFT, canvas, name_lines, title
from .looks import by_prompt, means_by


def attention_by_frame(masses: Sequence[FrameMass]) -> Figure:
    """Above, the mean of all heads against an even spread; below, every head."""
    figure, panels = canvas(5.0, 2, 1, sharex=True, height_ratios=(1, 1.3))
    above, below = panels[:, 0]
    _mean_mass(above, profile(masses, "mass", "frame"))
    mass = means_by(masses, "mass", "layer", "head", "frame")
    layers, heads, frames = mass.shape
    title(below, f"Every head, {heads} a layer")
    even = LogNorm(1 / 8, 8, clip=True)
    _map(figure, below, mass.reshape(-1, frames) * frames, even, "times even", [1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8])
    below.set_yticks(np.arange(layers) * heads + (heads - 1) / 2, [f"layer {i + 1}" for i in range(layers)])
    below.hlines(np.arange(1, layers) * heads - 0.5, -0.5, frames - 0.5, color="white", linewidth=1.5)
    below.set_xticks(range(0, frames, 2), range(1, frames + 1, 2))
    below.set_xlabel("frame of the window, earliest first", fontsize=8, color=SOFT)
    return figure


def _mean_mass(panel: Axes, estimates: Sequence[Estimate]) -> None:
    policy, frames = DeepForcing(), len(estimates)
    middle = frames - policy.sink - policy.recent
    title(panel, "Mean of all heads", "attention of the window's last chunk on each frame; dashed: were it even")
    _bars(panel, estimates, [BLUE] * policy.sink + [ORANGE] * middle + [GREEN] * policy.recent, even=1 / frames)
    panel.set_ylim(0, 1.15 * panel.get_ylim()[1])
    ground = {"facecolor": PAPER, "edgecolor": "none", "pad": 1}
    for name, first in (("what a sink keeps", 0), ("middle", policy.sink), ("latest", policy.sink + middle)):
        panel.annotate(
            name,
            (first - 0.4, 1),
            (0, -3),
            ("data", "axes fraction"),
            "offset points",
            fontsize=8,
            fontweight="bold",
            color=INK,
            va="top",
            bbox=ground,
        )


def agreement_of_steps(agreements: Sequence[Agreement]) -> Figure:
    """Left, over the denoising steps; right, at the last one, by layer, against chance."""
    figure, panels = canvas(2.5, 1, 2)
    left, right = panels[0]
    last = max(row.step for row in agreements)
    at_last = [row for row in agreements if row.step == last]
    shares = means_by(agreements, "share", "layer", "step")[:, 1:]
    title(left, "Over a chunk's steps", "share of the tokens chosen at step 1 that this step would choose too")
    _lines(left, shares, float(np.mean([row.chance for row in agreements])))
    title(right, f"At step {last + 1}, by layer", "the same, with intervals over prompts; dashed: by chance")
    _bars(right, profile(at_last, "share", "layer"), BLUE, even=float(np.mean([row.chance for row in at_last])))
    right.set_xticks(range(len(shares)), range(1, len(shares) + 1))
    right.set_xlabel("layer", fontsize=8, color=SOFT)
    for panel in (left, right):
        panel.set_ylim(0, 1.02)
        panel.yaxis.set_major_locator(MultipleLocator(0.25))
        panel.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


def _lines(panel: Axes, shares: np.ndarray, chance: float) -> None:
    """shares: [layers, later steps]."""
    steps = np.arange(1, shares.shape[1] + 2)
    for layer in shares:
        panel.plot(steps, [1, *layer], color=BLUE, linewidth=0.8, alpha=0.5)
    mean = [1, *shares.mean(0)]
    panel.plot(steps, mean, color=BLUE, linewidth=2.4)
    panel.axhline(chance, color=INK, linewidth=1, linestyle=(0, (3, 2)))
    panel.set_xlim(1, steps[-1])
    panel.set_ylim(0, 1.02)
    name_lines(panel, ["mean", "by chance"], [(steps[-1], mean[-1]), (steps[-1], chance)], [BLUE, INK])
    panel.set_xticks(steps)
    panel.set_xlabel("denoising step; thin: each layer", fontsize=8, color=SOFT)


def chosen_slots(slots: Sequence[SlotShare]) -> Figure:
    """Left, the mean of all layers against an even choice; right, every layer."""
    figure, panels = canvas(2.6, 1, 2)
    left, right = panels[0]
    shares = means_by(slots, "share", "layer", "slot")
    title(left, "Mean of all layers", "share of a frame's tokens that are chosen; dashed: were it even")
    _bars(left, profile(slots, "share", "slot"), ORANGE, even=float(shares.mean()))
    title(right, "Every layer", "the same")
    _map(figure, right, shares, Normalize(0, 1), "share chosen", [0, 0.25, 0.5, 0.75, 1])
    right.set_yticks(range(len(shares)), [f"layer {i + 1}" for i in range(len(shares))])
    for panel in (left, right):
        panel.set_xticks(range(shares.shape[1]), range(1, shares.shape[1] + 1))
        panel.set_xlabel("frame of the middle; 1 is right behind the sink", fontsize=8, color=SOFT)
    return figure


def profile(rows: Iterable[Any], value: str, name: str) -> list[Estimate]:
    """Mean and interval over prompts of a column, for each number that `name` takes."""
    by = {prompt: means_by(own, value, name) for prompt, own in by_prompt(rows).items()}
    count = max(len(column) for column in by.values())
    return [mean_of({(p, 0): float(column[i]) for p, column in by.items() if i < len(column)}) for i in range(count)]


def _bars(panel: Axes, estimates: Sequence[Estimate], colours: str | list[str], even: float) -> None:
    panel.bar(range(len(estimates)), [e.mean for e in estimates], color=colours, width=0.78)
    for x, e in enumerate(estimates):
        panel.plot([x, x], [max(e.low, 0), min(e.high, 1)], color=INK, linewidth=1)
    panel.axhline(even, color=INK, linewidth=1, linestyle=(0, (3, 2)))
    panel.yaxis.set_major_locator(MaxNLocator(4))
    panel.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def _map(figure: Figure, panel: Axes, values: np.ndarray, scale: Normalize, unit: str, ticks: Sequence[float]) -> None:
    """values: [rows, columns]; what lies beyond the scale gets its end's colour."""
    panel.grid(False)
    image = panel.imshow(values, cmap=MAP, aspect="auto", norm=scale, interpolation="nearest")
    bar = figure.colorbar(image, ax=panel, pad=0.015, aspect=18)
    bar.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    bar.minorticks_off()
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, colors=SOFT, length=0)
    bar.set_label(unit, fontsize=8, color=SOFT)
