"""Where a file is to be written."""

from __future__ import annotations

import os
from pathlib import Path


def check_place(path: str | Path) -> Path:
    """The path. Raises OSError, which says why, where no file can get this name."""
    path = Path(path)
    if not path.parent.is_dir():
        raise OSError(f"cannot write {path}: there is no folder {path.parent}")
    if path.is_dir():
        raise OSError(f"cannot write {path}: it is a folder")
    if not os.access(path.parent, os.W_OK):
        raise OSError(f"cannot write {path}: nothing may be written in {path.parent}")
    return path
