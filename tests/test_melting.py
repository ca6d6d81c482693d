"""Prompts that melt into each other, and prompts with weights."""

import json

import numpy as np
import pytest
import torch
from conftest import WordHash, small_pipeline
from test_command_line import folder, metadata  # noqa: F401

from deepforcing import (
    DeepForcing,
    DriftMeter,
    Past,
    PromptError,
    SettingsError,
    Timeline,
    generate_long_video,
    make_policy,
    read_trace,
)
from deepforcing.__main__ import main
from deepforcing.blend import Blend, leading, melts_into, prompts_in
from deepforcing.mixing import mix
from deepforcing.pipeline import started_event
from deepforcing.race import Runner, race, read_runner
from deepforcing.timeline import read_span

BALLOON, KITE = "a red balloon", "a blue kite"
HALF = f"{BALLOON} (50%) + {KITE} (50%)"
MELT = Timeline(((0.0, BALLOON), (1.0, KITE)), (0.0, 3.0))


def made(prompt, pipeline=None, chunks=8, **more):
    frames = 9 + 12 * (chunks - 1)
    pipeline = pipeline or small_pipeline()
    return list(generate_long_video(pipeline, prompt, num_frames=frames, seed=3, **more))


def test_a_blend_is_read_as_it_is_written():
    blend = Blend(((BALLOON, 3), (KITE, 1)), "spherical")
    assert blend.text == "a red balloon (75%) ~ a blue kite (25%)" and Blend.read(blend.text).text == blend.text
    third = Blend(((BALLOON, 1), (KITE, 1), ("a fish", 1)))
    assert third.text == "a red balloon (33.33%) + a blue kite (33.33%) + a fish (33.33%)"
    assert Blend.read(third.text).weights == pytest.approx((1 / 3,) * 3)


@pytest.mark.parametrize(
    "text",
    ["a balloon", "a balloon (50%)", "a sale (50%) + more", "1 + 1", "a (0%) + b (5%)", "a (5%) + b (5%) ~ c (5%)"],
)
def test_what_is_one_prompt_stays_one(text):
    assert Blend.read(text) is None and prompts_in(text) == (text,) and leading(text) == text


def test_what_leads_is_what_has_most_weight_and_at_half_what_comes():
    assert leading(f"{BALLOON} (51%) + {KITE} (49%)") == BALLOON and leading(HALF) == KITE
    assert melts_into(BALLOON, HALF) and melts_into(HALF, KITE) and not melts_into(BALLOON, KITE)
    assert not melts_into(HALF, "a fish") and not melts_into(BALLOON, BALLOON)


def test_a_long_blend_is_as_good_as_its_prompts():
    assert small_pipeline().encode(f"{'a' * 2000} (50%) + {'b' * 2000} (50%)")
    with pytest.raises(PromptError, match="2,001 characters"):
        small_pipeline().encode(f"{'a' * 2001} (50%) + b (50%)")


def test_embeddings_are_mixed_in_proportion():
    one, other = WordHash().encode([BALLOON, KITE]).split(1)
    mixed = small_pipeline().encode(f"{BALLOON} (75%) + {KITE} (25%)").embeds
    torch.testing.assert_close(mixed, 0.75 * one + 0.25 * other)
    three = mix([one, other, one * 2], (0.2, 0.5, 0.3), "linear")
    torch.testing.assert_close(three, 0.8 * one + 0.5 * other)


def test_a_sphere_keeps_length_and_goes_evenly():
    one, other = torch.tensor([[[1.0, 0, 0], [0, 0, 0]]]), torch.tensor([[[0.0, 3, 0], [0, 2, 0]]])
    third = mix([one, other], (2 / 3, 1 / 3), "spherical")
    length = 2 / 3 + 1
    torch.testing.assert_close(third[0, 0], length * torch.tensor([np.cos(np.pi / 6), 0.5, 0]).float())
    torch.testing.assert_close(third[0, 1], torch.tensor([0, 2 / 3, 0]))  # a row of padding has no direction
    torch.testing.assert_close(mix([one, one], (0.5, 0.5), "spherical"), one)


def test_shorter_prompts_are_padded_with_rows_of_zeros():
    mixed = mix([torch.ones(1, 2, 4), torch.ones(1, 3, 4)], (0.5, 0.5), "linear")
    assert mixed[0, :, 0].tolist() == [1, 1, 0.5]


def test_a_timeline_melts_by_the_time_of_each_chunk():
    assert MELT.at(0.99) == MELT.at(1.0) == BALLOON and MELT.at(4.0) == MELT.at(99) == KITE
    assert MELT.at(2.5) == HALF and MELT.at(1.75) == f"{BALLOON} (75%) + {KITE} (25%)"
    assert [chunk.prompt for chunk in made(MELT)][:2] == [BALLOON, BALLOON]
    assert len({chunk.prompt for chunk in made(MELT)}) == 6


def test_a_blend_may_melt_too():
    timeline = Timeline(((0, f"{BALLOON} (80%) + a fish (20%)"), (2, KITE)), (0, 2), "spherical")
    assert timeline.at(3) == f"{BALLOON} (40%) ~ a fish (10%) ~ {KITE} (50%)"


def test_a_melt_goes_through_json_and_an_interruption():
    timeline = Timeline((*MELT.entries, (9, "a fish")), (0, 3, 2), "spherical")
    assert Timeline.from_data(json.loads(json.dumps(timeline.as_data()))) == timeline
    assert MELT.as_data()[1] == {"seconds": 1.0, "prompt": KITE, "melts": 3.0, "way": "linear"}
    assert "melts" not in MELT.as_data()[0]
    changed = timeline.interrupted(2.5, "a star")
    assert changed.at(2.5) == "a star" and changed.at(10) == "a star (50%) ~ a fish (50%)"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"melts": (1, 1)}, "there is none before it"),
        ({"melts": (0,)}, "2 prompts need 2 times for which they melt in"),
        ({"melts": (0, -1)}, "0 or more, not -1"),
        ({"way": "straight"}, "melt along one of linear, spherical, not 'straight'"),
    ],
)
def test_what_cannot_melt_is_said(given, message):
    with pytest.raises(SettingsError, match=message):
        Timeline(MELT.entries, **given)


def test_a_melt_is_neither_a_cut_nor_the_old_prompt_and_leaves_the_cache_alone():
    policy = make_policy("infinity-rope", window=9)
    cut, old, melt = (made(p, policy=policy) for p in (Timeline(MELT.entries), BALLOON, MELT))
    assert len(cut[2].cache.frames) < len(old[3].cache.frames)  # flushed
    assert [len(c.cache.frames) for c in melt] == [len(c.cache.frames) for c in old]
    assert not np.array_equal(melt[-1].latents, old[-1].latents)
    for switch in ("reencode", "sink"):
        assert np.array_equal(melt[-1].latents, made(MELT, policy=policy, switch=switch)[-1].latents)


def test_going_on_in_the_middle_of_a_melt_is_right():
    pipeline, policy = small_pipeline(), DeepForcing(window=9, sink=3, budget=8, recent=4)
    whole = made(MELT, pipeline, policy=policy)
    on = made(MELT, pipeline, policy=policy, past=Past.of(whole[:4]))
    assert whole[3].prompt.endswith("%)") and [c.prompt for c in on] == [c.prompt for c in whole]
    assert all(np.array_equal(a.latents, b.latents) for a, b in zip(whole, on, strict=True))


def test_gauges_see_one_change_of_prompt():
    pipeline = small_pipeline()
    chunks = made(Timeline(((0, BALLOON), (7, KITE)), (0, 3)), pipeline, chunks=20)
    meter = DriftMeter.of(started_event(pipeline, BALLOON, DeepForcing(), 3))
    starts = []
    for chunk in chunks:
        meter.add(chunk)
        starts.append(meter._settled)
    assert len(set(starts)) == 2, "by the prompt that leads"


@pytest.mark.parametrize(
    ("text", "span"), [("10s", (10, 0)), ("10s..14s", (10, 4)), ("0:10..1m", (10, 50)), (" 1..2.5 ", (1, 1.5))]
)
def test_spans_are_read(text, span):
    assert read_span(text) == span


@pytest.mark.parametrize("text", ["14s..10s", "10s..10s", "10s..", "..10s", "1..2..3"])
def test_what_is_no_span_is_said(text):
    with pytest.raises(SettingsError, match="time"):
        read_span(text)


def test_a_command_melts_and_its_files_keep_that(folder, tmp_path, capsys):  # noqa: F811
    video, trace, on = (tmp_path / name for name in ("run.mp4", "run.trace", "on.mp4"))
    small = ["--model", str(folder), "--policy", "self-forcing", "--window", "6"]
    words = ["a red balloon", "--at", "0.5s..2.5s", "a blue kite", "--seconds", "3", "--melt", "spherical"]
    assert main(["generate", *words, *small, "-o", str(video), "--trace", str(trace)]) == 0
    kept = Timeline.from_data(json.loads(metadata(video, "prompts")))
    assert kept == Timeline(((0, BALLOON), (0.5, KITE)), (0, 2), "spherical")
    prompts = [prompt for _, prompt in read_trace(trace).prompts]
    assert prompts[0] == BALLOON and prompts[-1] == KITE and f" ~ {KITE} (" in prompts[1] and len(prompts) > 3
    begun = ["--from", str(trace), "--after", "1.5s", "--at", "2s..2.8s", "a red balloon"]
    assert main(["generate", "a blue kite", *small, *begun, "--seconds", "3", "-o", str(on)]) == 0
    again = json.loads(metadata(on, "prompts"))
    assert again[-1] == {"seconds": 2.0, "prompt": BALLOON, "melts": pytest.approx(0.8), "way": "linear"}
    assert any("%" in entry["prompt"] for entry in again[:-1])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--at", "5s..9s", KITE, "--at", "8s", "a fish"], "melts in until 0:09, past the next at 0:08"),
        (["--at", "9s..5s", KITE], "from a time to a later one"),
        (["--at", "5s..6s", KITE, "--melt", "along"], "melt along one of linear, spherical"),
    ],
)
def test_a_command_that_cannot_melt_ends_in_one_line(more, message, tmp_path, capsys):
    assert main(["generate", BALLOON, *more, "-o", str(tmp_path / "out.mp4")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line


def test_a_melt_is_raced_against_a_cut():
    pipeline = small_pipeline()
    policy = DeepForcing(window=9, sink=3, budget=8, recent=4)
    runners = [Runner("cut", policy), Runner("melt", policy, melt=3.0)]
    rounds = list(race(pipeline, Timeline(MELT.entries), runners, seed=3, num_frames=93))
    cut, melt = ([one.laps[number].chunk for one in rounds] for number in range(2))
    alone = Timeline(((0, BALLOON), (pipeline.starts(2), KITE)), (0, 3))  # from the first chunk on that has it
    assert [chunk.prompt for chunk in cut] == [BALLOON] * 2 + [KITE] * 6
    assert [chunk.prompt for chunk in melt] == [chunk.prompt for chunk in made(alone, pipeline, policy=policy)]
    assert all(
        np.array_equal(a.frames, b.frames) for a, b in zip(melt, made(alone, pipeline, policy=policy), strict=True)
    )


def test_a_runner_that_melts_is_read_and_told():
    runner = read_runner("deep-forcing melt=4s")
    assert (runner.melt, runner.words, runner.settings["melt"]) == (4, "deep-forcing melt=4", 4)
    assert read_runner(runner.words).melt == 4 and "melt" not in read_runner("deep-forcing").settings
    for wrong in ("melt=soon", "melt=90"):
        with pytest.raises(SettingsError, match=r"time|0 to 60 seconds"):
            read_runner(f"deep-forcing {wrong}")
