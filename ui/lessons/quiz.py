"""Six questions before the lessons and after; what is answered never leaves the reader's device. See desk.js."""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path

import gradio as gr

from ..look.terms import TERMS
from ..look.web import AT, module, serve

MOUNT = AT + "import(at(props.module)).then(({ mount }) => mount(element, JSON.parse(props.value)));"


@dataclass(frozen=True)
class Question:
    """right: the number of the choice that holds. why: one sentence, told only at the end."""

    asks: str
    choices: tuple[str, ...]
    right: int
    why: str


def read_quiz(path: Path = Path(__file__).parent / "quiz.toml") -> tuple[Question, ...]:
    """All questions of a file."""
    found = tomllib.loads(path.read_text("utf-8"))["question"]
    return tuple(Question(**{**one, "choices": tuple(one["choices"])}) for one in found)


def desk(elem_id: str) -> gr.HTML:
    """The reader's own desk on the lessons' first page: how far each lesson is, and the quiz."""
    serve()
    return gr.HTML(
        value=json.dumps({"questions": [asdict(question) for question in read_quiz()], "terms": TERMS}),
        html_template="<div class='desk'></div>",
        js_on_load=MOUNT,
        apply_default_css=False,
        elem_id=elem_id,
        module=module("lessons/desk.js"),
    )
