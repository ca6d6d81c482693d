"""What the page says about prompts, and what its buttons put in their place."""

import json
from types import SimpleNamespace

import pytest
from conftest import small_pipeline

from deepforcing import PromptError, Timeline
from deepforcing.captions import SUGGESTED, TABLES
from deepforcing.models.tiny_text import TinyTextConfig, TinyTextEncoder
from ui.look.notes import problem
from ui.prompts import words
from ui.prompts.doubts import Doubts
from ui.prompts.offers import replaced, take


@pytest.fixture(scope="module")
def tiny():
    """A pipeline that knows the words of the tiny model, and is not trained."""
    pipeline = small_pipeline()
    object.__setattr__(pipeline, "text", TinyTextEncoder(TinyTextConfig(width=16, heads=2, layers=1)))
    return pipeline


def rows(*pairs) -> str:
    return json.dumps([{"at": at, "prompt": prompt} for at, prompt in pairs])


def test_unknown_words_are_named_with_what_is_known(tiny):
    html = words.prompt_note(tiny, "a red dragon")
    assert "has not seen: <b>dragon</b>." in html and "balloon" in html and "<button" not in html


def test_a_word_that_is_nearly_right_is_offered_in_every_prompt(tiny):
    html = words.prompt_note(tiny, Timeline(((0, "a red balloon"), (10, "a blue ballon"))))
    assert "<b>ballon</b> (did you mean <button" in html and "data-was='ballon' data-now='balloon'>" in html


def test_nothing_is_said_about_known_words(tiny):
    assert words.unseen_note(tiny, ["a red balloon"]) == words.nothing_note(tiny, "a red balloon") == ""


@pytest.mark.parametrize("prompt", ["🎈🎈", "赤い風船", "le chat dort", "the one that is", "7"])
def test_a_prompt_of_which_nothing_is_known_is_refused_with_two_to_take(tiny, prompt):
    html = words.prompt_note(tiny, prompt)
    assert "role='alert'" in html and "knows no word of this prompt" in html
    assert [f"data-was='{prompt}' data-now='{caption.phrase()}'" in html for caption in SUGGESTED] == [True, True]
    assert "no word of the prompt at 0:10" in words.prompt_note(tiny, Timeline(((0, "a red kite"), (10, prompt))))


def test_a_model_that_reads_any_text_refuses_none():
    assert words.nothing_note(small_pipeline(), "🎈") == ""


def test_who_asks_twice_is_obeyed(tiny):
    doubts = Doubts()
    assert doubts.note("a", tiny, "dragon") and doubts.note("b", tiny, "dragon")
    assert not doubts.note("a", tiny, "dragon")
    assert doubts.note("a", tiny, "dragon") and doubts.note("a", tiny, "unicorn"), "asked anew, or for something else"
    doubts.leave("a")
    assert doubts.note("a", tiny, "unicorn") and not doubts.note("c", tiny, "a red kite")
    with pytest.raises(PromptError, match="empty"):
        doubts.note("a", tiny, " ")


def test_an_offer_is_taken_in_all_prompts():
    event = SimpleNamespace(_data={"was": "ballon", "now": "balloon"})
    prompt, later = take(event, "Ballon, ballons and a ballon", rows(("0:10", "blue BALLON"), ("0:20", "kite")))
    assert prompt == "Balloon, ballons and a balloon"
    assert json.loads(later) == json.loads(rows(("0:10", "blue Balloon"), ("0:20", "kite")))


def test_a_whole_prompt_is_replaced_whatever_it_holds():
    assert replaced(" a.*(b) 🎈", "a.*(b) 🎈", r"a \1 kite") == r" a \1 kite"


def test_markup_is_escaped_and_long_lists_are_cut(tiny):
    nasty = "<script>alert('1')</script> & " + "x" * 500 + " b c d e f g"
    for html in (words.nothing_note(tiny, nasty), words.unseen_note(tiny, [nasty])):
        assert "<script" not in html and "alert('1')" not in html
    assert "x" * 40 not in html and "more words" in html
    assert "&lt;img" in problem(ValueError("<img src=x>"))


def test_where_a_prompt_is_cut_is_said_before_all_else(tiny):
    long = "red " * 24
    html = words.prompt_note(tiny, f"{long}<b>kite</b> dragon")
    assert "longer than this model can read: it is cut before “" in html and "has not seen" not in html
    assert words.cut_note(tiny, ["a red kite", long + "kite", long + "boat"]).count("it is cut before") == 2
    cut = SimpleNamespace(unread=lambda prompt: prompt[8:])
    assert "“&lt;b&gt;x&lt;/b&gt; and" in words.cut_note(cut, ["a short <b>x</b> and so on"])


def test_half_a_letter_does_not_reach_the_page():
    html = words.prompt_note(SimpleNamespace(unread=lambda prompt: prompt), "\ud83c\udf88 \ud83c \0")
    assert "🎈" in html and html.encode() and "\0" not in html


def test_examples_and_surprises_are_sentences():
    assert words.EXAMPLES[0] == "a red balloon drifting over the city at sunset"
    chosen = words.surprise()
    assert all(choice in table for choice, table in zip(chosen, TABLES.values(), strict=True))
    assert chosen[0] in words.build(*chosen)
