"""Later prompts as the page sends them."""

import json

import pytest

from deepforcing import PromptError, SettingsError, Timeline
from ui.prompts.later import MOST_ROWS, read_prompts


def rows(*pairs) -> str:
    return json.dumps([{"at": at, "prompt": prompt} for at, prompt in pairs])


def test_without_rows_the_prompt_is_as_it_was():
    assert read_prompts("a red balloon", "[]") == read_prompts("a red balloon", None) == "a red balloon"


def test_rows_become_a_timeline():
    timeline = read_prompts("a", rows(("0:10", "b"), ("1m30s", "<b>c</b>")))
    assert timeline == Timeline(((0, "a"), (10, "b"), (90, "<b>c</b>")))
    melting = read_prompts("a", rows(("0:10..0:14", "b"), ("30s", "c")))
    assert melting == Timeline(((0, "a"), (10, "b"), (30, "c")), melts=(0, 4, 0))


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        (rows(("0:20", "b"), ("0:10", "c")), SettingsError, "out of order: 0:10 comes after 0:20"),
        (rows(("0:10", "b"), ("10s", "c")), SettingsError, "two prompts are at 0:10"),
        (rows(("soon", "b")), SettingsError, "a time is written as"),
        (rows(("0:10..0:08", "b")), SettingsError, "from a time to a later one"),
        (rows(("0:10", "  ")), PromptError, "At 0:10: The prompt is empty"),
        (rows(*((str(i + 1), "b") for i in range(MOST_ROWS + 1))), SettingsError, "There can be 12 later prompts"),
        ('[{"at": 7, "prompt": "b"}]', SettingsError, "each a time and a text"),
        ('[{"at": "7"}]', SettingsError, "cannot be read"),
        ("[7]", SettingsError, "cannot be read"),
        ("nonsense", SettingsError, "cannot be read"),
    ],
)
def test_what_cannot_be_is_said(text, error, words):
    with pytest.raises(error, match=words):
        read_prompts("a", text)
