"""What the page says about a prompt, and prompts to begin with. All text is escaped."""

from __future__ import annotations

import random
from collections.abc import Sequence
from html import escape

from deepforcing import Pipeline, Timeline, show_time, told_unread
from deepforcing.captions import CAMERAS, COLOURS, MOTIONS, PLACES, SUBJECTS, SUGGESTED, TABLES, TIMES, Caption

from ..look.notes import note
from .offers import offer

MOST_NAMED = 6  # unknown words spelt out
FEW_WORDS = 40  # a prompt shorter than this leaves most to a model that knows long ones

START = SUGGESTED[0]  # what the page opens with
EXAMPLES = (
    *(caption.phrase() for caption in SUGGESTED),
    Caption("rocket", "green", "rising", "desert", "sunset").phrase(),
    Caption("kite", "blue", "swaying", "mountains", "day", "right").phrase(),
    Caption("star", "pink", "bouncing", "hills", "night", "left").phrase(),
)


def prompt_note(pipeline: Pipeline, asked: str | Timeline) -> str:
    """HTML of what would help this model to follow the prompts; empty when nothing would. Raises PromptError."""
    prompts = Timeline.of(asked).prompts
    if said := cut_note(pipeline, prompts) or nothing_note(pipeline, asked) or unseen_note(pipeline, prompts):
        return said
    count = len(prompts[0].split())
    if pipeline.name.startswith("tiny") or not 0 < count < FEW_WORDS:
        return ""
    return note(
        f"{count} word{'s' if count > 1 else ''}: this model was trained on long descriptions, and follows prompts of "
        "80 to 120 words best. Say what moves and how, the place, the light, the camera and the style.",
        "hint",
    )


def nothing_note(pipeline: Pipeline, asked: str | Timeline) -> str:
    """HTML that says no to the first prompt of which the model knows no word, with two to take instead; else empty."""
    unknown = [entry for entry in Timeline.of(asked).entries if pipeline.knows_nothing(entry[1])]
    if not unknown:
        return ""
    seconds, prompt = unknown[0]
    which = f"the prompt at {show_time(seconds)}" if seconds else "this prompt"
    instead = " or ".join(offer(prompt, caption.phrase()) for caption in SUGGESTED)
    return note(
        f"This model knows no word of {which}, so its video would show nothing of it. Take {instead}, or press the "
        "button twice to see what comes of it.",
        "problem",
    )


def unseen_note(pipeline: Pipeline, prompts: Sequence[str]) -> str:
    """HTML that names the words this model has never seen, with those they may have been meant to be; else empty."""
    unknown = pipeline.unknown_words(" ".join(prompts))
    if not unknown:
        return ""
    named = ", ".join(_named(pipeline, word) for word in unknown[:MOST_NAMED])
    more = f" and {len(unknown) - MOST_NAMED} more words" if len(unknown) > MOST_NAMED else ""
    known = "; ".join(
        f"{_plural(name)} such as {', '.join(list(table)[:4])}" for name, table in TABLES.items() if name != "camera"
    )
    return note(
        f"This model has not seen: {named}{more}. It knows {escape(known)}. Open “Build a prompt” for all.", "hint"
    )


def _named(pipeline: Pipeline, word: str) -> str:
    name = f"<b>{escape(word)}</b>"
    near = pipeline.nearest_words(word)
    return f"{name} (did you mean {' or '.join(offer(word, other) for other in near)}?)" if near else name


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
