"""Read a lesson from Markdown. Everything is checked here, and nothing is run; CONTRIBUTING.md describes the format."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from deepforcing import PromptError, SettingsError, StreamStarted, Timeline, read_time

from ..link import PANELS
from .images import shown_inside
from .lesson import Ask, Block, Compare, Lesson, LessonError, Picture, Run, Sketch, Slider, Step
from .measures import MEASURES

MOST_BYTES = 100_000
MOST_STEPS = 40
MOST_CHOICES = 6
SECONDS = (8, 120)  # of a run
POINTS = (5, 60)  # of a sketch
KINDS = ("ask", "run", "compare", "picture")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})[ \t]*([^`\s]*)")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
_PLACE = re.compile(r"\{([^{}]*)\}")


class _Wrong(Exception):
    """What is wrong, in words that follow the name of the file and the step."""


@dataclass(frozen=True)
class Checks:
    """What a lesson may name. runner: raises SettingsError for one that cannot be, and loads no model;

    traces: the recorded runs there are. assets: the folder whose pictures any lesson may show.
    """

    runner: Callable[[str], object]
    traces: Mapping[str, StreamStarted]
    assets: Path


def read_lesson(path: Path, checks: Checks) -> Lesson:
    """Raises LessonError that names the file, the step, and what is wrong."""
    step = ""
    try:
        title, summary, raw = _parts(_text(path))
        if not title:
            raise _Wrong("its first line must be a title, such as `# What a window forgets`")
        if not 1 <= len(raw) <= MOST_STEPS:
            raise _Wrong(f"a lesson has 1 to {MOST_STEPS} steps, each begun by `## Heading`, not {len(raw)}")
        reading, steps = _Reading(path, checks), []
        for number, (heading, lines) in enumerate(raw, 1):
            step = f", step {number} ({heading[:60]})"
            steps.append(reading.step(heading, lines))
        step = ""
        return Lesson(path.stem, title, summary, tuple(steps))
    except (_Wrong, SettingsError, PromptError) as error:
        raise LessonError(f"{path.name}{step}: {str(error).rstrip('.')}.") from None


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise _Wrong(f"it is larger than {MOST_BYTES // 1000} kB")
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _Wrong(f"it cannot be read: {error}") from None


def _parts(text: str) -> tuple[str, str, list[tuple[str, list[str]]]]:
    """Title, summary, and (heading, lines) of each step. A heading inside a fenced block is none."""
    first, *lines = text.lstrip("\ufeff\n").splitlines() or [""]
    summary, steps, fence = [], [], ""
    for line in lines:
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1].startswith(fence) and not mark[2]:
            fence = ""
        if not fence and line.startswith("## "):
            steps.append((line[3:].strip(), []))
        else:
            (steps[-1][1] if steps else summary).append(line)
    title = first[2:].strip() if first.startswith("# ") else ""
    return title, " ".join(" ".join(summary).split()), steps


class _Reading:
    """A lesson on its way: what has been named so far."""

    def __init__(self, path: Path, checks: Checks) -> None:
        self.path, self.checks = path, checks
        self.asks: dict[str, Ask] = {}
        self.runs: dict[str, Run] = {}

    def step(self, heading: str, lines: list[str]) -> Step:
        if not heading:
            raise _Wrong("it has no heading")
        text, found = _blocks(lines)
        if len(found) > 1:
            raise _Wrong(f"a step has one block at most, not {' and '.join(kind for kind, _ in found)}")
        block = self.block(*found[0]) if found else None
        try:
            return Step(heading, shown_inside(text, self.path.parent, self.checks.assets), block)
        except ValueError as error:
            raise _Wrong(str(error)) from None

    def block(self, kind: str, toml: str) -> Block:
        try:
            values = tomllib.loads(toml)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise _Wrong(f"its block {kind} is not TOML: {error}") from None
        table = _Table(kind, values)
        block = {"ask": self.ask, "run": self.run, "compare": self.compare, "picture": self.picture}[kind](table)
        table.finish()
        return block

    def ask(self, table: _Table) -> Ask:
        name, question = self.new_name(table), table.text("question", 400)
        forms = {"slider": _slider, "choices": _choices, "sketch": _sketch}
        given = [form for form in forms if form in table.values]
        if len(given) != 1:
            raise _Wrong(f"an ask has one of {', '.join(forms)}, not {' and '.join(given) or 'none'}")
        self.asks[name] = Ask(name, question, forms[given[0]](table))
        return self.asks[name]

    def run(self, table: _Table) -> Run:
        name, recorded = self.new_name(table), table.flag("recorded")
        run = Run(
            name=name,
            runner=table.text("runner", 200, needed=not recorded),
            prompt=self.prompt(table, needed=not recorded),
            seed=table.whole("seed", 0, 2**63 - 1, 7),
            seconds=table.whole("seconds", *SECONDS, 20),
            trace=table.text("trace", 100, needed=recorded),
            recorded=recorded,
            panels=table.words("panels", PANELS, "a panel", needed=False),
        )
        self.check_runner(run)
        self.runs[name] = run
        return run

    def check_runner(self, run: Run) -> None:
        started = self.checks.traces.get(run.trace) if run.trace else None
        if run.trace and started is None:
            there = ", ".join(self.checks.traces) or "none"
            raise _Wrong(f"there is no recorded run {run.trace!r}; there are: {there}")
        if run.runner is None:
            return
        for text in self.filled(run.runner):
            self.checks.runner(text)
        policy = run.runner.split()[0]
        if started is not None and started.policy != policy:
            raise _Wrong(f"the recorded run {run.trace!r} was made with {started.policy}, not with {policy}")

    def filled(self, runner: str) -> list[str]:
        """The runner with the least, the first and the largest answer of the sliders that it names."""
        names = _PLACE.findall(runner)
        for name in names:
            if not isinstance(self.ask_named(name).form, Slider):
                raise _Wrong(f"{{{name}}} in a runner must be the answer of a slider")
        forms = {name: self.asks[name].form for name in names}
        return [
            fill(runner, {name: getattr(form, end) for name, form in forms.items()}) for end in ("low", "start", "high")
        ]

    def prompt(self, table: _Table, needed: bool) -> str | Timeline | None:
        first = table.text("prompt", 2000, needed=needed)
        later = table.take("later", [])
        if not isinstance(later, list) or not all(isinstance(row, dict) for row in later):
            raise _Wrong('later must be a list such as [{ at = "0:10", prompt = "..." }]')
        rows = [_Table("later", row) for row in later]
        entries = [(read_time(row.text("at", 40)), row.text("prompt", 2000)) for row in rows]
        for row in rows:
            row.finish()
        if first is None:
            return None
        timeline = Timeline(((0.0, first), *entries))  # checks the prompts too
        return timeline if entries else timeline.prompts[0]

    def compare(self, table: _Table, needed: bool = True) -> Compare | None:
        measure = table.text("measure", 40, needed=needed)
        if measure is None:
            return None
        if measure not in MEASURES:
            raise _Wrong(f"there is no measure {measure!r}; there are: {', '.join(MEASURES)}")
        of, difference = table.words("of", self.runs, "an earlier run"), table.flag("difference")
        prediction = table.text("prediction", 40, needed=False)
        ask = None if prediction is None else self.ask_named(prediction)
        if difference and len(of) != 2:
            raise _Wrong(f"difference needs two runs in of, not {len(of)}")
        bars = MEASURES[measure].bars
        if bars and difference:
            raise _Wrong(f"{measure} is one bar a frame: there is no difference of it")
        if ask is not None and bars != isinstance(ask.form, Sketch):
            raise _Wrong(f"{measure} cannot be compared with {ask.name}: a sketch goes with attention_by_frame only")
        return Compare(measure, of, ask, difference, self.bounds(table, ask, needed))

    def bounds(self, table: _Table, ask: Ask | None, needed: bool) -> tuple[float, ...]:
        bounds = table.take("bounds", [])
        choices = ask is not None and isinstance(ask.form, tuple)
        if not isinstance(bounds, list) or not all(_is_number(value) for value in bounds):
            raise _Wrong("bounds must be a list of numbers")
        if bounds and not choices:
            raise _Wrong("bounds go with a prediction that was a choice")
        if choices and (needed or bounds) and len(bounds) != len(ask.form) - 1:
            raise _Wrong(f"{len(ask.form)} choices need {len(ask.form) - 1} bounds, not {len(bounds)}")
        if sorted(set(bounds)) != bounds:
            raise _Wrong("bounds must ascend")
        return tuple(map(float, bounds))

    def picture(self, table: _Table) -> Picture:
        title = table.text("title", 80)
        strip = table.words("strip", self.runs, "an earlier run", needed=False)
        chart = self.compare(table, needed=False)
        if not strip and chart is None:
            raise _Wrong("a picture needs a strip, or a measure with of")
        return Picture(title, strip, chart)

    def new_name(self, table: _Table) -> str:
        name = table.text("name", 40)
        if not _NAME.fullmatch(name):
            raise _Wrong(f"name must be small letters, digits and _, such as `share`, not {name!r}")
        if name in self.asks or name in self.runs:
            raise _Wrong(f"the name {name!r} is taken by an earlier step")
        return name

    def ask_named(self, name: str) -> Ask:
        if name not in self.asks:
            raise _Wrong(f"no earlier step asks for {name!r}; there are: {', '.join(self.asks) or 'none'}")
        return self.asks[name]


def fill(runner: str, answers: Mapping[str, float]) -> str:
    """The runner with answers in the place of their names. Raises KeyError where one is missing."""
    return _PLACE.sub(lambda found: f"{answers[found[1]]:g}", runner)


def _blocks(lines: list[str]) -> tuple[str, list[tuple[str, str]]]:
    """The step's text without its blocks, and (kind, TOML) of these. Other fenced blocks are text."""
    text, found, fence, kind = [], [], "", ""
    for line in lines:
        mark = _FENCE.match(line)
        closes = bool(fence and mark and mark[1].startswith(fence) and not mark[2])
        if mark and not fence:
            fence, kind = mark[1], mark[2]
            if kind in KINDS:
                found.append((kind, ""))
                continue
        elif kind in KINDS and fence and not closes:
            found[-1] = (kind, found[-1][1] + line + "\n")
            continue
        if closes:
            fence = ""
            if kind in KINDS:
                continue
        text.append(line)
    if fence:
        raise _Wrong("a fenced block is not closed")
    return "\n".join(text).strip(), found


class _Table:
    """Values of a block, each checked as it is taken; `finish` refuses what nobody took."""

    def __init__(self, kind: str, values: dict) -> None:
        self.kind, self.values, self._taken = kind, values, set()

    def take(self, name: str, default: object = None) -> object:
        self._taken.add(name)
        return self.values.get(name, default)

    def text(self, name: str, most: int, needed: bool = True) -> str | None:
        value = self.take(name)
        if value is None and not needed:
            return None
        if not isinstance(value, str) or not value.strip() or len(value) > most:
            raise _Wrong(f"{self.kind} needs {name}, a text of at most {most} characters")
        return value.strip()

    def whole(self, name: str, least: int, most: int, default: int) -> int:
        value = self.take(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise _Wrong(f"{name} must be a whole number from {least} to {most}, not {_short(value)}")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        value = self.take(name, default)
        if not _is_number(value):
            raise _Wrong(f"{self.kind} needs {name}, a number")
        return value

    def flag(self, name: str) -> bool:
        value = self.take(name, False)
        if not isinstance(value, bool):
            raise _Wrong(f"{name} must be true or false, not {_short(value)}")
        return value

    def words(self, name: str, known: Mapping | tuple, what: str, needed: bool = True) -> tuple[str, ...]:
        """A list of known words, each once."""
        value = self.take(name, [])
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value) or (needed and not value):
            raise _Wrong(f"{self.kind} needs {name}, a list of names")
        for word in value:
            if word not in known:
                raise _Wrong(f"{name}: {_short(word)} is not {what}; there are: {', '.join(known) or 'none'}")
        if len(set(value)) < len(value):
            raise _Wrong(f"{name} names something twice")
        return tuple(value)

    def part(self, name: str) -> _Table:
        value = self.take(name)
        if not isinstance(value, dict):
            raise _Wrong(f"{name} must be values in braces")
        return _Table(name, value)

    def finish(self) -> None:
        if unknown := [name for name in self.values if name not in self._taken]:
            raise _Wrong(f"{self.kind} has no {unknown[0]!r}; it has: {', '.join(sorted(self._taken))}")


def _slider(table: _Table) -> Slider:
    part = table.part("slider")
    low, high, step = part.number("from"), part.number("to"), part.number("step", 1)
    start = part.number("start", low)
    unit = part.text("unit", 20, needed=False) or ""
    part.finish()
    if not low < high or not 0 < step <= high - low or not low <= start <= high:
        raise _Wrong("slider needs from < to, a step that fits between them, and a start between them")
    return Slider(low, high, step, start, unit)


def _choices(table: _Table) -> tuple[str, ...]:
    choices = table.take("choices")
    good = isinstance(choices, list) and all(isinstance(text, str) and 0 < len(text.strip()) <= 120 for text in choices)
    if not good or not 2 <= len(choices) <= MOST_CHOICES or len(set(choices)) < len(choices):
        raise _Wrong(f"choices must be 2 to {MOST_CHOICES} different short texts")
    return tuple(text.strip() for text in choices)


def _sketch(table: _Table) -> Sketch:
    part = table.part("sketch")
    sketch = Sketch(part.text("x", 60), part.text("y", 60), part.whole("points", *POINTS, 21))
    part.finish()
    return sketch


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 40 else f"{shown[:37]}..."
