"""A race: the same noise for all, no runner in another's way, numbers as measured, one rule for who is ahead."""

import math
import re
import threading
import time

import imageio_ffmpeg
import numpy as np
import pytest
from conftest import small_pipeline, soon

from deepforcing import (
    POLICIES,
    DeepForcing,
    SettingsError,
    SlidingWindow,
    Timeline,
    VideoShape,
    generate_long_video,
    load_pipeline,
)
from deepforcing.evaluation.scenery import Scene
from deepforcing.evaluation.statistics import difference
from deepforcing.evaluation.table import Table
from deepforcing.events import StreamEnded
from deepforcing.gauges import DriftMeter
from deepforcing.prompt import PromptError
from deepforcing.race import RaceStarted, RaceStream, Round, Runner, Standing, judge, race, read_runner
from deepforcing.race.noise import evidence_noise
from deepforcing.race.table import table
from deepforcing.race.verdict import SCENERY, WAY_BACK, Judge
from deepforcing.race.video import RaceVideo

pytestmark = pytest.mark.timeout(120)  # a stop that does not stop fails
WAIT = 60  # seconds, far more than any of this takes
SHORT = DeepForcing(window=9, sink=3, budget=8, recent=4)
TWO = (Runner("deep", SHORT), Runner("window", SlidingWindow(window=9)))


def threads():
    return [t for t in threading.enumerate() if t.name.startswith("deepforcing")]


@pytest.fixture(autouse=True)
def nothing_is_left_running():
    yield
    deadline = time.monotonic() + WAIT
    while threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not threads()


def video(rounds, runner):
    return np.concatenate([one.laps[runner].chunk.frames for one in rounds])


def test_runners_share_prompt_seed_and_noise_and_do_not_mix():
    rounds = list(race(small_pipeline(), "a b", TWO, seed=3, num_frames=100))
    assert [one.index for one in rounds] == list(range(9)) and len(rounds[-1].laps[0].chunk.frames) == 7
    assert np.array_equal(video(rounds[:3], 0), video(rounds[:3], 1)), "as long as nothing was dropped, all are equal"
    for number, runner in enumerate(TWO):
        alone = generate_long_video(small_pipeline(), "a b", num_frames=100, policy=runner.policy, seed=3)
        assert np.array_equal(video(rounds, number), np.concatenate([chunk.frames for chunk in alone]))


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_can_be_entered(name):
    other = "self-forcing" if name == "deep-forcing" else "deep-forcing"
    rounds = list(race(small_pipeline(), "a", [read_runner(name), read_runner(other)], num_frames=105))
    assert len(rounds) == 9 and all(lap.standing.cache_bytes > 0 for lap in rounds[-1].laps)


def test_a_new_prompt_comes_to_all_in_the_same_round_and_switches_can_be_raced():
    asked = []
    prompts = lambda index: asked.append(index) or ("a" if index < 4 else "b c")  # noqa: E731
    runners = [Runner(switch, SHORT, switch) for switch in ("keep", "reencode", "sink")]
    rounds = list(race(small_pipeline(), prompts, runners, num_frames=69))
    assert asked == list(range(6))
    assert [{lap.chunk.prompt for lap in one.laps} for one in rounds] == [{"a"}] * 4 + [{"b c"}] * 2
    before, after = ([video(part, runner) for runner in range(3)] for part in (rounds[:4], rounds[4:]))
    assert all(np.array_equal(before[0], other) for other in before[1:])
    assert not any(np.array_equal(after[i], after[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


def test_the_numbers_are_those_of_the_gauges_the_probe_and_the_clock():
    pipeline = small_pipeline()
    rounds = list(race(pipeline, "a", TWO, num_frames=180))
    meter, total = DriftMeter(pipeline.shape, pipeline.chunk_frames), 0.0
    for one in rounds:
        lap = one.laps[0]
        gauges, total = meter.add(lap.chunk), total + lap.seconds
        assert np.array_equal(
            [lap.standing.drift, lap.standing.motion, lap.standing.scenery],
            [gauges.colour_drift, gauges.motion, gauges.scenery],
            True,
        )
        assert lap.standing.sink_mass == lap.chunk.attention.sink and lap.standing.cache_bytes == lap.chunk.cache.bytes
        assert lap.seconds >= lap.chunk.timings.dit + lap.chunk.timings.decode
        assert lap.total_seconds == pytest.approx(total) and lap.fps == len(lap.chunk.frames) / lap.seconds
    assert lap.total_fps == pytest.approx(180 / total)
    assert math.isnan(rounds[0].laps[0].standing.drift) and not math.isnan(lap.standing.drift)
    assert rounds[0].leader is None and "five seconds" in rounds[0].verdict.words


def test_without_a_probe_there_is_no_sink_mass():
    one = next(race(small_pipeline(), "a", TWO, probe=False))
    assert all(math.isnan(lap.standing.sink_mass) for lap in one.laps)


def standings(*pairs, measure="scenery"):
    rest = {"scenery": 0.5, "way_back": 0.5, "drift": 0.0, "sink_mass": 0.2, "cache_bytes": 1000}
    return [Standing(**{**rest, measure: value, "motion": motion}) for value, motion in pairs]


@pytest.mark.parametrize(
    ("pairs", "ahead", "words"),
    [
        (
            ((0.3, 1.0), (0.9, 1.0), (0.5, 1.0)),
            1,
            "Ahead: “b”; of its first scenery it keeps 0.90, against 0.30 of “a”",
        ),
        (((0.3, 1.0), (1.0, 0.49)), 0, "Ahead: “a”"),  # a frozen video keeps its scenery, and does not win by that
        (((0.9, 0.5), (0.4, 2.0)), 0, "Ahead: “a”"),
        (((0.9, 0.2), (0.1, 0.1)), None, "no runner moves"),
        (
            ((0.5, 1.0), (0.75, 1.0), (0.1, 1.0)),
            None,
            "Too close to call: the best two differ by 0.25",
        ),
        (((0.5, 1.0), (0.76, 1.0), (0.1, 1.0)), 1, "Ahead: “b”"),
        (((0.9, 1.0), (0.8, 0.1), (0.1, 1.0)), 0, "Ahead: “a”"),  # no tie with one that does not move
        (((math.nan, math.nan), (0.1, 1.0)), None, "Nobody is ahead yet"),
        (((0.9, 1.0), (0.1, math.nan)), None, "Nobody is ahead yet"),  # soon after a new prompt
    ],
)
def test_who_is_ahead_follows_the_rule(pairs, ahead, words):
    verdict = judge(SCENERY, standings(*pairs), "abc"[: len(pairs)], 0.25)
    assert verdict.leader == ahead and words in verdict.words


def test_after_a_change_of_prompt_less_of_the_way_back_is_better():
    verdict = judge(WAY_BACK, standings((0.6, 1.0), (0.1, 1.0), measure="way_back"), "ab", 0.2)
    assert verdict.leader == 1 and "0.10 of the way back" in verdict.words


def test_without_a_known_noise_nobody_is_called_ahead():
    verdict = judge(SCENERY, standings((0.1, 1.0), (0.9, 1.0)), "ab", math.nan)
    assert verdict.leader is None and "cannot tell" in verdict.words


def judged(prompts, weights, end=40):
    """The last verdict of a race of prompts, each five seconds long, in which one runner leads by far in everything."""
    judge = Judge("ab", weights, fps=1)
    field = [Standing(value, 1 - value, 0.0, 1.0, 0.2, 1) for value in (0.0, 1.0)]
    for index, prompt in enumerate(prompts):
        verdict = judge.verdict(prompt, 5 * index, 5 * index + 5, field)
    return verdict


def test_the_measure_is_scenery_until_the_prompt_changes_and_the_way_back_from_then_on():
    weights = load_pipeline("tiny").weights
    one = judged(["a red star"] * 3, weights)
    assert one.measure is SCENERY and one.leader == 1 and one.noise == evidence_noise("scenery", weights).at(15)
    two = judged(["a red star"] * 3 + ["a blue kite"] * 2, weights)
    assert two.measure is WAY_BACK and two.leader == 1 and two.noise == evidence_noise("way_back", weights).at(10)


@pytest.mark.parametrize(
    ("prompt", "weights"), [("a red star, camera panning left", None), ("a red star", "of another model")]
)
def test_the_race_cannot_tell_what_the_evidence_has_not_measured(prompt, weights):
    verdict = judged([prompt] * 4, weights or load_pipeline("tiny").weights)
    assert verdict.leader is None and "cannot tell" in verdict.words


def test_noise_is_half_the_widest_interval_of_a_difference_in_the_evidence(tmp_path):
    rows = [
        Scene(policy, prompt, 0, second, value * (second > 0), 0.3)
        for policy, values in (("a", (0.1, 0.2, 0.3)), ("b", (0.1, 0.2, 0.4)), ("c", (0.9, 0.5, 0.1)))
        for prompt, value in enumerate(values)
        for second in (0, 5)
    ]
    Table(tmp_path / "scenery.csv", Scene).write(rows)
    (tmp_path / "settings.json").write_text('{"weights": "w"}')
    noise = evidence_noise("scenery", "w", tmp_path)
    widest = difference(*({(i, 0): v for i, v in enumerate(x)} for x in ((0.1, 0.2, 0.4), (0.9, 0.5, 0.1))))
    assert noise.halves == ((5, pytest.approx((widest.high - widest.low) / 2)),), "of a beginning there is none"
    assert noise.at(7.5) == noise.at(10) == noise.at(600) == noise.halves[0][1] and math.isnan(noise.at(5))
    assert math.isnan(evidence_noise("scenery", "another", tmp_path).at(10))
    assert math.isnan(evidence_noise("scenery", "w", tmp_path / "nowhere").at(10))


def test_a_runner_is_read_from_its_words():
    runner = read_runner(" deep-forcing  phase=none max_reuse=0 switch=sink ")
    assert runner == Runner(
        "deep-forcing phase=none max_reuse=0 switch=sink", DeepForcing(phase="none", max_reuse=0), "sink"
    )
    assert runner.settings["policy"] == "deep-forcing" and runner.settings["switch"] == "sink"
    assert read_runner("self-forcing", "reencode").switch == "reencode"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "unknown policy ''"),
        ("magic", "unknown policy 'magic'"),
        ("self-forcing sink=3", "self-forcing has no setting 'sink'"),
        ("deep-forcing phase", "NAME=VALUE, not 'phase'"),
        ("deep-forcing sink=8 sink=9", "sink is given twice"),
        ("deep-forcing switch=blend", "switch must be one of keep, reencode, sink, not 'blend'"),
    ],
)
def test_what_is_no_runner_is_said(text, words):
    with pytest.raises(SettingsError, match=words):
        read_runner(text)


@pytest.mark.parametrize("label", ["", "  ", "two\nlines", "nothing\0", "x" * 81])
def test_a_label_that_cannot_be_shown_is_refused(label):
    with pytest.raises(SettingsError, match="label"):
        Runner(label, SHORT)


@pytest.mark.parametrize(
    ("runners", "words"),
    [
        ((), "a race needs 2 to 4 runners, not 0"),
        (TWO[:1], "a race needs 2 to 4 runners, not 1"),
        ([Runner(str(i), SHORT) for i in range(5)], "a race needs 2 to 4 runners, not 5"),
        ((TWO[0], TWO[1], Runner("deep", SlidingWindow())), "2 runners are called 'deep'"),
        ((TWO[0], Runner("b", DeepForcing(recent=2))), "shorter than the chunk"),
    ],
)
def test_a_field_that_cannot_run_is_refused_at_once(runners, words):
    for start in (race, RaceStream):
        with pytest.raises(SettingsError, match=words):
            start(small_pipeline(), "a", runners)


def test_other_refusals_come_at_once_too():
    for start in (race, RaceStream):
        with pytest.raises(PromptError, match="empty"):
            start(small_pipeline(), " ", TWO)
        with pytest.raises(SettingsError, match="seed"):
            start(small_pipeline(), "a", TWO, seed=-1)
        with pytest.raises(SettingsError, match="num_frames"):
            start(small_pipeline(), "a", TWO, num_frames=0)


def test_a_stream_starts_delivers_rounds_and_ends_once():
    timeline = Timeline(((0, "a"), (2, "b")))
    with RaceStream(small_pipeline(), timeline, TWO, num_frames=50, seed=3) as stream:
        started, *rounds, ended = stream
    assert isinstance(started, RaceStarted) and started.runners == TWO
    assert started.run.prompt == "a" and started.run.seed == 3 and started.run.grid == (2, 3)
    assert [one.laps[0].chunk.prompt for one in rounds] == ["a", "a", "a", "b", "b"]
    assert ended == StreamEnded("finished", 5) and stream.get(0.01) is None


def test_stop_and_pause_come_between_rounds():
    with RaceStream(small_pipeline(), "a", TWO, max_queued=0) as stream:
        stream.get(WAIT), stream.get(WAIT)
        stream.pause()
        while stream.get(0.5) is not None:
            pass
        stream.resume()
        assert isinstance(stream.get(WAIT), Round)
        stream.pause()
        stream.stop(), stream.stop()
        *rounds, ended = stream
    assert ended.reason == "stopped" and all(len(one.laps) == 2 for one in rounds)


def test_a_slow_reader_slows_the_race():
    with RaceStream(small_pipeline(), "a", TWO, max_queued=1) as stream:
        stream.get(WAIT), stream.get(WAIT)
        assert soon(lambda: len(stream._events) == 1)
        time.sleep(0.5)  # a machine that is not too slow would have made more
        assert len(stream._events) == 1
        assert [stream.get(WAIT).index for _ in range(3)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("error", "words"),
    [(MemoryError("no room"), "no room"), (RuntimeError("out of memory"), "a window of 9 .* Each runner has a cache")],
)
def test_an_error_of_one_runner_ends_the_race_in_words(error, words):
    pipeline = small_pipeline()

    class Broken(type(pipeline.text)):
        def encode(self, prompts):
            if prompts == ["bad"]:
                raise error
            return super().encode(prompts)

    object.__setattr__(pipeline, "text", Broken())
    with RaceStream(pipeline, Timeline(((0, "a"), (1, "bad"))), TWO) as stream:
        *_, ended = stream
    assert ended.reason == "error" and ended.chunks == 2
    assert re.search(words, ended.error)


@pytest.mark.parametrize(("count", "size"), [(2, (444, 792)), (3, (444, 1184)), (4, (888, 792))])
def test_the_video_shows_every_runner_under_its_name(tmp_path, count, size):
    shape = VideoShape(96, 96)
    runners = [Runner(f"{i} <b>龍</b> & {'x' * 60}", SHORT) for i in range(count)]
    colours = ((200, 40, 40), (40, 200, 40), (40, 40, 200), (200, 200, 40))
    one = next(race(small_pipeline(), "a", [*TWO, Runner("c", SHORT), Runner("d", SHORT)][:count], num_frames=9))
    laps = tuple(paint(lap, colour) for lap, colour in zip(one.laps, colours, strict=False))
    with RaceVideo(tmp_path / "race.mp4", shape, runners, {"title": "a"}) as out:
        out.write(Round(0, laps, judge(SCENERY, standings((0.1, 1), (0.9, 1)), "ab", 0.1)))
    reader = imageio_ffmpeg.read_frames(str(tmp_path / "race.mp4"))
    assert next(reader)["size"] == size[::-1]
    frames = [np.frombuffer(frame, np.uint8).reshape(*size, 3) for frame in reader]
    assert len(frames) == 9
    for number, colour in enumerate(colours[:count]):
        row, column = divmod(number, 2 if count == 4 else count)
        centre = frames[4][52 + 444 * row + 190, 8 + 392 * column + 190]
        assert np.abs(centre.astype(int) - colour).max() < 12
        assert frames[4][444 * row : 444 * row + 46, 8 + 392 * column :][:, :380].max() > 150, "there is no name"


def paint(lap, colour):
    frames = np.full((9, 96, 96, 3), colour, np.uint8)
    return type(lap)(**{**vars(lap), "chunk": type(lap.chunk)(**{**vars(lap.chunk), "frames": frames})})


def test_the_table_has_a_line_a_runner_and_the_rule():
    *_, last = race(small_pipeline(), "a", TWO, num_frames=21)
    head, deep, window, ahead, rule = table(TWO, last)
    assert head.split() == "runner wall clock fps scenery way back drift motion sink mass cache".split()
    assert deep.startswith("deep ") and window.startswith("window ") and deep.split()[-4:-3] == ["-"]
    assert ahead.startswith("Nobody is ahead yet") and "too close to call" in rule
