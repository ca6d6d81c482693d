"""The rate that is measured when a model is there, and how the page says it."""

import pytest
from conftest import small_pipeline

from ui.page.layout import model_header
from ui.runs import rate
from ui.runs.rate import measured_rate, rate_words


def test_the_rate_is_that_of_the_last_chunk_within_its_time(monkeypatch):
    times = iter([0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 3.0, 3.0])  # began; asked, started, done: twice; too late
    monkeypatch.setattr(rate.time, "perf_counter", lambda: next(times))
    monkeypatch.setattr(rate, "generate_long_video", lambda *_, **__: chunks())
    assert measured_rate(None) == 12 / 2


def chunks():
    class Chunk:
        def __init__(self, count):
            self.frames = [0] * count

    yield Chunk(9)
    yield Chunk(12)
    raise AssertionError("a third chunk was begun after the time was up")


def test_a_real_model_is_measured():
    assert measured_rate(small_pipeline()) > 1


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        (40.2, "(40 a second here)"),
        (4.6, "(5 a second here)"),
        (0.42, "(0.4 a second here)"),
    ],
)
def test_the_rate_is_said_in_plain_words(measured, words):
    assert rate_words(measured) in words and words in model_header(small_pipeline(), measured)


def test_what_was_not_measured_is_not_said():
    assert "second here" not in model_header(small_pipeline())
