"""The little Markdown that a report needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def picture(path: str, seen: str) -> str:
    """seen: what it shows, for those who cannot see it."""
    return f"![{seen}]({path})"


def listed(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def counted(count: int, noun: str) -> str:
    """`1 video`, `2 videos`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def notes_by_heading(text: str) -> dict[str, str]:
    """Text under each `## heading`, by the heading in lower case; what stands before the first, by the empty string."""
    notes: dict[str, list[str]] = {"": []}
    heading = ""
    for line in text.splitlines():
        if line.startswith("## "):
            heading = line.removeprefix("## ").strip().lower()
            notes.setdefault(heading, [])
        else:
            notes[heading].append(line)
    return {name: "\n".join(lines).strip() for name, lines in notes.items() if any(map(str.strip, lines))}
