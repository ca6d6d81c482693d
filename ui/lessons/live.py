"""A lesson's experiment with the page's own model: an order like any other, so it waits its turn and keeps the pace."""

from __future__ import annotations

import json
from collections.abc import Iterator

from deepforcing import Pipeline, read_runner

from ..hosting.sessions import Sessions
from ..runs.files import Files
from ..runs.run import VideoOrder
from .lesson import Run


class Lab:
    """Where experiments are made: what it yields are (value for the player, message), each message once."""

    def __init__(self, pipeline: Pipeline, sessions: Sessions) -> None:
        self._pipeline, self._sessions = pipeline, sessions

    def run(self, session: str, run: Run, text: str) -> Iterator[tuple[str, dict]]:
        """text: the runner, with the reader's answers. Raises SettingsError or PromptError for what cannot work."""
        runner = read_runner(text)
        frames = run.seconds * self._pipeline.shape.fps
        order = VideoOrder(run.prompt, run.seed, runner.policy, frames, runner.switch)
        yield from _once(self._sessions.packets(session, order))

    def rejoin(self, session: str, run: str) -> Iterator[tuple[str, dict]]:
        """A run that its page lost, by its name and from its start; nothing where it is not kept any more."""
        yield from _once(self._sessions.rejoin(session, run))


def _once(packets: Iterator[tuple[str, dict, Files]]) -> Iterator[tuple[str, dict]]:
    """A packet may repeat what the page has not confirmed."""
    taken = -1
    for value, _, _ in packets:
        for message in json.loads(value)["messages"]:
            if message["seq"] > taken:
                taken = message["seq"]
                yield value, message
