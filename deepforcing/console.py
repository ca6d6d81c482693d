"""What the terminal can show."""

from __future__ import annotations

import io
import sys


def escape_what_cannot_be_shown() -> None:
    """From here on, letters that the terminal's encoding lacks are printed as escapes, such as `\\u98db`.

    Names of files and prompts may hold any letters, and are part of many messages.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
