"""The grammar: complete, deterministic, and every word of it known."""

import numpy as np
import pytest

from deepforcing.captions import CAMERAS, COLOURS, SUBJECTS, TABLES, Caption, known_words, sample_caption, words


def test_the_world_is_compositional():
    assert len(SUBJECTS) == len(COLOURS) == 8
    assert all(table[name] for table in TABLES.values() for name in table)


def test_canonical_sentence():
    caption = Caption("balloon", "red", "drifting", "sea", "night", "left")
    assert caption.phrase() == "a red balloon drifting over the sea at night, camera panning left"
    assert Caption("kite", "orange", "rising", "city", "day").phrase() == "an orange kite rising over the city by day"


def test_sampling_follows_the_generator():
    first, again = (sample_caption(np.random.default_rng(3)) for _ in range(2))
    assert first == again
    assert len({sample_caption(np.random.default_rng(i)) for i in range(40)}) > 35


def test_every_phrase_is_made_of_known_words():
    rng, known = np.random.default_rng(0), set(known_words())
    for _ in range(300):
        assert set(words(sample_caption(rng).phrase(rng))) <= known


def test_synonyms_are_used_and_mean_one_thing():
    rng, caption = np.random.default_rng(0), Caption("ball", "blue", "bouncing", "desert", "dawn")
    assert len({caption.phrase(rng) for _ in range(60)}) > 20
    for table in TABLES.values():
        phrases = [phrase for row in table.values() for phrase in row if phrase]
        assert len(phrases) == len(set(phrases))


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="dragon"):
        Caption("dragon", "red", "rising", "sea", "day")


def test_still_camera_says_nothing_by_default():
    assert CAMERAS["still"][0] == ""


@pytest.mark.parametrize("text", ["", "🐉 42 ---", "<script>", "x" * 10_000])
def test_words_of_anything(text):
    assert all(word.isalpha() for word in words(text))
