"""What a lesson is once it has been read; see `reader.py` for how it is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deepforcing import Timeline

WORDS_A_MINUTE = 180
ASK_SECONDS, LOOK_SECONDS = 20, 25  # to make a prediction; to look at a comparison or a picture


class LessonError(ValueError):
    """A lesson that cannot be given. The message names the file, the step and what is wrong."""


@dataclass(frozen=True)
class Slider:
    """A number to choose."""

    low: float
    high: float
    step: float
    start: float
    unit: str


@dataclass(frozen=True)
class Sketch:
    """A curve to draw: so many heights from 0 to 1, and what its axes are."""

    x: str
    y: str
    points: int


@dataclass(frozen=True)
class Ask:
    """A prediction. form: a slider, choices, or a sketch."""

    name: str
    question: str
    form: Slider | tuple[str, ...] | Sketch


@dataclass(frozen=True)
class Run:
    """An experiment. runner: as typed for a race, with {name} for an earlier slider's answer.

    trace: a recorded run that shows the same; recorded: it is only ever shown, never run.
    panels: of recordings/links.py, shown beside the video.
    """

    name: str
    runner: str | None
    prompt: str | Timeline | None
    seed: int
    seconds: int
    trace: str | None
    recorded: bool
    panels: tuple[str, ...]


@dataclass(frozen=True)
class Compare:
    """A measure of one or more runs, beside what was predicted.

    difference: of two runs, the second's value minus the first's. bounds: between the choices of the prediction.
    """

    measure: str
    of: tuple[str, ...]
    prediction: Ask | None
    difference: bool
    bounds: tuple[float, ...]


@dataclass(frozen=True)
class Picture:
    """What the reader takes home: film strips of runs, and a comparison as a chart; at least one of the two."""

    title: str
    strip: tuple[str, ...]
    chart: Compare | None


Block = Ask | Run | Compare | Picture


@dataclass(frozen=True)
class Step:
    """A heading, Markdown, and at most one thing to do."""

    heading: str
    text: str
    block: Block | None


@dataclass(frozen=True)
class Lesson:
    """name: of its file, without the ending. picture: for its card."""

    name: str
    title: str
    summary: str
    steps: tuple[Step, ...]
    picture: Path | None = None

    def chooses(self, ask: Ask) -> bool:
        """Whether its answer sets an experiment, so that it is a choice, not a prediction."""
        blocks = (step.block for step in self.steps)
        return any(f"{{{ask.name}}}" in (block.runner or "") for block in blocks if isinstance(block, Run))

    @property
    def runs(self) -> dict[str, Run]:
        """The experiments by name, in order."""
        return {step.block.name: step.block for step in self.steps if isinstance(step.block, Run)}

    @property
    def minutes(self) -> int:
        """About how long it takes: reading, watching, thinking."""
        seconds = 60 * sum(len(step.text.split()) for step in self.steps) / WORDS_A_MINUTE
        for step in self.steps:
            match step.block:
                case Ask():
                    seconds += ASK_SECONDS
                case Run():
                    seconds += step.block.seconds
                case Compare() | Picture():
                    seconds += LOOK_SECONDS
        return max(1, round(seconds / 60))


@dataclass(frozen=True)
class Broken:
    """A file that is no lesson, and why."""

    name: str
    error: str
