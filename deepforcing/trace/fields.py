"""Values of a JSON object that may have been written by anybody, each checked as it is taken."""

from __future__ import annotations

import math

MOST_TEXT = 2000  # characters of a prompt, an error, a name


class TraceError(ValueError):
    """A file that is no trace, or not a whole one; a run that a trace cannot hold. The message says why."""


class Fields:
    """Values of a JSON object, each checked as it is taken. Raises TraceError that names the first wrong one."""

    def __init__(self, values: object, where: str) -> None:
        if not isinstance(values, dict):
            raise TraceError(f"its {where} is not an object")
        self.values, self.where = values, where

    def whole(self, name: str, least: int, most: int) -> int:
        value = self.values.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.wrong(name, f"a whole number from {least} to {most}")
        return value

    def flag(self, name: str) -> bool:
        value = self.values.get(name)
        if not isinstance(value, bool):
            raise self.wrong(name, "true or false")
        return value

    def seconds(self, name: str) -> float:
        value = self.values.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
            raise self.wrong(name, "a number of seconds")
        return float(value)

    def number(self, name: str, least: float, most: float) -> float:
        """Null is NaN: JSON has no other word for it."""
        value = self.values.get(name, math.inf)
        if value is None:
            return math.nan
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise self.wrong(name, f"a number from {least:g} to {most:g}, or null")
        return float(value)

    def text(self, name: str, most: int = MOST_TEXT) -> str:
        value = self.values.get(name)
        if not isinstance(value, str) or len(value) > most:
            raise self.wrong(name, f"text of at most {most} characters")
        return value

    def pair(self, name: str, most: int) -> tuple[int, int]:
        value = self.values.get(name)
        if not isinstance(value, list) or len(value) != 2:
            raise self.wrong(name, "two whole numbers")
        first, second = (Fields({name: part}, self.where).whole(name, 0, most) for part in value)
        return first, second

    def rows(self, name: str, most: int, least: int = 1) -> list:
        value = self.values.get(name)
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise self.wrong(name, f"a list of {least} to {most}")
        return value

    def part(self, name: str) -> Fields:
        return Fields(self.values.get(name), name)

    def wrong(self, name: str, expected: str) -> TraceError:
        return TraceError(f"its {self.where}: {name} is not {expected}")
