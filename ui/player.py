"""The player on the page: one component that takes messages, plays them, and draws their panels. See web/player.js."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import plotly

from .figures import empty_figures
from .gauges import panel
from .theme import THEMES, gradio_theme, role_variables

WEB = Path(__file__).parent / "web"
PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
STYLES = ("page", "player", "instruments", "inside", "later", "race", "learn")
UPLOAD_BYTES = 200 * 10**6  # of a trace that somebody opens

# The player's modules are served as they are. Gradio finds the events that it may send by their quoted names.
MOUNT = """
const send = {
  beat: (data) => trigger('beat', data),
  pause: (data) => trigger('pause', data),
  confirm: (data) => trigger('confirm', data),
  arrive: (data) => trigger('arrive', data),
};
const root = window.gradio_config?.root ?? location.origin;
const at = (path) => `${root}/gradio_api/file=${encodeURI(path)}`;
import(at(props.module)).then(({ mount }) =>
  mount(element, props, (use) => watch('value', use), send, at(props.plotly)));
"""


def player(
    wide: bool, idle: str, elem_id: str = "player", starts: str = "#generate, #desk button", stops: str = "#stop"
) -> gr.HTML:
    """The component, for small square videos or for wide ones. idle: what it says before there is a video.

    starts, stops: CSS selectors of the buttons that begin and end its runs.

    Events: beat and pause of a live run, confirm of a recorded one, arrive when it is on the page.
    """
    gr.set_static_paths([WEB, PLOTLY])
    return gr.HTML(
        value=None,
        html_template=template("player"),
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
        module=(WEB / "player.js").as_posix(),
        plotly=PLOTLY.as_posix(),
    )


def template(name: str) -> str:
    """A component's HTML, with the bar that all of them have; its property `what`: what is played."""
    return (WEB / f"{name}.html").read_text("utf-8").replace("<!-- bar.html -->", (WEB / "bar.html").read_text("utf-8"))


def launch(blocks: gr.Blocks, **options):
    """As gr.Blocks.launch, with the page's look."""
    return blocks.launch(
        theme=gradio_theme(),
        css=role_variables(),
        css_paths=[WEB / f"{name}.css" for name in STYLES],
        ssr_mode=False,
        footer_links=["gradio", "settings"],
        max_file_size=UPLOAD_BYTES,
        **options,
    )
