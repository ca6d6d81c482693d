"""The six questions, and links to terms in lessons."""

import pytest

from deepforcing import read_runner
from ui.lessons.library import read_lessons
from ui.lessons.quiz import read_quiz
from ui.look.terms import linked
from ui.recordings.library import Recordings


def test_six_questions_of_which_the_place_of_the_right_choice_tells_nothing():
    questions = read_quiz()
    assert len(questions) == 6 and {question.right for question in questions} == {0, 1, 2}
    for question in questions:
        assert len(set(question.choices)) == 3 and question.asks.endswith("?") and question.why.endswith(".")


def test_marked_words_of_a_lesson_are_links_to_terms():
    assert linked("a [[sink]], [[token|tokens]]") == "a [sink](#term-sink), [tokens](#term-token)"
    with pytest.raises(KeyError, match="kitchen"):
        linked("a [[kitchen]]")


def test_every_lesson_has_a_picture_and_terms_and_asks_for_a_choice_where_it_sets_a_run():
    lessons = read_lessons(Recordings.shipped(), read_runner)
    assert all(lesson.picture and lesson.picture.stat().st_size < 30_000 for lesson in lessons)
    assert all("#term-" in "".join(step.text for step in lesson.steps) for lesson in lessons)
    asks = [(lesson, step.block) for lesson in lessons for step in lesson.steps if hasattr(step.block, "question")]
    assert [ask.name for lesson, ask in asks if lesson.chooses(ask)] == ["frames"]
