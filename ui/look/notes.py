"""Short notes on the page. All text is escaped by whoever makes the HTML."""

from __future__ import annotations

from html import escape


def problem(error: Exception) -> str:
    """HTML of an error's message."""
    return note(escape(str(error)), "problem")


def note(html: str, kind: str) -> str:
    """kind: 'problem', which is read out at once, or 'hint'."""
    role = "alert" if kind == "problem" else "status"
    return f"<p class='note {kind}' role='{role}'>{html}</p>"
