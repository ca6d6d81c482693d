"""The text encoder takes anything, and says what it does not know."""

import pytest
import torch

from deepforcing.models.tiny_text import TinyTextConfig, TinyTextEncoder


@pytest.fixture(scope="module")
def text() -> TinyTextEncoder:
    torch.manual_seed(0)
    return TinyTextEncoder(TinyTextConfig(width=16, heads=2, layers=2)).eval().requires_grad_(False)


def test_one_row_a_word_then_zeros(text):
    rows = text.encode(["a red balloon over the sea"])[0]
    assert rows.shape == (24, 16)
    assert rows[:6].abs().sum(-1).min() > 0 and rows[6:].abs().sum() == 0


def test_the_empty_prompt_is_all_zeros(text):
    assert text.encode(["", "🐉!"]).abs().sum() == 0


def test_prompts_of_a_batch_do_not_mix(text):
    both = text.encode(["a red kite", "a blue boat over the city at night"])
    torch.testing.assert_close(both[:1], text.encode(["a red kite"]))


def test_words_are_read_in_context_and_order(text):
    one, other = text.encode(["red boat at night", "boat red at night"])
    assert not torch.allclose(one, other)


def test_unknown_words_are_named_once_in_order(text):
    assert text.unknown_words("A Dragon and the red dragon with 3 castles over the sea") == ["dragon", "castles"]
    assert text.unknown_words("red balloons over the city") == []


def test_the_end_that_has_no_row_left_is_known(text):
    rows = text.config.rows
    whole = " dragon ".join(["red"] * rows)
    assert text.unread(whole) == "" and text.unread(f"{whole} dragon") == ""
    assert text.unread(f"{whole} dragon Balloon, over the sea") == "balloon over the sea"
    torch.testing.assert_close(text.encode([whole]), text.encode([f"{whole} balloon"]), rtol=0, atol=0)


def test_case_punctuation_and_plurals_do_not_matter(text):
    torch.testing.assert_close(text.encode(["RED balloons, over; the sea!"]), text.encode(["red balloon over the sea"]))


@pytest.mark.parametrize(
    "prompt", ["<script>alert('x')</script>", "z" * 10_000, "red " * 2_500, "\x00\n\t", "赤い風船 🎈", "%s {0} ../.."]
)
def test_anything_is_accepted(text, prompt):
    assert text.encode([prompt]).isfinite().all()
    assert all(len(word) <= 24 for word in text.unknown_words(prompt))


def test_the_configuration_survives_json(text):
    import json
    from dataclasses import asdict

    assert TinyTextConfig(**json.loads(json.dumps(asdict(text.config)))) == text.config


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="heads"):
        TinyTextConfig(width=10, heads=4)
