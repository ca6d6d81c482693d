"""Prompts with times: validated, read, written, and switched at chunk borders."""

import json

import pytest
from conftest import small_pipeline

from deepforcing.config import SettingsError
from deepforcing.events import Chunk
from deepforcing.pipeline import generate_long_video
from deepforcing.prompt import PromptError
from deepforcing.stream import VideoStream
from deepforcing.timeline import Timeline, read_time, show_time

THREE = Timeline(((0, " a red balloon "), (10.0, "a blue kite"), (20.5, "a green fish")))


def test_a_prompt_is_text_whatever_is_typed():
    assert Timeline.of("\ud83c\udf88 caf\udce9\0 ").prompts == ("🎈 caf�",)
    with pytest.raises(PromptError, match="empty"):
        Timeline.of(" \0 ")


def test_the_latest_prompt_that_has_begun_holds():
    shown = [THREE.at(seconds) for seconds in (0, 9.999, 10, 20.4, 20.5, 1e6)]
    balloon, kite, fish = "a red balloon", "a blue kite", "a green fish"
    assert shown == [balloon, balloon, kite, kite, fish, fish]


@pytest.mark.parametrize(
    ("entries", "error", "message"),
    [
        ((), SettingsError, "at least one prompt"),
        (((5, "a"),), SettingsError, "first prompt must be at 0 seconds, not at 0:05"),
        (((0, "a"), (70, "b"), (65.5, "c")), SettingsError, "out of order: 1:05.5 comes after 1:10"),
        (((0, "a"), (5, "b"), (5, "c")), SettingsError, "two prompts are at 0:05"),
        (((0, "a"), (-1, "b")), SettingsError, "0 or more, not -1"),
        (((0, "a"), (float("nan"), "b")), SettingsError, "0 or more, not nan"),
        (((0, "a"), (float("inf"), "b")), SettingsError, "0 or more, not inf"),
        (((0, "a"), (True, "b")), SettingsError, "0 or more, not True"),
        (((0, "a"), ("5", "b")), SettingsError, "0 or more, not '5'"),
        (((0, "a"), (5, "  ")), PromptError, "^At 0:05: The prompt is empty"),
        (((0, "a" * 3000),), PromptError, "^The prompt has 3,000 characters"),
    ],
)
def test_what_cannot_be_is_said(entries, error, message):
    with pytest.raises(error, match=message):
        Timeline(entries)


def test_data_goes_through_json_and_back():
    data = json.loads(json.dumps(THREE.as_data()))
    assert data[1] == {"seconds": 10.0, "prompt": "a blue kite"} and Timeline.from_data(data) == THREE


@pytest.mark.parametrize(
    "data",
    [
        None,
        "a red balloon",
        {"seconds": 0, "prompt": "a"},
        ["a"],
        [{"seconds": 0}],
        [{"seconds": 0, "prompt": 7}],
        [{"seconds": 0, "prompt": "a", "more": 1}],
    ],
)
def test_other_data_is_refused(data):
    with pytest.raises(SettingsError, match="a timeline is a list of"):
        Timeline.from_data(data)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("10", 10), ("10s", 10), (" 2.5S ", 2.5), ("90s", 90), ("0", 0)),
        *(("1m30s", 90), ("1m30", 90), ("2m", 120), ("1h", 3600)),
        *(("0:10", 10), ("1:02.5", 62.5), ("1:02:03", 3723), ("75:00", 4500)),
    ],
)
def test_times_are_read(text, seconds):
    assert read_time(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "s", "-3", "nan", "1:60", "1:75:00", "1:2:3:4", "ten", "1s30m", "٣", "9" * 400, "1e3"]
)
def test_what_is_no_time_is_said(text):
    with pytest.raises(SettingsError, match="time"):
        read_time(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (9, "0:09"), (10, "0:10"), (62.5, "1:02.5"), (4500, "75:00")]
)
def test_times_are_shown_as_they_are_read(seconds, text):
    assert show_time(seconds) == text and read_time(text) == seconds


def test_an_interruption_holds_until_the_next_entry():
    changed = THREE.interrupted(4, "a pink star")
    assert [changed.at(t) for t in (3, 4, 9, 10)] == ["a red balloon", "a pink star", "a pink star", "a blue kite"]
    assert THREE.interrupted(10, "a pink star").prompts == ("a red balloon", "a pink star", "a green fish")


def test_a_prompt_holds_from_the_first_chunk_that_begins_at_or_after_its_time():
    timeline = Timeline(((0, "a"), (33 / 16, "b"), (3, "c"), (4, "d")))
    chunks = list(generate_long_video(small_pipeline(), timeline, num_frames=93))
    assert [chunk.first_frame for chunk in chunks] == [0, 9, 21, 33, 45, 57, 69, 81]
    assert [chunk.prompt for chunk in chunks] == ["a", "a", "a", "b", "b", "c", "d", "d"]


def test_a_stream_follows_its_timeline_and_takes_interruptions():
    with VideoStream(small_pipeline(), Timeline(((0, "a"), (2, "b"))), num_frames=93, max_queued=0) as stream:
        started, first = stream.get(60), stream.get(60)
        stream.change_prompt("now")
        prompts = [event.prompt for event in stream if isinstance(event, Chunk)]
    assert started.prompt == first.prompt == "a"
    begun = prompts.count("a")
    assert begun <= 1 and prompts == ["a"] * begun + ["now"] * (2 - begun) + ["b"] * 5
