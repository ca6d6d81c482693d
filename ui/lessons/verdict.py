"""What was predicted beside what was measured: in words, and as data for a chart."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .lesson import Ask, Compare, Sketch, Slider
from .measures import MEASURES, Measure, Series
from .outcome import Outcome

CLOSE, A_LITTLE = 0.05, 0.2  # of a slider's length
ALIKE, SOMEWHAT = 0.85, 0.65  # of two curves' areas, in common

Answer = float | str | tuple[float, ...]  # of a slider, of choices, of a sketch


@dataclass(frozen=True)
class Chart:
    """Series by label. level: a predicted number; curve: a predicted curve, in the measure's units."""

    measure: Measure
    series: tuple[tuple[str, Series], ...]
    level: float | None = None
    curve: Series | None = None


@dataclass(frozen=True)
class Verdict:
    """words: plain text; chart: None where nothing has been run."""

    words: str
    chart: Chart | None


def judge(asked: Compare, outcomes: Mapping[str, Outcome], answers: Mapping[str, Answer]) -> Verdict:
    """Compare what there is; what is missing is said."""
    measure, runs = MEASURES[asked.measure], [outcomes[name] for name in asked.of if name in outcomes]
    if len(runs) < len(asked.of):
        missing = ", ".join(f"“{name}”" for name in asked.of if name not in outcomes)
        words = f"Not run here: {missing}. Go back to that step to run it, or go on without."
        return Verdict(words, _chart(asked, measure, runs, None) if runs else None)
    answer = None if asked.prediction is None else answers.get(asked.prediction.name)
    if measure.bars:
        words = "; ".join(_bars(run.series[asked.measure], _name(run, runs), answer) for run in runs)
    else:
        words = "; ".join(_values(asked, measure, runs, answer))
        words = words if answer is None else f"{said(asked.prediction, answer)}. {words}"
    return Verdict(f"{words}.", _chart(asked, measure, runs, answer))


def said(ask: Ask, answer: Answer) -> str:
    """What the reader predicted."""
    if isinstance(ask.form, Slider):
        return f"You said {answer:g} {ask.form.unit}".rstrip()
    return "You drew a curve" if isinstance(ask.form, Sketch) else f"You chose “{answer}”"


def _values(asked: Compare, measure: Measure, runs: list[Outcome], answer: Answer | None) -> list[str]:
    values = [run.series[asked.measure].value for run in runs]
    names = [_name(run, runs) for run in runs]
    if asked.difference and None not in values:
        names, values = [f"From {names[0]} to {names[1]}"], [values[1] - values[0]]
    return [_value(asked, measure, name, value, answer) for name, value in zip(names, values, strict=True)]


def _value(asked: Compare, measure: Measure, name: str, value: float | None, answer: Answer | None) -> str:
    if value is None:
        return f"{name}: too short to measure this"
    shown = measure.shown(value, signed=asked.difference)
    if asked.difference and measure.unit == "%":
        shown = shown.replace("%", "points")
    if answer is None:
        return f"{name}: {shown}"
    if isinstance(answer, str):
        if not asked.bounds:
            return f"{name}: {shown}"
        right = right_choice(asked, value)
        return f"{name}: {shown}, which is “{right}”: {'as you thought' if right == answer else 'not what you thought'}"
    return f"{name}: {shown}: {_distance(value, answer, asked.prediction.form)}"


def right_choice(asked: Compare, value: float) -> str:
    """The choice that holds: number i, where bounds[i-1] <= value < bounds[i]."""
    return asked.prediction.form[bisect_right(asked.bounds, value)]


def _distance(value: float, answer: float, slider: Slider) -> str:
    off = (value - answer) / (slider.high - slider.low)
    if abs(off) <= CLOSE:
        return "close to what you thought"
    much = "a little" if abs(off) <= A_LITTLE else "much"
    return f"{much} {'less' if off < 0 else 'more'} than you thought"


def _name(run: Outcome, runs: list[Outcome]) -> str:
    return "This run" if len(runs) == 1 else run.label


def _bars(bars: Series, name: str, drawn: tuple[float, ...] | None) -> str:
    if not bars.y:
        return f"{name}: attention was not measured"
    new, old = _share(bars, 0.75, 1), _share(bars, 0, 0.25)
    ends = f"{new:.0f} % of the attention goes to the newest quarter of the window, {old:.0f} % to the oldest"
    return f"{name}: {ends}" if drawn is None else f"{name}: {_likeness(bars, drawn)}; {ends}"


def _share(bars: Series, low: float, high: float) -> float:
    """Of the bars' sum, what lies between two places, in %."""
    return 100 * sum(y for x, y in zip(bars.x, bars.y, strict=True) if low <= x < high) / (sum(bars.y) or 1)


def _likeness(bars: Series, drawn: tuple[float, ...]) -> str:
    common = np.minimum(fitted(drawn, bars).y, bars.y).sum() / sum(bars.y)
    how = "close to it" if common >= ALIKE else "something like it" if common >= SOMEWHAT else "quite unlike it"
    return f"{100 * common:.0f} % of its area is shared with your curve, {how}"


def fitted(drawn: tuple[float, ...], bars: Series) -> Series:
    """A drawn curve at the bars' places, with the same area as theirs; a curve of zeros counts as level."""
    heights = np.interp(bars.x, np.linspace(0, 1, len(drawn)), drawn)
    heights = heights if heights.sum() > 0 else np.ones(len(bars.x))
    return Series(bars.x, tuple((heights * sum(bars.y) / heights.sum()).tolist()))


def _chart(asked: Compare, measure: Measure, runs: list[Outcome], answer: Answer | None) -> Chart:
    series = tuple((run.label, run.series[asked.measure]) for run in runs)
    level = answer if isinstance(answer, int | float) and not asked.difference else None
    drawn = isinstance(answer, tuple) and series[0][1].x
    return Chart(measure, series, level, fitted(answer, series[0][1]) if drawn else None)
