"""A note about prompts, with buttons that put better words in place of others, wherever these stand."""

from __future__ import annotations

import json
import re
from html import escape

import gradio as gr

from ..look.told import told

LETTER = r"[^\W\d_]"
MOUNT = """
element.addEventListener('click', (event) => {
  const { was, now } = event.target.closest('[data-was]')?.dataset ?? {};
  if (was) trigger('offer', { was, now });
});
"""


def prompt_note_box(elem_id: str) -> gr.HTML:
    """The component; its event `offer`, one of its buttons was pressed, is for `take`."""
    return gr.HTML(elem_id=elem_id, js_on_load=MOUNT, apply_default_css=False)


def offer(was: str, now: str) -> str:
    """HTML of a button: `now` in place of `was`, a word or a whole prompt."""
    words = f"data-was='{escape(was)}' data-now='{escape(now)}'"
    return f"<button type='button' class='offer' {words}>{escape(now)}</button>"


def take(event: gr.EventData, prompt: str, later: str) -> tuple[str, str]:
    """The prompt and the rows of later ones, with what a button offers."""
    was, now = told(event, was=str, now=str)
    rows = [{**row, "prompt": replaced(row["prompt"], was, now)} for row in json.loads(later or "[]")]
    return replaced(prompt, was, now), json.dumps(rows)


def replaced(text: str, was: str, now: str) -> str:
    """The text with `now` for `was`, which counts only where it is no part of a word; a capital stays."""

    def in_its_place(found: re.Match) -> str:
        return now[:1].upper() + now[1:] if found[0][:1].isupper() else now

    return re.sub(f"(?<!{LETTER}){re.escape(was)}(?!{LETTER})", in_its_place, text, flags=re.IGNORECASE)
