"""What a run does unlike the paper is said in words, and can be mended."""

from dataclasses import replace

import pytest
from conftest import small_pipeline

from deepforcing import POLICIES, DeepForcing, DeepSink, choices_of, make_policy, settings_of
from deepforcing.pipeline import started_event
from ui.app import App
from ui.player.messages import started_message
from ui.settings.breaks import BREAKS, broken, broken_line, mended

STARTED = started_event(small_pipeline(), "a", DeepForcing(), 7)


def said(policy) -> list[str]:
    return broken(policy.name, settings_of(policy))


@pytest.mark.parametrize("policy", [*(make() for make in POLICIES.values()), DeepForcing(phase="contiguous", sink=11)])
def test_no_policy_is_broken_as_it_comes(policy):
    assert said(policy) == []


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (DeepForcing(phase="none"), "the sink stays where it was in time"),
        (DeepSink(phase="none"), "the sink stays where it was in time"),
        (DeepSink(sink=18), "a sink of 18 frames is too large"),
        (DeepForcing(sink=1), "a sink of 1 frame is too small"),
        (DeepForcing(sink=0), "no frame is kept for ever"),
        (DeepForcing(window=24), "attention reaches 24 frames, not 21"),
        (DeepForcing(budget=20), "a compression leaves 20 frames, not 16"),
        (DeepForcing(recent=5), "5 recent frames are safe, not 4"),
        (DeepForcing(score="random"), "chance says what is kept"),
        (DeepForcing(unit="frame"), "whole frames compete, not tokens"),
        (DeepForcing(heads="separate"), "every head keeps its own tokens"),
        (DeepForcing(queries="current"), "only the noisy frames choose what is kept"),
    ],
)
def test_each_break_has_its_words_and_can_be_mended(policy, words):
    assert said(policy) == [words]
    put_right = make_policy(policy.name, **mended(policy.name, settings_of(policy)))
    assert said(put_right) == [] and put_right == type(policy)()


def test_every_word_of_every_setting_is_known():
    for b in BREAKS:
        for word in choices_of(DeepForcing, b.setting):
            sound = word == b.paper or (b.setting, word) == ("phase", "contiguous")
            assert (b.words(word) is None) == sound, word


def test_a_line_names_all_that_is_broken():
    assert broken_line(STARTED) == "Nothing is broken."
    two = replace(STARTED, settings={**STARTED.settings, "phase": "none", "sink": 4}, stale_prompt=True)
    words = "Unlike the paper: the sink stays where it was in time; a sink of 4 frames is too small; "
    assert broken_line(two) == started_message(two)["broken"] == words + "the model is not told of a new prompt."
    assert broken_line(replace(STARTED, policy="self-forcing", settings={"window": 9})) == ""


def test_settings_from_a_file_may_be_anything():
    strange = {"phase": ["none"], "sink": "<b>", "window": 2.5, "unit": {"a": 1}, "budget": True, "score": "loudest"}
    assert broken("deep-forcing", strange) == [] and broken("deep-forcing", {}) == []


def test_mending_leaves_what_is_not_broken():
    opened = DeepForcing(phase="none", sink=13, budget=20, max_reuse=3)
    assert mended("deep-forcing", settings_of(opened)) == settings_of(DeepForcing(max_reuse=3))
    assert mended("h2o", {"phase": "none"}) == {"phase": "none"}


def test_the_page_mends_a_policys_knobs_and_the_prompt(pipeline):
    app = App(pipeline, DeepForcing(phase="none", max_reuse=3))
    stale, *updates = app.mend("deep-forcing")
    values = {name: update["value"] for name, update in zip(app.page.settings, updates, strict=True)}
    assert stale is False and values == settings_of(DeepForcing(max_reuse=3))
    _, *updates = app.mend("deep-sink")
    shown = {name: u.get("value") for name, u in zip(app.page.settings, updates, strict=True) if u["visible"]}
    assert shown == settings_of(DeepSink())


def test_every_knob_asks_a_question(pipeline):
    page = App(pipeline).page
    assert set(page.settings) == set(settings_of(DeepForcing()))
    for knob in (*page.settings.values(), page.stale):
        assert knob.info.startswith("What if ") and knob.info.count("?") == 1
