"""Runs on replicas: the second session gets one that is added for it; one is killed in mid-run."""

import json
import threading
import time

import pytest

pytest.importorskip("ray", reason="several replicas need Ray: pip install 'deepforcing[serve]'")

from conftest import small_pipeline
from on_ray import processes

from deepforcing import DeepForcing, SettingsError, read_trace
from ui.hosting.lent import GOES_ON, GONE
from ui.hosting.replicas import Size
from ui.hosting.sessions import Sessions
from ui.runs.run import VideoOrder

pytestmark = pytest.mark.timeout(400)
POLICY = DeepForcing(window=9, sink=3, budget=8, recent=4)


class Watcher(threading.Thread):
    """A page: reads its run to the end, confirms all it gets, and plays it from its first frame on."""

    def __init__(self, sessions, name, frames=None, seed=7):
        super().__init__(daemon=True)
        self.sessions, self.name_, self.messages, self.files = sessions, name, [], None
        self.order = VideoOrder("a red balloon", seed, POLICY, frames)
        self.start()

    def run(self):
        began = time.monotonic()
        for value, last, files in self.sessions.packets(self.name_, self.order):
            self.messages += json.loads(value)["messages"]
            began = began if self.chunks else time.monotonic()
            self.sessions.report(self.name_, last["run"], 16 * (time.monotonic() - began), True, last["seq"])
            if last["kind"] == "ended" and files.video is not None:
                self.files = read_trace(files.trace), files.video.stat().st_size

    @property
    def chunks(self):
        return [message for message in self.messages if message["kind"] == "chunk"]

    def wait(self, holds, seconds=200):
        until = time.monotonic() + seconds
        while not holds(self) and time.monotonic() < until:
            time.sleep(0.05)
        assert holds(self), self.messages[-1:]


@pytest.fixture
def sessions(replicas):
    sessions = Sessions(small_pipeline(), replicas=replicas)
    yield sessions
    sessions.end_all()


def test_a_replica_is_added_for_the_second_session_and_each_hears_its_own_viewer(sessions):
    pages = [Watcher(sessions, "a", seed=3), Watcher(sessions, "b", seed=4)]
    for page in pages:
        page.wait(lambda page: len(page.chunks) > 2)
    assert sessions.active == len(processes()) == 2
    sessions.get("a").change_prompt("a blue boat")
    pages[0].wait(lambda page: page.chunks[-1]["prompt"] == "a blue boat")
    for name in "ab":
        sessions.close(name)
    for page, seed in zip(pages, (3, 4), strict=True):
        page.join(120)
        assert page.messages[-1]["reason"] == "stopped"
        trace, size = page.files
        assert trace.started.seed == seed and size > 1000
    assert pages[1].chunks[-1]["prompt"] == "a red balloon"


def test_one_that_is_killed_loses_nothing_and_the_other_does_not_notice(sessions):
    pages = [Watcher(sessions, "a"), Watcher(sessions, "b")]
    for page in pages:
        page.wait(lambda page: len(page.chunks) > 1)
    processes()[0].kill()  # as a machine's end would
    pages[0].wait(lambda _: any(map(notices, pages)))
    hit = next(page for page in pages if notices(page))
    (other,) = {*pages} - {hit}
    assert notices(hit) == [GOES_ON[GONE]] and notices(other) == []
    for page in pages:
        seen = len(page.chunks)
        page.wait(lambda page, seen=seen: len(page.chunks) > seen + 2)
        assert [chunk["index"] for chunk in page.chunks] == list(range(len(page.chunks)))
    for page in pages:
        sessions.close(page.name_)
        page.join(120)
        assert page.messages[-1]["reason"] == "stopped"


def notices(page) -> list[str]:
    return [message["text"] for message in page.messages if message["kind"] == "notice"]


@pytest.mark.parametrize("text", ["0", "x", "3-2", "-1", "1-", "2-x"])
def test_how_many_is_a_number_or_two(text):
    with pytest.raises(SettingsError, match="--replicas must be"):
        Size.read(text, 1, 0.0)


def test_a_range_grows_to_its_end():
    assert Size.read("2", 1, 0.0) == Size(2, 2) and Size.read("1-4", 2, 1.0).places == 8
