"""The player on the page: one component that takes messages, plays them, and draws their panels. See player.js."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import plotly

from ..drift.gauges import panel
from ..look.theme import THEMES
from ..look.web import AT, html, module, serve
from ..memory.figures import empty_figures

PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"

# The player's modules are served as they are. Gradio finds the events that it may send by their quoted names.
MOUNT = (
    AT
    + """
const send = {
  beat: (data) => trigger('beat', data),
  pause: (data) => trigger('pause', data),
  confirm: (data) => trigger('confirm', data),
  arrive: (data) => trigger('arrive', data),
};
import(at(props.module)).then(({ mount }) =>
  mount(element, props, (use) => watch('value', use), send, at(props.plotly)));
"""
)


def player(
    wide: bool, idle: str, elem_id: str = "player", starts: str = "#generate, #recordings button", stops: str = "#stop"
) -> gr.HTML:
    """The component, for small square videos or for wide ones. idle: what it says before there is a video.

    starts, stops: CSS selectors of the buttons that begin and end its runs.

    Events: beat and pause of a live run, confirm of a recorded one, arrive when it is on the page.
    """
    serve(PLOTLY)
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
        figures={theme: empty_figures(theme) for theme in THEMES},
        gauges=panel(),
        module=module("player/player.js"),
        plotly=PLOTLY.as_posix(),
    )


def template(name: str) -> str:
    """A component's HTML, with the bar that all of them have; its property `what`: what is played."""
    return html(name).replace("<!-- bar.html -->", html("player/bar.html"))
