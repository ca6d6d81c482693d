"""What a prompt has to be before anything is made of it."""

from __future__ import annotations

MAX_PROMPT_CHARACTERS = 2000


class PromptError(ValueError):
    """A prompt that cannot be used. The message says why."""


def check_prompt(text: str) -> str:
    """The prompt without surrounding space. Raises PromptError when it is empty or too long."""
    text = text.strip()
    if not text:
        raise PromptError("The prompt is empty: describe what the video should show.")
    if len(text) > MAX_PROMPT_CHARACTERS:
        raise PromptError(f"The prompt has {len(text):,} characters; at most {MAX_PROMPT_CHARACTERS:,} can be used.")
    return text
