"""What one reader has done of a lesson so far; kept for a session, and small."""

from __future__ import annotations

from collections.abc import Mapping

from .lesson import Ask, Lesson, Run, Step
from .reader import fill
from .take import Take, Taken
from .verdict import Answer


class Notebook:
    """One lesson at a time. `take` is the run under way, whose messages are being collected."""

    def __init__(self) -> None:
        self.lesson: Lesson | None = None
        self.number = 0  # of the step, from 0
        self.answers: dict[str, Answer] = {}
        self.taken: dict[str, Taken] = {}
        self.take: Take | None = None

    def open(self, lesson: Lesson, number: int = 0) -> None:
        """Begin a lesson; the one that is open goes on where it was left."""
        if lesson is not self.lesson:
            self.answers, self.taken = {}, {}
            self.number = min(max(number, 0), len(lesson.steps) - 1)
        self.lesson, self.take = lesson, None

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
        self.take = None

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

    def begin(self, recorded: bool) -> Take:
        """A run of this step's experiment; another one that is under way counts no more."""
        run = self.step.block
        self.take = Take(run, self.runner(run), recorded)
        return self.take

    def finish(self, take: Take) -> bool:
        """Keep what came of it, if that is enough. False where it is not the run under way any more."""
        if take is not self.take:
            return False
        self.take = None
        if take.enough:
            self.taken[self.step.block.name] = take.finish()
        return True

    def ready(self, possible: bool) -> bool:
        """Whether this step is done. possible: whether its experiment can be made here at all."""
        block = self.step.block
        if isinstance(block, Ask):
            return block.name in self.answers
        return not isinstance(block, Run) or block.name in self.taken or not possible

    @property
    def panels(self) -> tuple[str, ...] | None:
        """Those of the latest experiment up to this step; None before the first."""
        runs = [step.block for step in self.lesson.steps[: self.number + 1] if isinstance(step.block, Run)]
        return runs[-1].panels if runs else None
