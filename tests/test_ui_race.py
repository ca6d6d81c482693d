"""A race on its way to the page: one message a round, one file at the end, refusals in words."""

import json

import imageio_ffmpeg
import pytest

from deepforcing import POLICIES, DeepForcing, PromptError, Runner, SettingsError, SlidingWindow, Timeline
from ui.app import App
from ui.hosting.sessions import Sessions
from ui.prompts.words import EXAMPLES
from ui.race.names import OPENING, choices, named_runner
from ui.race.run import RaceOrder
from ui.race.tab import CHANGE_AT, LENGTHS, RaceTab, change_half_way

RUNNERS = (Runner("deep <b>", DeepForcing(window=9, sink=3, budget=8, recent=4)), Runner("window", SlidingWindow()))


def order(prompt="a red balloon", frames=45, runners=RUNNERS):
    return RaceOrder(prompt, 7, runners, frames)


def play(pipeline, asked, kept):
    """All messages of a race whose viewer is always far ahead, and the file's bytes at `kept`."""
    sessions, messages = Sessions(pipeline), []
    for message, files in sessions.play("a", asked):
        messages.append(message)
        if run := sessions.get("a"):
            run.report(10**6, True)
        if files.video is not None:
            kept.write_bytes(files.video.read_bytes())
    return messages


def test_a_round_is_one_message_with_every_runners_frames_and_numbers(pipeline, tmp_path):
    asked = order(Timeline(((0, "a"), (1, "b"))))
    started, *rounds, ended = play(pipeline, asked, tmp_path / "race.mp4")
    assert json.loads(json.dumps([started, *rounds, ended])) == [started, *rounds, ended]
    assert [runner["label"] for runner in started["runners"]] == ["deep <b>", "window"]
    assert started["runners"][0]["settings"]["budget"] == 8 and started["seed"] == "7" and started["fps"] == 16
    assert [message["kind"] for message in rounds] == ["round"] * 4 and ended["reason"] == "finished"
    assert [message["prompt"] for message in rounds] == ["a", "a", "b", "b"]
    for message in rounds:
        counts = {len(frames) for frames in message["frames"]}
        assert len(message["frames"]) == len(message["laps"]) == 2 and len(counts) == 1
        assert all(lap["seconds"] > 0 and lap["total"] >= lap["seconds"] for lap in message["laps"])
        assert message["laps"][0]["drift"] is None and message["leader"] is None
    assert rounds[3]["laps"][0]["bytes"] < rounds[3]["laps"][1]["bytes"] and rounds[3]["laps"][0]["sink"] > 0
    assert imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "race.mp4"))[0] == 45


def test_a_race_can_be_stopped_and_leaves_what_was_made(pipeline, tmp_path):
    sessions, kept = Sessions(pipeline), tmp_path / "race.mp4"
    for message, files in sessions.play("a", order(frames=1000)):
        if run := sessions.get("a"):
            run.report(10**6, True)
        if message.get("index") == 2:
            sessions.close("a")
        if message["kind"] == "ended":
            kept.write_bytes(files.video.read_bytes())
    assert message["reason"] == "stopped" and sessions.get("a") is None
    assert imageio_ffmpeg.count_frames_and_secs(str(kept))[0] >= 33


def test_a_race_that_cannot_be_written_is_told_once_and_goes_on(pipeline, tmp_path, monkeypatch):
    def full(self, one):
        raise OSError("No space left on device")

    monkeypatch.setattr("ui.race.run.RaceVideo.write", full)
    messages = play(pipeline, order(), tmp_path / "race.mp4")
    assert [m["text"] for m in messages if m["kind"] == "notice"] == [
        "The video file cannot be written any further: No space left on device"
    ]
    assert messages[-1]["reason"] == "finished" and not (tmp_path / "race.mp4").exists()


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        (order(" "), PromptError, "empty"),
        (order(runners=RUNNERS[:1]), SettingsError, "2 to 4 runners, not 1"),
        (order(runners=(RUNNERS[0], Runner("b", DeepForcing(recent=2)))), SettingsError, "shorter than the chunk"),
    ],
)
def test_orders_that_cannot_work_are_refused(pipeline, asked, error, words):
    with pytest.raises(error, match=words):
        list(Sessions(pipeline).play("a", asked))


def test_the_form_says_what_is_wrong_and_cannot_start_then(pipeline):
    tab: RaceTab = App(pipeline).page.race

    def look(prompt="a", later="[]", runners=OPENING, seed="7"):
        note, button = tab.look(prompt, later, list(runners), seed)
        return note if "problem" in note else "", button["interactive"]

    assert look() == ("", True)
    for _, runner in choices():
        assert look(runners=[*{"deep-sink sink=4", runner}])[1]
    wrong = {
        "2 to 4 runners, not 1": {"runners": OPENING[:1]},
        "2 to 4 runners, not 0": {"runners": []},
        "unknown policy &#x27;&lt;b&gt;&#x27;": {"runners": ["<b>", *OPENING]},
        "The seed is empty": {"seed": ""},
        "a time is written as": {"later": '[{"at": "soon", "prompt": "b"}]'},
    }
    for words, asked in wrong.items():
        note, may_start = look(**asked)
        assert words in note and not may_start


def test_every_length_is_long_enough_for_somebody_to_be_ahead():
    assert all(seconds >= 15 for seconds in LENGTHS.values())


def test_every_policy_has_a_plain_name_of_its_own_and_its_setting_in_small_print():
    names = [name for name, _ in choices()]
    assert len(set(names)) == len(names) and set(POLICIES) <= {words for _, words in choices()}
    for name, words in choices():
        runner = named_runner(words)
        assert runner.label == name != words and runner.words == words
    assert named_runner("deep-sink sink=4").label == "deep-sink sink=4"


def test_a_change_half_way_is_another_prompt_at_the_same_second_for_all():
    for prompt in EXAMPLES:
        (row,) = json.loads(change_half_way(prompt))
        assert row["at"] == CHANGE_AT and row["prompt"] != prompt
