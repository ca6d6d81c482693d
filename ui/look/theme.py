"""Colours that mean the same everywhere: in the page, the figures and the keep/evict map.

Role colours follow Okabe and Ito's colour-blind-safe palette, those of a race's runners Tol's vibrant one; both are
lightened where the ground is dark.
"""

from __future__ import annotations

from types import MappingProxyType

import gradio as gr

THEMES = ("light", "dark")
ROLES = ("sink", "top-C", "recent", "current")

ROLE_COLOURS = MappingProxyType(
    {
        "light": {
            "sink": "#0072b2",
            "top-C": "#e69f00",
            "recent": "#009e73",
            "current": "#cc5f9b",
            "evicted": "#7b8494",
        },
        "dark": {
            "sink": "#56b4e9",
            "top-C": "#f0b429",
            "recent": "#2fc79b",
            "current": "#e58fbf",
            "evicted": "#6b7484",
        },
    }
)
RUNNER_COLOURS = MappingProxyType(
    {
        "light": ("#0077bb", "#d3621c", "#00806f", "#c2255f"),
        "dark": ("#4db2f0", "#f79a63", "#35c4b4", "#f76fa0"),
    }
)
INK = MappingProxyType({"light": "#39424f", "dark": "#c3cad6"})
GRID = MappingProxyType({"light": "#e5e8ee", "dark": "#2c3442"})

ROLE_MEANING = MappingProxyType(
    {
        "sink": "first frames, kept for ever",
        "top-C": "tokens that won a place by attention",
        "recent": "the latest finished frames",
        "current": "the chunk being made",
        "evicted": "thrown away",
    }
)


def role_variables() -> str:
    """CSS that defines --role-sink ... and --runner-0 ... for light pages and for Gradio's dark class."""
    blocks = []
    for theme, selector in (("light", ":root"), ("dark", ".dark")):
        rules = "".join(f"--role-{role}:{colour};" for role, colour in ROLE_COLOURS[theme].items())
        rules += "".join(f"--runner-{i}:{colour};" for i, colour in enumerate(RUNNER_COLOURS[theme]))
        blocks.append(f"{selector}{{{rules}}}")
    return "\n".join(blocks)


def gradio_theme() -> gr.themes.Base:
    """The look of Gradio's own controls."""
    return gr.themes.Base(
        primary_hue="sky",
        neutral_hue="slate",
        radius_size="lg",
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "SFMono-Regular", "Menlo", "monospace"],
    ).set(body_text_color_subdued="*neutral_600", body_text_color_subdued_dark="*neutral_400")
