"""Several prompts at once, each with a weight, written as one text: what a run is told, records, and goes on with.

a red balloon (75%) + a blue kite (25%)      embeddings mixed along straight lines
a red balloon (75%) ~ a blue kite (25%)      along great circles, so that the mixture is no shorter than its parts
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Way = Literal["linear", "spherical"]
WAYS: dict[str, str] = {"linear": "+", "spherical": "~"}
_PART = re.compile(r"(.*\S) \(([0-9]{1,3}(?:\.[0-9]{1,2})?)%\)", re.DOTALL)
_BETWEEN = re.compile(r"(?<=%\)) ([+~]) ")


@dataclass(frozen=True)
class Blend:
    """parts: (prompt, weight), at least two, weights above 0; only their proportions count."""

    parts: tuple[tuple[str, float], ...]
    way: Way = "linear"

    @classmethod
    def read(cls, text: str) -> Blend | None:
        """None for what is one prompt, however odd."""
        pieces = _BETWEEN.split(text.strip())
        found, signs = [_PART.fullmatch(piece) for piece in pieces[::2]], set(pieces[1::2])
        if len(signs) != 1 or not all(found):
            return None
        parts = tuple((part[1].strip(), float(part[2])) for part in found)
        if not all(weight > 0 for _, weight in parts):
            return None
        return cls(parts, "linear" if signs == {"+"} else "spherical")

    @classmethod
    def between(cls, one: str, other: str, share: float, way: Way = "linear") -> Blend:
        """On the way from one text to another, each a prompt or a blend; share: how far, from 0 to 1."""
        parts: dict[str, float] = {}
        for text, weight in ((one, 1 - share), (other, share)):
            own = cls.read(text) or cls(((text, 1.0),))
            for prompt, part in zip(own.prompts, own.weights, strict=True):
                parts[prompt] = parts.get(prompt, 0.0) + weight * part
        return cls(tuple(parts.items()), way)

    @property
    def weights(self) -> tuple[float, ...]:
        """They add up to 1."""
        whole = sum(weight for _, weight in self.parts)
        return tuple(weight / whole for _, weight in self.parts)

    @property
    def prompts(self) -> tuple[str, ...]:
        return tuple(prompt for prompt, _ in self.parts)

    @property
    def text(self) -> str:
        """As `read` reads it, in hundredths of a per cent."""
        shown = (f"{prompt} ({_percent(weight)}%)" for prompt, weight in zip(self.prompts, self.weights, strict=True))
        return f" {WAYS[self.way]} ".join(shown)


def prompts_in(text: str) -> tuple[str, ...]:
    """The prompts that a text blends, or the one that it is."""
    blend = Blend.read(text)
    return blend.prompts if blend else (text,)


def leading(text: str) -> str:
    """The prompt with the most weight; of equals the last, which a melt is on its way to."""
    blend = Blend.read(text)
    return max(reversed(blend.parts), key=lambda part: part[1])[0] if blend else text


def melts_into(before: str, after: str) -> bool:
    """Whether one text is on its way to the other: a blend, and they share a prompt."""
    one, other = prompts_in(before), prompts_in(after)
    return len(one) + len(other) > 2 and bool(set(one) & set(other))


def _percent(share: float) -> str:
    return f"{100 * share:.2f}".rstrip("0").rstrip(".")
