"""Scripts that lie beside the Python files: served as they are, and named in a component by their address."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

UI = Path(__file__).parents[1]
AT = """
const page = new URL(location.pathname, location.origin).href.replace(/\\/$/, '');
const at = (path) => `${page}/gradio_api/file=${path.split('/').map(encodeURIComponent).join('/')}`;
"""
"""The beginning of a component's `js_on_load`: the address of what `module` names.

It is the page's own, as the browser has it: behind a proxy the server may think that it has another."""


def serve(*besides: Path) -> None:
    """Serve all scripts of the page, and files from elsewhere."""
    gr.set_static_paths([*UI.glob("*/*.js"), *besides])


def module(name: str) -> str:
    """What a component's property `module` holds, of such as `player/player.js`."""
    return (UI / name).as_posix()


def html(name: str) -> str:
    """The text of such as `player/player.html`."""
    return (UI / name).read_text("utf-8")
