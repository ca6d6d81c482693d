"""`python -m deepforcing evaluate`: make the evidence, and its report."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from ..policies import make_policy, read_words
from .experiments import EXPERIMENTS, Experiment, experiments_named
from .report import write_report
from .run import Evaluation, evaluate
from .strip import film

QUICK = {"prompts": 1, "seeds": 1, "seconds": 20}
QUICKLY = ("policies", "scenery", "switch", "second-scene", "reappear", "revisit", "attention", "stability", "slots")
FULL = {"prompts": 24, "seeds": 2, "seconds": 60}


def add_evaluate(parser: argparse.ArgumentParser) -> None:
    """The command's options, for `deepforcing.__main__`."""
    parser.set_defaults(run=run)
    parser.add_argument("experiments", nargs="*", metavar="experiment", help=f"{', '.join(EXPERIMENTS)}; all of them")
    parser.add_argument("--quick", action="store_true", help=f"small: {_say(QUICK)}; without settings unless told")
    parser.add_argument("--prompts", type=int, help=f"of the tiny model's world (default: {FULL['prompts']})")
    parser.add_argument("--seeds", type=int, help=f"videos of each prompt and policy (default: {FULL['seeds']})")
    parser.add_argument("--seconds", type=int, help=f"of each video (default: {FULL['seconds']})")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each (default: %(default)s)")
    parser.add_argument("--model", default="tiny", help="tiny, tiny-teacher, or a folder like theirs")
    parser.add_argument(
        "--policy", action="append", default=[], metavar="POLICY", help="another one beside those of each experiment"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("evidence"), help="folder (default: %(default)s)")
    parser.add_argument("--report-only", action="store_true", help="write the report of what is there already")


def run(options: argparse.Namespace) -> int:
    """Evaluate what is missing, then write the report."""
    names = options.experiments or (list(QUICKLY) if options.quick else [])
    sizes = dict(QUICK if options.quick else FULL)
    sizes |= {name: value for name in sizes if (value := getattr(options, name)) is not None}
    others = [make_policy(name, **settings) for name, settings in map(read_words, options.policy)]
    experiments = tuple(experiment.beside(others) for experiment in _named(names, options.quick))
    plan = Evaluation(options.output, experiments, options.model, workers=options.workers, **sizes)
    if not options.report_only:
        evaluate(plan, _bar)
        film(plan, _bar)
    print(write_report(plan))
    return 0


def _named(names: list[str], quick: bool) -> list[Experiment]:
    """Without anybody beside, where it has to be quick."""
    found = experiments_named(names)
    return [replace(experiment, others=()) for experiment in found] if quick else found


def _bar(items: Iterable, total: int) -> tqdm:
    return tqdm(items, total=total, unit="video", smoothing=0.05)


def _say(sizes: dict[str, int]) -> str:
    return ", ".join(f"{value} {name}" for name, value in sizes.items())
