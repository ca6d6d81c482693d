"""What the page says about a prompt: words that the model has not seen, and what it knows. All text is escaped."""

from __future__ import annotations

import random
from html import escape

from deepforcing import Pipeline
from deepforcing.captions import CAMERAS, COLOURS, MOTIONS, PLACES, SUBJECTS, TABLES, TIMES, Caption

MOST_NAMED = 6  # unknown words spelt out

START = Caption("balloon", "red", "drifting", "sea", "night")  # what the page opens with
EXAMPLES = (
    START.phrase(),
    Caption("rocket", "green", "rising", "desert", "sunset").phrase(),
    Caption("fish", "purple", "circling", "city", "dawn").phrase(),
    Caption("kite", "blue", "swaying", "mountains", "day", "right").phrase(),
    Caption("star", "pink", "bouncing", "hills", "night", "left").phrase(),
)


def unseen_note(pipeline: Pipeline, prompt: str) -> str:
    """HTML that names the words this model has never seen; empty when it knows them all."""
    unknown = pipeline.unknown_words(prompt)
    if not unknown:
        return ""
    named = ", ".join(f"<b>{escape(word[:30])}</b>" for word in unknown[:MOST_NAMED])
    more = f" and {len(unknown) - MOST_NAMED} more words" if len(unknown) > MOST_NAMED else ""
    known = "; ".join(
        f"{_plural(name)} such as {', '.join(list(table)[:4])}" for name, table in TABLES.items() if name != "camera"
    )
    return note(
        f"This model has not seen: {named}{more}. It knows {escape(known)}. Open “Build a prompt” for all.", "hint"
    )


def problem(error: Exception) -> str:
    """HTML of an error's message."""
    return note(escape(str(error)), "problem")


def note(html: str, kind: str) -> str:
    role = "alert" if kind == "problem" else "status"
    return f"<p class='note {kind}' role='{role}'>{html}</p>"


def build(*chosen: str) -> str:
    """The sentence for a choice from each table, in the order of `captions.TABLES`."""
    return Caption(*chosen).phrase()


def surprise() -> tuple[str, ...]:
    """A random choice from each table."""
    return tuple(random.choice(list(table)) for table in (SUBJECTS, COLOURS, MOTIONS, PLACES, TIMES, CAMERAS))


def _plural(name: str) -> str:
    return name if name.endswith("s") else f"{name}s"
