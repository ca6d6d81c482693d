"""The glossary, and the places that use it."""

import re

import pytest

from ui.look.terms import TERMS, term, with_terms
from ui.look.web import UI


@pytest.mark.parametrize("name", TERMS)
def test_a_term_is_one_plain_sentence(name):
    says = TERMS[name]
    assert says[0].isupper() and says.endswith(".") and len(says) < 170 and says.count(". ") == 0


def test_a_term_shows_its_words_and_carries_its_sentence():
    html = term("top_C", "won <b>")
    assert "won &lt;b&gt;</button>" in html and "data-says=" in html and "there are C places" in html
    assert ">deep sink<" in term("deep_sink")


def test_marked_words_are_terms():
    assert with_terms("a [[sink]], two [[token|tokens]]").count("class='term'") == 2
    with pytest.raises(KeyError, match="kitchen"):
        with_terms("a [[kitchen]]")


def test_every_term_of_the_page_is_in_the_glossary():
    for path in UI.rglob("*.html"):
        assert set(re.findall(r"\[\[(\w+)", path.read_text("utf-8"))) <= set(TERMS), path.name
