"""Serve a page, with its look."""

from __future__ import annotations

import gradio as gr
import httpx

from deepforcing import mind_proxies

from ..look.theme import gradio_theme, role_variables
from ..look.web import UI

STYLES = (  # later ones win
    "page/page",
    "player/player",
    "memory/memory",
    "memory/inside",
    "drift/drift",
    "prompts/later",
    "race/race",
    "lessons/lessons",
    "look/touch",
)
THREADS = 1000  # everyone who runs, waits in line or is sent a recording has one
UPLOAD_BYTES = 200 * 10**6  # of a trace that somebody opens


def launch(blocks: gr.Blocks, **options):
    """As gr.Blocks.launch, with the page's look. Raises OSError, in words, for an address that cannot be served."""
    mind_proxies(*filter(None, [options.get("server_name")]))  # Gradio asks its own server whether it is there
    try:
        return blocks.launch(
            theme=gradio_theme(),
            css=role_variables(),
            css_paths=[UI / f"{name}.css" for name in STYLES],
            ssr_mode=False,
            footer_links=["gradio", "settings"],
            max_file_size=UPLOAD_BYTES,
            max_threads=THREADS,
            **options,
        )
    except (httpx.HTTPError, ValueError, OverflowError) as error:
        raise OSError(f"the page cannot be served: {str(error).splitlines()[0]}") from None
