"""A few numbers for those who want no report: what each policy keeps of a long video."""

from __future__ import annotations

import json
from collections.abc import Iterable
from math import isnan
from pathlib import Path

from ..comparison import Comparison, compare
from ..experiments import EXPERIMENTS, NEXT
from ..measure import Reading
from ..scenery import Scene

_SHOWN = ("subject", "colour_drift")


def headline(readings: Iterable[Reading], seconds: int, scenes: Iterable[Scene] = ()) -> dict:
    """Means at the end by the name of each policy of `policies`, and of those that stand beside in `scenery`: subject,
    scenery, colour drift; None: not measured.

    {"seconds": 60, "prompts": 24, "videos": 48, "policies": {"deep-forcing": {"subject": 0.9, "colour_drift": 0.03,
    "scenery": 0.6}}}, videos being those of each policy.
    """
    scenes = list(scenes)
    found = compare(readings, EXPERIMENTS["policies"].policies, seconds)
    stills, others = (compare(scenes, each, seconds) for each in (EXPERIMENTS["scenery"].policies, NEXT))
    policies = {policy.name: {name: _mean(found, policy, name) for name in _SHOWN} for policy in found.policies}
    for policy in found.policies:
        policies[policy.name]["scenery"] = _mean(stills, policy, "scenery") if stills.has(policy) else None
    for policy in others.policies:
        policies[policy.name] = dict.fromkeys(_SHOWN) | {"scenery": _mean(others, policy, "scenery")}
    prompts = len({prompt for prompt, _ in found.videos})
    return {
        "seconds": seconds,
        "prompts": prompts,
        "videos": len(found.videos),
        "policies": policies,
    }


def write_summary(path: Path, readings: Iterable[Reading], seconds: int, scenes: Iterable[Scene]) -> None:
    path.write_text(json.dumps(headline(readings, seconds, scenes), indent=2) + "\n", encoding="utf-8")


def _mean(found: Comparison, policy, quantity: str) -> float | None:
    mean = found.estimate(policy, quantity).mean
    return None if isnan(mean) else round(mean, 4)
