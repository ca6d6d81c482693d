"""What an operator reads, by a clock that the test sets."""

from types import SimpleNamespace

import pytest

from ui.hosting.tally import RECENT_SECONDS, Tally


class Clock:
    now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("ui.hosting.tally.time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


def told(tally: Tally) -> dict[str, float]:
    """Figures by name."""
    lines = (line.rsplit(" ", 1) for line in tally.text().splitlines() if line[0] != "#")
    return {name.removeprefix("deepforcing_"): float(value) for name, value in lines}


def run(clock, *chunks):
    """Messages of a run whose chunks, (seconds, frames), take their time."""
    for seconds, frames in chunks:
        clock.now += seconds
        yield {"kind": "chunk", "frames": ["picture"] * frames}
    yield {"kind": "ended", "reason": "finished"}


def test_runs_are_counted_as_they_pass(clock):
    tally = Tally(lambda: 2, lambda: 1)
    assert len(list(tally.count("r", 16, run(clock, (0.4, 9), (1.5, 12), (0.75, 12))))) == 4
    now = told(tally)
    assert (now["running"], now["waiting"]) == (2, 1)
    assert now["frames_made_total"] == 33 and now["frames_per_second"] == 33 / RECENT_SECONDS
    assert now["first_frame_seconds_count"] == 1 and now["first_frame_seconds_sum"] == pytest.approx(0.4)
    assert now["seconds_per_second_count"] == 2, "the first chunk has waited for more than itself"
    assert now["seconds_per_second_sum"] == pytest.approx(2 + 1)
    assert now['runs_ended_total{reason="finished"}'] == 1
    clock.now += RECENT_SECONDS - 0.75
    assert told(tally)["frames_per_second"] == 12 / RECENT_SECONDS, "those of the latest seconds"


def test_a_race_counts_the_frames_of_one_runner(clock):
    tally = Tally(lambda: 0, lambda: 0)
    list(tally.count("r", 16, iter([{"kind": "round", "frames": [["picture"] * 9] * 3}])))
    assert told(tally)["frames_made_total"] == 9


def test_a_reader_who_goes_away_cancels(clock):
    tally = Tally(lambda: 0, lambda: 0)
    going = tally.count("r", 16, run(clock, (1, 9), (1, 12)))
    next(going)
    going.close()
    assert told(tally)['runs_ended_total{reason="cancelled"}'] == 1 and told(tally)["frames_made_total"] == 9
