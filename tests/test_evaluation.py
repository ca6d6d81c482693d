"""The evaluation: its plan, its tables, its measurements, of a few seconds of a small model's video."""

import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, fields, replace

import numpy as np
import psutil
import pytest
import torch
from tiny_recipe import SIZES

from deepforcing import load_pipeline, metrics
from deepforcing.__main__ import main
from deepforcing.captions import TABLES
from deepforcing.config import SettingsError
from deepforcing.evaluation.attention import attention_by_frame, choices
from deepforcing.evaluation.experiments import EXPERIMENTS, NEXT, Experiment, experiments_named, label
from deepforcing.evaluation.measure import Job, Reading, measure, stranger, windows
from deepforcing.evaluation.prompts import even_prompts, leaving_prompts, turns
from deepforcing.evaluation.reappear import HUES, same_shade, sight, visits
from deepforcing.evaluation.revisit import BACK_AT, found, journeys
from deepforcing.evaluation.run import Evaluation, evaluate
from deepforcing.evaluation.scenery import scenes
from deepforcing.evaluation.story import SETTLED, SWITCH_AT, stories
from deepforcing.evaluation.table import Table
from deepforcing.policies import DeepForcing, DeepSink, SlidingWindow, make_policy
from deepforcing.training.bank import to_video
from deepforcing.training.bundle import new_bundle, save_bundle
from deepforcing.training.data import to_pixels
from deepforcing.training.subjects import HSV
from deepforcing.training.world import render


def test_a_label_names_what_is_not_default():
    assert label(DeepForcing()) == "deep-forcing"
    assert label(DeepSink(sink=4, phase="none")) == "deep-sink sink=4 phase=none"


def test_prompts_cover_every_word_evenly():
    captions = even_prompts(24)
    for name, table in TABLES.items():
        counts = Counter(getattr(caption, name) for caption in captions)
        assert set(counts) == set(table) and max(counts.values()) - min(counts.values()) <= 1, name
    assert even_prompts(24) == captions and len(set(captions)) == 24


def test_a_video_that_several_experiments_ask_for_is_made_once(tmp_path):
    plan = Evaluation(tmp_path, tuple(EXPERIMENTS.values()), prompts=2)
    keys = [job.key for job in plan.jobs()]
    assert len(keys) == len(set(keys))
    experiments = [experiment for experiment in EXPERIMENTS.values() if experiment.table == "readings"]
    asked = [label(policy) for experiment in experiments for policy in experiment.policies]
    assert asked.count("deep-forcing") > 1 and {key[0] for key in keys} == set(asked)


def test_all_policies_of_a_prompt_have_the_same_noise_and_no_two_videos_of_one_policy_do(tmp_path):
    jobs = Evaluation(tmp_path, tuple(experiments_named(["policies"])), prompts=3).jobs()
    noise = {}
    for job in jobs:
        noise.setdefault((job.prompt, job.seed), set()).add(job.noise)
    assert all(len(seen) == 1 for seen in noise.values())
    assert len(set.union(*noise.values())) == len(noise) == 6


def test_an_experiment_can_do_with_fewer_seeds(tmp_path):
    jobs = Evaluation(tmp_path, tuple(experiments_named(["depth"])), prompts=2, seeds=3).jobs()
    assert {job.seed for job in jobs} == {0}


@pytest.mark.parametrize("bad", [{"prompts": 0}, {"seeds": 0}, {"seconds": 7}, {"seconds": 5}, {"workers": 0}])
def test_a_plan_that_cannot_work_is_refused(tmp_path, bad):
    with pytest.raises(SettingsError, match=next(iter(bad))):
        Evaluation(tmp_path, (), **bad)


def test_an_unknown_experiment_is_named(capsys):
    assert main(["evaluate", "alchemy"]) == 2
    assert "alchemy" in capsys.readouterr().err


@dataclass(frozen=True)
class Line:
    name: str
    count: int
    value: float


def test_a_table_comes_back_as_it_was_written(tmp_path):
    table = Table(tmp_path / "folder" / "t.csv", Line)
    assert table.read() == []
    table.write([Line('a, "b"', 1, 0.5)])
    table.append([Line("c", 2, float("nan"))])
    first, second = table.read()
    assert first == Line('a, "b"', 1, 0.5) and second.count == 2 and np.isnan(second.value)


def test_a_line_that_a_kill_cut_short_is_passed_over(tmp_path):
    table = Table(tmp_path / "t.csv", Line)
    table.write([Line("a", 1, 0.5)])
    with table.path.open("a") as file:
        file.write("b,2,0.")
    assert [line.name for line in table.read()] == ["a"]


def test_another_table_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text("x,y\n1,2\n")
    with pytest.raises(SettingsError, match=r"t\.csv"):
        Table(tmp_path / "t.csv", Line).read()


def test_chunks_are_regrouped_into_windows():
    frames = np.arange(50)[:, None]
    got = list(windows(iter(np.split(frames, [9, 21, 33, 45])), 20))
    assert [list(window[:, 0]) for window in got] == [list(range(20)), list(range(20, 40))]


def test_a_video_is_measured_window_by_window(pipeline):
    def reader(frames):
        return {"subject": 1.0, "colour": 0.0, "place": 1.0, "time": float(len(frames))}

    first, second, third = measure(pipeline, Job(SlidingWindow(), 3, 1, 15), "a red ball", reader)
    assert (first.policy, first.prompt, first.seed) == ("self-forcing", 3, 1)
    assert [r.second for r in (first, second, third)] == [0, 5, 10]
    assert first.subject == 1 and first.colour == 0 and first.time == 80
    assert first.colour_drift == first.contrast_drift == first.saturation_drift == 0 and np.isnan(first.sink_reset)
    assert all(np.isfinite(getattr(third, f.name)) for f in fields(Reading) if f.type == "float")
    assert third.dynamic_degree > 0


def test_a_world_without_a_reader_is_measured_too(pipeline):
    (*_, last) = measure(pipeline, Job(DeepForcing(), 0, 0, 10), "a red ball", None)
    assert np.isnan(last.subject) and last.sharpness > 0


def test_attention_by_frame_is_a_distribution_over_the_window(pipeline):
    rows = attention_by_frame(pipeline, 0, "a red ball", 0)
    assert {row.frame for row in rows} == set(range(21))
    total = Counter()
    for row in rows:
        total[row.layer, row.head] += row.mass
    assert len(total) == pipeline.layers * pipeline.heads
    assert all(value == pytest.approx(1, abs=1e-4) for value in total.values())


def test_choices_agree_by_chance_or_better(pipeline):
    agreements, slots = choices(pipeline, 0, "a red ball", 0, 12)
    assert {(a.layer, a.step) for a in agreements} == {(i, s) for i in range(2) for s in (1, 2, 3)}
    assert all(0 <= a.share <= 1 and 0 < a.chance < 1 for a in agreements)
    assert np.mean([a.share for a in agreements]) > np.mean([a.chance for a in agreements])
    shares = [s.share for s in slots if s.layer == 0]
    kept = DeepForcing().top_c / len(shares)
    assert np.mean(shares) == pytest.approx(kept, abs=1e-5)


def test_looking_inside_changes_nothing(pipeline):
    assert choices(pipeline, 0, "a red ball", 0, 9) == choices(pipeline, 0, "a red ball", 0, 9)


def test_scenery_is_measured_against_the_first_window_and_against_another_video(pipeline):
    other = stranger(pipeline, 2, 0, "a red ball")
    jobs = [Job(policy, 2, 0, 15) for policy in (SlidingWindow(), DeepForcing())]
    rows = [row for job in jobs for row in scenes(pipeline, job, "a red ball", other)]
    assert [(row.policy, row.second) for row in rows] == [
        (p, s) for p in ("self-forcing", "deep-forcing") for s in (0, 5, 10)
    ]
    assert rows[0].scenery == rows[3].scenery == pytest.approx(1) and abs(rows[1].scenery) <= 1
    assert len({row.chance for row in rows}) == 1 and rows[0].chance < 0.99


def test_at_a_turn_everything_changes_but_the_camera():
    for turn in turns(30):
        assert turn.before.camera == turn.after.camera == "still"
        assert all(getattr(turn.before, n) != getattr(turn.after, n) for n in ("subject", "colour", "place", "time"))
    assert turns(30)[:3] == turns(3)


def test_experiments_on_one_story_share_their_videos(tmp_path):
    plan = Evaluation(tmp_path, tuple(experiments_named(["switch", "second-scene", "scenery"])), prompts=2)
    told = [label(job.policy) for job in plan.jobs_of("stories") if job.prompt == 1]
    assert len(told) == len(set(told)) and {"deep-forcing phase=none", "deep-forcing score=random"} <= set(told)
    assert not plan.jobs() and len(plan.jobs_of("scenes")) == 2 * len(EXPERIMENTS["scenery"].everyone)


def test_a_story_is_read_from_the_change_of_its_prompt_on(pipeline, monkeypatch):
    monkeypatch.setattr(metrics, "SAME_SCENE", 0)  # without training, all prompts look much alike
    (turn,), asked = turns(1), []

    def read(frames):
        asked.append(len(frames))
        new = len(asked) % 2  # every other second shows the new prompt
        return vars(turn.after if new else turn.before)

    jobs = [Job(policy, 0, 0, 30) for policy in (SlidingWindow(), DeepForcing(phase="none"))]
    other = stranger(pipeline, 0, 0, turn.after.phrase())
    told = [row for job in jobs for row in stories(pipeline, job, turn, read, other)]
    assert [(row.policy, row.second) for row in told[::5]] == [
        ("self-forcing", 0),
        ("self-forcing", 25),
        ("deep-forcing phase=none", 20),
    ]
    assert asked == [16] * 2 * (30 - SWITCH_AT), "each second since the change, of both"
    first = told[:6]
    assert all(np.isnan(row.new_place) for row in first if row.second < SWITCH_AT)
    so_far = [row.new_place for row in first if row.second >= SWITCH_AT]
    assert so_far == pytest.approx([3 / 5, 5 / 10, 8 / 15, 10 / 20])
    assert all(np.isnan(row.second_scene) == (row.second <= SETTLED) for row in told)
    assert all(abs(row.second_scene) <= 1 and row.chance == first[-1].chance for row in first if row.second > SETTLED)
    assert all(len(row.ways.split()) == 5 for row in told) and first[0].ways == "- - - - -" != first[-1].ways
    assert first[-1].roll_backs >= first[-2].roll_backs >= 0 and np.isnan(first[1].roll_backs)
    assert first[-1].old_scene == pytest.approx(max(map(int, first[-1].ways.split())) / 100, abs=0.006)


@pytest.fixture(scope="module")
def through_the_codec():
    """A rendered clip after the embedded model's codec, as sharp as what the model makes can be."""
    codec = load_pipeline("tiny").decoder

    def trip(clip: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return to_pixels(codec.decode(codec.encode(to_video(torch.from_numpy(clip)[None])))[0])[0]

    return trip


def test_a_subject_that_returns_is_told_from_another_of_its_caption(through_the_codec):
    same, others, returns = [], [], 0
    for number, caption in enumerate(leaving_prompts(4)):
        hue, seeds = HUES[caption.colour], (333_000 + 10 * number, 333_001 + 10 * number)
        clips = [through_the_codec(render(caption, seed, 80)) for seed in seeds]
        early, late = ([sight(clip[part], hue) for clip in clips] for part in (slice(41), slice(40, None)))
        same += [same_shade(a.shade, b.shade) for a, b in zip(early, late, strict=True)]
        others += [same_shade(a.shade, b.shade) for a, b in zip(early, reversed(late), strict=True)]
        returns += sum(seen.returns for seen in late)
    assert np.nanmedian(same) > 0.6 and np.nanmedian(others) < 0.3 and returns >= 4


def test_the_hues_of_the_evaluation_are_the_world_s():
    assert {name: hsv[0] for name, hsv in HSV.items() if name != "white"} == HUES
    assert all(caption.colour in HUES and caption.camera == "still" for caption in leaving_prompts(30))
    assert leaving_prompts(30)[:3] == leaving_prompts(3)


def test_nobody_in_sight_has_no_shade():
    assert np.isnan(sight(np.full((20, 64, 64, 3), 90, np.uint8), HUES["red"]).shade)


def test_a_beginning_that_is_seen_again_is_told_from_another_of_its_caption():
    seen, strange = [], []
    for number, caption in enumerate(even_prompts(4)):
        panning = replace(caption, camera="right")
        clip, other = (render(panning, first + number, 64) for first in (555_000, 556_000))
        back = clip[::-1][-20::4]  # what a camera sees that returns
        seen.append(found(clip[:32:8], back))
        strange.append(found(other[:32:8], back))
    assert min(seen) > 0.85 and max(strange) < 0.7


def test_visits_and_journeys_are_made_under_all_policies(pipeline):
    jobs = [Job(policy, 0, 0, 15) for policy in (SlidingWindow(), DeepForcing())]
    (leaving,), (caption,) = leaving_prompts(1), even_prompts(1)
    other = stranger(pipeline, 0, 0, leaving.phrase())
    made = [row for job in jobs for row in visits(pipeline, job, leaving, other)]
    assert [(row.policy, row.second) for row in made][2:4] == [("self-forcing", 10), ("deep-forcing", 0)]
    assert all(row.shade == 1 or np.isnan(row.shade) for row in made if row.second == 0)
    travelled = [row for job in jobs for row in journeys(pipeline, job, caption, other)]
    assert [np.isnan(row.seen) for row in travelled[:3]] == [row.second < BACK_AT for row in travelled[:3]]
    assert all(-1 <= row.seen <= 1 and -1 <= row.chance <= 1 for row in travelled if row.second >= BACK_AT)


def test_workers_end_with_an_evaluation_that_is_killed(tmp_path):
    command = [sys.executable, "-m", "deepforcing", "evaluate", "policies", "--prompts", "9", "-o", str(tmp_path)]
    with subprocess.Popen([*command, "--workers", "1"], stderr=subprocess.PIPE) as evaluation:
        evaluation.stderr.read(1)  # the bar is drawn once jobs are handed out
        while not (workers := psutil.Process(evaluation.pid).children(recursive=True)):
            time.sleep(0.1)
        evaluation.kill()
    assert not psutil.wait_procs(workers, timeout=120)[1]


def test_evaluate_goes_on_where_it_was_killed(tmp_path):
    save_bundle(tmp_path / "small", new_bundle(SIZES))
    experiments = tuple(experiments_named(["queries"]))
    plan = Evaluation(tmp_path, experiments, str(tmp_path / "small"), prompts=1, seeds=1, seconds=10, workers=1)
    evaluate(plan)
    rows = plan.readings.read()
    assert len(rows) == 3 * 2 and {row.policy for row in rows} == {label(p) for p in plan.experiments[0].policies}
    text = plan.readings.path.read_text()
    plan.readings.path.write_text(text[:-20])  # the last video loses a line
    made = []
    evaluate(plan, lambda items, total: made.append(total) or items)
    assert made == [1] and plan.readings.path.read_text() == text
    assert json.loads(plan.settings_file.read_text())["prompts"] == [plan.captions[0].phrase()]
    with pytest.raises(SettingsError, match="seconds 10, not 15"):
        evaluate(replace(plan, seconds=15))
    settings = json.loads(plan.settings_file.read_text())
    for name in ("weights", "decoder", "reader", "precision"):
        plan.settings_file.write_text(json.dumps(settings | {name: "another"}))
        with pytest.raises(SettingsError, match=f"{name} another, not {settings[name]}"):
            evaluate(plan)


def test_machines_that_had_a_part_are_all_told(tmp_path, monkeypatch):
    save_bundle(tmp_path / "small", new_bundle(SIZES))
    plan = Evaluation(tmp_path, tuple(experiments_named(["queries"])), str(tmp_path / "small"), 1, 1, 10, 1)
    evaluate(plan)
    mine = json.loads(plan.settings_file.read_text())
    for name in ("an abacus", "another", "an abacus"):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda name=name: {"cpu_name": name})
        evaluate(plan)
    told = json.loads(plan.settings_file.read_text())
    assert told["processor"] == "an abacus"
    assert [machine["processor"] for machine in told["earlier"]] == [mine["processor"], "another"]


def test_a_policy_that_comes_later_takes_only_its_own_videos(tmp_path):
    save_bundle(tmp_path / "small", new_bundle(SIZES))
    alone = Experiment("mine", "does it?", "nowhere", (DeepForcing(),), table="scenes")
    plan = Evaluation(tmp_path, (alone,), str(tmp_path / "small"), prompts=2, seeds=1, seconds=10)
    made = []
    evaluate(plan)
    before = plan.scenes.read()
    evaluate(replace(plan, experiments=(alone.beside([SlidingWindow()]),)), lambda items, n: made.append(n) or items)
    rows = plan.scenes.read()
    assert made == [2] and set(before) < set(rows) and len(rows) == 2 * len(before) == 2 * 2 * 2
    assert len({(row.prompt, row.chance) for row in rows}) == 2, "chance is the same, whoever is measured and when"


def test_other_policies_stand_beside_those_of_every_experiment_that_compares_some(tmp_path, monkeypatch):
    plans = []
    monkeypatch.setattr("deepforcing.evaluation.command.evaluate", lambda plan, _: plans.append(plan))
    monkeypatch.setattr("deepforcing.evaluation.command.film", lambda plan, _: None)
    monkeypatch.setattr("deepforcing.evaluation.command.write_report", lambda plan: tmp_path)
    words = ["evaluate", "switch", "attention", "--policy", "fade-mem power=2", "--policy", "deep-sink"]
    assert main([*words, "-o", str(tmp_path)]) == 0
    switch, attention = plans[0].experiments
    assert switch.policies == EXPERIMENTS["switch"].policies
    assert switch.others == (*NEXT, make_policy("fade-mem", power=2)) and DeepSink() in switch.policies
    assert attention.everyone == ()
    assert main(["evaluate", "switch", "--quick", "--policy", "fade-mem power=2", "-o", str(tmp_path)]) == 0
    assert plans[1].experiments[0].others == (make_policy("fade-mem", power=2),)


@pytest.mark.parametrize("words", ["fade-mem power=2 power=3", "fade-mem power=-1", "nobody"])
def test_another_policy_that_cannot_be_is_refused(words, capsys):
    assert main(["evaluate", "switch", "--policy", words]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
