"""What to change when a model would not fit: the nearest settings that do."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, get_args

import torch

from .config import Geometry, SettingsError
from .memory import Forecast, Plan, Room, Sizes, forecast
from .models.placement import Weights
from .policies import Policy, settings_of


@dataclass(frozen=True)
class Suggestion:
    """Settings that would fit: the plan, what it changes in words, its forecast, and the options of the command line
    that ask for it. A policy is no option: it is chosen when the model is there."""

    plan: Plan
    changes: tuple[str, ...]
    forecast: Forecast
    options: tuple[str, ...] = ()


def fit(sizes: Sizes, plan: Plan, free: Room, device: torch.device) -> list[Suggestion]:
    """The nearest settings that fit, the least change first; the plan itself, unchanged, where it fits.

    Nearest: nothing is changed, and nothing further, than some other setting requires. Empty where nothing fits.
    """
    fitting = {}
    for levels, other in _variants(sizes, plan):
        if free.holds(needs := forecast(sizes, other, device)):
            fitting[levels] = Suggestion(other, changes(plan, other), needs, options(plan, other))
    nearest = [a for a in fitting if not any(b != a and all(map(int.__le__, b, a)) for b in fitting)]
    return [fitting[levels] for levels in sorted(nearest, key=lambda a: (sum(map(bool, a)), a[::-1]))]


def _variants(sizes: Sizes, plan: Plan) -> Iterator[tuple[tuple[int, ...], Plan]]:
    """The plan with settings lowered in every combination, and how far each was: text, decoder, weights, window and
    resolution, from what changes the video least to what changes it most."""
    lighter = sorted(sizes.decoders, key=lambda name: -sizes.decoders[name].work)
    lowered: tuple[list[Any], ...] = (
        _from(["device", "cpu"], plan.text),
        _from(lighter, plan.decoder),
        _from(list(get_args(Weights)), plan.weights),
        [plan.policy, *_smaller_windows(plan)],
        [(plan.height, plan.width), *_smaller_pictures(sizes, plan)],
    )
    for levels in itertools.product(*(range(len(values)) for values in lowered)):
        text, decoder, weights, policy, (height, width) = (v[i] for v, i in zip(lowered, levels, strict=True))
        yield (
            levels,
            replace(plan, text=text, decoder=decoder, weights=weights, policy=policy, height=height, width=width),
        )


def _from(order: list, value) -> list:
    """The values from this one on; the value alone where it is not among them."""
    return order[order.index(value) :] if value in order else [value]


def _smaller_windows(plan: Plan) -> Iterator[Policy]:
    """The policy at 3/4 and at 1/2 of its window, the rest of its settings in proportion."""
    counted = ("window", "sink", "budget")
    for share in (0.75, 0.5):
        smaller = {n: int(v * share) for n, v in settings_of(plan.policy).items() if n in counted}
        try:
            policy = replace(plan.policy, **smaller)
            policy.check(Geometry(1, 1, plan.chunk_frames))
        except SettingsError:
            continue
        yield policy


def _smaller_pictures(sizes: Sizes, plan: Plan) -> Iterator[tuple[int, int]]:
    """About 5/6, 2/3 and 1/2 of the height and width, in whole tokens."""
    for share in (5 / 6, 2 / 3, 1 / 2):
        sides = zip((plan.height, plan.width), sizes.patch, strict=True)
        height, width = (
            max(1, round(side * share / (plan.space * patch))) * plan.space * patch for side, patch in sides
        )
        yield height, width


_WORDS = {
    "text": {"cpu": "text encoder on the CPU", "device": "text encoder on the device"},
    "weights": {"fp8": "weights in fp8", "offload": "weights offloaded, a block at a time", "resident": "weights kept"},
}


def changes(before: Plan, after: Plan) -> tuple[str, ...]:
    """What another plan changes, each setting in a few words; those of the policy together."""
    words = [
        _WORDS[name][getattr(after, name)]
        for name in ("text", "weights")
        if getattr(before, name) != getattr(after, name)
    ]
    if before.decoder != after.decoder:
        words.append(f"the {after.decoder} decoder")
    old, new = settings_of(before.policy), settings_of(after.policy)
    if moved := [f"{name} {value}" for name, value in new.items() if old[name] != value]:
        words.append(" ".join(moved))
    if (before.height, before.width) != (after.height, after.width):
        words.append(f"{after.width}x{after.height} pixels")
    return tuple(words)


def options(before: Plan, after: Plan) -> tuple[str, ...]:
    """What to add to a command line that asks for one plan to get the other, the policy aside."""
    names = ("text", "weights", "decoder")
    words = [f"--{name} {getattr(after, name)}" for name in names if getattr(before, name) != getattr(after, name)]
    if (before.height, before.width) != (after.height, after.width):
        words.append(f"--size {after.height}x{after.width}")
    return tuple(words)
