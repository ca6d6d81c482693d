"""A recorded run to go on with, as asked for on a command line: `generate --from run.trace`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import cached_property

from .config import SettingsError
from .events import Chunk, SettingsChanged
from .going_on import Past
from .policies import Policy, make_policy
from .prompt_options import timeline_of
from .timeline import Timeline, read_time, show_time
from .trace import Trace, read_trace


@dataclass(frozen=True)
class Begun:
    """The run, and the second at which it is gone on with; None for its end."""

    trace: Trace
    after: float | None = None

    @classmethod
    def of(cls, options: argparse.Namespace) -> Begun | None:
        """None where nothing was asked for. Raises TraceError, SettingsError."""
        if options.begun is None:
            if options.after is not None:
                raise SettingsError("--after goes with --from")
            return None
        return cls(read_trace(options.begun), None if options.after is None else read_time(options.after))

    @cached_property
    def past(self) -> Past:
        """Raises SettingsError where its latents were not kept."""
        events = (event for event in self.trace if isinstance(event, Chunk | SettingsChanged))
        return Past.of(events, self.after, self.trace.started.fps)

    @property
    def seconds(self) -> float:
        """Of video that is there already."""
        frames = sum(facts.frames for facts in self.trace.index.chunks[: len(self.past)])
        return frames / self.trace.started.fps

    @property
    def policy(self) -> Policy:
        return make_policy(self.trace.started.policy, **self.trace.started.settings)

    @property
    def switch(self) -> str:
        """What the run did with its cache at a new prompt."""
        return self.trace.started.switch

    @property
    def steps(self) -> int | None:
        """Of a chunk, at the run's beginning; None where that was not recorded."""
        return self.trace.started.steps or None

    def timeline(self, options: argparse.Namespace) -> Timeline:
        """The run's prompts, then those asked for. Raises SettingsError, PromptError."""
        before = [(seconds, prompt) for seconds, prompt in self.trace.prompts if seconds < self.seconds]
        if options.seconds <= self.seconds:
            raise SettingsError(f"--seconds must be more than the {show_time(self.seconds)} that are there already")
        return timeline_of([*before, (self.seconds, options.prompt)], options)
