"""Go on where a run ended: its finished chunks pass through the network again, clean, as they did when they were made.

So the cache holds the same tokens, chosen by the same queries, and the noise goes on where it ended: with the same
seed, prompts and settings the video is, on the same device, that of a run that was never interrupted, bit for bit. A
chunk takes two passes instead of five, with most policies, and nothing has to be stored but its latents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import takewhile

import numpy as np

from .config import SettingsError
from .events import Chunk, SettingsChanged


@dataclass(frozen=True)
class Past:
    """What was made before: each chunk's prompt, and its clean latents, float32 [frames, channels, height, width]; and
    what was changed of the settings meanwhile. A prompt is empty where it is whatever the run's own is."""

    prompts: tuple[str, ...] = ()
    latents: tuple[np.ndarray, ...] = field(default=(), repr=False)
    changes: tuple[SettingsChanged, ...] = ()

    @classmethod
    def of(cls, events: Iterable[Chunk | SettingsChanged], seconds: float | None = None, fps: int = 1) -> Past:
        """Of a run's chunks, from its first on; only of those that end within `seconds` of video, where that is given.
        Among them may stand the changes of its settings.

        Raises SettingsError where chunks have no latents, as those of a large model's trace and of older ones.
        """
        changes: list[SettingsChanged] = []
        chunks = _without(events, changes)
        within = takewhile(
            lambda chunk: seconds is None or chunk.first_frame + len(chunk.frames) <= seconds * fps, chunks
        )
        made = [(chunk.prompt, chunk.latents) for chunk in within]
        if not made or any(latents is None for _, latents in made):
            raise SettingsError("this run cannot be gone on with: its latents were not kept")
        prompts, latents = zip(*made, strict=True)
        return cls(prompts, latents, tuple(change for change in changes if change.chunk < len(made)))

    @classmethod
    def given(cls, latents: np.ndarray, chunk_frames: int) -> Past:
        """Of pictures that no run has made: latents float32 [whole chunks' frames, channels, height, width]."""
        chunks = np.split(latents, len(latents) // chunk_frames)
        return cls(("",) * len(chunks), tuple(chunks))

    def __len__(self) -> int:
        return len(self.prompts)

    def changed(self, index: int) -> dict:
        """The settings that were changed at a chunk, by name."""
        return next((change.after for change in self.changes if change.chunk == index), {})

    def without(self, *names: str) -> Past:
        """The same, with nothing changed of these settings."""
        return self._changed_in(lambda name: name not in names)

    def keeping(self, *names: str) -> Past:
        """The same, with nothing changed but these settings."""
        return self._changed_in(lambda name: name in names)

    def _changed_in(self, wanted: Callable[[str], bool]) -> Past:
        parts = (
            SettingsChanged(
                change.chunk, *({n: v for n, v in d.items() if wanted(n)} for d in (change.before, change.after))
            )
            for change in self.changes
        )
        return replace(self, changes=tuple(part for part in parts if part.after))

    def check(self, shape: tuple[int, int, int, int]) -> None:
        """Raises SettingsError unless the latents are those of a model whose chunks have this shape."""
        if any(latents.shape != shape or latents.dtype != np.float32 for latents in self.latents):
            raise SettingsError("this run cannot be gone on with: another model, or another size, made it")

    def first(self, then: Callable[[int], str]) -> Callable[[int], str]:
        """A function of the chunk's number: its prompt, those of the past first. `then` is asked in any case."""

        def prompt_for(index: int) -> str:
            later = then(index)
            return self.prompts[index] or later if index < len(self) else later

        return prompt_for


def _without(events: Iterable[Chunk | SettingsChanged], changes: list[SettingsChanged]) -> Iterator[Chunk]:
    """The chunks; changes of settings are put aside."""
    for event in events:
        if isinstance(event, SettingsChanged):
            changes.append(event)
        else:
            yield event


NONE = Past()
