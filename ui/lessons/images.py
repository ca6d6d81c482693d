"""Pictures in a lesson's text: read from the project's assets or the lesson's own folder, and carried in the text."""

from __future__ import annotations

import base64
import re
from pathlib import Path

MIME = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp", ".gif": "image/gif"}
MOST_BYTES = 500_000  # of one picture
_IMAGE = re.compile(r"!\[([^\]]*)\]\(\s*([^)\s]*)\s*\)")


def shown_inside(text: str, folder: Path, assets: Path) -> str:
    """Markdown with its pictures as data, so that no path is ever served.

    Raises ValueError for a picture that is elsewhere, missing, too large, or of another kind.
    """
    return _IMAGE.sub(lambda found: f"![{found[1]}]({_data(found[2], folder, assets)})", text)


def _data(name: str, folder: Path, assets: Path) -> str:
    if "\\" in name or ":" in name or "\0" in name:
        raise ValueError(f"the picture {name[:80]!r} must be a relative path")
    path = (folder / name).resolve()
    if not any(path.is_relative_to(home.resolve()) for home in (folder, assets)):
        raise ValueError(f"the picture {name[:80]!r} lies outside the lesson's folder and the project's assets")
    if path.suffix.lower() not in MIME or not path.is_file():
        raise ValueError(f"there is no picture {name[:80]!r} ({', '.join(MIME)})")
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"the picture {name[:80]!r} is larger than {MOST_BYTES // 1000} kB")
    return f"data:{MIME[path.suffix.lower()]};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
