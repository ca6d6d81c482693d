"""Train the tiny model: `python -m deepforcing.training [stage ...]`. Interrupted runs continue where they were."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from deepforcing.training.bundle import ASSETS
from deepforcing.training.recipe import STAGES, Recipe


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deepforcing.training", description=__doc__)
    parser.add_argument(
        "stages", nargs="*", metavar="stage", help=f"any of {', '.join(STAGES)}, in this order; all by default"
    )
    parser.add_argument("--folder", type=Path, default=Path("build/tiny"), help="renderings, latents and checkpoints")
    parser.add_argument("--output", type=Path, default=ASSETS, help="where the weights are written")
    parser.add_argument("--fresh", action="store_true", help="begin with random weights instead of the shipped ones")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--workers", type=int, default=2, help="processes that render")
    parser.add_argument("--processes", type=int, default=1, help="train in several processes, for CPUs")
    for name in ("codec", "transformer", "distil", "classifier"):
        field = f"{name}_minutes"
        parser.add_argument(f"--{name}-minutes", type=float, default=getattr(Recipe, field))
    options = vars(parser.parse_args())
    stages = options.pop("stages") or list(STAGES)
    if unknown := [name for name in stages if name not in STAGES]:
        parser.error(f"unknown stage {unknown[0]!r}; one of {', '.join(STAGES)}")
    recipe = Recipe(**options)
    for name in STAGES:
        if name in stages:
            print(f"-- {name}", flush=True)
            STAGES[name](recipe)


if __name__ == "__main__":
    main()
