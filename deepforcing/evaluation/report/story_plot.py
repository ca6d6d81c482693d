"""The picture of a change of prompt: when, and how far, each policy's videos go back to the old scene."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from ...policies import Policy
from ..comparison import Comparison, short_names
from ..quantities import QUANTITIES
from ..story import SWITCH_AT
from .drawing import INK, MAP, SOFT, canvas, title

_MOST = 0.4  # of the way back: brighter is not told apart
_DASHED = (0, (2, 2))


def way_back(found: Comparison, quantities: Sequence[str]) -> Figure:
    """A row a policy, a cell a second: the way back to the old scene, the videos' mean; roll-backs at the row's end."""
    figure, ((panel,),) = canvas(1.3 + 0.32 * len(found.policies))
    names = short_names(found.policies)
    cells = np.stack([_seconds(found, policy) for policy in found.policies])
    seen = panel.imshow(
        cells, cmap=MAP, vmin=0, vmax=_MOST, aspect="auto", extent=(0, found.seconds, len(names) - 0.5, -0.5)
    )
    panel.grid(visible=False)
    panel.set_yticks(range(len(names)), names.values(), fontsize=8.5, color=INK)
    panel.axvline(SWITCH_AT, color=SOFT, linewidth=0.8, linestyle=_DASHED)
    title(panel, "The way back to the old scene", f"bright: the old prompt's scene shows; it changed at {SWITCH_AT} s")
    panel.set_xlabel("seconds of video; right: roll-backs in a video", fontsize=8, color=SOFT)
    for row, policy in enumerate(found.policies):
        count = QUANTITIES["roll_backs"].write(found.estimate(policy, "roll_backs").mean)
        panel.annotate(count, (1.01, row), xycoords=("axes fraction", "data"), fontsize=8.5, color=INK, va="center")
    bar = figure.colorbar(seen, ax=panel, pad=0.07, aspect=12, format=lambda share, _: f"{100 * share:.0f} %")
    bar.ax.tick_params(labelsize=7.5, colors=SOFT, length=0)
    bar.outline.set_visible(False)
    return figure


def _seconds(found: Comparison, policy: Policy) -> np.ndarray:
    """The mean over videos of each second's way back, NaN where it is not known in any."""
    windows = [found.values(policy, "ways", start) for start in found.starts]
    videos = [[_number(way) for window in windows for way in window[video].split()] for video in found.videos]
    rows = np.array(videos)
    known = np.isfinite(rows)
    return np.where(known.any(0), np.where(known, rows, 0).sum(0) / np.maximum(known.sum(0), 1), np.nan)


def _number(way: str) -> float:
    return float("nan") if way == "-" else int(way) / 100
