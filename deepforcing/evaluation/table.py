"""A table on disk, a row a line, that grows as results come in: CSV, readable by anything."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import asdict, astuple, fields
from pathlib import Path
from typing import Any, Generic, TypeVar, get_type_hints

from ..config import SettingsError

Row = TypeVar("Row")


class Table(Generic[Row]):
    """Rows of one frozen dataclass whose fields are str, int or float; NaN is written as nothing."""

    def __init__(self, path: Path, kind: type[Row]) -> None:
        self.path, self.kind = path, kind
        self._names = [f.name for f in fields(kind)]
        types = get_type_hints(kind)
        self._types = {name: _number if types[name] is float else types[name] for name in self._names}

    def read(self) -> list[Row]:
        """All whole rows; a last line that a kill cut short is passed over. Raises SettingsError for another table."""
        if not self.path.exists():
            return []
        with self.path.open(newline="", encoding="utf-8") as file:
            lines = [line for line in file if line.endswith("\n")]
        head, *body = csv.reader(lines)
        if head != self._names:
            raise SettingsError(f"{self.path} is not a table of {', '.join(self._names)}: move it away")
        return [self.kind(**{n: self._types[n](v) for n, v in zip(head, line, strict=True)}) for line in body]

    def write(self, rows: Iterable[Row]) -> None:
        """Replace the table, at once or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        with partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(self._names)
            writer.writerows(map(_line, rows))
        partial.replace(self.path)

    def append(self, rows: Iterable[Row]) -> None:
        """Add rows to a table that `write` has begun, and put them on the disk."""
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(map(_line, rows))


def _number(text: str) -> float:
    return float(text) if text else float("nan")


def _line(row: Any) -> list[str]:
    return [_short(value) for value in astuple(row)]


def _short(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return "" if value != value else f"{value:.4g}"


def columns(rows: Iterable[Row]) -> dict[str, list]:
    """Rows as lists by name."""
    table: dict[str, list] = {}
    for row in rows:
        for name, value in asdict(row).items():
            table.setdefault(name, []).append(value)
    return table
