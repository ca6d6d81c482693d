"""All that a report is made from, read from an evaluation's folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...config import SettingsError
from ...policies import DeepForcing, Policy, SlidingWindow
from ..attention import Agreement, FrameMass, SlotShare
from ..comparison import Comparison, compare
from ..experiments import EXPERIMENTS, Experiment
from ..measure import Reading
from ..reappear import Visit
from ..revisit import Journey
from ..run import Evaluation
from ..scenery import Scene
from ..story import Story
from .markdown import notes_by_heading

NOTES = "notes.md"
TABLES = ("readings", "scenes", "stories", "visits", "journeys", "masses", "agreements", "slots")


@dataclass(frozen=True)
class Evidence:
    """notes: what a person wrote about an experiment, by its name; see `markdown.notes_by_heading`. others: policies
    that were asked for beside those of the experiments."""

    folder: Path
    settings: Mapping[str, Any]
    readings: tuple[Reading, ...]
    scenes: tuple[Scene, ...]
    stories: tuple[Story, ...]
    visits: tuple[Visit, ...]
    journeys: tuple[Journey, ...]
    masses: tuple[FrameMass, ...]
    agreements: tuple[Agreement, ...]
    slots: tuple[SlotShare, ...]
    notes: Mapping[str, str]
    others: tuple[Policy, ...] = ()

    @property
    def seconds(self) -> int:
        return self.settings["seconds"]

    def compare(self, experiment: Experiment) -> Comparison:
        """What its plot and its findings are made from."""
        return self._compare(experiment, experiment.policies)

    def compare_others(self, experiment: Experiment) -> Comparison:
        """What was run beside, and of its policies the two that all others are measured against."""
        known = tuple(policy for policy in (SlidingWindow(), DeepForcing()) if policy in experiment.policies)
        return self._compare(experiment, (*known, *experiment.others))

    def _compare(self, experiment: Experiment, policies: tuple[Policy, ...]) -> Comparison:
        seeds, rows = experiment.seeds, getattr(self, experiment.table)
        return compare((row for row in rows if seeds is None or row.seed < seeds), policies, self.seconds)

    def looked_into(self, experiment: Experiment) -> tuple[Any, ...]:
        """The rows of an experiment on attention itself."""
        return getattr(self, experiment.table)


def read_evidence(plan: Evaluation) -> Evidence:
    """Raises SettingsError where nothing has been evaluated, or a table is not one."""
    if not plan.settings_file.exists():
        raise SettingsError(f"{plan.output} holds no results: run `python -m deepforcing evaluate` first")
    notes = plan.output / NOTES
    return Evidence(
        plan.output,
        json.loads(plan.settings_file.read_text(encoding="utf-8")),
        *(tuple(getattr(plan, name).read()) for name in TABLES),
        notes_by_heading(notes.read_text(encoding="utf-8")) if notes.exists() else {},
        _others(plan),
    )


def _others(plan: Evaluation) -> tuple[Policy, ...]:
    asked = ((policy, EXPERIMENTS[e.name].everyone) for e in plan.experiments for policy in e.everyone)
    return tuple(dict.fromkeys(policy for policy, own in asked if policy not in own))
