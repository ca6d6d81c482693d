"""The report's part on an experiment that looks into attention itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ...policies import DeepForcing
from ..attention import Agreement, FrameMass, SlotShare
from ..experiments import Experiment
from ..quantities import Quantity
from ..statistics import Video, mean_of, weighted
from .attention_plots import agreement_of_steps, attention_by_frame, chosen_slots
from .looks import HALF, LOOKS, Look, by_prompt, means_by
from .markdown import counted, table
from .verdict import Verdict, verdict

_SHARE = Quantity("share", "share", "", share=True)


def draw(experiment: Experiment, rows: Sequence[Any]) -> Figure:
    drawn = {"attention": attention_by_frame, "stability": agreement_of_steps, "slots": chosen_slots}
    return drawn[experiment.name](rows)


def seen(experiment: Experiment, rows: Sequence[Any]) -> str:
    """The picture in words."""
    return {
        "attention": "attention by frame of the window, mean of all heads and every head",
        "stability": "agreement of the later denoising steps with the first, by step and by layer",
        "slots": "share of tokens chosen by place behind the sink, mean and by layer",
    }[experiment.name]


def measured_on(rows: Sequence[Any]) -> str:
    return f"Of {counted(len(by_prompt(rows)), 'prompt')}."


def verdicts(experiment: Experiment, rows: Sequence[Any]) -> list[Verdict]:
    return [_verdict(look, rows) for look in LOOKS if look.experiment == experiment.name]


def claims_table(experiment: Experiment, rows: Sequence[Any]) -> str:
    lines = [
        (look.says, look.found, f"{look.rule}: {_cell(look.values(rows))}", f"**{_verdict(look, rows).value}**")
        for look in LOOKS
        if look.experiment == experiment.name
    ]
    return table(("the paper", "where", "here; the paper's would be above 50 %", "verdict"), lines)


def _verdict(look: Look, rows: Sequence[Any]) -> Verdict:
    return verdict(mean_of(weighted((1, look.values(rows)), constant=-HALF)))


def numbers_table(experiment: Experiment, rows: Sequence[Any]) -> str:
    """By layer, and their mean, with intervals over prompts."""
    return {"attention": _masses, "stability": _agreements, "slots": _slots}[experiment.name](rows)


def _masses(rows: Sequence[FrameMass]) -> str:
    policy, frames = DeepForcing(), 1 + max(row.frame for row in rows)
    parts = _parts(0, policy.sink, frames - policy.recent, frames)
    even = ", ".join(_SHARE.write((part.stop - part.start) / frames) for part in parts)
    head = [f"on frames {part.start + 1} to {part.stop}" for part in parts]
    lines = _by_layer(rows, head, partial(_sums, column="mass", axis="frame", parts=parts))
    return f"{lines}\n\nSpread evenly over frames it would be {even}."


def _agreements(rows: Sequence[Agreement]) -> str:
    steps = sorted({row.step for row in rows})
    chance = _SHARE.write(float(np.mean([row.chance for row in rows])))
    head = [f"agreement of step {step + 1}" for step in steps]
    lines = _by_layer(rows, head, lambda own: means_by(own, "share", "layer", "step")[:, steps])
    return f"{lines}\n\nBy chance: {chance}."


def _slots(rows: Sequence[SlotShare]) -> str:
    slots = 1 + max(row.slot for row in rows)
    parts = _parts(0, -(-slots // 2), slots)
    head = [f"of the choices in frames {part.start + 1} to {part.stop} behind the sink" for part in parts]
    return _by_layer(rows, head, partial(_sums, column="share", axis="slot", parts=parts))


def _parts(*bounds: int) -> list[slice]:
    return [slice(*pair) for pair in pairwise(bounds)]


def _sums(rows: list[Any], column: str, axis: str, parts: Sequence[slice]) -> np.ndarray:
    """How much of a column's total lies in each part of an axis: [layers, parts]."""
    table = means_by(rows, column, "layer", axis)
    return np.stack([table[:, part].sum(1) for part in parts], 1) / table.sum(1, keepdims=True)


def _by_layer(rows: Sequence[Any], head: list[str], grid: Callable[[list[Any]], np.ndarray]) -> str:
    """grid: one prompt's rows -> [layers, columns]."""
    grids = {(prompt, 0): grid(own) for prompt, own in by_prompt(rows).items()}
    layers, columns = next(iter(grids.values())).shape
    lines = [
        [str(layer + 1), *(_cell({video: g[layer, c] for video, g in grids.items()}) for c in range(columns))]
        for layer in range(layers)
    ]
    mean = ["mean", *(_cell({video: g[:, c].mean() for video, g in grids.items()}) for c in range(columns))]
    return table(["layer", *head], [*lines, mean])


def _cell(values: Mapping[Video, float]) -> str:
    found = mean_of(values)
    return _SHARE.write_estimate(replace(found, low=max(found.low, 0), high=min(found.high, 1)))
