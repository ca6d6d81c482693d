"""What a prompt has to be before anything is made of it."""

from __future__ import annotations

from .blend import prompts_in

MAX_PROMPT_CHARACTERS = 2000
LONGEST_QUOTE = 40  # characters


class PromptError(ValueError):
    """A prompt that cannot be used. The message says why."""


def as_text(text: str) -> str:
    """The same without what no file and no page can hold: halves of letters, as of a cut emoji, and null characters."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", " ")


def check_prompt(text: str) -> str:
    """The prompt as text, without surrounding space. Raises PromptError when it is empty, too long, or no text.

    A blend of prompts, see `blend`, is one too; none of them may be too long.
    """
    if not isinstance(text, str):
        raise PromptError(f"A prompt is text, not {type(text).__name__}.")
    text = as_text(text).strip()
    if not text:
        raise PromptError("The prompt is empty: describe what the video should show.")
    longest = max(map(len, prompts_in(text)))
    if longest > MAX_PROMPT_CHARACTERS:
        raise PromptError(f"The prompt has {longest:,} characters; at most {MAX_PROMPT_CHARACTERS:,} can be used.")
    return text


def told_unread(rest: str) -> str:
    """For a person: where a prompt was cut, `rest` being the end of it that the model does not read."""
    begins = rest[:LONGEST_QUOTE].strip() + ("…" if len(rest) > LONGEST_QUOTE else "")
    return f"the prompt is longer than this model can read: it is cut before “{begins}”"
