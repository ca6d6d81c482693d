"""Settings that are touched during a run: taken up with a word, or said to be for the next one."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import small_pipeline
from test_strengths import files, loaded  # noqa: F401
from test_ui_run import metadata

from deepforcing import DeepForcing, SlidingWindow, read_trace
from ui.hosting.sessions import Sessions
from ui.recordings.library import messages_of
from ui.runs.changes import Taken, new_scene, take_up
from ui.runs.run import VideoOrder

pytestmark = pytest.mark.timeout(120)  # a stop that does not stop fails
POLICY = DeepForcing(window=9, sink=3, budget=8, recent=4)
ORDER = VideoOrder("a red balloon", 7, POLICY)


def playing(policies, chunks, then=lambda taken: None, folder=None, how=take_up, order=ORDER, pipeline=None):
    """A run's messages; before chunk n of `policies` the page has other settings."""
    sessions, messages, changed = Sessions(pipeline or small_pipeline()), [], False
    for message, _ in sessions.play("a", replace(order, num_frames=9 + 12 * (chunks - 1)), folder=folder):
        messages.append(message)
        run = sessions.get("a")
        if run is not None:
            run.report(10**6 if changed else 0, True)  # until then it makes little ahead
        if message["kind"] == "chunk" and message["index"] in policies:
            then(how(run, replace(run.order, **policies[message["index"]])))
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
    ("wanted", "words", "anew"),
    [
        ({"policy": SlidingWindow()}, "Another policy starts with an empty cache: it is for the next run.", True),
        ({"seed": 8, "num_frames": 9}, "For the next run: the seed, the length.", False),
        ({"stale_prompt": True}, "For the next run: whether the prompt goes stale.", False),
        (
            {"switch": "reencode"},
            "Re-encoding needs a record that this run has not kept: it is for the next run.",
            True,
        ),
    ],
)
def test_what_has_to_wait_is_said(wanted, words, anew):
    said = []
    messages = playing({1: wanted}, 6, said.append)
    assert said == [Taken(words, True, anew)] and not [m for m in messages if m["kind"] == "changed"]


def test_a_run_that_began_with_a_picture_changes_too():
    said, picture = [], np.zeros((9, 32, 48, 3), np.uint8)
    playing({1: {"steps": 2}}, 5, said.append, order=replace(ORDER, start=picture))
    assert said[0].words.startswith("Denoising steps: 2, from second ")


def test_how_strong_loras_are_is_said_marked_and_kept_in_both_files(files, tmp_path):  # noqa: F811
    said, order = [], replace(ORDER, loras=(1.0, 0.5))
    wanted = {1: {"loras": (0.3, 0.5)}}
    messages = playing(wanted, 6, said.append, tmp_path, order=order, pipeline=loaded(files, 1.0, 0.5))
    assert said[0].words.startswith("LoRA 1: 0.3, from second ") and not said[0].later
    (changed,) = (message for message in messages if message["kind"] == "changed")
    assert "style.safetensors 1.0 → 0.3" in changed["words"]
    (change,) = read_trace(next(tmp_path.glob("*.trace"))).changes
    assert change.after == {"lora 1: style.safetensors": 0.3}
    assert metadata(next(tmp_path.glob("*.mp4")))["changes"][0]["after"] == change.after


@pytest.mark.parametrize("loras", [(float("nan"), 0.5), (99.0, 0.5)])
def test_strengths_that_cannot_be_are_refused_and_the_run_goes_on(files, loras):  # noqa: F811
    said, order = [], replace(ORDER, loras=(1.0, 0.5))
    messages = playing({1: {"loras": loras}}, 4, said.append, order=order, pipeline=loaded(files, 1.0, 0.5))
    assert said[0].later and "strength" in said[0].words and messages[-1]["reason"] == "finished"


def test_what_page_and_run_agree_on_needs_no_word():
    said = []
    playing({1: {}}, 3, said.append)
    assert said == [Taken()]


def test_a_new_scene_takes_up_what_a_change_cannot_and_stands_in_both_files(tmp_path):
    said, wanted = [], {"policy": SlidingWindow(window=9), "switch": "reencode", "steps": 2, "seed": 8}
    messages = playing({1: wanted}, 6, said.append, tmp_path, new_scene)
    assert said[0].words.startswith("New scene from second ") and said[0].words.endswith("For the next run: the seed.")
    assert (said[0].later, said[0].anew) == (True, False)
    (changed,) = (message for message in messages if message["kind"] == "changed")
    assert (changed["policy"], changed["settings"]) == ("self-forcing", {"window": 9}), "nothing of the old policy's"
    assert changed["scene"] and changed["words"].startswith("new scene, policy deep-forcing → self-forcing, ")
    assert changed["switch"] == "reencode" and changed["broken"] == ""
    following = messages[messages.index(changed) + 1]
    assert following["index"] == changed["chunk"] and following["origin"] == 3 * changed["chunk"]
    assert following["told"] == "These are the first frames of this scene: there is nothing to look back at yet."
    trace = read_trace(next(tmp_path.glob("*.trace")))
    assert [m for m in messages_of(trace) if m["kind"] == "changed"] == [
        {name: value for name, value in changed.items() if name not in ("run", "seq")}
    ]
    told = metadata(next(tmp_path.glob("*.mp4")))
    assert told["steps"] == 4 and told["changes"][0]["after"]["scene"] == 1
    assert told["changes"][0]["after"]["policy"] == "self-forcing" and told["changes"][0]["after"]["steps"] == 2


def test_a_new_scene_that_cannot_be_is_said():
    said = []
    messages = playing({1: {"policy": replace(POLICY, recent=2)}}, 6, said.append, how=new_scene)
    assert said[0].later and "shorter than the chunk" in said[0].words
    assert not [m for m in messages if m["kind"] == "changed"]


def test_the_number_of_steps_is_taken_up():
    said = []
    messages = playing({1: {"steps": 2}}, 6, said.append)
    assert said[0].words.startswith("Denoising steps: 2, from second ") and not said[0].later
    assert [m["words"] for m in messages if m["kind"] == "changed"] == ["steps 4 → 2"]
