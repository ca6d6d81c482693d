"""What the page says about a prompt, and prompts to begin with. All text is escaped."""

from __future__ import annotations

import random
from collections.abc import Sequence
from html import escape

from deepforcing import Pipeline, told_unread
from deepforcing.captions import CAMERAS, COLOURS, MOTIONS, PLACES, SUBJECTS, TABLES, TIMES, Caption

from ..look.notes import note

MOST_NAMED = 6  # unknown words spelt out
FEW_WORDS = 40  # a prompt shorter than this leaves most to a model that knows long ones

START = Caption("balloon", "red", "drifting", "city", "sunset")  # what the page opens with
EXAMPLES = (
    START.phrase(),
    Caption("boat", "white", "swaying", "sea", "day").phrase(),
    Caption("rocket", "green", "rising", "desert", "sunset").phrase(),
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


def prompt_note(pipeline: Pipeline, prompt: str) -> str:
    """HTML of what would help this model to follow the prompt; empty when nothing would."""
    if cut := cut_note(pipeline, [prompt]):
        return cut
    if unseen := unseen_note(pipeline, prompt):
        return unseen
    count = len(prompt.split())
    if pipeline.name.startswith("tiny") or not 0 < count < FEW_WORDS:
        return ""
    return note(
        f"{count} word{'s' if count > 1 else ''}: this model was trained on long descriptions, and follows prompts of "
        "80 to 120 words best. Say what moves and how, the place, the light, the camera and the style.",
        "hint",
    )


def cut_note(pipeline: Pipeline, prompts: Sequence[str]) -> str:
    """HTML that says where prompts are cut which are longer than this model can read; empty where none is."""
    cuts = [told_unread(rest) for prompt in prompts if (rest := pipeline.unread(prompt))]
    return "".join(note(escape(f"{told[0].upper()}{told[1:]}."), "hint") for told in cuts)


def build(*chosen: str) -> str:
    """The sentence for a choice from each table, in the order of `captions.TABLES`."""
    return Caption(*chosen).phrase()


def surprise() -> tuple[str, ...]:
    """A random choice from each table."""
    return tuple(random.choice(list(table)) for table in (SUBJECTS, COLOURS, MOTIONS, PLACES, TIMES, CAMERAS))


def _plural(name: str) -> str:
    return name if name.endswith("s") else f"{name}s"
