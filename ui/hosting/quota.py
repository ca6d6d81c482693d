"""What a lender of GPUs says when it lends none, for a visitor to read."""

from __future__ import annotations

import re
from html.parser import HTMLParser

DAILY = "The allowance is by the day: come back tomorrow, or ask for a shorter video now."


def in_plain_words(message: str) -> str:
    """The message without its HTML tags, links with their addresses; where it is about a quota, when to come back."""
    parser = _Plain()
    parser.feed(message)
    parser.close()
    text = " ".join("".join(parser.text).split())
    return f"{text} {_when(text)}" if "quota" in text.lower() else text


def _when(text: str) -> str:
    left = re.search(r"(\d+):(\d\d):(\d\d)", text)
    if left is None:
        return DAILY
    hours, minutes, seconds = map(int, left.groups())
    minutes = max(1, 60 * hours + minutes + (seconds >= 30))
    return f"Come back in about {f'{round(minutes / 60)} hours' if minutes >= 100 else f'{minutes} min'}."


class _Plain(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self._address = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._address = dict(attributes).get("href") or "" if tag == "a" else self._address
        self.text += [" "] if tag in ("br", "p", "div", "li") else []

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._address:
            self.text.append(f" ({self._address})")
            self._address = ""

    def handle_data(self, data: str) -> None:
        self.text.append(data)
