"""A run and its page: what is sent and repeated, a page that goes away and comes back, a link that is slow."""

import json
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import small_pipeline, soon

from deepforcing import DeepForcing, SettingsError, read_trace
from ui.app import App
from ui.hosting.kept import KeptRun
from ui.hosting.link import LOOKED_AT, WORST, Link, Need
from ui.hosting.sessions import Sessions
from ui.player.messages import ELSEWHERE
from ui.recordings.library import Recordings
from ui.runs.files import Files
from ui.runs.paced_run import GAVE_WAY
from ui.runs.run import VideoOrder

pytestmark = pytest.mark.timeout(120)  # a stop that does not stop fails
POLICY = DeepForcing(window=9, sink=3, budget=8, recent=4)


@pytest.fixture(autouse=True)
def what_is_not_confirmed_is_soon_sent_again(monkeypatch):
    """Pages here leave in the middle of a packet, and the next waits for its second copy."""
    monkeypatch.setattr("ui.hosting.kept.AGAIN_SECONDS", 0.2)


def order(frames=None, policy=POLICY) -> VideoOrder:
    return VideoOrder("a red balloon", 7, policy, frames)


def watching(sessions, session, values, until=lambda message: False):
    """Watch as a page does that confirms all it gets and is always far ahead; its messages, each once."""
    seen = []
    for value, last, files in values:
        for message in json.loads(value)["messages"]:
            if not seen or message["seq"] > seen[-1]["seq"]:
                seen.append(message)
        sessions.report(session, last["run"], 10**6, True, last["seq"])
        if last["kind"] == "ended":
            assert files.video.exists() and read_trace(files.trace).started.seed == 7
        if until(last):
            values.close()
            break
    return seen


def test_a_page_that_comes_back_finds_its_run_from_the_start_and_sees_its_end():
    sessions = Sessions(small_pipeline())
    before = watching(sessions, "a", sessions.packets("a", order(frames=57)), lambda last: last["kind"] == "chunk")
    sessions.leave("a")
    ticket = before[0]["run"]
    after = watching(sessions, "b", sessions.rejoin("b", ticket))
    assert after[: len(before)] == before and {m["run"] for m in after} == {ticket}
    assert [m["seq"] for m in after] == list(range(len(after)))
    assert sum(len(m["frames"]) for m in after if m["kind"] == "chunk") == 57 and after[-1]["reason"] == "finished"
    again = watching(sessions, "c", sessions.rejoin("c", ticket))
    assert again == after, "a run that has ended is found as well"


def test_who_is_left_behind_by_another_page_ends_without_ending_the_run():
    sessions = Sessions(small_pipeline())
    first = sessions.packets("a", order())
    value, last, _ = next(first)
    second = sessions.rejoin("b", last["run"])
    assert json.loads(next(second)[0])["messages"][0] == json.loads(value)["messages"][0]
    assert list(first) == [] and sessions.get("a") is None
    sessions.leave("a")
    assert soon(lambda: sessions.get("b") is not None)
    for _, last, _ in second:
        sessions.report("b", last["run"], 10**6, True, last["seq"])
        if last["kind"] == "chunk":
            break
    sessions.report("a", last["run"], 0, False, 99)  # a late word of the page that was left behind counts no more
    sessions.close("b")
    assert watching(sessions, "b", second)[-1]["reason"] == "stopped"


def test_a_tab_that_is_left_behind_by_another_gets_its_buttons_back():
    app = App(small_pipeline(), POLICY, Recordings([]))
    first = app._shown("a", app.sessions.packets("a", order()))
    run = json.loads(next(first)[0])["messages"][0]["run"]
    second = app._shown("b", app.sessions.rejoin("b", run))
    next(second)
    *_, last = first
    assert last[1]["visible"] and ELSEWHERE in last[-1]
    another = app._shown("b", app.sessions.packets("b", order()))
    next(another)
    assert all(ELSEWHERE not in str(shown[-1]) for shown in second), "it is in the same tab that another run has begun"
    app.sessions.close("b")
    assert all(ELSEWHERE not in str(shown[-1]) for shown in another)


def test_a_run_that_is_closed_while_it_is_made_ends():
    sessions = Sessions(small_pipeline())
    make = sessions._make_run

    def slowly(*asked):
        run = make(*asked)
        sessions.close("a")
        return run

    sessions._make_run = slowly
    *_, last = (message for message, _ in sessions.play("a", order()))
    assert last["reason"] == "stopped" and not sessions.active


def test_runs_without_a_page_beyond_those_that_are_kept_end(monkeypatch):
    monkeypatch.setattr("ui.hosting.sessions.MOST_KEPT", 1)
    sessions = Sessions(small_pipeline(), most=9)
    for session in "abc":
        watching(sessions, session, sessions.packets(session, order()), lambda last: last["kind"] == "chunk")
        sessions.leave(session)
    assert not sessions.wants("a") and sessions.wants("b") and sessions.wants("c")
    assert soon(lambda: sessions.active == 2)
    for session in "bc":
        sessions.close(session)


def test_who_waits_in_line_is_told_that_the_prompt_stays():
    app = App(small_pipeline(), POLICY, Recordings([]), runs=1)
    sessions, page = app.sessions, SimpleNamespace(session_hash="b")
    watching(sessions, "a", sessions.packets("a", order()), lambda last: last["kind"] == "chunk")
    waits = sessions.packets("b", order(frames=9))
    assert next(waits)[1]["kind"] == "waiting"
    assert sessions.waits("b") and "in line keeps the prompt" in app.change_prompt("a red balloon", page)
    sessions.close("a")
    assert watching(sessions, "b", waits)[-1]["reason"] == "finished"
    assert sessions.wants("b") and not sessions.waits("b"), "a run that is over is in no line"


def test_a_run_that_was_paused_goes_on_for_a_page_that_comes_back():
    sessions = Sessions(small_pipeline())
    before = watching(sessions, "a", sessions.packets("a", order()), lambda last: last["kind"] == "chunk")
    run, newest = sessions.get("a"), before[-1]["seq"]
    run.pause(True)
    sessions.leave("a")
    later = sessions.rejoin("b", before[0]["run"])
    watching(sessions, "b", later, lambda last: last["seq"] > newest + 5)
    sessions.close("b")


def test_a_page_that_has_begun_another_run_meanwhile_keeps_that():
    sessions = Sessions(small_pipeline())
    before = watching(sessions, "a", sessions.packets("a", order()), lambda last: last["kind"] == "chunk")
    sessions.leave("a")
    second = sessions.packets("b", order(frames=57))
    begun = next(second)[1]["run"]
    assert list(sessions.rejoin("b", before[0]["run"])) == []
    after = watching(sessions, "b", second)
    assert {message["run"] for message in after} == {begun} and after[-1]["reason"] == "finished"
    sessions.close("a")


def test_what_nobody_comes_back_for_ends_and_is_removed():
    sessions = Sessions(small_pipeline(), kept_seconds=0.3)
    packets, folder = sessions.packets("a", order()), []

    def until(last):
        folder.append(sessions._kept["a"]._folder.name)  # as long as it is kept
        return last["kind"] == "chunk"

    seen = watching(sessions, "a", packets, until)
    sessions.leave("a")
    assert soon(lambda: not sessions.active and not sessions._kept)
    assert list(sessions.rejoin("b", seen[0]["run"])) == []
    assert soon(lambda: not Path(folder[0]).exists())


def test_a_run_without_a_page_makes_little_ahead_and_gives_way_to_those_who_wait():
    sessions = Sessions(small_pipeline(), grace_seconds=0.2, most=1)
    seen = watching(sessions, "a", sessions.packets("a", order()), lambda last: last["kind"] == "started")
    sessions.report("a", seen[0]["run"], 0, False, 0)  # its last word: it shows the first frame
    sessions.leave("a")
    time.sleep(0.5)
    assert sessions.active == 1, "nobody waits: it is still there"
    other = watching(sessions, "b", sessions.packets("b", order(frames=9)))
    assert other[-1]["reason"] == "finished"
    back = watching(sessions, "c", sessions.rejoin("c", seen[0]["run"]))
    assert back[-1]["reason"] == "stopped" and back[-1]["note"] == GAVE_WAY
    assert 0 < sum(len(m["frames"]) for m in back if m["kind"] == "chunk") < 16 * 6, "it did not wait for its page"


def test_a_page_that_left_just_now_keeps_its_run_from_those_who_wait():
    sessions = Sessions(small_pipeline(), grace_seconds=60, most=1)
    watching(sessions, "a", sessions.packets("a", order()), lambda last: last["kind"] == "chunk")
    sessions.leave("a")
    waits = sessions.packets("b", order(frames=9))
    assert next(waits)[1]["kind"] == "waiting" and sessions.wants("a")
    sessions.close("a")
    assert watching(sessions, "b", waits)[-1]["reason"] == "finished"


def test_a_reload_within_the_grace_keeps_the_run_though_another_waits():
    sessions = Sessions(small_pipeline(), grace_seconds=0.5, most=1)
    seen = watching(sessions, "a", sessions.packets("a", order()), lambda last: last["kind"] == "chunk")
    sessions.leave("a")
    back = sessions.rejoin("b", seen[0]["run"])
    next(back)
    waits = sessions.packets("c", order(frames=9))
    assert next(waits)[1]["kind"] == "waiting"
    time.sleep(1)
    assert sessions.get("b") is not None
    sessions.close("b")
    watching(sessions, "b", back)
    assert watching(sessions, "c", waits)[-1]["reason"] == "finished"


def test_a_page_that_ran_out_of_video_is_counted_once():
    sessions = Sessions(small_pipeline())
    seen = watching(sessions, "a", sessions.packets("a", order()), lambda last: last.get("seq") == 2)
    run, ends = seen[0]["run"], [m["first"] + len(m["frames"]) for m in seen if m["kind"] == "chunk"]
    assert ends == [9, 21]
    for frame, playing in (
        (8.999, True),  # it goes on
        (8.98, False),  # paused by its viewer
        (9.0, False),
        (9.001, False),
        (10.999, False),  # no chunk ends here
        (8.999, False),  # the first stall
        (8.999, False),
        (20.5, True),
        (20.999, False),  # the second
    ):
        sessions.report("a", run, frame, playing, 0)
    sessions.report("a", "another", 8.999, False, 0)
    assert "deepforcing_stalls_total 2.0" in sessions.tally.text()
    sessions.finish("a")
    sessions.report("a", run, 8.999, False, 0)  # a video that has ended
    assert "deepforcing_stalls_total 2.0" in sessions.tally.text()


def test_an_order_that_cannot_work_is_refused_to_its_page():
    sessions = Sessions(small_pipeline())
    with pytest.raises(SettingsError, match="shorter than the chunk"):
        list(sessions.packets("a", order(policy=DeepForcing(recent=2))))


def test_only_so_many_runs_are_kept(monkeypatch):
    monkeypatch.setattr("ui.hosting.sessions.MOST_KEPT", 2)
    sessions, pages = Sessions(small_pipeline()), "abcd"
    names = []
    for page in pages:
        names.append(watching(sessions, page, sessions.packets(page, order(frames=9)))[0]["run"])
        sessions.finish(page)
    assert [bool(list(sessions.rejoin(f"of {name}", name))) for name in names] == [False, True, True, True]


class Told:
    """A run whose messages the test gives."""

    def __init__(self):
        self.next, self.given = threading.Semaphore(0), []

    def __call__(self, folder):
        while True:
            self.next.acquire()
            message = self.given.pop(0)
            yield message, Files()
            if message["kind"] == "ended":
                return

    def give(self, *messages):
        for message in messages:
            self.given.append(message)
            self.next.release()


def chunk(seq, size=10):
    return {"run": "r", "seq": seq, "kind": "chunk", "first": seq, "frames": ["x" * size]}


def numbers(packet):
    return [message["seq"] for message in json.loads(packet[0])["messages"]]


def test_the_next_packet_waits_for_the_page_and_a_lost_one_is_sent_again(monkeypatch):
    monkeypatch.setattr("ui.hosting.kept.AGAIN_SECONDS", 0.5)
    told = Told()
    run = KeptRun("r", told)
    packets = run.follow()
    told.give(chunk(0))
    began = time.monotonic()
    assert numbers(next(packets)) == [0]
    told.give(chunk(1), chunk(2))
    assert soon(lambda: len(run._told) == 3)
    assert numbers(next(packets)) == [0, 1, 2] and time.monotonic() - began > 0.4, "it was not confirmed: again"
    run.confirm(2)
    run.confirm(1)  # came late
    told.give(chunk(3), {"run": "r", "seq": 4, "kind": "ended"})
    assert soon(lambda: run.over)
    assert numbers(next(packets)) == [3, 4] and list(packets) == []
    run.forget()


def test_a_large_packet_has_more_time_to_arrive(monkeypatch):
    monkeypatch.setattr("ui.hosting.kept.AGAIN_SECONDS", 0.0)
    monkeypatch.setattr("ui.hosting.kept.AGAIN_BYTES", 2000)
    told = Told()
    run = KeptRun("r", told)
    told.give(chunk(0, 1000))
    assert soon(lambda: len(run._told) == 1)
    packets, began = run.follow(), time.monotonic()
    next(packets)
    assert numbers(next(packets)) == [0] and time.monotonic() - began > 0.5
    told.give({"run": "r", "seq": 1, "kind": "ended"})
    packets.close()
    run.forget()


def test_memory_is_bounded_and_the_oldest_pictures_go_first(monkeypatch):
    monkeypatch.setattr("ui.hosting.kept.MOST_BYTES", 3000)
    told = Told()
    run = KeptRun("r", told)
    told.give({"run": "r", "seq": 0, "kind": "started", "fps": 16}, *(chunk(i, 1000) for i in range(1, 9)))
    told.give({"run": "r", "seq": 9, "kind": "ended"})
    assert soon(lambda: run.over)
    assert numbers(next(run.follow())) == [0, 7, 8, 9]


def test_a_slow_link_is_measured_and_gets_smaller_pictures():
    now = [0.0]
    link = Link(lambda: now[0])

    def packets(seconds, count=LOOKED_AT, size=100_000):
        for number in range(count):
            link.sent(number, size)
            link.sent(number, size)  # again, since no answer came: what counts is the first time
            now[0] += seconds
            link.arrived(number)

    packets(1.0, LOOKED_AT - 1)
    assert link.rate is None and link.quality(0, 10**9) == 0, "too few were measured"
    packets(0.1, 1)
    assert link.rate == pytest.approx(1e6) and link.quality(0, 700_000) == 0 and link.quality(0, 800_000) == 1
    assert link.rate is None, "after a change it is measured anew"
    packets(1.0)
    assert link.rate == pytest.approx(1e5), "what was fast is long ago"
    packets(0.001, size=10_000)
    assert link.rate == pytest.approx(1e5), "small ones tell nothing"
    assert link.quality(WORST, 10**9) == WORST
    assert link.quality(WORST, 30_000) == WORST and link.quality(WORST, 20_000) == WORST - 1, "fast again"
    assert link.rate is None and link.quality(1, 1) == 1
    packets(0.1)
    assert link.quality(0, 1) == 0, "nothing is better than the best"


def test_a_video_needs_no_more_of_its_link_than_it_is_made_at():
    now = [0.0]
    need = Need(lambda: now[0])

    def makes(*seconds):
        for second in seconds:
            now[0] += second
            need.made(24_000, 12, 16)
        return need.rate

    assert makes(1) == 32_000, "as it will be shown, before its pace is known"
    assert makes(0.1, 0.1, 0.1) == 32_000, "what is made faster is shown no faster"
    assert makes(3, 3, 3) == pytest.approx(8_000), "a slow machine's pictures take less"
    assert makes(0.75, 0.75, 0.75, 90) == 32_000, "a pause is no slowness"


def test_what_a_slow_link_gets_is_said_and_smaller():
    sessions, sizes, notices = Sessions(small_pipeline()), [], []
    for value, last, _ in sessions.packets("a", order(frames=81)):
        for message in json.loads(value)["messages"]:
            notices += [message["text"]] if message["kind"] == "notice" else []
            sizes += [len(message["frames"][0])] if message["kind"] == "chunk" else []
        run = sessions.get("a")
        if last["kind"] == "chunk" and run is not None and not run.quality:
            run.adapt(WORST, 100_000)
        sessions.report("a", last["run"], 10**6, True, last["seq"])
    assert notices[0].startswith("Your connection carries about 0.8 Mbit/s") and sizes[-1] < 0.7 * sizes[0]
