"""Later prompts: rows of a time and a prompt under the first one, edited in the browser; see later.js."""

from __future__ import annotations

import json

import gradio as gr

from deepforcing import SettingsError, Timeline, read_span

from ..look.web import AT, html, module, serve

MOST_ROWS = 12

MOUNT = (
    AT
    + """
const tell = (rows, done) => { props.value = JSON.stringify(rows); if (done) trigger('input'); };
import(at(props.module)).then(({ mount }) => mount(element, props, (use) => watch('value', use), tell));
"""
)


def later_prompts(name: str) -> gr.HTML:
    """The component. Its value is JSON, `[{"at": "0:10", "prompt": "..."}]`; its event `input`: a row is done."""
    serve()
    return gr.HTML(
        value="[]",
        html_template=html("prompts/later.html"),
        js_on_load=MOUNT,
        apply_default_css=False,
        elem_id=name,
        elem_classes="later",
        module=module("prompts/later.js"),
        most=MOST_ROWS,
    )


def read_prompts(first: str, rows: str | None) -> str | Timeline:
    """All prompts; the first alone where there are no rows. A row at `0:10..0:14` melts in meanwhile.

    Raises SettingsError, PromptError for what cannot be.
    """
    later = _rows(rows)
    if not later:
        return first
    begins, melts = zip(*(read_span(at) for at, _ in later), strict=True)
    entries = ((0.0, first), *((start, prompt) for start, (_, prompt) in zip(begins, later, strict=True)))
    return Timeline(entries, (0.0, *melts))


def later_than(prompts: str | Timeline) -> tuple[tuple[float, str], ...]:
    """All but the first."""
    return Timeline.of(prompts).entries[1:]


def _rows(rows: str | None) -> list[tuple[str, str]]:
    try:
        found = [(row["at"], row["prompt"]) for row in json.loads(rows or "[]")]
    except (ValueError, TypeError, KeyError):
        raise SettingsError("The later prompts cannot be read.") from None
    if len(found) > MOST_ROWS or not all(isinstance(text, str) for row in found for text in row):
        raise SettingsError(f"There can be {MOST_ROWS} later prompts, each a time and a text.")
    return found
