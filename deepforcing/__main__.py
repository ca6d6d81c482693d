"""Command line: `python -m deepforcing generate | race | bench | evaluate | fetch | replay`.

A refused request ends with status 2 and one line.
"""

from __future__ import annotations

import sys

from .console import escape_what_cannot_be_shown
from .ffmpeg import find_ffmpeg
from .proxies import mind_proxies


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    escape_what_cannot_be_shown()
    given = sys.argv[1:] if arguments is None else arguments
    try:
        return _replay(given[1:]) if given[:1] == ["replay"] else _run(given)
    except (OSError, ModuleNotFoundError) as error:
        print(f"deepforcing: {error}", file=sys.stderr)
        return 2


def _replay(arguments: list[str]) -> int:
    """The page alone: no model, no torch."""
    find_ffmpeg()
    from ui.replay import main

    return main(arguments)


def _run(arguments: list[str]) -> int:
    for note in mind_proxies():  # for what fetches
        print(note, file=sys.stderr)
    from .commands import main

    return main(arguments)


if __name__ == "__main__":
    sys.exit(main())
