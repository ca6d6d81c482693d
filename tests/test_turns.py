"""Several runs on one device: whose chunk is next, what a run takes, and who is let in beside it."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import small_pipeline
from together import alone, frames_of, most_ahead, together

from deepforcing import DeepForcing, StreamEnded, Turns, VideoStream
from ui.hosting.room import FULL, Room
from ui.hosting.waiting_line import WaitingLine

pytestmark = pytest.mark.timeout(120)  # a stop that does not stop fails
POLICY = DeepForcing(window=9, sink=3, budget=8, recent=4)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def never() -> bool:
    return False


def taken_in_order(turns, holder, ahead: dict) -> list:
    """Who gets the turn after whom, when all of `ahead` wait and each gives it back at once."""
    order, threads = [], []

    def wait(name):
        turn = turns.turn(lambda: ahead[name])
        turn.take(never)
        order.append(name)
        turn.close()

    for waiting, name in enumerate(ahead, 1):
        threads.append(threading.Thread(target=wait, args=(name,), daemon=True))
        threads[-1].start()
        while len(turns._waiting) < waiting:
            time.sleep(0.001)
    holder.give()
    for thread in threads:
        thread.join(60)
    return order


def test_the_run_that_is_nearest_to_running_dry_is_next_and_among_equals_the_first_that_came():
    turns = Turns()
    holder = turns.turn(lambda: 0.0)
    holder.take(never)
    assert taken_in_order(turns, holder, {"a": 2.0, "b": 0.5, "c": 1.0, "d": 0.5}) == ["b", "d", "c", "a"]


def test_only_one_has_the_turn_and_who_gives_up_waits_no_longer():
    turns = Turns()
    first, second = turns.turn(lambda: 1.0), turns.turn(lambda: 0.0)
    first.take(never)
    second.take(lambda: True)
    second.give()  # has nothing to give
    third = turns.turn(lambda: 0.0)
    assert taken_in_order(turns, first, {"x": 0.0}) == ["x"] and third in turns.open


def test_a_turn_is_measured_from_when_it_was_taken():
    clock = Clock()
    turns = Turns(clock)
    turn = turns.turn(lambda: 0.0)
    assert turn.seconds is None
    for took in (1.0, 9.0, 2.0):
        turn.take(never)
        clock.now += took
        turn.give()
        clock.now += 100
    turn.give()
    assert turn.seconds == 2.0
    for took in (20,) * 9 + (1,) * 8:
        turn.take(never)
        clock.now += took
        turn.give()
    assert turn.seconds == 1.0, "what was long ago counts no more"
    turn.close()
    assert turns.open == []


def test_videos_made_in_turns_are_those_that_are_made_alone_and_nobody_waits_for_more_than_a_chunk():
    pipeline, length, frames = small_pipeline(), 12, 9 + 12 * 11
    made, order = together(pipeline, POLICY, range(4), frames)
    for seed, chunks in made.items():
        assert np.array_equal(frames_of(chunks), alone(pipeline, POLICY, seed, frames))
    assert most_ahead(order, made, length) <= 2  # one in hand, one on its way to the reader


def test_a_stopped_run_leaves_the_turn_to_others():
    pipeline, turns = small_pipeline(), Turns()
    blocker = turns.turn(lambda: 0.0)
    blocker.take(never)
    stream = VideoStream(pipeline, "a", policy=POLICY, max_queued=0)
    stream.share(turns.turn(lambda: 0.0))
    stream.start()
    assert stream.get(timeout=60).prompt == "a"
    stream.stop()
    assert stream.get(timeout=60) == StreamEnded("stopped", 0) and stream.join(60)


@pytest.mark.parametrize(
    ("seconds", "inside", "fits"),
    [
        ([], 1, False),  # nothing was measured
        ([None], 1, False),
        ([0.3], 1, True),
        ([0.3, 0.3], 2, FULL > 3 * 0.3 / 0.75),
        ([0.2, None], 2, True),
        ([0.2, None, None], 3, False),  # those that were let in a moment ago count
        ([0.6], 1, False),
    ],
)
def test_who_is_let_in_is_measured(seconds, inside, fits):
    turns = SimpleNamespace(open=[SimpleNamespace(seconds=took) for took in seconds])
    assert Room(turns, 0.75).fits(inside) is fits


def test_a_limit_holds_whatever_was_measured_and_the_last_measure_is_remembered():
    turns = SimpleNamespace(open=[SimpleNamespace(seconds=0.01)])
    limited, free = Room(turns, 0.75, most=2), Room(turns, 0.75)
    assert limited.fits(1) and not limited.fits(2) and free.fits(2)
    turns.open = [SimpleNamespace(seconds=None)]
    assert free.fits(1) and not Room(turns, 0.75).fits(1)


def test_the_line_lets_in_the_first_as_long_as_there_is_room():
    line = WaitingLine(lambda inside: inside < 2)
    for ticket in "abcd":
        line.join(ticket)
    assert line.wait("b", 0) == 2  # not before those in front of it
    assert [line.wait(ticket, 0) for ticket in "abcd"] == [0, 0, 1, 2]
    assert line.behind("a") == line.behind("b") == 2 and line.behind("c") == 1 and line.behind("x") == 0
    assert [line.must_go(ticket) for ticket in "abc"] == [True, True, False]
    line.leave("d")
    assert [line.must_go(ticket) for ticket in "ab"] == [True, False]  # one waits, so one has to go
    line.leave("a")
    assert line.wait("c", 0) == 0 and line.wait("b", 0) == 0 and not line.must_go("b")
