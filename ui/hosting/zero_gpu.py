"""Where a run goes on: here, or, on a Space with ZeroGPU, in a forked worker that has the GPU for a limited time.

On ZeroGPU everything that crosses over is pickled, and what changes here later is not seen there: frames come back
encoded, and the viewer's wishes go over in a file.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import gradio as gr

from deepforcing import Pipeline, Turns

from ..runs.files import Files
from ..runs.paced_run import GAVE_WAY, Order, PacedRun
from .quota import in_plain_words
from .wishes import Wishes, WishFile

MOST_SECONDS = 120  # of GPU time that one run asks for; visitors have a few minutes a day
START_SECONDS = 20  # until the first frame: the weights move to the GPU at each start
LEAVE_SECONDS = 8  # before the time is up: the run ends by itself, with its file, instead of being cut off
TIME_IS_UP = "The GPU was lent for {} seconds, and they are over. Generate again to go on."


def on_zero_gpu() -> bool:
    """Whether this is a Space with ZeroGPU: the one place that decides which way runs go."""
    asked = os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")
    return asked and importlib.util.find_spec("spaces") is not None


def run_maker(pipeline: Pipeline) -> Callable[[Order, Path, str], PacedRun | LentRun]:
    """What makes a run of an order, a folder for its file, and its name. To be called before the app is launched."""
    if not on_zero_gpu():
        return lambda order, folder, name: order.run(pipeline, folder, name)

    def lent(order: Order, folder: str, name: str) -> Iterator[tuple[dict, Files]]:
        yield from _work(pipeline, order, Path(folder), name)

    def seconds(order: Order, *_) -> int:
        return lent_seconds(order, pipeline.shape.fps)

    return partial(LentRun, pipeline, importlib.import_module("spaces").GPU(duration=seconds)(lent))


def lent_seconds(order: Order, fps: int) -> int:
    """GPU time to ask for: what watching takes, and half as much again, within bounds."""
    if order.num_frames is None:
        return MOST_SECONDS
    return min(MOST_SECONDS, START_SECONDS + LEAVE_SECONDS + int(1.5 * order.num_frames / fps))


class LentRun:
    """This side of a run in a worker: the same methods as `Run`. Raises PromptError or SettingsError likewise."""

    def __init__(self, pipeline: Pipeline, lent: Callable, order: Order, folder: Path, name: str) -> None:
        self.id = name
        self._lent, self._order, self._folder = lent, order, folder
        self._check = order.stream(pipeline)  # never started: it refuses here what could not work there
        self._lock, self._wishes, self._mailbox = threading.Lock(), Wishes(), _mailbox_in(folder)
        self._give_way: Callable[[], bool] = lambda: False
        self.quality = 0
        self.files = Files()

    def change_prompt(self, text: str) -> None:
        """Raises PromptError and changes nothing when the text cannot be used."""
        self._check.change_prompt(text)
        self._wish(lambda now: {"prompts": (*now.prompts, text)})

    def share(self, turns: Turns) -> None:
        """As `Run.share`: a GPU that is lent is nobody else's."""

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
        """As `Run.messages`. A GPU that cannot be had ends the run with an error, in the lender's words."""
        self._give_way = give_way
        self._wish(lambda _: {})
        work = self._lent(self._order, str(self._folder), self.id)
        try:
            for message, self.files in work:
                yield message
        except gr.Error as error:
            told = in_plain_words(str(error.message))
            yield {"kind": "ended", "reason": "error", "chunks": 0, "error": told, "note": ""}
        finally:
            self.stop()
            work.close()

    def _wish(self, change: Callable[[Wishes], dict]) -> None:
        with self._lock:
            self._wishes = replace(self._wishes, **change(self._wishes))
            self._mailbox.write(self._wishes)


def _mailbox_in(folder: Path) -> WishFile:
    return WishFile(folder / "wishes.json")


def _work(pipeline: Pipeline, order: Order, folder: Path, name: str) -> Iterator[tuple[dict, Files]]:
    """The worker's side: run, do what the mailbox says, and end before the time is up."""
    run = order.run(pipeline, folder, name)
    follow = _Follower(run, _mailbox_in(folder), lent_seconds(order, pipeline.shape.fps))
    for message in run.messages(follow):
        yield message, run.files


class _Follower:
    """Carries wishes from a mailbox to a run. Called between chunks and several times a second."""

    def __init__(self, run: PacedRun, mailbox: WishFile, seconds: int) -> None:
        self._run, self._mailbox, self._seconds = run, mailbox, seconds
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
            self._run.stop(TIME_IS_UP.format(self._seconds))
        return False
