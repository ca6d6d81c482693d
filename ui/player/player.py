"""The player on the page: one component that takes messages, plays them, and draws their panels. See player.js."""

from __future__ import annotations

import re

import gradio as gr

from ..drift.gauges import panel
from ..look.terms import with_terms
from ..look.web import AT, html, module, serve

PART = re.compile(r"<!-- (\w+\.html) -->")

# The player's modules are served as they are. Gradio finds the events that it may send by their quoted names.
MOUNT = (
    AT
    + """
const send = {
  beat: (data) => trigger('beat', data),
  pause: (data) => trigger('pause', data),
  confirm: (data) => trigger('confirm', data),
  arrive: (data) => trigger('arrive', data),
  rejoin: (data) => trigger('rejoin', data),
  goOn: (data) => trigger('go_on', data),
};
import(at(props.module)).then(({ mount }) => mount(element, props, (use) => watch('value', use), send));
"""
)


def player(
    wide: bool,
    idle: str,
    elem_id: str = "player",
    starts: str = "#generate, #recordings button",
    stops: str = "#stop",
    settings: bool = False,
    keeps: str | None = None,
) -> gr.HTML:
    """The component, for small square videos or for wide ones. idle: what it says before there is a video.

    settings: whether the page has drawers of its own, `#settings` and `#break-it`.

    starts, stops: CSS selectors of the buttons that begin and end its runs.

    keeps: by what name it finds its live run again after a reload; then its event `rejoin` has to be answered.

    Events: beat and pause of a live run, confirm of a recorded one, arrive when it is on the page, rejoin instead where
    the page had a live run before it was loaded anew, go_on where a run that is over is to go on.
    """
    serve()
    return gr.HTML(
        value=None,
        html_template=template("player/player.html"),
        what="video",
        js_on_load=MOUNT,
        apply_default_css=False,
        elem_id=elem_id,
        wide=str(wide).lower(),
        idle=idle,
        starts=starts,
        stops=stops,
        keeps=keeps,
        gauges=panel(),
        module=module("player/player.js"),
        settings=str(settings).lower(),
        who=elem_id,
    )


def template(name: str) -> str:
    """A component's HTML, with its terms, and the parts that all have; its property `what`: what is played."""
    return with_terms(PART.sub(lambda part: html(f"player/{part[1]}"), html(name)))
