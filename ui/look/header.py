"""The top of the page."""

from __future__ import annotations

from html import escape

TITLE = "Deep Forcing"


def header(facts: str) -> str:
    """HTML; facts: what is said about the model."""
    return (
        "<header class='top'>"
        "<a class='skip' href='#player'>Skip to the video</a>"
        f"<h1>{TITLE}</h1>"
        "<p>Endless video from a model of five-second clips, with its KV cache in plain sight.</p>"
        f"<p class='model'>{escape(facts)}</p>"
        "</header>"
    )
