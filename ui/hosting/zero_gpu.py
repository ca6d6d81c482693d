"""Where a run goes on: here, or, on a Space with ZeroGPU, in a forked worker that has the GPU for a limited time.

There the viewer's wishes go over in a file, see `lent`.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from deepforcing import Pipeline, use_attention

from ..runs.files import Files
from ..runs.paced_run import Order, PacedRun
from .ahead import compile_ahead
from .lent import LEAVE_SECONDS, Follower, LentRun
from .wishes import WishFile

MOST_SECONDS = 120  # of GPU time that one run asks for; visitors have a few minutes a day
START_SECONDS = 20  # until the first frame: the weights move to the GPU at each start


def on_zero_gpu() -> bool:
    """Whether this is a Space with ZeroGPU: the one place that decides which way runs go."""
    asked = os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")
    return asked and importlib.util.find_spec("spaces") is not None


def make_ready(pipeline: Pipeline, compiled: bool) -> None:
    """For workers, whose GPU is not the one that this process believes to have: no attention that is built for one kind
    of them. compiled: also ahead of time, see `ahead`; takes minutes. Raises SettingsError where that cannot be."""
    use_attention(pipeline.denoiser, "native")
    if compiled:
        compile_ahead(pipeline)


def run_maker(pipeline: Pipeline) -> Callable[[Order, Path, str], PacedRun | LentRun]:
    """What makes a run of an order, a folder for its file, and its name. To be called before the app is launched."""
    if not on_zero_gpu():
        return lambda order, folder, name: order.run(pipeline, folder, name)

    def lent(order: Order, folder: str, name: str) -> Iterator[tuple[dict, Files]]:
        yield from _work(pipeline, order, Path(folder), name)

    def seconds(order: Order, *_) -> int:
        return lent_seconds(order, pipeline.shape.fps)

    lend = importlib.import_module("spaces").GPU(duration=seconds)(lent)
    return lambda order, folder, name: LentRun(pipeline, lend, _mailbox_in(folder), order, folder, name)


def lent_seconds(order: Order, fps: int) -> int:
    """GPU time to ask for: what watching the rest takes, and half as much again, within bounds; what was made before
    has to pass through the model once more, which takes two of five passes."""
    if order.num_frames is None:
        return MOST_SECONDS
    left = order.num_frames / fps - order.begun
    return min(MOST_SECONDS, START_SECONDS + LEAVE_SECONDS + int(1.5 * (left + 0.4 * order.begun)))


def _mailbox_in(folder: Path) -> WishFile:
    return WishFile(folder / "wishes.json")


def _work(pipeline: Pipeline, order: Order, folder: Path, name: str) -> Iterator[tuple[dict, Files]]:
    """The worker's side: run, do what the mailbox says, and end before the time is up."""
    run = order.run(pipeline, folder, name)
    run.carries = True
    follow = Follower(run, _mailbox_in(folder), lent_seconds(order, pipeline.shape.fps))
    for message in run.messages(follow):
        yield message, run.files
