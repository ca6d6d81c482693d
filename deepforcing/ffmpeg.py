"""The program ffmpeg: where it is, how it is started, and what it said when it failed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

import imageio_ffmpeg

_OWN_GROUP = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)  # Windows' way of `start_new_session`


def find_ffmpeg() -> str:
    """The executable. Raises OSError that says how to get one."""
    try:
        exe = imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError:
        exe = ""
    if not shutil.which(exe):
        at = f" at {exe}, where IMAGEIO_FFMPEG_EXE has it" if exe else ""
        raise OSError(
            f"there is no ffmpeg{at}: install imageio-ffmpeg as a wheel, which brings one, put ffmpeg on the PATH, "
            "or set IMAGEIO_FFMPEG_EXE to one"
        )
    return exe


def start(arguments: list[str], stdin: int = subprocess.DEVNULL) -> subprocess.Popen:
    """ffmpeg, writing a file, with its errors in a pipe. It lives through a Ctrl-C, so that the file ends in order."""
    return subprocess.Popen(
        [find_ffmpeg(), "-v", "error", "-y", *arguments],
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        creationflags=_OWN_GROUP,
    )


def said(process: subprocess.Popen) -> str:
    """Why a process that is ending failed: the first of its words, or how it ended. Empty where it did not fail."""
    lines = process.stderr.read().decode(errors="replace").splitlines()
    status = process.wait()
    process.stderr.close()
    if status < 0:
        return f"ffmpeg was ended by signal {-status}"
    if not status:
        return ""
    first = re.sub(r"^(\[[^]]*\] )*", "", next(iter(lines), ""))  # without the names of ffmpeg's own parts
    return first or f"ffmpeg ended with status {status}"


def metadata_file(metadata: dict[str, str]) -> Path:
    """The text that goes into a video, in a file for ffmpeg: a command line would be too short for many prompts."""
    with NamedTemporaryFile("w", encoding="utf-8", errors="replace", suffix=".txt", delete=False, newline="\n") as file:
        _write(file, metadata)
    return Path(file.name)


def _write(file: IO[str], metadata: dict[str, str]) -> None:
    file.write(";FFMETADATA1\n")
    for key, value in metadata.items():
        escaped = re.sub(r"([=;#\\\n])", r"\\\1", value.replace("\0", ""))
        file.write(f"{key}={escaped}\n")
