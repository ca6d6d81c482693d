"""The report's part on an experiment that compares policies by their videos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isnan
from types import MappingProxyType

from matplotlib.figure import Figure

from ...policies import Policy
from ..comparison import Comparison, short_names
from ..experiments import Experiment, label
from ..measure import WINDOW_SECONDS
from ..quantities import QUANTITIES, Quantity
from ..statistics import Estimate, difference
from .markdown import counted, listed, table
from .paper import CLAIMS, Claim
from .plots import at_the_end, by_depth, over_chance, over_time
from .story_plot import way_back
from .verdict import Verdict, verdict


@dataclass(frozen=True)
class Shown:
    """How an experiment is drawn, and of what."""

    draw: Callable[[Comparison, Sequence[str]], Figure]
    quantities: tuple[str, ...]


SHOWN = MappingProxyType(
    {
        "policies": Shown(over_time, ("subject", "colour_drift", "dynamic_degree", "sharpness")),
        "scenery": Shown(over_chance, ("scenery",)),
        "switch": Shown(way_back, ("roll_backs", "old_scene", "new_place", "new_time", "new_subject", "new_colour")),
        "second-scene": Shown(over_chance, ("second_scene",)),
        "reappear": Shown(over_chance, ("shade",)),
        "revisit": Shown(over_chance, ("seen",)),
        "phase": Shown(at_the_end, ("chunk_jump", "sink_reset", "colour_drift", "dynamic_degree", "subject")),
        "score": Shown(at_the_end, ("subject", "place", "colour_drift", "dynamic_degree")),
        "queries": Shown(at_the_end, ("subject", "chunk_jump", "sharpness", "colour_drift")),
        "depth": Shown(by_depth, ("subject", "colour_drift", "sink_reset", "dynamic_degree")),
    }
)


def findings(experiment: Experiment, found: Comparison) -> list[tuple[Claim, Estimate]]:
    """Each of the paper's claims with the difference found, NaN where one of its policies has no videos."""
    claims = [claim for claim in CLAIMS if claim.experiment == experiment.name]
    return [(claim, _difference(found, claim)) for claim in claims]


def _difference(found: Comparison, claim: Claim) -> Estimate:
    if not found.has(claim.higher, claim.lower):
        return difference({}, {})
    return difference(found.values(claim.higher, claim.quantity), found.values(claim.lower, claim.quantity))


def verdicts(experiment: Experiment, found: Comparison) -> list[Verdict]:
    return [verdict(estimate) for _, estimate in findings(experiment, found)]


def seen(experiment: Experiment, found: Comparison) -> str:
    """The picture in words."""
    names = listed([QUANTITIES[name].title for name in SHOWN[experiment.name].quantities])
    return f"{names} under {listed(list(short_names(found.policies).values()))}"


def draw(experiment: Experiment, found: Comparison) -> Figure:
    shown = SHOWN[experiment.name]
    return shown.draw(found, shown.quantities)


def measured_on(found: Comparison) -> str:
    """Which videos the numbers are from."""
    prompts = len({prompt for prompt, _ in found.videos})
    text = f"{counted(len(found.videos), 'video')} of each policy, from {counted(prompts, 'prompt')}."
    if found.missing:
        text += f" No videos yet: {listed([f'`{label(policy)}`' for policy in found.missing])}."
    if found.left_out:
        text += f" Left out: {counted(found.left_out, 'video')} of prompts and seeds that not every policy has yet."
    return text


def claims_table(experiment: Experiment, found: Comparison) -> str:
    names = short_names(experiment.policies)
    rows = []
    for claim, estimate in findings(experiment, found):
        quantity = QUANTITIES[claim.quantity]
        what = f"{quantity.title}, {names[claim.higher]} minus {names[claim.lower]}"
        here = f"{what}: {quantity.write_difference(estimate)}"
        rows.append((claim.says, claim.found, here, f"**{verdict(estimate).value}**"))
    return table(("the paper", "where, or its numbers", f"here, at {found.seconds} s", "verdict"), rows)


def numbers_table(experiment: Experiment, found: Comparison) -> str:
    """A row a policy; in each cell the first window, where it says something, above the last."""
    quantities = [QUANTITIES[name] for name in SHOWN[experiment.name].quantities]
    starts = {q: _shown_starts(found, q.name) for q in quantities}
    head = [f"{q.title},<br>" + "<br>".join(f"at {s + WINDOW_SECONDS} s" for s in starts[q]) for q in quantities]
    names = short_names(found.policies)
    rows = [
        [
            names[policy],
            *("<br>".join(_cell(found, policy, q, s) for s in starts[q]) for q in quantities),
        ]
        for policy in found.policies
    ]
    return table(["", *head], rows)


def _cell(found: Comparison, policy: Policy, quantity: Quantity, start: int) -> str:
    """The estimate, and of how many videos where some have no such number."""
    estimate = found.estimate(policy, quantity.name, start)
    some = 0 < estimate.videos < len(found.videos)
    return quantity.write_estimate(estimate) + (f", of {counted(estimate.videos, 'video')}" if some else "")


def _shown_starts(found: Comparison, quantity: str) -> list[int]:
    """The first window and the last; the last alone of what begins later."""
    first, last = found.starts[0], found.starts[-1]
    begins = {s: any(not isnan(found.estimate(p, quantity, s).mean) for p in found.policies) for s in (first, last)}
    return [last] if begins[last] and not begins[first] else [first, last]
