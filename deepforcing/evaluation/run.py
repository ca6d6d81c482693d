"""The whole evaluation: jobs spread over processes, results kept as they come, so that it can be interrupted."""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType

import diffusers
import numpy as np
import torch

from ..captions import Caption
from ..config import SettingsError
from ..models.fingerprint import fingerprint
from ..models.tiny_classifier import ATTRIBUTES, Classifier, load_classifier
from ..pipeline import Pipeline, load_pipeline
from ..version import __version__
from .attention import Agreement, FrameMass, SlotShare, attention_by_frame, choices
from .experiments import Experiment
from .measure import Job, Reader, Reading, measure, stranger, whole_videos
from .prompts import even_prompts, leaving_prompts, still_prompts, turns
from .reappear import Visit, visits
from .revisit import Journey, away, journeys
from .scenery import Scene, scenes
from .story import Story, stories
from .table import Table

STUDIED = 8  # prompts whose attention is looked into
_EVERY = 4  # frames between two that are read: a latent's worth


@dataclass(frozen=True)
class Evaluation:
    """What is evaluated, and where its results lie.

    model: as for `load_pipeline`, with the tiny model's world. seconds: length of each video, a multiple of 5.
    """

    output: Path
    experiments: tuple[Experiment, ...]
    model: str = "tiny"
    prompts: int = 24
    seeds: int = 2
    seconds: int = 60
    workers: int = 2

    def __post_init__(self) -> None:
        for name, least in (("prompts", 1), ("seeds", 1), ("seconds", 10), ("workers", 1)):
            if getattr(self, name) < least:
                raise SettingsError(f"{name} must be at least {least}, not {getattr(self, name)}")
        if self.seconds % 5:
            raise SettingsError(f"seconds must be a multiple of 5, not {self.seconds}")

    @property
    def captions(self) -> tuple[Caption, ...]:
        return even_prompts(self.prompts)

    def jobs(self) -> list[Job]:
        """Every video once, however many experiments ask for it; all policies of one prompt together, so that an
        unfinished evaluation still compares like with like."""
        jobs = {}
        for seed in range(self.seeds):
            for prompt in range(self.prompts):
                for experiment in self.experiments:
                    if experiment.table == "readings" and experiment.takes(prompt, seed):
                        made = [Job(policy, prompt, seed, self.seconds) for policy in experiment.everyone]
                        jobs |= {job.key: job for job in made}
        return list(jobs.values())

    def jobs_of(self, table: str) -> list[Job]:
        """The videos that are made for a table of MADE, likewise."""
        policies = dict.fromkeys(policy for e in self.experiments if e.table == table for policy in e.everyone)
        return [Job(policy, prompt, 0, self.seconds) for prompt in range(self.prompts) for policy in policies]

    def studies(self) -> list[int]:
        """Prompts whose attention is looked into."""
        return list(range(min(STUDIED, self.prompts))) if any(not e.policies for e in self.experiments) else []

    @property
    def readings(self) -> Table[Reading]:
        return Table(self.output / "videos.csv", Reading)

    @property
    def scenes(self) -> Table[Scene]:
        return Table(self.output / "scenery.csv", Scene)

    @property
    def stories(self) -> Table[Story]:
        return Table(self.output / "stories.csv", Story)

    @property
    def visits(self) -> Table[Visit]:
        return Table(self.output / "visits.csv", Visit)

    @property
    def journeys(self) -> Table[Journey]:
        return Table(self.output / "journeys.csv", Journey)

    @property
    def masses(self) -> Table[FrameMass]:
        return Table(self.output / "attention.csv", FrameMass)

    @property
    def agreements(self) -> Table[Agreement]:
        return Table(self.output / "stability.csv", Agreement)

    @property
    def slots(self) -> Table[SlotShare]:
        return Table(self.output / "slots.csv", SlotShare)

    @property
    def settings_file(self) -> Path:
        return self.output / "settings.json"


def evaluate(plan: Evaluation, progress: Callable[[Iterable, int], Iterable] = lambda items, _: items) -> None:
    """Make what is missing. `progress` wraps the results, of which it is told the number.

    Raises SettingsError where the folder holds results of other weights or another length; ModelError.
    """
    _settle_settings(plan)
    jobs, studied = _unmade(plan, plan.readings, plan.jobs()), _studied(plan)
    studies = [prompt for prompt in plan.studies() if prompt not in studied]
    others = {name: _unmade(plan, getattr(plan, name), plan.jobs_of(name)) for name in MADE}
    context = multiprocessing.get_context("spawn")  # a forked torch with threads can hang
    with ProcessPoolExecutor(plan.workers, context, initializer=_enter_worker) as pool:
        waiting = [pool.submit(_make, plan, job) for job in jobs]
        waiting += [pool.submit(_study, plan, prompt) for prompt in studies]
        for table, made in others.items():
            waiting += [pool.submit(_make_for, plan, table, job) for job in made]
        try:
            for future in progress(as_completed(waiting), len(waiting)):
                _keep(plan, future.result())
        finally:
            pool.shutdown(cancel_futures=True)
    for table in (plan.readings, *(getattr(plan, name) for name in MADE)):
        table.write(sorted(table.read(), key=lambda r: (r.policy, r.prompt, r.seed, r.second)))


def _keep(plan: Evaluation, results: dict[str, list]) -> None:
    for name, rows in results.items():
        getattr(plan, name).append(rows)


def _unmade(plan: Evaluation, table: Table, jobs: list[Job]) -> list[Job]:
    """Those whose video is yet to be made; the table without what a kill left half done."""
    rows = table.read()
    done = whole_videos(rows, plan.seconds)
    table.write(row for row in rows if (row.policy, row.prompt, row.seed) in done)
    return [job for job in jobs if job.key not in done]


def _studied(plan: Evaluation) -> set[int]:
    """Prompts whose attention was looked into; the tables without what a kill left half done."""
    tables = (plan.masses, plan.agreements, plan.slots)
    rows = [table.read() for table in tables]
    studied = set.intersection(*({row.prompt for row in found} for found in rows))
    for table, found in zip(tables, rows, strict=True):
        table.write(row for row in found if row.prompt in studied)
    return studied


def _enter_worker() -> None:
    torch.set_num_threads(1)  # a process a core is faster than a thread a core, at this size
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """However the evaluation ends, a kill included, its workers do not go on."""
    multiprocessing.parent_process().join()
    os._exit(1)


@cache
def _pipeline(model: str) -> Pipeline:
    return load_pipeline(model)


@cache
def _classifier() -> Classifier:
    return load_classifier()


def _seen(frames: np.ndarray) -> dict[str, str]:
    """What the classifier reads in these frames, uint8 [n, H, W, 3]."""
    video = torch.from_numpy(np.ascontiguousarray(frames[::_EVERY])).movedim(-1, -3).float() / 255
    return _classifier().read(video)


def _reader_of(caption: Caption) -> Reader:
    def read(frames: np.ndarray) -> dict[str, float]:
        seen = _seen(frames)
        return {name: float(seen[name] == getattr(caption, name)) for name in ATTRIBUTES}

    return read


def _make(plan: Evaluation, job: Job) -> dict[str, list]:
    caption = plan.captions[job.prompt]
    return {"readings": measure(_pipeline(plan.model), job, caption.phrase(), _reader_of(caption))}


def _study(plan: Evaluation, prompt: int) -> dict[str, list]:
    pipeline, text = _pipeline(plan.model), plan.captions[prompt].phrase()
    chunks = plan.seconds * pipeline.shape.fps // (pipeline.chunk_frames * pipeline.shape.time)
    agreements, slots = choices(pipeline, prompt, text, prompt, chunks)
    masses = attention_by_frame(pipeline, prompt, text, prompt)
    return {"masses": masses, "agreements": agreements, "slots": slots}


def _make_for(plan: Evaluation, table: str, job: Job) -> dict[str, list]:
    return {table: list(MADE[table](plan, job))}


@lru_cache(maxsize=1)  # jobs come by prompt
def _stranger(model: str, prompt: int, seed: int, text: str) -> np.ndarray:
    return stranger(_pipeline(model), prompt, seed, text)


def _other(plan: Evaluation, job: Job, caption: Caption) -> np.ndarray:
    return _stranger(plan.model, job.prompt, job.seed, caption.phrase())


def _scenes(plan: Evaluation, job: Job) -> Iterator[Scene]:
    caption = still_prompts(plan.prompts)[job.prompt]
    return scenes(_pipeline(plan.model), job, caption.phrase(), _other(plan, job, caption))


def _stories(plan: Evaluation, job: Job) -> Iterator[Story]:
    turn = turns(plan.prompts)[job.prompt]
    return stories(_pipeline(plan.model), job, turn, _seen, _other(plan, job, turn.after))


def _visits(plan: Evaluation, job: Job) -> Iterator[Visit]:
    caption = leaving_prompts(plan.prompts)[job.prompt]
    return visits(_pipeline(plan.model), job, caption, _other(plan, job, caption))


def _journeys(plan: Evaluation, job: Job) -> Iterator[Journey]:
    caption = even_prompts(plan.prompts)[job.prompt]
    return journeys(_pipeline(plan.model), job, caption, _other(plan, job, away(caption)))


MADE = MappingProxyType({"scenes": _scenes, "stories": _stories, "visits": _visits, "journeys": _journeys})
"""Tables other than the readings, and what makes their rows of a video."""


_MACHINE = ("processor", "versions")


def _settle_settings(plan: Evaluation) -> None:
    """Write what the results rest on; they must not be mixed with those of anything else."""
    plan.output.mkdir(parents=True, exist_ok=True)
    now = _settings(plan)
    if plan.settings_file.exists():
        before = json.loads(plan.settings_file.read_text(encoding="utf-8"))
        for name in ("weights", "decoder", "reader", "seconds", "precision"):
            if before.get(name) != now[name]:
                raise SettingsError(
                    f"{plan.output} holds results with {name} {before.get(name, 'unknown')}, not {now[name]}: "
                    "give another --output, or remove them"
                )
        now["earlier"] = _machines_before(before, now)
    plan.settings_file.write_text(json.dumps(now, indent=2) + "\n", encoding="utf-8")


def _machines_before(before: dict, now: dict) -> list[dict]:
    """Processors and versions that results were made with, other than those of now: each rounds in its own way."""
    known = [*before.get("earlier", []), {name: before.get(name) for name in _MACHINE}]
    return [machine for machine in known if any(machine[name] != now[name] for name in _MACHINE)]


def _settings(plan: Evaluation) -> dict:
    pipeline = _pipeline(plan.model)
    return {
        "model": plan.model,
        "weights": pipeline.weights,
        "decoder": fingerprint(pipeline.decoder),
        "reader": fingerprint(_classifier()),
        "precision": str(pipeline.denoiser.dtype).removeprefix("torch."),
        "seconds": plan.seconds,
        "seeds": plan.seeds,
        "prompts": [caption.phrase() for caption in plan.captions],
        "captions": [asdict(caption) for caption in plan.captions],
        "experiments": [experiment.name for experiment in plan.experiments],
        "versions": {
            "deepforcing": __version__,
            "torch": torch.__version__,
            "diffusers": diffusers.__version__,
            "python": platform.python_version(),
        },
        "processor": torch.cpu.get_capabilities().get("cpu_name", platform.machine()),
    }
