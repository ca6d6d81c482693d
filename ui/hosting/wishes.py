"""What a viewer wants of a run, left in a file: the way to a run that goes on in another process."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Wishes:
    """All of them at once, so that only the latest need be read.

    prompts: every new prompt so far. beats: how often the page has reported; frame, playing: its latest report, see
    `Pace`. settings: the latest, a policy by its `name` with its `values`, the `switch`, the `steps`, the strengths of
    `loras`, and how many new `scenes` were asked for so far. quality, rate, hurry: see `PacedRun`. note: why the run is
    to stop, where the viewer did not ask for it.
    """

    prompts: tuple[str, ...] = ()
    paused: bool = False
    stopping: bool = False
    note: str = ""
    frame: float = 0.0
    playing: bool = False
    beats: int = 0
    settings: dict | None = None
    quality: int = 0
    rate: float = 0.0
    hurry: bool = False


class WishFile:
    """A JSON file that is replaced as a whole: a reader sees the old wishes or the new ones, never half of them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, wishes: Wishes) -> None:
        """One writer at a time. Harmless after the folder is gone."""
        new = self._path.with_suffix(".new")
        try:
            new.write_text(json.dumps(asdict(wishes)), encoding="utf-8")
            os.replace(new, self._path)
        except FileNotFoundError:
            return

    def read(self) -> Wishes | None:
        """None when there is no file: nobody wants anything any more."""
        try:
            wishes = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return Wishes(**{**wishes, "prompts": tuple(wishes["prompts"])})
