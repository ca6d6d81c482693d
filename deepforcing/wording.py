"""What a model makes of a prompt's words: whether it knows any, and what an unknown one may have been meant to be."""

from __future__ import annotations

from difflib import get_close_matches

from .captions import FUNCTION_WORDS, content_words
from .models.components import TextEncoder

MOST = 2  # words that are offered for one
LIKENESS = 0.78  # share of letters in common from which a word is near: `bot` is near boat, `dragon` near nothing


def nearest_words(text: TextEncoder, word: str) -> list[str]:
    """Known words that an unknown one may have been meant to be, the nearest first; few, often none."""
    known = [known for known in text.vocabulary if known not in FUNCTION_WORDS]
    return get_close_matches(word.lower(), known, MOST, LIKENESS)


def knows_nothing(text: TextEncoder, prompt: str) -> bool:
    """Whether no word that says something is known: the video would show nothing of the prompt."""
    return bool(text.vocabulary) and set(content_words(prompt)) <= set(text.unknown_words(prompt))
