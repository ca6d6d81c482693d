"""A curve that the reader draws, with pointer or keyboard; see sketch.js."""

from __future__ import annotations

import json

import gradio as gr

from ..look.web import AT, module, serve
from .lesson import Sketch

MODULE = module("lessons/sketch.js")
MOUNT = (
    AT
    + """
const tell = (value) => { props.value = JSON.stringify(value); };
import(at(props.module)).then(({ mount }) => mount(element, props, (use) => watch('value', use), tell));
"""
)


def sketch_pad(name: str) -> gr.HTML:
    """The component, hidden. `shown` fills it; its value is JSON."""
    serve()
    return gr.HTML(
        value="null",
        html_template="<div class='sketch'></div>",
        js_on_load=MOUNT,
        apply_default_css=False,
        elem_id=name,
        visible=False,
        module=MODULE,
    )


def shown(sketch: Sketch, drawn: tuple[float, ...] | None) -> dict:
    """The update that makes it a pad for this sketch, level at first; one that was drawn can be drawn no more."""
    points = list(drawn or [0.5] * sketch.points)
    value = json.dumps({"points": points, "x": sketch.x, "y": sketch.y, "locked": drawn is not None})
    return gr.update(value=value, visible=True, module=MODULE)  # Gradio (6.31) forgets what it has not mounted yet


def read_sketch(value: str | None, sketch: Sketch) -> tuple[float, ...]:
    """The heights, 0..1. Raises ValueError for what no pad would send."""
    points = (json.loads(value or "null") or {}).get("points")
    if not isinstance(points, list) or len(points) != sketch.points:
        raise ValueError("The curve cannot be read.")
    return tuple(min(1.0, max(0.0, float(point))) for point in points)
