"""Read a lesson from Markdown. Everything is checked here, and nothing is run; CONTRIBUTING.md describes the format."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from deepforcing import PromptError, SettingsError, StreamStarted, Timeline, read_time

from ..look.terms import TERMS, linked
from ..recordings.links import PANELS
from .images import shown_inside
from .lesson import Ask, Block, Compare, Lesson, LessonError, Picture, Run, Sketch, Slider, Step
from .markdown import Part, split
from .measures import MEASURES
from .table import Table, Wrong, is_number

MOST_BYTES = 100_000
MOST_STEPS = 40
MOST_CHOICES = 6
SECONDS = (8, 120)  # of a run
POINTS = (5, 60)  # of a sketch
KINDS = ("ask", "run", "compare", "picture")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
_PLACE = re.compile(r"\{([^{}]*)\}")


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
        title, summary, parts = split(_text(path), KINDS)
        if not title:
            raise Wrong("its first line must be a title, such as `# What a window forgets`")
        if not 1 <= len(parts) <= MOST_STEPS:
            raise Wrong(f"a lesson has 1 to {MOST_STEPS} steps, each begun by `## Heading`, not {len(parts)}")
        reading, steps = _Reading(path, checks), []
        for number, part in enumerate(parts, 1):
            step = f", step {number} ({part.heading[:60]})"
            steps.append(reading.step(part))
        step = ""
        picture = path.parent / "pictures" / f"{path.stem}.webp"
        return Lesson(path.stem, title, summary, tuple(steps), picture if picture.is_file() else None)
    except (Wrong, SettingsError, PromptError) as error:
        raise LessonError(f"{path.name}{step}: {str(error).rstrip('.')}.") from None


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise Wrong(f"it is larger than {MOST_BYTES // 1000} kB")
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Wrong(f"it cannot be read: {error}") from None


class _Reading:
    """A lesson on its way: what has been named so far."""

    def __init__(self, path: Path, checks: Checks) -> None:
        self.path, self.checks = path, checks
        self.asks: dict[str, Ask] = {}
        self.runs: dict[str, Run] = {}

    def step(self, part: Part) -> Step:
        if not part.heading:
            raise Wrong("it has no heading")
        if not part.closed:
            raise Wrong("a fenced block is not closed")
        if len(part.blocks) > 1:
            raise Wrong(f"a step has one block at most, not {' and '.join(kind for kind, _ in part.blocks)}")
        block = self.block(*part.blocks[0]) if part.blocks else None
        try:
            text = shown_inside(linked(part.text), self.path.parent, self.checks.assets)
            return Step(part.heading, text, block)
        except KeyError as error:
            raise Wrong(f"the glossary has no term {error}; it has {', '.join(TERMS)}") from None
        except ValueError as error:
            raise Wrong(str(error)) from None

    def block(self, kind: str, toml: str) -> Block:
        try:
            values = tomllib.loads(toml)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise Wrong(f"its block {kind} is not TOML: {error}") from None
        table = Table(kind, values)
        block = {"ask": self.ask, "run": self.run, "compare": self.compare, "picture": self.picture}[kind](table)
        table.finish()
        return block

    def ask(self, table: Table) -> Ask:
        name, question = self.new_name(table), table.text("question", 400)
        forms = {"slider": _slider, "choices": _choices, "sketch": _sketch}
        given = [form for form in forms if form in table.values]
        if len(given) != 1:
            raise Wrong(f"an ask has one of {', '.join(forms)}, not {' and '.join(given) or 'none'}")
        self.asks[name] = Ask(name, question, forms[given[0]](table))
        return self.asks[name]

    def run(self, table: Table) -> Run:
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
            raise Wrong(f"there is no recorded run {run.trace!r}; there are: {there}")
        if run.runner is None:
            return
        for text in self.filled(run.runner):
            self.checks.runner(text)
        policy = run.runner.split()[0]
        if started is not None and started.policy != policy:
            raise Wrong(f"the recorded run {run.trace!r} was made with {started.policy}, not with {policy}")

    def filled(self, runner: str) -> list[str]:
        """The runner with the least, the first and the largest answer of the sliders that it names."""
        names = _PLACE.findall(runner)
        for name in names:
            if not isinstance(self.ask_named(name).form, Slider):
                raise Wrong(f"{{{name}}} in a runner must be the answer of a slider")
        forms = {name: self.asks[name].form for name in names}
        return [
            fill(runner, {name: getattr(form, end) for name, form in forms.items()}) for end in ("low", "start", "high")
        ]

    def prompt(self, table: Table, needed: bool) -> str | Timeline | None:
        first = table.text("prompt", 2000, needed=needed)
        later = table.take("later", [])
        if not isinstance(later, list) or not all(isinstance(row, dict) for row in later):
            raise Wrong('later must be a list such as [{ at = "0:10", prompt = "..." }]')
        rows = [Table("later", row) for row in later]
        entries = [(read_time(row.text("at", 40)), row.text("prompt", 2000)) for row in rows]
        for row in rows:
            row.finish()
        if first is None:
            return None
        timeline = Timeline(((0.0, first), *entries))  # checks the prompts too
        return timeline if entries else timeline.prompts[0]

    def compare(self, table: Table, needed: bool = True) -> Compare | None:
        measure = table.text("measure", 40, needed=needed)
        if measure is None:
            return None
        if measure not in MEASURES:
            raise Wrong(f"there is no measure {measure!r}; there are: {', '.join(MEASURES)}")
        of, difference = table.words("of", self.runs, "an earlier run"), table.flag("difference")
        prediction = table.text("prediction", 40, needed=False)
        ask = None if prediction is None else self.ask_named(prediction)
        if difference and len(of) != 2:
            raise Wrong(f"difference needs two runs in of, not {len(of)}")
        bars = MEASURES[measure].bars
        if bars and difference:
            raise Wrong(f"{measure} is one bar a frame: there is no difference of it")
        if ask is not None and bars != isinstance(ask.form, Sketch):
            raise Wrong(f"{measure} cannot be compared with {ask.name}: a sketch goes with attention_by_frame only")
        return Compare(measure, of, ask, difference, self.bounds(table, ask, needed))

    def bounds(self, table: Table, ask: Ask | None, needed: bool) -> tuple[float, ...]:
        bounds = table.take("bounds", [])
        choices = ask is not None and isinstance(ask.form, tuple)
        if not isinstance(bounds, list) or not all(is_number(value) for value in bounds):
            raise Wrong("bounds must be a list of numbers")
        if bounds and not choices:
            raise Wrong("bounds go with a prediction that was a choice")
        if choices and (needed or bounds) and len(bounds) != len(ask.form) - 1:
            raise Wrong(f"{len(ask.form)} choices need {len(ask.form) - 1} bounds, not {len(bounds)}")
        if sorted(set(bounds)) != bounds:
            raise Wrong("bounds must ascend")
        return tuple(map(float, bounds))

    def picture(self, table: Table) -> Picture:
        title = table.text("title", 80)
        strip = table.words("strip", self.runs, "an earlier run", needed=False)
        chart = self.compare(table, needed=False)
        if not strip and chart is None:
            raise Wrong("a picture needs a strip, or a measure with of")
        return Picture(title, strip, chart)

    def new_name(self, table: Table) -> str:
        name = table.text("name", 40)
        if not _NAME.fullmatch(name):
            raise Wrong(f"name must be small letters, digits and _, such as `share`, not {name!r}")
        if name in self.asks or name in self.runs:
            raise Wrong(f"the name {name!r} is taken by an earlier step")
        return name

    def ask_named(self, name: str) -> Ask:
        if name not in self.asks:
            raise Wrong(f"no earlier step asks for {name!r}; there are: {', '.join(self.asks) or 'none'}")
        return self.asks[name]


def fill(runner: str, answers: Mapping[str, float]) -> str:
    """The runner with answers in the place of their names. Raises KeyError where one is missing."""
    return _PLACE.sub(lambda found: f"{answers[found[1]]:g}", runner)


def _slider(table: Table) -> Slider:
    part = table.part("slider")
    low, high, step = part.number("from"), part.number("to"), part.number("step", 1)
    start = part.number("start", low)
    unit = part.text("unit", 20, needed=False) or ""
    part.finish()
    if not low < high or not 0 < step <= high - low or not low <= start <= high:
        raise Wrong("slider needs from < to, a step that fits between them, and a start between them")
    return Slider(low, high, step, start, unit)


def _choices(table: Table) -> tuple[str, ...]:
    choices = table.take("choices")
    good = isinstance(choices, list) and all(isinstance(text, str) and 0 < len(text.strip()) <= 120 for text in choices)
    if not good or not 2 <= len(choices) <= MOST_CHOICES or len(set(choices)) < len(choices):
        raise Wrong(f"choices must be 2 to {MOST_CHOICES} different short texts")
    return tuple(text.strip() for text in choices)


def _sketch(table: Table) -> Sketch:
    part = table.part("sketch")
    sketch = Sketch(part.text("x", 60), part.text("y", 60), part.whole("points", *POINTS, 21))
    part.finish()
    return sketch
