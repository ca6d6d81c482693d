"""The report's part on this project's aims: measured, and met or not."""

from __future__ import annotations

from ..comparison import Comparison
from ..experiments import EXPERIMENTS, label
from ..measure import WINDOW_SECONDS
from ..quantities import QUANTITIES
from ..statistics import Estimate, mean_of, weighted
from .evidence import Evidence
from .markdown import table
from .paper import AIMS, Aim
from .verdict import reached


def aims_table(evidence: Evidence) -> str:
    found = {name: evidence.compare(EXPERIMENTS[name]) for name in {aim.experiment for aim in AIMS}}
    rows = [_row(aim, found[aim.experiment]) for aim in AIMS]
    return table(("aim", f"measured, at {evidence.seconds} s unless told", "beyond the aim by", ""), rows)


def margin(aim: Aim, found: Comparison) -> Estimate:
    """How far the measured is beyond the aim, video by video; NaN where a policy has no videos."""
    if not found.has(*(term.policy for term in aim.terms)):
        return mean_of({})
    terms = ((term.weight, found.values(term.policy, aim.quantity, 0 if term.first else -1)) for term in aim.terms)
    return mean_of(weighted(*terms, constant=aim.constant))


def _row(aim: Aim, found: Comparison) -> tuple[str, ...]:
    beyond = margin(aim, found)
    measured = _measured(aim, found) if beyond.videos else "–"
    return aim.says, measured, QUANTITIES[aim.quantity].write_difference(beyond), f"**{reached(beyond, aim.strict)}**"


def _measured(aim: Aim, found: Comparison) -> str:
    quantity, parts = QUANTITIES[aim.quantity], []
    for term in aim.terms:
        value = found.estimate(term.policy, quantity.name, 0 if term.first else -1).mean
        when = f" at {WINDOW_SECONDS} s" if term.first else ""
        parts.append(f"{label(term.policy)}{when} {quantity.write(value)}")
    return ", ".join(parts)
