"""Links to a moment of a recorded run, `?trace=name&t=12.5&panel=cache`, and to a lesson, `?lesson=name&step=3`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qs

PANELS = ("video", "life", "attention", "cache", "rope", "inside", "drift", "heads", "roles", "meter")
MOST_CHARACTERS = 2000  # of a link's question


class LinkError(ValueError):
    """A link that leads nowhere. The message says which part of it."""


@dataclass(frozen=True)
class Moment:
    """Where a link leads. seconds: of the video, None for its beginning; panel: of PANELS, None for no one of them."""

    trace: str
    seconds: float | None = None
    panel: str | None = None


def read_link(search: str) -> Moment | None:
    """`location.search` of a page; None where no recorded run is asked for. Raises LinkError."""
    asked = _asked(search)
    if not {"trace", "t", "panel"} & asked.keys():
        return None
    if not asked.get("trace"):
        raise LinkError("This link names no recorded run: it needs trace=NAME.")
    return Moment(asked["trace"], _seconds(asked.get("t")), _panel(asked.get("panel")))


def read_lesson_link(search: str) -> tuple[str, int] | None:
    """Likewise a lesson's name and a step, from 1; None where no lesson is asked for. Raises LinkError."""
    asked = _asked(search)
    if "lesson" not in asked:
        return None
    step = asked.get("step", "1")
    if not re.fullmatch(r"[1-9][0-9]{0,2}", step):
        raise LinkError(f"In this link step must be a number such as 3, not {_short(step)!r}.")
    return asked["lesson"], int(step)


def _asked(search: str) -> dict[str, str]:
    if len(search) > MOST_CHARACTERS:
        raise LinkError("This link is too long.")
    return {name: values[-1] for name, values in parse_qs(search.removeprefix("?"), keep_blank_values=True).items()}


def _seconds(text: str | None) -> float | None:
    if text is not None and not re.fullmatch(r"[0-9]{1,6}([.][0-9]{1,6})?", text):
        raise LinkError(f"In this link t must be seconds, such as 12.5, not {_short(text)!r}.")
    return None if text is None else float(text)


def _panel(text: str | None) -> str | None:
    if text is not None and text not in PANELS:
        raise LinkError(f"In this link panel must be one of {', '.join(PANELS)}, not {_short(text)!r}.")
    return text


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."
