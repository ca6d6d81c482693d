"""Settings that are touched during a run: taken up with a word, or said to be for the next one."""

from dataclasses import replace

import pytest
from conftest import small_pipeline
from test_ui_run import metadata

from deepforcing import DeepForcing, SlidingWindow, read_trace
from ui.hosting.sessions import Sessions
from ui.recordings.library import messages_of
from ui.runs.changes import Taken, take_up
from ui.runs.run import VideoOrder

pytestmark = pytest.mark.timeout(120)  # a stop that does not stop fails
POLICY = DeepForcing(window=9, sink=3, budget=8, recent=4)
ORDER = VideoOrder("a red balloon", 7, POLICY)


def playing(policies, chunks, then=lambda taken: None, folder=None):
    """A run's messages; before chunk n of `policies` the page has other settings."""
    sessions, messages, changed = Sessions(small_pipeline()), [], False
    for message, _ in sessions.play("a", replace(ORDER, num_frames=9 + 12 * (chunks - 1)), folder=folder):
        messages.append(message)
        run = sessions.get("a")
        if run is not None:
            run.report(10**6 if changed else 0, True)  # until then it makes little ahead
        if message["kind"] == "chunk" and message["index"] in policies:
            then(take_up(run, replace(run.order, **policies[message["index"]])))
            changed = True
    return messages


def test_a_change_is_said_marked_and_kept_in_both_files(tmp_path):
    said = []
    policies = {1: {"policy": replace(POLICY, sink=2), "switch": "sink"}}
    messages = playing(policies, 6, said.append, tmp_path)
    assert not said[0].later and said[0].words.startswith("Cache at a new prompt: sink, from second ")
    assert "Sink 2 from second " in said[0].words
    changed = [message for message in messages if message["kind"] == "changed"]
    assert changed[-1]["settings"]["sink"] == 2 and changed[-1]["switch"] == "sink"
    assert "a sink of 2 frames is too small" in changed[-1]["broken"]
    following = messages[messages.index(changed[-1]) + 1]
    assert following["kind"] == "chunk" and following["first"] == changed[-1]["first"]
    trace = read_trace(next(tmp_path.glob("*.trace")))
    assert {**trace.changes[0].after, **trace.changes[-1].after} == {"sink": 2, "switch": "sink"}
    assert [m for m in messages_of(trace) if m["kind"] == "changed"] == [
        {name: value for name, value in message.items() if name not in ("run", "seq")} for message in changed
    ]
    told = metadata(next(tmp_path.glob("*.mp4")))["changes"]
    assert [change["seconds"] for change in told] == [round(message["first"] / 16, 3) for message in changed]
    assert [change["after"] for change in told] == [change.after for change in trace.changes]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"policy": SlidingWindow()}, "Another policy starts with an empty cache: it is for the next run."),
        ({"seed": 8, "num_frames": 9}, "For the next run: the seed, the length."),
        ({"stale_prompt": True}, "For the next run: whether the prompt goes stale."),
        ({"switch": "reencode"}, "Re-encoding needs a record that this run has not kept: it is for the next run."),
    ],
)
def test_what_has_to_wait_is_said(wanted, words):
    said = []
    messages = playing({1: wanted}, 6, said.append)
    assert said == [Taken(words, later=True)] and not [m for m in messages if m["kind"] == "changed"]


def test_what_page_and_run_agree_on_needs_no_word():
    said = []
    playing({1: {}}, 3, said.append)
    assert said == [Taken()]
