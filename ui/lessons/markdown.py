"""The parts of a lesson's Markdown: its title and summary, and the steps with their blocks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token


@dataclass(frozen=True)
class Part:
    """A step as it is written. text: Markdown without its blocks; blocks: (kind, content); closed: every fence is."""

    heading: str
    text: str
    blocks: tuple[tuple[str, str], ...]
    closed: bool


def split(text: str, kinds: Collection[str]) -> tuple[str, str, list[Part]]:
    """Title, empty where the first line is none; summary; steps. A fenced block of another kind is text."""
    lines = text.lstrip("\ufeff\n").replace("\r\n", "\n").split("\n")
    tokens = [token for token in MarkdownIt("commonmark").parse("\n".join(lines)) if token.level == 0 and token.map]
    starts = [token.map[0] for token in tokens if token.type == "heading_open" and token.markup == "##"]
    title = lines[0][2:].strip() if lines[0].startswith("# ") else ""
    summary = " ".join(" ".join(lines[1 : starts[0] if starts else None]).split())
    ends = [*starts[1:], len(lines)]
    return title, summary, [_part(lines, begin, end, tokens, kinds) for begin, end in zip(starts, ends, strict=False)]


def _part(lines: list[str], begin: int, end: int, tokens: list[Token], kinds: Collection[str]) -> Part:
    fences = [token for token in tokens if token.type == "fence" and begin <= token.map[0] < end]
    blocks = [token for token in fences if _kind(token) in kinds]
    inside = {line for token in blocks for line in range(*token.map)}
    return Part(
        heading=lines[begin].strip().strip("#").strip(),
        text="\n".join(lines[line] for line in range(begin + 1, end) if line not in inside).strip(),
        blocks=tuple((_kind(token), token.content) for token in blocks),
        closed=all(_is_closed(token, lines) for token in fences),
    )


def _kind(fence: Token) -> str:
    return next(iter(fence.info.split()), "")


def _is_closed(fence: Token, lines: list[str]) -> bool:
    """At the end of a file CommonMark lets a fence be left open."""
    first, past = fence.map
    last = lines[past - 1].strip()
    return past - first > 1 and last.startswith(fence.markup) and not last.strip(fence.markup[0])
