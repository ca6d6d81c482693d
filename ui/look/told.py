"""Requests that are not what the page sends: an error in words for whoever sent them, and none in the log."""

from __future__ import annotations

from math import isfinite
from typing import Any

import gradio as gr
from gradio.components.api_component import Api

from deepforcing import PromptError, SettingsError


def refusal(text: str) -> gr.Error:
    """What was asked for cannot be done: for whoever asked to read, and nothing for the log."""
    return gr.Error(text, print_exception=False)


def told(event: gr.EventData, **kinds: type) -> list:
    """What the page's scripts told with an event, by name, each as its kind. Raises gr.Error for anything else."""
    return [_read(event._data, name, kind) for name, kind in kinds.items()]


def _read(data: Any, name: str, kind: type) -> Any:
    value = data.get(name) if isinstance(data, dict) else None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 1e300 else None
    if type(value) is not kind or (kind is float and not isfinite(value)):
        raise refusal(f"This request does not tell its {name!r} as the page does.")
    return value


def _fits(block: gr.blocks.Block, value: Any) -> bool:
    """Whether the value is of the kind that this component sends; its own check, if it has one, comes after."""
    if isinstance(block, gr.Textbox) or (isinstance(block, gr.Dropdown) and not block.multiselect):
        return isinstance(value, str)
    return isinstance(value, dict) or not isinstance(block, gr.UploadButton)


class Blocks(gr.Blocks):
    """As Gradio's, but for requests that cannot be: they are answered in words, and leave no traceback in the log."""

    async def process_api(self, *arguments, **more):
        try:
            return await super().process_api(*arguments, **more)
        except gr.Error as error:
            raise refusal(error.message) from None
        except (PromptError, SettingsError) as error:
            raise refusal(str(error)) from None

    async def preprocess_data(self, block_fn, inputs, *rest, **more):
        if block_fn.fn is None:
            raise refusal("There is nothing here to ask for.")
        defaults = [block.value for block in block_fn.inputs[len(inputs) :] if isinstance(block, Api)]
        inputs = [*inputs, *defaults]
        for block, value in zip(block_fn.inputs, inputs, strict=False):
            if not _fits(block, value):
                raise refusal(f"This request does not fit the page: {block.label!r} cannot be {type(value).__name__}.")
        try:
            return await super().preprocess_data(block_fn, inputs, *rest, **more)
        except gr.Error:
            raise
        except Exception as error:
            raise refusal(f"This request does not fit the page: {str(error).strip()[:200]}") from None
