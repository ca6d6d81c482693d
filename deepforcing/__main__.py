"""Command line: `python -m deepforcing serve | generate | race | bench | evaluate | fetch | replay`.

A refused request ends with status 2 and one line.
"""

from __future__ import annotations

import os
import sys

from .console import escape_what_cannot_be_shown
from .ffmpeg import find_ffmpeg
from .idle_threads import short_waits
from .proxies import mind_proxies


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    escape_what_cannot_be_shown()
    os.environ.update(short_waits())
    given = sys.argv[1:] if arguments is None else arguments
    try:
        match given:
            case ["serve", *asked]:
                return _serve(asked)
            case ["replay", *asked]:
                return _replay(asked)
        return _run(given)
    except (OSError, ModuleNotFoundError) as error:
        print(f"deepforcing: {error}", file=sys.stderr)
        return 2


def _serve(arguments: list[str]) -> int:
    """The page with a model."""
    find_ffmpeg()
    from ui.serve import main

    return main(arguments)


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
