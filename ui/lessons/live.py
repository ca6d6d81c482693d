"""A lesson's experiment with the page's own model: an order like any other, so it waits its turn and keeps the pace."""

from __future__ import annotations

import json
from collections.abc import Iterator

from deepforcing import Pipeline, read_runner

from ..hosting.sessions import Sessions
from ..runs.run import VideoOrder
from .lesson import Run


def run_live(pipeline: Pipeline, sessions: Sessions, session: str, run: Run, text: str) -> Iterator[tuple[str, dict]]:
    """text: the runner, with the reader's answers. Yields (value for the player, message).

    Raises SettingsError or PromptError for an experiment that cannot work.
    """
    runner = read_runner(text)
    order = VideoOrder(run.prompt, run.seed, runner.policy, run.seconds * pipeline.shape.fps, runner.switch)
    taken = -1
    for value, _, _ in sessions.packets(session, order):
        for message in json.loads(value)["messages"]:
            if message["seq"] > taken:  # a packet may repeat what the page has not confirmed
                taken = message["seq"]
                yield value, message
