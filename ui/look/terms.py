"""The page's glossary: words that say what they mean on hover, focus and tap; see terms.js."""

from __future__ import annotations

import re
import tomllib
from html import escape
from pathlib import Path

TERMS: dict[str, str] = tomllib.loads((Path(__file__).parent / "glossary.toml").read_text("utf-8"))
MARKED = re.compile(r"\[\[(\w+)(?:\|([^\]]+))?\]\]")


def term(name: str, words: str | None = None) -> str:
    """HTML of a term, shown as `words`. Raises KeyError for one that the glossary does not have."""
    shown = escape(words or name.replace("_", " "))
    return f"<button type='button' class='term' data-says='{escape(TERMS[name])}'>{shown}</button>"


def linked(markdown: str) -> str:
    """Markdown in which marked words, as for `with_terms`, are links that a script makes terms. Raises KeyError."""

    def link(found: re.Match) -> str:
        TERMS[found[1]]
        return f"[{found[2] or found[1].replace('_', ' ')}](#term-{found[1]})"

    return MARKED.sub(link, markdown)


def with_terms(html: str) -> str:
    """HTML in which `[[sink]]` and `[[token|tokens]]` are terms."""
    return MARKED.sub(lambda found: term(*found.groups()), html)
