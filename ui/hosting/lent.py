"""A run that goes on in another process: this side of it, and that side's reader of what the viewer wants.

Everything that crosses over is pickled, and what changes here later is not seen there: frames come back encoded, and
the viewer's wishes go over in a mailbox.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import gradio as gr
import numpy as np

from deepforcing import Past, Pipeline, Policy, SettingsChanged, SettingsError, Turns, make_policy, settings_of

from ..runs.files import Files
from ..runs.paced_run import GAVE_WAY, Order, PacedRun
from .quota import in_plain_words
from .wishes import Wishes

TIME_IS_UP = "The time for which the GPU was lent is over. Generate again to go on."
GONE = "The machine that made this video is gone. What you have of it stays; Generate begins again on another one."
GOES_ON = {
    TIME_IS_UP: "The time for which the GPU was lent is over: your video goes on with another loan.",
    GONE: "The machine that made this video is gone: it goes on on another one.",
}
MOST_SIDES = 30  # one after another, for one run
LEAVE_SECONDS = 8  # before the time is up: the run ends by itself, with its file, instead of being cut off


class Mailbox(Protocol):
    """Where a run's wishes are: its viewer's side writes, the other side reads."""

    def write(self, wishes: Wishes) -> None: ...

    def read(self) -> Wishes | None:
        """None when nobody wants anything any more."""


class Gone(Exception):
    """The other process has ended, and cannot say so itself."""


Lent = Callable[[Order, str, str], Iterator[tuple[dict, Files]]]
"""Runs an order there, with a folder for its files, and its name; closed when nobody wants it any more."""


class LentRun:
    """This side of a run in a worker: the same methods as `Run`. Raises PromptError or SettingsError likewise."""

    def __init__(self, pipeline: Pipeline, lent: Lent, mailbox: Mailbox, order: Order, folder: Path, name: str) -> None:
        self.id = name
        self._pipeline, self._lent, self.order, self._folder = pipeline, lent, order, folder
        self._made: list[tuple[str, np.ndarray]] = []  # prompt and latents of each chunk of a video
        self._has_started = False
        self._pending: str | None = None  # a prompt that no chunk has yet
        self._scenes: list[int] = []  # chunks that began one
        self._asked = 0  # scenes, of this other side
        self._emptied = True  # whether the latest of them has begun
        self._check = order.stream(pipeline)  # never started: it refuses here what could not work there
        self._lock, self._wishes, self._mailbox = threading.Lock(), Wishes(), mailbox
        self._give_way: Callable[[], bool] = lambda: False
        self.quality = 0
        self.files = Files()

    def change_prompt(self, text: str) -> None:
        """Raises PromptError and changes nothing when the text cannot be used."""
        self._check.change_prompt(text)
        self._pending = text.strip()
        self._wish(lambda now: {"prompts": (*now.prompts, text)})

    def change(
        self,
        policy: Policy | None = None,
        switch: str | None = None,
        steps: int | None = None,
        anew: bool = False,
        loras: Sequence[float] | None = None,
    ) -> None:
        """As `Run.change`; what only the worker can know to be too late is told by the run itself."""
        self._check_change(policy or self.order.policy, steps, anew, loras)
        self.order = now = self.order.changed(policy=policy, switch=switch, steps=steps, loras=loras)
        if anew:
            self._check.settings.policy, self._asked, self._emptied = now.policy, self._asked + 1, False
        wish = {"name": now.policy.name, "values": settings_of(now.policy), "switch": now.switch}
        self._wish(lambda _: {"settings": {**wish, "steps": now.steps, "loras": now.loras, "scenes": self._asked}})

    def _check_change(self, policy: Policy, steps: int | None, anew: bool, loras: Sequence[float] | None) -> None:
        pipeline = self._check.pipeline
        if steps is not None:
            pipeline.denoiser.sampling.thinned(steps)
        if loras is not None:
            self._check.settings.check_loras(pipeline.denoiser, loras)
        if anew:
            policy.check(pipeline.geometry)
        else:
            self._check.settings.check(policy, pipeline.geometry)

    def share(self, turns: Turns) -> None:
        """As `Run.share`: whose turn it is there is not decided here."""

    def hurry(self) -> None:
        """As `Run.hurry`."""
        self._wish(lambda _: {"hurry": True})

    def adapt(self, quality: int, rate: float) -> None:
        self.quality = quality
        self._wish(lambda _: {"quality": quality, "rate": rate})

    def report(self, frame: float, playing: bool) -> None:
        """As `Run.report`; also the time to ask whether somebody else's turn has come."""
        self._wish(lambda now: {"frame": frame, "playing": playing, "beats": now.beats + 1})
        if self._give_way():
            self.stop(GAVE_WAY)

    def pause(self, paused: bool) -> None:
        self._wish(lambda _: {"paused": paused})

    def stop(self, note: str = "") -> None:
        """End at the next chunk boundary; harmless at any time."""
        self._wish(lambda now: {"stopping": True, "note": now.note or note})

    def messages(self, give_way: Callable[[], bool]) -> Iterator[dict]:
        """As `Run.messages`; where the time is up, or the other side is gone, a video goes on in another one.

        A GPU that cannot be had ends the run with an error, in the lender's words.
        """
        self._give_way, order = give_way, self.order
        for _ in range(MOST_SIDES):
            for message in self._side(order):
                if message["kind"] == "ended" and message["note"] in GOES_ON and self._can_go_on:
                    break
                yield message
            else:
                return
            yield {"kind": "notice", "text": GOES_ON[message["note"]]}
            order = self._from_here()
        yield _failed(GONE)

    def _side(self, order: Order) -> Iterator[dict]:
        """One other side's part: what it tells beyond what is told already."""
        self._wish(lambda _: {})
        work = self._lent(order, str(self._folder), self.id)
        try:
            for message, self.files in work:
                if not self._is_known(message):
                    yield message
        except gr.Error as error:
            yield _failed(in_plain_words(str(error.message)))
        except Gone:
            yield _failed(GONE, GONE)
        finally:
            self._mailbox.write(replace(self._wishes, stopping=True))  # or a viewer who leaves would not end it
            work.close()

    def _is_known(self, message: dict) -> bool:
        """Whether an earlier side has told it; what going on needs is taken out of it, or kept in mind."""
        kind = message["kind"]
        if kind == "started":
            known, self._has_started = self._has_started, True
            return known
        if kind == "changed":
            return self._knows_change(message)
        prompt, latents = message.pop("made", ("", None))
        if latents is None:
            return False
        if message["index"] < len(self._made):
            return True
        self._made.append((prompt, latents))
        self._pending = None if prompt == self._pending else self._pending
        return False

    def _knows_change(self, message: dict) -> bool:
        if message["chunk"] < len(self._made):
            return True
        if message["scene"]:
            self._scenes.append(message["chunk"])
            self._emptied = True
        return False

    @property
    def _can_go_on(self) -> bool:
        return bool(self._made) and not self._wishes.stopping

    def _from_here(self) -> Order:
        """The order for the next side; prompts that were heard are part of it."""
        prompts, latents = zip(*self._made, strict=True)
        scenes = self._scenes if self._emptied else [*self._scenes, len(self._made)]
        begun = (SettingsChanged(chunk, {"scene": i}, {"scene": i + 1}) for i, chunk in enumerate(scenes))
        past, seconds = Past(prompts, latents, tuple(begun)), self._pipeline.starts(len(self._made))
        prompt, self._pending = self._pending or past.prompts[-1], None
        with self._lock:
            self._wishes, self._asked = replace(self._wishes, prompts=(), settings=Wishes().settings), 0
        return self.order.gone_on(past, prompt, seconds)

    def _wish(self, change: Callable[[Wishes], dict]) -> None:
        with self._lock:
            self._wishes = replace(self._wishes, **change(self._wishes))
            self._mailbox.write(self._wishes)


def _failed(told: str, note: str = "") -> dict:
    return {"kind": "ended", "reason": "error", "chunks": 0, "error": told, "note": note}


class Follower:
    """Carries wishes from a mailbox to a run. Called between chunks and several times a second."""

    def __init__(self, run: PacedRun, mailbox: Mailbox, seconds: float = float("inf")) -> None:
        """seconds: after which the run is over."""
        self._run, self._mailbox = run, mailbox
        self._until = time.monotonic() + seconds - LEAVE_SECONDS
        self._known = Wishes()

    def __call__(self) -> bool:
        """Whether to give way: never by itself, the other side says so."""
        wishes, known = self._mailbox.read(), self._known
        if wishes is None:
            self._run.stop()
            return False
        for prompt in wishes.prompts[len(known.prompts) :]:
            self._run.change_prompt(prompt)
        if wishes.settings != known.settings:
            scenes = known.settings["scenes"] if known.settings else 0
            self._change(**wishes.settings, before=scenes)
        if wishes.beats != known.beats:
            self._run.report(wishes.frame, wishes.playing)
        if wishes.hurry != known.hurry:
            self._run.hurry()
        if wishes.quality != known.quality:
            self._run.adapt(wishes.quality, wishes.rate)
        if wishes.paused != known.paused:
            self._run.pause(wishes.paused)
        self._known = wishes
        if wishes.stopping:
            self._run.stop(wishes.note)
        elif time.monotonic() > self._until:
            self._run.stop(TIME_IS_UP)
        return False

    def _change(self, name: str, values: dict, scenes: int, before: int, **settings: Any) -> None:
        try:
            self._run.change(make_policy(name, **values), **settings, anew=scenes > before)
        except SettingsError as error:
            self._run.tell(f"Not changed: {error}.")
