"""When a finding counts as reproduced: rules, not judgement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import Enum
from math import isnan

from ..statistics import Estimate

FEWEST = 6  # prompts: of fewer, not even unanimous ones are unlikely by chance (2 / 2**5 > 5 %)


class Verdict(Enum):
    """Of a difference that the paper has above zero."""

    REPRODUCES = "reproduces"
    WEAKER = "weaker"
    DOES_NOT = "does not"
    OPPOSITE = "does not: the other way round"
    TOO_FEW = "too few prompts to say"
    UNKNOWN = "not measured"


_SAID = {
    Verdict.REPRODUCES: "reproduced",
    Verdict.WEAKER: "weaker",
    Verdict.DOES_NOT: "not reproduced",
    Verdict.OPPOSITE: "the other way round",
}


def verdict(difference: Estimate) -> Verdict:
    """Reproduces: its interval lies above zero. Weaker: its mean does, its interval does not. Does not: the rest."""
    if isnan(difference.mean):
        return Verdict.UNKNOWN
    if difference.prompts < FEWEST:
        return Verdict.TOO_FEW
    if difference.mean > 0:
        return Verdict.REPRODUCES if difference.low > 0 else Verdict.WEAKER
    return Verdict.OPPOSITE if difference.high < 0 else Verdict.DOES_NOT


def overall(verdicts: Sequence[Verdict]) -> str:
    """One word for several findings, in a sentence that counts them."""
    count = Counter(verdicts)
    judged = len(verdicts) - count[Verdict.UNKNOWN] - count[Verdict.TOO_FEW]
    if not judged:
        return f"**{(Verdict.TOO_FEW if count[Verdict.TOO_FEW] else Verdict.UNKNOWN).value.capitalize()}.**"
    if count[Verdict.REPRODUCES] == judged:
        word = "Reproduces"
    elif count[Verdict.REPRODUCES]:
        word = "Reproduces in part"
    else:
        word = "Weaker" if count[Verdict.WEAKER] else "Does not reproduce"
    if judged == 1:
        return f"**{word}.**"
    first, *others = [(count[kind], says) for kind, says in _SAID.items() if count[kind]]
    parts = [f"{first[0]} of {judged} findings {first[1]}", *(f"{number} {says}" for number, says in others)]
    return f"**{word}**: {', '.join(parts)}."


def reached(margin: Estimate, strict: bool) -> str:
    """Whether an aim is met, by how far the measured is beyond it: the mean decides, the interval says how surely.

    strict: being just at it is not enough.
    """
    if isnan(margin.mean):
        return "not measured"
    if margin.prompts < FEWEST:
        return "too few prompts to say"
    if margin.mean < 0 or (strict and margin.mean == 0):
        return "not met"
    return "met" if margin.low > 0 or (margin.low == 0 and not strict) else "met, but not beyond chance"
