"""The lessons of a page: those that come with the project, and a folder of one's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..recordings.library import Recordings
from .lesson import Broken, Lesson, LessonError
from .reader import Checks, read_lesson

ASSETS = Path(__file__).parents[2] / "assets"
SHIPPED = ASSETS / "lessons"
MOST_LESSONS = 60  # in a folder


def read_lessons(
    recordings: Recordings, runner: Callable[[str], object], own: Path | None = None
) -> tuple[Lesson | Broken, ...]:
    """By name: the project's, then one's own; of two with the same name one's own stays.

    runner: see `Checks`. A lesson that cannot be read becomes a Broken. Raises LessonError for a folder that is none.
    """
    if own is not None and not own.is_dir():
        raise LessonError(f"{own} is no folder: lessons are Markdown files in a folder")
    checks = Checks(runner, {name: recordings.get(name).started for name in recordings.names}, ASSETS)
    paths = {path.stem: path for folder in (SHIPPED, own) if folder is not None for path in _files(folder)}
    return tuple(_read(path, checks) for path in paths.values())


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.md"))[:MOST_LESSONS]


def _read(path: Path, checks: Checks) -> Lesson | Broken:
    try:
        return read_lesson(path, checks)
    except LessonError as error:
        return Broken(path.stem, str(error))
