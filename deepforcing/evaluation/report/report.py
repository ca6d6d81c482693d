"""The report: what was run, what was found beside what the paper found, and whether that is the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..experiments import EXPERIMENTS, Experiment
from ..measure import WINDOW_SECONDS
from ..quantities import QUANTITIES
from ..run import Evaluation
from ..strip import RULE, strips
from . import attention_section, video_section
from .aims_section import aims_table
from .drawing import save
from .evidence import NOTES, Evidence, read_evidence
from .looks import LOOKS
from .markdown import picture, table
from .paper import CLAIMS, OTHERS
from .run_section import command, what_was_run
from .strip_plot import film_strip
from .summary import write_summary
from .verdict import FEWEST, overall


@dataclass(frozen=True)
class Section:
    """One experiment's: outcome, a sentence; body, what follows it, empty without results."""

    experiment: Experiment
    outcome: str
    body: str


def write_report(plan: Evaluation) -> Path:
    """Write report.md, its pictures and summary.json from what the folder holds, complete or not; returns its path.

    Text that a person has put into notes.md, under `## <experiment>`, becomes part of that experiment's section.
    Raises SettingsError where nothing has been evaluated.
    """
    evidence = read_evidence(plan)
    planned = EXPERIMENTS | {experiment.name: experiment for experiment in plan.experiments}
    sections = [_section(evidence, experiment) for experiment in planned.values()]
    path = plan.output / "report.md"
    path.write_text("\n\n".join(filter(None, _parts(evidence, sections))) + "\n", encoding="utf-8")
    write_summary(plan.output / "summary.json", evidence.readings, evidence.seconds, evidence.scenes)
    return path


def _parts(evidence: Evidence, sections: list[Section]) -> list[str]:
    own = {"", *EXPERIMENTS}
    return [
        "# Evidence",
        evidence.notes.get("", ""),
        what_was_run(evidence, [section.experiment.name for section in sections if section.body]),
        "## At a glance",
        _glance(sections),
        _film(evidence),
        "## Aims",
        aims_table(evidence),
        *(part for section in sections for part in _written(evidence, section)),
        *(part for name, text in evidence.notes.items() if name not in own for part in (f"## {name}", text)),
        "## How to read it",
        _how_to_read(evidence),
    ]


def _glance(sections: list[Section]) -> str:
    rows = [(f"[{s.experiment.name}](#{s.experiment.name})", s.experiment.question, s.outcome) for s in sections]
    return table(("experiment", "question", "the paper's findings, here"), rows)


def _film(evidence: Evidence) -> str:
    shown = strips(evidence.folder, evidence.readings, evidence.seconds)
    if not shown or not all(strip.path.exists() for strip in shown):
        return ""
    save(film_strip(shown), evidence.folder / "filmstrip.webp")
    seen = f"stills of {len(shown)} videos, the same prompts under self-forcing and deep-forcing"
    return f"{picture('filmstrip.webp', seen)}\n\n{RULE}"


def _section(evidence: Evidence, experiment: Experiment) -> Section:
    rows = evidence.compare(experiment) if experiment.policies else evidence.looked_into(experiment)
    there = rows.telling if experiment.policies else bool(rows)
    if not there:
        return Section(experiment, f"No results yet: `{command(evidence, [experiment.name])}`", "")
    kind = video_section if experiment.policies else attention_section
    save(kind.draw(experiment, rows), evidence.folder / f"{experiment.name}.png")
    parts = (
        picture(f"{experiment.name}.png", kind.seen(experiment, rows)),
        kind.claims_table(experiment, rows),
        OTHERS.get(experiment.name, ""),
        kind.numbers_table(experiment, rows),
        kind.measured_on(rows),
        _others(evidence, experiment),
    )
    return Section(experiment, overall(kind.verdicts(experiment, rows)), "\n\n".join(filter(None, parts)))


def _others(evidence: Evidence, experiment: Experiment) -> str:
    if not experiment.others:
        return ""
    found = evidence.compare_others(experiment)
    if not set(experiment.others) & set(found.policies):
        return ""
    parts = (
        "Beside them, with the same prompts and noise:",
        video_section.numbers_table(experiment, found),
        video_section.measured_on(found),
    )
    return "\n\n".join(parts)


def _written(evidence: Evidence, section: Section) -> list[str]:
    experiment = section.experiment
    reasons = evidence.notes.get(experiment.name, "")
    return [
        f"## {experiment.name}",
        f"*{experiment.question}*",
        section.outcome,
        f"The paper: {experiment.paper}." if section.body else "",
        section.body,
        f"### Likely reasons\n\n{reasons}" if reasons else "",
    ]


def _how_to_read(evidence: Evidence) -> str:
    count = len(CLAIMS) + len(LOOKS)
    quantities = [(quantity.title, quantity.about) for quantity in QUANTITIES.values()]
    return f"""\
Videos are measured in windows of {WINDOW_SECONDS} s; "at {WINDOW_SECONDS} s" is the first window, which is as long as
what the model was trained on, "at {evidence.seconds} s" the last. In brackets stand 95 % intervals. A prompt counts as
one observation, its seeds averaged: Student's t over prompts, for shares Wilson's interval. Policies are compared video
by video on the same prompts and noise, and it is the interval of that difference which decides: it can be far narrower
than the intervals of the two means.

- *reproduces*: the difference has the paper's direction, and its interval does not reach zero
- *weaker*: the paper's direction, but the interval reaches zero
- *does not*: neither; *the other way round* where the interval lies on the other side of zero
- *too few prompts to say*: fewer than {FEWEST}, of which not even unanimous ones would be unlikely by chance

Where there is nothing to find, one finding in forty seems to reproduce by chance; there are {count} here. The paper
rates videos with VBench-Long, whose numbers are on another scale than these: only directions are compared. Its overall
consistency stands beside subject retention, its imaging quality beside sharpness, its motion smoothness beside chunk
jump.

{table(("quantity", f"what it is, over a window of {WINDOW_SECONDS} s"), quantities)}

A classifier trained on rendered scenes reads the videos; it never saw a generated one. `deepforcing/metrics.py` has the
formulas, `deepforcing/evaluation/` the rest. The reasons above are written by hand, in
`{NOTES}`; all else is made from the tables in this folder."""
