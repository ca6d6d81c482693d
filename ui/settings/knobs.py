"""One panel of knobs, each with a question: what if the method were not as it is?"""

from __future__ import annotations

import gradio as gr

from deepforcing import DeepForcing, choices_of

QUESTIONS = {
    "sink": ("S · sink", "What if fewer, or more, of the first frames stay for ever?"),
    "budget": ("N · budget", "What if a compression leaves more, or less, of the past?"),
    "recent": ("R · recent", "What if more of the latest frames are safe from compression?"),
    "phase": ("Phase", "What if the sink stays where it was in time? “None”: scenery stays, new prompts roll back."),
    "score": ("Score", "What if chance, age or the least attention say what is kept of the middle?"),
    "unit": ("Unit", "What if whole frames compete for a place, not single tokens?"),
    "heads": ("Heads", "What if every head keeps tokens of its own?"),
    "queries": ("Queries", "What if only the noisy frames in the making choose, or only the past?"),
    "max_reuse": ("Most reuses", "What if a token is let go after so many choices? 0: it never is."),
    "window": ("Window", "What if attention reaches less far than in training, or further?"),
}
LIMITS = {"sink": (0, 18), "budget": (4, 24), "recent": (1, 12), "max_reuse": (0, 20), "window": (4, 30)}


def knobs(values: dict) -> dict[str, gr.components.Component]:
    """A knob for each setting, with these values: sliders for numbers, a choice for words."""
    return {name: _knob(name, *words, values[name]) for name, words in QUESTIONS.items()}


def stale_knob() -> gr.Checkbox:
    """The mistake that is no policy's."""
    return gr.Checkbox(
        False,
        label="Stale prompt",
        info="What if the cross-attention cache is not reset when the prompt changes?",
        elem_id="stale",
    )


def _knob(name: str, label: str, question: str, value: int | str) -> gr.components.Component:
    if name in LIMITS:
        return gr.Slider(*LIMITS[name], value, step=1, label=label, info=question)
    return gr.Radio(choices_of(DeepForcing, name), value=value, label=label, info=question)
