"""Train the tiny model: `python -m deepforcing.training [stage ...]`. Interrupted runs continue where they were."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from deepforcing.models.components import ModelError, best_device, device_for
from deepforcing.training.bundle import ASSETS
from deepforcing.training.recipe import Recipe
from deepforcing.training.rendering import FolderError
from deepforcing.training.scale import scale_for
from deepforcing.training.stages import STAGES, follow
from deepforcing.training.timetable import MINUTES, Timetable

EXAMPLE = """\
A new model from nothing in eight minutes of a GPU, with a few cores that render beside it:
  python -m deepforcing.training --fresh --minutes 8 --output build/new
"""


def recipe_of(arguments: Sequence[str] | None = None) -> Recipe:
    """What a command line asks for. Exits with one line where that cannot be."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.stages if name not in STAGES]:
        parser.error(f"unknown stage {unknown[0]!r}; one of {', '.join(STAGES)}")
    if options.minutes is not None and options.minutes <= 0:
        parser.error("--minutes must be above 0")
    device = torch.device(options.device)
    if device.type == "cuda" and options.processes > 1:
        parser.error("--processes is for CPUs: one process trains on a GPU")
    stages = tuple(name for name in STAGES if name in options.stages or not options.stages)
    minutes = {name: vars(options)[f"{name}_minutes"] for name in MINUTES}
    return Recipe(
        folder=options.folder,
        output=options.output,
        start=None if options.fresh else options.start,
        scale=scale_for(device),
        device=device,
        workers=options.workers or _workers(device),
        processes=options.processes,
        times=Timetable(stages, minutes) if options.minutes is None else Timetable.within(options.minutes, stages),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deepforcing.training",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "stages", nargs="*", metavar="stage", help=f"any of {', '.join(STAGES)}, in this order; all by default"
    )
    parser.add_argument("--folder", type=Path, default=Path("build/tiny"), help="renderings, latents and checkpoints")
    parser.add_argument("--output", type=Path, default=ASSETS, help="where the weights are written")
    parser.add_argument("--start", type=Path, default=ASSETS, help="weights to go on from; by default the shipped ones")
    parser.add_argument("--fresh", action="store_true", help="begin with random weights instead")
    parser.add_argument("--device", default=best_device().type, help="cpu or cuda; by default CUDA where there is one")
    parser.add_argument("--workers", type=int, help="processes that render; by default what training leaves")
    parser.add_argument("--processes", type=int, default=1, help="train in several processes, for CPUs")
    parser.add_argument("--minutes", type=float, help="for all stages together, which then end in time")
    for name, minutes in MINUTES.items():
        parser.add_argument(f"--{name}-minutes", type=float, default=minutes, help=f"by default {minutes:g}")
    return parser


def _workers(device: torch.device) -> int:
    """All cores but three where a GPU trains; where they train themselves, training goes first anyway."""
    cores = os.cpu_count() or 1
    return max(1, cores - 3) if device.type == "cuda" else cores


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # an orderly exit, which ends other processes
    recipe = recipe_of()
    try:
        device_for(recipe.device.type)
        follow(recipe)
    except (ModelError, FolderError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
