import json
import math

import pytest

from deepforcing import Gauges, Jump
from ui.drift.gauges import A_LITTLE, AS_AT_START, GAUGES, MUCH, TOO_EARLY, gauges_message, panel, symptoms

GOOD = Gauges((0, 81), 0.01, 1.02, 1.01, 0.98, 0.9, 0.4, 0.9, (), None, 0.001)
BY_NAME = {gauge.name: gauge for gauge in GAUGES}


def message(**changes) -> dict:
    return gauges_message(Gauges(**{**vars(GOOD), **changes}), 16)


@pytest.mark.parametrize("gauge", GAUGES, ids=BY_NAME)
def test_every_number_has_words_and_a_level(gauge):
    assert gauge.name in vars(GOOD) and gauge.bands[-1].until == math.inf
    limits = [band.until for band in gauge.bands]
    assert limits == sorted(limits)
    low, high = gauge.normal
    assert gauge.axis[0] <= low < high <= gauge.axis[1]
    for value in (-1.0, 0.0, low, (low + high) / 2, high, 10.0, 2000.0):
        assert gauge.read(value)["words"] != TOO_EARLY
    assert gauge.read((low + high) / 2)["level"] == AS_AT_START


def test_words_follow_the_numbers():
    said = {name: reading["words"] for name, reading in message()["readings"].items()}
    assert said == {
        "colour_drift": "as at the start",
        "sharpness": "as at the start",
        "saturation": "as at the start",
        "motion": "as at the start",
        "chunk_jump": "chunks join smoothly",
        "sink_reset": "unlike the first frames",
        "scenery": "as at the start",
        "old_scene": "no change of prompt yet",
    }
    assert message(colour_drift=0.1)["readings"]["colour_drift"] == {
        "value": 0.1,
        "shown": "10 %",
        "level": A_LITTLE,
        "words": "shifted a little",
    }
    assert message(chunk_jump=2.04)["readings"]["chunk_jump"]["shown"] == "× 2.0"
    assert message(chunk_jump=2.04)["readings"]["chunk_jump"]["words"] == "a jump at every chunk"


def test_without_meaning_a_gauge_says_so_and_stays_plain_json():
    sent = message(start=None, colour_drift=math.nan, chunk_jump=math.nan)
    assert sent["start"] is None and sent["readings"]["colour_drift"]["words"] == TOO_EARLY
    assert sent["readings"]["colour_drift"]["value"] is None
    assert json.loads(json.dumps(sent, allow_nan=False)) == sent


def test_a_likeness_is_a_return_only_after_a_jump():
    assert message(sink_reset=0.97)["readings"]["sink_reset"]["level"] == A_LITTLE
    back = message(sink_reset=0.97, reset_at=480)["readings"]["sink_reset"]
    assert back["level"] == MUCH and back["shown"] == "97 %" and "jumped back" in back["words"]


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({}, []),
        ({"chunk_jump": 1.8}, ["flicker at chunk borders"]),
        ({"motion": 0.1}, ["freeze"]),
        ({"saturation": 1.5}, ["burnt colours"]),
        ({"saturation": 0.5, "sharpness": 0.5}, ["blur", "washed-out colours"]),
        ({"sharpness": 1.6}, ["burnt edges"]),
        ({"colour_drift": 0.3}, ["colours far from the start"]),
        ({"sink_reset": 0.97}, []),
        ({"sink_reset": 0.97, "reset_at": 480}, ["roll-back"]),
        ({"old_scene": 0.3}, []),
        ({"old_scene": 0.4}, ["roll-back"]),
        ({"old_scene": 0.4, "reset_at": 480}, ["roll-back"]),
    ],
)
def test_symptoms_have_names(change, names):
    assert symptoms(Gauges(**{**vars(GOOD), **change})) == names


def test_a_line_says_which_symptoms_are_seen():
    assert message()["symptom"] == "No symptom seen here."
    assert message(motion=0.1)["symptom"] == "Symptom seen: freeze."
    assert message(motion=0.1, reset_at=480)["symptom"] == "Symptoms seen: freeze, roll-back."
    early = message(start=None, **dict.fromkeys(BY_NAME, math.nan))
    assert early["symptom"] == "Symptoms show after the first five seconds."


def test_marks_say_what_happened_when():
    sent = message(jumps=(Jump(496, 3.46, 0.91), Jump(600, 5, math.nan)))["marks"]
    assert [mark["frame"] for mark in sent] == [496, 600] and [mark["kind"] for mark in sent] == ["reset", "jump"]
    assert sent[0]["words"].startswith("sink reset at 31.0 s")
    assert sent[1]["words"] == "jump at 37.5 s: 5.0 times the usual change"


def test_the_page_learns_of_every_gauge():
    assert [gauge["name"] for gauge in panel()] == list(BY_NAME)
    json.dumps(panel(), allow_nan=False)
