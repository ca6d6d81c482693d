"""Findings about attention itself: one number a prompt, above 0.5 where the paper's finding holds.

The paper shows these in pictures; what would count as the same is defined here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...policies import AttentionSink, DeepForcing
from ..attention import Agreement, FrameMass, SlotShare
from ..statistics import Values

HALF = 0.5


@dataclass(frozen=True)
class Look:
    """says, found: as in `paper.Claim`. rule: what is measured and has to be above one half, in words."""

    experiment: str
    says: str
    found: str
    rule: str
    values: Callable[[Iterable[Any]], Values]


def means_by(rows: Iterable[Any], value: str, *names: str) -> np.ndarray:
    """Mean of a column over all rows with the same names, which count from 0: an array with an axis for each name."""
    sums: dict[tuple[int, ...], list[float]] = {}
    for row in rows:
        sums.setdefault(tuple(getattr(row, name) for name in names), []).append(getattr(row, value))
    table = np.full([1 + max(column) for column in zip(*sums, strict=True)], np.nan)
    for key, found in sums.items():
        table[key] = np.mean(found)
    return table


def by_prompt(rows: Iterable[Any]) -> dict[int, list[Any]]:
    prompts: dict[int, list[Any]] = {}
    for row in rows:
        prompts.setdefault(row.prompt, []).append(row)
    return prompts


def of_each_prompt(measure: Callable[[list[Any]], float]) -> Callable[[Iterable[Any]], Values]:
    """A number of one prompt's rows -> that number by prompt; each was looked into once."""
    return lambda rows: {(prompt, 0): measure(own) for prompt, own in by_prompt(rows).items()}


def as_the_middle(masses: list[FrameMass]) -> float:
    """Share of heads in which a frame of the sink gets at least half of what a frame of the middle gets."""
    policy, mass = DeepForcing(), _heads(masses)
    middle = mass[..., policy.sink : mass.shape[-1] - policy.recent].mean(-1)
    return float((mass[..., : policy.sink].mean(-1) >= middle / 2).mean())


def in_depth(masses: list[FrameMass]) -> float:
    """Share of heads in which a later frame of the sink gets at least half of what one of its first three gets."""
    sink, few, mass = DeepForcing().sink, AttentionSink().sink, _heads(masses)
    return float((mass[..., few:sink].mean(-1) >= mass[..., :few].mean(-1) / 2).mean())


def much_of_it(masses: list[FrameMass]) -> float:
    """Share of heads in which the sink gets at least half of what an even spread would give it."""
    mass = _heads(masses)
    return float((mass[..., : DeepForcing().sink].mean(-1) >= mass.mean(-1) / 2).mean())


def _heads(masses: list[FrameMass]) -> np.ndarray:
    """[layers, heads, frames]"""
    return means_by(masses, "mass", "layer", "head", "frame")


def agreed_beyond_chance(agreements: list[Agreement]) -> float:
    """At the last step, of what chance alone would not have in common: how much is; 0 chance, 1 all. Mean of layers."""
    shares = means_by(agreements, "share", "layer", "step")[:, -1]
    chances = means_by(agreements, "chance", "layer")
    return float(((shares - chances) / (1 - chances)).mean())


def near_the_sink(slots: list[SlotShare]) -> float:
    """Share of all choices that fall into the half of the middle that is next to the sink."""
    shares = means_by(slots, "share", "layer", "slot").mean(0)
    half = len(shares) / 2
    inside = np.clip(half - np.arange(len(shares)), 0, 1)  # an odd middle's own middle counts half
    return float((shares * inside).sum() / shares.sum())


LOOKS = (
    Look(
        "attention",
        "Most heads look at the ten earliest frames as much as at the middle ones",
        "Fig. 4 and 16, in pictures",
        "heads in which one of the earliest gets at least half of what one of the middle gets",
        of_each_prompt(as_the_middle),
    ),
    Look(
        "attention",
        "They look at all of these, not only at the first few",
        "Fig. 4 and 16, in pictures",
        "heads in which one of frames 4 to 10 gets at least half of what one of the first three gets",
        of_each_prompt(in_depth),
    ),
    Look(
        "attention",
        "That is a good part of what they look at",
        "Fig. 4 and 16, in pictures",
        "heads in which the ten together get at least half of an even share",
        of_each_prompt(much_of_it),
    ),
    Look(
        "stability",
        "The tokens chosen at the first step are those of the later steps too",
        "Fig. 11, in pictures",
        "agreement at the last step, 0 as by chance, 1 complete",
        of_each_prompt(agreed_beyond_chance),
    ),
    Look(
        "slots",
        "The chosen lie mostly just behind the sink",
        "Fig. 13, in pictures",
        "share of choices in the half of the middle next to the sink",
        of_each_prompt(near_the_sink),
    ),
)
