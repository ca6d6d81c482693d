"""What the model knows nothing of is not made at once, but by whoever asks for it twice."""

from __future__ import annotations

from deepforcing import Pipeline, Timeline

from .words import nothing_note


class Doubts:
    """The table of what each session was refused last."""

    def __init__(self) -> None:
        self._refused: dict[str, str | Timeline] = {}

    def note(self, session: str, pipeline: Pipeline, asked: str | Timeline) -> str:
        """HTML of why these prompts are refused; empty where they are not, or were refused just before.

        Raises PromptError for what cannot be used at all.
        """
        said = nothing_note(pipeline, asked)
        if not said or self._refused.pop(session, None) == asked:
            return ""
        self._refused[session] = asked
        return said

    def leave(self, session: str) -> None:
        """Forget the session."""
        self._refused.pop(session, None)
