"""What lessons measure, beside the same numbers taken from the run's events."""

import numpy as np
import pytest

from deepforcing import AttentionMass, read_trace
from ui.lessons.lesson import Run
from ui.lessons.measures import MEASURES, Series
from ui.lessons.outcome import Collector, Outcome
from ui.recordings.library import SHIPPED, messages_of

RUN = Run("deep", "deep-forcing sink=4 phase=none", "p", 7, 30, "deep-forcing", False, ())


@pytest.fixture(scope="module")
def trace():
    return read_trace(SHIPPED / "deep-forcing.trace")


@pytest.fixture(scope="module")
def chunks(trace):
    return list(trace)[1:-1]


@pytest.fixture(scope="module")
def taken(trace) -> Outcome:
    collector = Collector(RUN, RUN.runner, recorded=True)
    for message in messages_of(trace):
        collector.add(message)
    assert collector.enough and collector.seconds == pytest.approx(30)
    return collector.finish()


def test_what_is_kept_is_small_and_says_what_it_really_was(taken):
    assert taken.label == "deep-forcing sink=10 phase=released", "the recording's own settings"
    assert (taken.model, taken.seed, taken.recorded) == ("tiny", "7", True)
    assert [round(second) for second, _ in taken.stills] == [0, 6, 12, 18, 24, 30]
    assert all(still.startswith(b"\xff\xd8") and len(still) < 10_000 for _, still in taken.stills)
    assert set(taken.series) == set(MEASURES)


def over_time(chunks, value) -> tuple[list[float], list[float]]:
    seconds = [(chunk.first_frame + len(chunk.frames)) / 16 for chunk in chunks]
    return seconds, [value(chunk) for chunk in chunks]


def same(series: Series, seconds, values, within=2e-3) -> None:
    assert series.x == pytest.approx(seconds) and series.y == pytest.approx(values, abs=within)


def first_mass(attention: AttentionMass) -> float:
    return 100 * attention.mass[..., attention.frames < 10].sum(-1).mean()


def reach(chunk) -> float:
    oldest = min([*chunk.cache.frames.tolist(), chunk.latent_frames[0]])
    begins = max(0, 4 * oldest - 3)
    return (chunk.first_frame + len(chunk.frames) - begins) / 16


def test_attention_cache_and_reach_are_those_of_the_events(trace, taken, chunks):
    same(taken.series["sink_mass"], *over_time(chunks, lambda chunk: 100 * chunk.attention.sink), 0.05)
    same(taken.series["first_mass"], *over_time(chunks, lambda chunk: first_mass(chunk.attention)), 0.05)
    same(taken.series["reach"], *over_time(chunks, reach))
    same(taken.series["tokens"], *over_time(chunks, lambda chunk: chunk.cache.tokens / trace.started.layers))
    assert taken.series["reach"].y[-1] == pytest.approx(30), "the first frames are in the sink"


def test_gauges_are_those_that_were_recorded(trace, taken, chunks):
    read = [trace.gauges(number) for number in range(len(chunks))]
    scales = {"colour_drift": 100, "sharpness": 100, "motion": 100, "chunk_jump": 1, "sink_reset": 100}
    for name, scale in scales.items():
        values = [scale * getattr(gauges, name) for gauges in read]
        known = [value for value in values if not np.isnan(value)]
        assert 0 < len(known) < len(values), "a gauge knows nothing at first"
        assert taken.series[name].y == pytest.approx(known, abs=0.0101), name


def test_bars_are_the_fullest_chunk_s(taken, chunks):
    full = [chunk for chunk in chunks if chunk.cache.tokens == max(chunk.cache.tokens for chunk in chunks)][-1]
    bars = taken.series["attention_by_frame"]
    assert bars.y == pytest.approx((100 * full.attention.mass.mean((0, 1))).tolist(), abs=0.01)
    assert sum(bars.y) == pytest.approx(100, abs=0.1) and 0 < bars.x[0] < bars.x[-1] < 1


def test_a_value_is_the_mean_of_the_last_five_seconds():
    assert Series((1, 4, 6, 9), (90, 50, 10, 20)).value == 15
    assert Series((), ()).value is None


def chunks_with(shares) -> list[dict]:
    readings = [{"old_scene": {"value": share}} for share in shares]
    return [{"first": 16 * i, "count": 16, "gauges": {"readings": read}} for i, read in enumerate(readings)]


def test_roll_backs_are_counted_once_each_and_add_up_over_a_run():
    shares = [None, 0.1, 0.3, 0.2, 0.5, 0.1, 0.24, 0.25, 0.0]  # back at 0.3, gone at 0.1, back at 0.25
    found = MEASURES["roll_backs"].take({"fps": 16}, chunks_with(shares))
    assert found.x == (2, 3, 4, 5, 6, 7, 8, 9) and found.y == (0, 1, 1, 1, 1, 1, 2, 2) and found.value == 2
    assert MEASURES["roll_backs"].take({"fps": 16}, chunks_with([None, None])).value is None
    assert MEASURES["roll_backs"].shown(2) == "2 times"


def test_numbers_are_shown_with_their_units():
    assert MEASURES["sink_mass"].shown(17.4) == "17 %" and MEASURES["sink_mass"].shown(0) == "0 %"
    assert MEASURES["colour_drift"].shown(0.64) == "0.6 %" and MEASURES["tokens"].shown(1234.5) == "1,234 tokens"
    assert MEASURES["reach"].shown(-3.2, signed=True) == "−3.2 s" and MEASURES["chunk_jump"].shown(1.26) == "1.3 ×"
