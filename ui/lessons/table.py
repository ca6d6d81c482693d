"""Values of a lesson's block, each checked as it is taken."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite


class Wrong(Exception):
    """What is wrong, in words that follow the name of the file and the step."""


class Table:
    """Values of a block, each checked as it is taken; `finish` refuses what nobody took."""

    def __init__(self, kind: str, values: dict) -> None:
        self.kind, self.values, self._taken = kind, values, set()

    def take(self, name: str, default: object = None) -> object:
        self._taken.add(name)
        return self.values.get(name, default)

    def text(self, name: str, most: int, needed: bool = True) -> str | None:
        value = self.take(name)
        if value is None and not needed:
            return None
        if not isinstance(value, str) or not value.strip() or len(value) > most:
            raise Wrong(f"{self.kind} needs {name}, a text of at most {most} characters")
        return value.strip()

    def whole(self, name: str, least: int, most: int, default: int) -> int:
        value = self.take(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise Wrong(f"{name} must be a whole number from {least} to {most}, not {short(value)}")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        value = self.take(name, default)
        if not is_number(value):
            raise Wrong(f"{self.kind} needs {name}, a number")
        return value

    def flag(self, name: str) -> bool:
        value = self.take(name, False)
        if not isinstance(value, bool):
            raise Wrong(f"{name} must be true or false, not {short(value)}")
        return value

    def words(self, name: str, known: Mapping | tuple, what: str, needed: bool = True) -> tuple[str, ...]:
        """A list of known words, each once."""
        value = self.take(name, [])
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value) or (needed and not value):
            raise Wrong(f"{self.kind} needs {name}, a list of names")
        for word in value:
            if word not in known:
                raise Wrong(f"{name}: {short(word)} is not {what}; there are: {', '.join(known) or 'none'}")
        if len(set(value)) < len(value):
            raise Wrong(f"{name} names something twice")
        return tuple(value)

    def part(self, name: str) -> Table:
        value = self.take(name)
        if not isinstance(value, dict):
            raise Wrong(f"{name} must be values in braces")
        return Table(name, value)

    def finish(self) -> None:
        if unknown := [name for name in self.values if name not in self._taken]:
            raise Wrong(f"{self.kind} has no {unknown[0]!r}; it has: {', '.join(sorted(self._taken))}")


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 40 else f"{shown[:37]}..."
