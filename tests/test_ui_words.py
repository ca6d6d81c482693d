from types import SimpleNamespace

from deepforcing.captions import TABLES
from ui.look.notes import problem
from ui.prompts import words


def knowing_nothing(text):
    return text.split()


PIPELINE = SimpleNamespace(unknown_words=knowing_nothing)


def test_unknown_words_are_named_with_what_is_known():
    html = words.unseen_note(PIPELINE, "dragon")
    assert "has not seen: <b>dragon</b>" in html and "balloon" in html


def test_nothing_is_said_about_known_words():
    assert words.unseen_note(SimpleNamespace(unknown_words=lambda text: []), "a red balloon") == ""


def test_markup_is_escaped_and_long_lists_are_cut():
    html = words.unseen_note(PIPELINE, "<script>alert(1)</script> " + "x" * 500 + " a b c d e f g")
    assert "<script" not in html and "x" * 40 not in html and "more words" in html
    assert "&lt;img" in problem(ValueError("<img src=x>"))


def test_where_a_prompt_is_cut_is_said_before_all_else():
    pipeline = SimpleNamespace(unread=lambda prompt: prompt[8:], unknown_words=knowing_nothing)
    html = words.prompt_note(pipeline, "a short <b>x</b> and what nobody reads of it any more")
    told = "The prompt is longer than this model can read: it is cut before “&lt;b&gt;x&lt;/b&gt; and what nobody"
    assert told in html and "has not seen" not in html
    assert words.cut_note(pipeline, ["a short", "a short one", "a short two"]).count("it is cut before") == 2


def test_examples_and_surprises_are_sentences():
    assert words.EXAMPLES[0] == "a red balloon drifting over the city at sunset"
    chosen = words.surprise()
    assert all(choice in table for choice, table in zip(chosen, TABLES.values(), strict=True))
    assert chosen[0] in words.build(*chosen)
