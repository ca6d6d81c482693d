"""A race in a thread that can be steered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..events import StreamStarted
from ..out_of_memory import explain_out_of_memory, is_out_of_memory
from ..pipeline import Pipeline, check_seed, started_event
from ..stream import Prompted
from ..timeline import Timeline
from .course import Round, race
from .runner import Runner, widest


@dataclass(frozen=True)
class RaceStarted:
    """First event of a race. run: what is the same for all runners, as the first one's run would tell it."""

    run: StreamStarted
    runners: tuple[Runner, ...]


class RaceStream(Prompted):
    """Races in a thread of its own: RaceStarted, then one Round after another, then exactly one StreamEnded.

    It is read and steered as a VideoStream is; every command takes effect between two rounds, so that all runners
    always have the same length. As a context manager it stops on leaving.
    """

    item, thread_name = Round, "deepforcing-race"

    def __init__(
        self,
        pipeline: Pipeline,
        prompt: str | Timeline,
        runners: Sequence[Runner],
        *,
        seed: int = 0,
        num_frames: int | None = None,
        probe: bool = True,
        max_queued: int = 1,
    ) -> None:
        """Raises PromptError or SettingsError at once for what cannot work; see `race`."""
        super().__init__(pipeline, prompt, max_queued)
        self.runners, self.seed = tuple(runners), check_seed(seed)
        self._items = race(pipeline, self._next_prompt, self.runners, seed=seed, num_frames=num_frames, probe=probe)

    def _started(self) -> RaceStarted:
        first = self.runners[0]
        run = started_event(self.pipeline, self._first_prompt, first.policy, self.seed, first.switch)
        return RaceStarted(run, self.runners)

    def _in_words(self, error: BaseException) -> str:
        return explain_race(self.runners, self._device) if is_out_of_memory(error) else super()._in_words(error)


def explain_race(runners: Sequence[Runner], device: torch.device) -> str:
    """What to tell a person whose race found no memory."""
    return f"{explain_out_of_memory(widest(runners), device)} Each runner has a cache of its own: fewer take less."
