"""The report's part on what was run, and the command that does it again."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ..comparison import Row
from ..experiments import EXPERIMENTS, label
from .evidence import Evidence
from .markdown import counted, listed, table


def what_was_run(evidence: Evidence, names: Collection[str]) -> str:
    """names: of the experiments with results."""
    settings = evidence.settings
    rows = [
        ("model", f"{_model(evidence)}, weights `{settings['weights']}`, {settings['precision']}"),
        ("decoder, reader", f"weights `{settings['decoder']}`, `{settings['reader']}`"),
        ("videos", _videos(evidence)),
        ("looked into", f"the attention of {counted(len({row.prompt for row in evidence.masses}), 'prompt')}"),
        ("versions", ", ".join(f"{name} {version}" for name, version in settings["versions"].items())),
        ("processor", _processors(settings)),
    ]
    return f"{table(('', ''), rows)}\n\n```\n{command(evidence, names)}\n```"


def _processors(settings: Mapping[str, Any]) -> str:
    """All that had a part in it: each rounds in its own way."""
    earlier = [machine["processor"] for machine in settings.get("earlier", ())]
    return listed([*dict.fromkeys([*earlier, settings["processor"]])])


def command(evidence: Evidence, names: Collection[str]) -> str:
    """What makes these results again."""
    prompts, seeds = _counts(evidence)
    model = "" if _model(evidence) == "tiny" else f" --model {_model(evidence)}"
    chosen = "".join(f" {name}" for name in names) if len(names) < len(EXPERIMENTS) else ""
    others = "".join(f' --policy "{label(policy)}"' for policy in evidence.others)
    return (
        f"python -m deepforcing evaluate{chosen}{others} --prompts {prompts} --seeds {seeds} "
        f"--seconds {evidence.seconds}"
        f"{model} -o {_folder(evidence)}"
    )


def _model(evidence: Evidence) -> str:
    return Path(evidence.settings["model"]).name


def _folder(evidence: Evidence) -> str:
    """As seen from here, if it lies below; its bare name otherwise, since where it lay is nobody's concern."""
    folder, here = evidence.folder.resolve(), Path.cwd()
    return folder.relative_to(here).as_posix() if folder.is_relative_to(here) else folder.name


def _videos(evidence: Evidence) -> str:
    videos = {(type(row), row.policy, row.prompt, row.seed) for row in _made(evidence)}
    policies = len({policy for _, policy, _, _ in videos})
    prompts, seeds = _counts(evidence)
    return (
        f"{counted(len(videos), 'video')} of {evidence.seconds} s: {counted(prompts, 'prompt')} x "
        f"{counted(seeds, 'seed')}, {policies} policies and settings, the same noise for all"
    )


def _counts(evidence: Evidence) -> tuple[int, int]:
    """Prompts and seeds that there are results of; as planned where there are none."""
    made = _made(evidence)
    if not made:
        return len(evidence.settings["prompts"]), evidence.settings["seeds"]
    return 1 + max(row.prompt for row in made), 1 + max(row.seed for row in made)


def _made(evidence: Evidence) -> list[Row]:
    """What was measured of videos, in all tables."""
    return [*evidence.readings, *evidence.scenes, *evidence.stories, *evidence.visits, *evidence.journeys]
