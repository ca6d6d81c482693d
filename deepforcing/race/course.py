"""The race itself: runners take turns on one device, a chunk each, and every round is measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from ..blend import leading
from ..events import Chunk
from ..gauges import DriftMeter
from ..pipeline import Pipeline, check_seed, generate_long_video
from ..prompt import check_prompt
from ..timeline import Timeline
from .melting import Melting
from .runner import Runner, check_field
from .standing import Standing, Standings
from .verdict import Judge, Verdict


@dataclass(frozen=True)
class Lap:
    """What one runner did in a round. seconds: wall clock that its chunk took, denoising, probe and decoding, alone on
    the device; total_seconds: of all its chunks so far."""

    chunk: Chunk
    standing: Standing
    seconds: float
    total_seconds: float

    @property
    def fps(self) -> float:
        """Video frames a second of wall clock, this chunk."""
        return len(self.chunk.frames) / self.seconds

    @property
    def total_fps(self) -> float:
        """The same of all chunks so far."""
        return (self.chunk.first_frame + len(self.chunk.frames)) / self.total_seconds


@dataclass(frozen=True)
class Round:
    """One chunk of every runner, in the runners' order, and who is ahead now."""

    index: int
    laps: tuple[Lap, ...]
    verdict: Verdict

    @property
    def leader(self) -> int | None:
        """Number of the runner that is ahead, None where nobody is."""
        return self.verdict.leader


def race(
    pipeline: Pipeline,
    prompt: str | Timeline | Callable[[int], str],
    runners: Sequence[Runner],
    *,
    seed: int = 0,
    num_frames: int | None = None,
    probe: bool = True,
) -> Generator[Round]:
    """Run two to four runners on the same prompt, seed and noise, a chunk each at a time.

    prompt, num_frames, probe are as in `generate_long_video`; a function is asked once a round. Each runner has a cache
    and a decoder of its own. A chunk is made and thrown away before the first round, so that no runner pays for what
    only a first chunk takes. Raises SettingsError and PromptError before the first round.
    """
    lanes, script = [], _Script(pipeline, prompt)
    for runner in check_field(runners):
        lanes.append(_Lane(pipeline, script, runner, check_seed(seed), num_frames, probe))
    first = generate_long_video(pipeline, script, num_frames=1, policy=runners[0].policy, probe=probe)
    judge = Judge([runner.label for runner in runners], pipeline.weights, pipeline.shape.fps)
    return _rounds(lanes, script, num_frames, judge, warm_up=lambda: list(first))


class _Script:
    """The prompt of the round in hand, the same for every runner."""

    def __init__(self, pipeline: Pipeline, prompt: str | Timeline | Callable[[int], str]) -> None:
        timeline = None if callable(prompt) else Timeline.of(prompt)
        self._ask = prompt if callable(prompt) else lambda index: timeline.at(pipeline.starts(index))
        self._text = ""

    def begin(self, index: int) -> None:
        """The next round: whoever steers the race may hold it here, or end it by an exception."""
        self._text = check_prompt(self._ask(index))

    def __call__(self, index: int) -> str:
        return self._text


class _Lane:
    """One runner's video so far."""

    def __init__(
        self, pipeline: Pipeline, script: _Script, runner: Runner, seed: int, num_frames: int | None, probe: bool
    ) -> None:
        self._chunks = generate_long_video(
            pipeline,
            Melting(script, pipeline.starts, runner.melt) if runner.melt else script,
            num_frames=num_frames,
            policy=runner.policy,
            seed=seed,
            switch=runner.switch,
            probe=probe,
            overlap=False,  # what one runner takes must not run into another's time
        )
        self._meter = DriftMeter(pipeline.shape, pipeline.chunk_frames)
        self._standings = Standings(pipeline.shape, pipeline.chunk_frames)
        self._seconds = 0.0

    def lap(self) -> Lap:
        began = time.perf_counter()
        chunk = next(self._chunks)
        seconds = time.perf_counter() - began
        self._seconds += seconds
        return Lap(chunk, self._standings.add(chunk, self._meter.add(chunk)), seconds, self._seconds)

    def close(self) -> None:
        self._chunks.close()


def _in_turn(lanes: list[_Lane], index: int) -> tuple[Lap, ...]:
    """Each runner's lap. Another one begins each round: whoever is first may find the device busy with the last one."""
    order = [(index + i) % len(lanes) for i in range(len(lanes))]
    laps = {number: lanes[number].lap() for number in order}
    return tuple(laps[number] for number in range(len(lanes)))


def _rounds(
    lanes: list[_Lane], script: _Script, num_frames: int | None, judge: Judge, warm_up: Callable[[], object]
) -> Generator[Round]:
    index = made = 0
    try:
        while num_frames is None or made < num_frames:
            script.begin(index)
            if index == 0:
                warm_up()
            laps = _in_turn(lanes, index)
            begins, made = made, made + len(laps[0].chunk.frames)
            verdict = judge.verdict(leading(script(index)), begins, made, [lap.standing for lap in laps])
            yield Round(index, laps, verdict)
            index += 1
    finally:
        for lane in lanes:
            lane.close()
