"""Command line: `python -m deepforcing generate | race | bench | evaluate | fetch | replay`.

A refused request ends with status 2 and one line.
"""

from __future__ import annotations

import sys

from .console import escape_what_cannot_be_shown


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    escape_what_cannot_be_shown()
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["replay"]:
        from ui.replay import main as replay  # the page alone: no model, no torch

        return replay(given[1:])
    from .commands import main as run

    return run(given)


if __name__ == "__main__":
    sys.exit(main())
