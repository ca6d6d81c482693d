"""Several devices and machines, with Ray Serve: each replica holds one model, a run stays with the replica it began on.

Frames stream from the replica; what a viewer wants goes there by a mailbox, an actor of its own, since Ray cannot talk
to a call that streams. Needs `pip install "deepforcing[serve]"`.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from deepforcing import Pipeline, SettingsError, Turns

from ..runs.files import Files
from ..runs.paced_run import Order
from .lent import Follower, Gone, LentRun
from .wishes import Wishes

NAME = "deepforcing"
BOXES = "mailboxes"
SCALING = {"upscale_delay_s": 1.0, "downscale_delay_s": 300.0, "metrics_interval_s": 1.0, "look_back_period_s": 2.0}
END_SECONDS = 60.0  # that the runs of a replica have, which is no longer needed, to come to their end
Parcel = dict[str, tuple[str, bytes]]  # video and trace: name and contents


@dataclass(frozen=True)
class Size:
    """How many replicas there are, at least and at most, how many runs each takes at once, and what each needs."""

    least: int
    most: int
    runs: int = 1
    gpus: float = 0.0
    cpus: float = 1.0

    @classmethod
    def read(cls, text: str, runs: int, gpus: float) -> Size:
        """`2`, or `1-4`: as many as are busy. Raises SettingsError."""
        found = re.fullmatch(r"([1-9][0-9]{0,2})(?:-([1-9][0-9]{0,2}))?", text)
        least, most = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if least > most:
            raise SettingsError(f"--replicas must be a number, or two such as 1-4, not {text[:40]!r}")
        return cls(least, most, runs, gpus)

    @property
    def places(self) -> int:
        """Runs at once, all replicas together."""
        return self.most * self.runs


def check_ray() -> None:
    """Raises SettingsError where Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise SettingsError('--replicas needs Ray: pip install "deepforcing[serve]", or pip install "ray[serve]"')


class Mailboxes:
    """The wishes of all runs, by name. An actor."""

    def __init__(self) -> None:
        self._wishes: dict[str, Wishes] = {}

    def write(self, name: str, wishes: Wishes) -> None:
        self._wishes[name] = wishes

    def read(self, name: str) -> Wishes | None:
        return self._wishes.get(name)

    def close(self, name: str) -> None:
        self._wishes.pop(name, None)


class Mailbox:
    """One run's, on either side."""

    def __init__(self, boxes: Any, name: str) -> None:
        self._boxes, self._name = boxes, name

    def write(self, wishes: Wishes) -> None:
        _wait(self._boxes.write.remote(self._name, wishes))

    def read(self) -> Wishes | None:
        return _wait(self._boxes.read.remote(self._name))

    def close(self) -> None:
        _wait(self._boxes.close.remote(self._name))


def _wait(answer: Any) -> Any:
    import ray

    return ray.get(answer)


class Replica:
    """One model, on a device of its own, and the runs that it makes in turns."""

    def __init__(self, load: Callable[[], Pipeline]) -> None:
        import ray

        self._pipeline, self._turns = load(), Turns()
        self._boxes = ray.get_actor(BOXES, NAME)

    def run(self, order: Order, name: str) -> Iterator[tuple[dict, Parcel]]:
        """Messages as they are made; the last one with the files."""
        with TemporaryDirectory(prefix="deepforcing-") as folder:
            run = order.run(self._pipeline, Path(folder), name)
            run.share(self._turns)
            run.carries = True
            for message in run.messages(Follower(run, Mailbox(self._boxes, name))):
                yield message, _packed(run.files) if message["kind"] == "ended" else {}


def _packed(files: Files) -> Parcel:
    return {what: (file.name, file.read_bytes()) for what, file in vars(files).items() if file is not None}


def _unpacked(parcel: Parcel, folder: Path) -> Files:
    for name, contents in parcel.values():
        (folder / name).write_bytes(contents)
    return Files(**{what: folder / name for what, (name, _) in parcel.items()})


def _deployment(size: Size) -> Any:
    from ray import serve

    many: dict = {"num_replicas": size.least}
    if size.most > size.least:
        ends = {"min_replicas": size.least, "max_replicas": size.most}
        many = {"autoscaling_config": {**ends, **SCALING, "target_ongoing_requests": size.runs}}
    return serve.deployment(
        Replica,
        max_ongoing_requests=size.runs,
        ray_actor_options={"num_cpus": size.cpus, "num_gpus": size.gpus},
        graceful_shutdown_timeout_s=END_SECONDS,
        **many,
    )


class Replicas:
    """The replicas of one model, for as long as this process lives. Made when the least number of them is there."""

    def __init__(self, load: Callable[[], Pipeline], size: Size) -> None:
        """load: makes the model, in each replica. Raises SettingsError where Ray is not installed."""
        check_ray()
        import ray
        from ray import serve

        ray.init(ignore_reinit_error=True, log_to_driver=False, include_dashboard=False, configure_logging=False)
        serve.start(proxy_location="Disabled")  # the page is the way in
        self._boxes = ray.remote(num_cpus=0)(Mailboxes).options(name=BOXES, namespace=NAME).remote()
        self.size = size
        handle = serve.run(_deployment(size).bind(load), name=NAME, route_prefix=None)
        self._handle = handle.options(stream=True)  # one for all runs, which so are counted together

    def maker(self, pipeline: Pipeline) -> Callable[[Order, Path, str], LentRun]:
        """What makes a run of an order, a folder for its files, and its name. pipeline: as theirs, to check by."""
        return lambda order, folder, name: LentRun(
            pipeline, self._lent, Mailbox(self._boxes, name), order, folder, name
        )

    def close(self) -> None:
        """End all of them."""
        import ray
        from ray import serve

        serve.shutdown()
        ray.shutdown()

    def _lent(self, order: Order, folder: str, name: str) -> Iterator[tuple[dict, Files]]:
        from ray.exceptions import RayError

        answers = self._handle.run.remote(order, name)
        try:
            for message, parcel in answers:
                yield message, _unpacked(parcel, Path(folder))
        except RayError as error:
            raise Gone from error
        finally:
            self._forget(answers, name)

    def _forget(self, answers: Any, name: str) -> None:
        import ray

        if ray.is_initialized():  # or asking would begin it anew
            with suppress(Exception):  # where all of it is gone there is nothing to end
                answers.cancel()
                Mailbox(self._boxes, name).close()
