"""How far loading is, for the page. All text is escaped."""

from __future__ import annotations

from html import escape

from ..look.notes import note
from .loader import Progress, amount


def progress(now: Progress) -> str:
    """HTML of how far loading is: a line a step, with a bar where it can be measured."""
    lines = "".join(_step(*step, latest=step is now.steps[-1]) for step in now.steps)
    end = note(escape(now.error), "problem") if now.error else ""
    return f"<ol class='steps' role='status'>{lines}</ol>{end}" if lines else end


def _step(what: str, done: int, total: int, latest: bool) -> str:
    name, complete = escape(what), str(not latest or 0 < total <= done).lower()
    measured = ""
    if total:
        bar = f"<progress max='{total}' value='{done}' aria-label='{name}'></progress>"
        measured = f" <span>{amount(done, total)}</span>{bar}"
    return f"<li data-complete='{complete}'><span>{name}</span>{measured}</li>"
