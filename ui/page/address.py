"""The head of the page, which also keeps the address up to date; see address.js."""

from __future__ import annotations

import gradio as gr

from ..look.web import AT, module, serve

MOUNT = AT + "import(at(props.module)).then(({ mount }) => mount());"


def head(html: str) -> gr.HTML:
    """The component."""
    serve()
    return gr.HTML(html, js_on_load=MOUNT, module=module("page/address.js"), elem_id="header", apply_default_css=False)
