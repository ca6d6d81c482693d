"""The whole evaluation: jobs spread over processes, results kept as they come, so that it can be interrupted."""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import cache
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
from .measure import WINDOW_SECONDS, Job, Reader, Reading, measure
from .prompts import even_prompts, leaving_prompts, still_prompts, turns
from .reappear import Visit, visits
from .revisit import Journey, journeys
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
                        made = [Job(policy, prompt, seed, self.seconds) for policy in experiment.policies]
                        jobs |= {job.key: job for job in made}
        return list(jobs.values())

    def jobs_of(self, table: str, prompt: int) -> list[Job]:
        """The videos of this prompt that are made for a table of MADE: all policies of a prompt go together."""
        policies = dict.fromkeys(policy for e in self.experiments if e.table == table for policy in e.policies)
        return [Job(policy, prompt, 0, self.seconds) for policy in policies]

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
    done, studied = _resumed(plan)
    jobs = [job for job in plan.jobs() if job.key not in done]
    studies = [prompt for prompt in plan.studies() if prompt not in studied]
    unmade = {table: _unmade(plan, table) for table in MADE}
    context = multiprocessing.get_context("spawn")  # a forked torch with threads can hang
    with ProcessPoolExecutor(plan.workers, context, initializer=_enter_worker) as pool:
        waiting = {pool.submit(_make, plan, job): plan.readings for job in jobs}
        waiting |= {pool.submit(_study, plan, prompt): None for prompt in studies}
        for table, prompts in unmade.items():
            waiting |= {pool.submit(_make_for, plan, table, prompt): None for prompt in prompts}
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


def _resumed(plan: Evaluation) -> tuple[set, set[int]]:
    """What is there already; tables without what a kill left half done."""
    windows = plan.seconds // 5
    readings, counts = plan.readings.read(), {}
    for row in readings:
        counts.setdefault((row.policy, row.prompt, row.seed), []).append(row)
    done = {key for key, rows in counts.items() if len(rows) == windows}
    plan.readings.write(row for key in done for row in counts[key])
    tables = (plan.masses, plan.agreements, plan.slots)
    rows = [table.read() for table in tables]
    studied = set.intersection(*({row.prompt for row in found} for found in rows))
    for table, found in zip(tables, rows, strict=True):
        table.write(row for row in found if row.prompt in studied)
    return done, studied


def _unmade(plan: Evaluation, name: str) -> list[int]:
    """Prompts whose videos for this table are yet to be made; the table without what a kill left half done."""
    table, whole = getattr(plan, name), len(plan.jobs_of(name, 0)) * (plan.seconds // WINDOW_SECONDS)
    rows = table.read()
    count = Counter(row.prompt for row in rows)
    done = {prompt for prompt in count if count[prompt] >= whole}
    table.write(row for row in rows if row.prompt in done)
    return [prompt for prompt in range(plan.prompts) if whole and prompt not in done]


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


def _make_for(plan: Evaluation, table: str, prompt: int) -> dict[str, list]:
    return {table: MADE[table](_pipeline(plan.model), plan.jobs_of(table, prompt), plan.prompts)}


def _scenes(pipeline: Pipeline, jobs: list[Job], prompts: int) -> list[Scene]:
    return scenes(pipeline, jobs, still_prompts(prompts)[jobs[0].prompt].phrase())


def _stories(pipeline: Pipeline, jobs: list[Job], prompts: int) -> list[Story]:
    return stories(pipeline, jobs, turns(prompts)[jobs[0].prompt], _seen)


def _visits(pipeline: Pipeline, jobs: list[Job], prompts: int) -> list[Visit]:
    return visits(pipeline, jobs, leaving_prompts(prompts)[jobs[0].prompt])


def _journeys(pipeline: Pipeline, jobs: list[Job], prompts: int) -> list[Journey]:
    return journeys(pipeline, jobs, even_prompts(prompts)[jobs[0].prompt])


MADE = MappingProxyType({"scenes": _scenes, "stories": _stories, "visits": _visits, "journeys": _journeys})
"""Tables whose rows are made a prompt at a time, under all policies."""


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
    plan.settings_file.write_text(json.dumps(now, indent=2) + "\n", encoding="utf-8")


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
