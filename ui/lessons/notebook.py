"""What one reader has done of a lesson so far; kept for a session, and small."""

from __future__ import annotations

from collections.abc import Mapping

from .lesson import Ask, Lesson, Run, Step
from .outcome import Collector, Outcome
from .reader import fill
from .verdict import Answer


class Notebook:
    """One lesson at a time. `collector` is the run under way, whose messages are being collected."""

    def __init__(self) -> None:
        self.lesson: Lesson | None = None
        self.number = 0  # of the step, from 0
        self.answers: dict[str, Answer] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.collector: Collector | None = None

    def open(self, lesson: Lesson, number: int | None = None) -> None:
        """Begin a lesson; the one that is open goes on where it was left, unless a step is asked for."""
        if lesson is not self.lesson:
            self.answers, self.outcomes, self.number = {}, {}, 0
        if number is not None:
            self.number = min(max(number, 0), len(lesson.steps) - 1)
        self.lesson, self.collector = lesson, None

    def close(self) -> None:
        """Forget everything."""
        self.__init__()

    @property
    def step(self) -> Step:
        return self.lesson.steps[self.number]

    @property
    def last(self) -> bool:
        return self.number == len(self.lesson.steps) - 1

    def go(self, steps: int) -> None:
        """On or back; never beyond the ends."""
        self.number = min(max(self.number + steps, 0), len(self.lesson.steps) - 1)
        self.collector = None

    def answer(self, answer: Answer) -> None:
        """Write down the prediction of this step; the first one counts."""
        if isinstance(self.step.block, Ask):
            self.answers.setdefault(self.step.block.name, answer)

    def runner(self, run: Run) -> str | None:
        """With the answers in it; without an answer, with where its slider starts."""
        starts = {step.block.name: step.block.form for step in self.lesson.steps if isinstance(step.block, Ask)}
        values = {name: getattr(form, "start", 0) for name, form in starts.items()} | self._numbers
        return None if run.runner is None else fill(run.runner, values)

    @property
    def _numbers(self) -> Mapping[str, float]:
        return {name: answer for name, answer in self.answers.items() if isinstance(answer, int | float)}

    def begin(self, recorded: bool) -> Collector:
        """A run of this step's experiment; another one that is under way counts no more."""
        run = self.step.block
        self.collector = Collector(run, self.runner(run), recorded)
        return self.collector

    def finish(self, collector: Collector) -> bool:
        """Keep what came of it, if that is enough. False where it is not the run under way any more."""
        if collector is not self.collector:
            return False
        self.collector = None
        if collector.enough:
            self.outcomes[self.step.block.name] = collector.finish()
        return True

    def ready(self, possible: bool) -> bool:
        """Whether this step is done. possible: whether its experiment can be made here at all."""
        block = self.step.block
        if isinstance(block, Ask):
            return block.name in self.answers
        return not isinstance(block, Run) or block.name in self.outcomes or not possible

    @property
    def panels(self) -> tuple[str, ...] | None:
        """Those of the latest experiment up to this step; None before the first."""
        runs = [step.block for step in self.lesson.steps[: self.number + 1] if isinstance(step.block, Run)]
        return runs[-1].panels if runs else None
