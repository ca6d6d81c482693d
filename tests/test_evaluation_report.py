"""The report on small tables whose verdicts are known."""

import json
from dataclasses import replace
from math import nan

import pytest
from PIL import Image

from deepforcing.config import SettingsError
from deepforcing.evaluation.attention import Agreement, FrameMass, SlotShare
from deepforcing.evaluation.experiments import EXPERIMENTS, NEXT, label
from deepforcing.evaluation.measure import Reading
from deepforcing.evaluation.reappear import Visit
from deepforcing.evaluation.report import write_report
from deepforcing.evaluation.report.drawing import spread
from deepforcing.evaluation.report.summary import headline
from deepforcing.evaluation.report.verdict import Verdict, overall, verdict
from deepforcing.evaluation.revisit import Journey
from deepforcing.evaluation.run import Evaluation
from deepforcing.evaluation.scenery import Scene
from deepforcing.evaluation.statistics import mean_of
from deepforcing.evaluation.story import Story
from deepforcing.policies import AttentionSink, DeepForcing, DeepSink, SlidingWindow

PROMPTS, SECONDS = 7, 10
LAYERS, HEADS, FRAMES, SLOTS = 2, 2, 21, 10
SELF, SINK, DEEP_SINK, DEEP = SlidingWindow(), AttentionSink(), DeepSink(), DeepForcing()

# At the end: how many of the seven prompts keep their subject, colour drift, dynamic degree.
ENDS = {SELF: (2, 0.30, 1.0), SINK: (3, 0.20, 1.5), DEEP_SINK: (6, 0.10, 2.0), DEEP: (7, 0.05, 1.9)}


def reading(policy, prompt, second, subject=1.0, drift=0.0, dynamic=2.0, jump=1.0, reset=0.5) -> Reading:
    wobble = 0.001 * prompt  # prompts differ, policies agree about how
    numbers = (drift and drift + wobble, 0.0, 0.0, 0.04, dynamic + wobble, jump, reset if second else nan)
    return Reading(label(policy), prompt, 0, second, subject, 1.0, 1.0, 1.0, *numbers)


def video(policy, prompt, kept, drift, dynamic, **more) -> list[Reading]:
    return [reading(policy, prompt, 0), reading(policy, prompt, 5, float(prompt < kept), drift, dynamic, **more)]


def policy_videos(prompts: int = PROMPTS) -> list[Reading]:
    return [row for policy, end in ENDS.items() for prompt in range(prompts) for row in video(policy, prompt, *end)]


def other_videos() -> list[Reading]:
    """Whatever the experiments run besides: those without phase jump, random loses subjects; the rest is as deep-sink,
    but the deeper, the nearer to the sink."""
    policies = {p for e in EXPERIMENTS.values() for p in e.policies if label(p) not in map(label, ENDS)}
    rows = []
    for policy in sorted(policies, key=label):
        jump = 1.5 if getattr(policy, "phase", "") == "none" else 1.0
        kept = 1 if getattr(policy, "score", "") == "random" else 6
        for prompt in range(PROMPTS):
            more = {"jump": jump + 0.01 * prompt, "reset": 0.5 + 0.02 * policy.sink_frames}
            rows += video(policy, prompt, kept, 0.15, 1.8, **more)
    return rows


def scenes(kept: dict) -> list[Scene]:
    """By policy, what is kept at the end; 0.3 under all others."""
    return [
        Scene(label(policy), prompt, 0, second, (kept.get(policy, 0.3) if second else 1.0) + 0.001 * prompt, 0.1)
        for policy in EXPERIMENTS["scenery"].policies
        for prompt in range(PROMPTS)
        for second in (0, 5)
    ]


def told(roll_backs: dict, kept: dict) -> list[Story]:
    """By policy, how often it rolled back, and what is kept of the second scene; 0.5 times and 0.2 under all others."""
    policies = dict.fromkeys(p for name in ("switch", "second-scene") for p in EXPERIMENTS[name].policies)
    rows = []
    for policy in policies:
        for prompt in range(PROMPTS):
            end = (1.0, 0.5, 1.0, 1.0, 0.1, roll_backs.get(policy, 0.5) + 0.001 * prompt, kept.get(policy, 0.2), 0.1)
            rows.append(Story(label(policy), prompt, 0, 0, *[nan] * 8, "- - - - -"))
            rows.append(Story(label(policy), prompt, 0, 5, *end, "- 4 59 30 8"))
    return rows


def returning(kind: type, name: str, kept: dict) -> list:
    """Visits or journeys: by policy, how much is as it was at the end; 0.2 under all others."""
    more = (0.0,) if kind is Visit else ()
    return [
        kind(label(policy), prompt, 0, second, (kept.get(policy, 0.2) if second else 1.0) + 0.001 * prompt, 0.1, *more)
        for policy in EXPERIMENTS[name].policies
        for prompt in range(PROMPTS)
        for second in (0, 5)
    ]


def masses(early: float) -> list[FrameMass]:
    """The earliest ten frames get `early` times what each other one does."""
    weights = [early] * 10 + [1.0] * 11
    return [
        FrameMass(prompt, layer, head, frame, weight / sum(weights))
        for prompt in range(PROMPTS)
        for layer in range(LAYERS)
        for head in range(HEADS)
        for frame, weight in enumerate(weights)
    ]


def agreements(share: float) -> list[Agreement]:
    every = [(p, layer, step) for p in range(PROMPTS) for layer in range(LAYERS) for step in (1, 2, 3)]
    return [Agreement(p, layer, step, share, 0.2) for p, layer, step in every]


def slots(near: float, far: float) -> list[SlotShare]:
    every = [(p, layer, slot) for p in range(PROMPTS) for layer in range(LAYERS) for slot in range(SLOTS)]
    return [SlotShare(p, layer, slot, near if slot < SLOTS / 2 else far) for p, layer, slot in every]


def evidence(folder, readings=(), masses=(), agreements=(), slots=(), scenes=(), stories=(), **more) -> Evaluation:
    plan = Evaluation(folder, tuple(EXPERIMENTS.values()), prompts=PROMPTS, seeds=1, seconds=SECONDS)
    for table, rows in (
        (plan.readings, readings),
        (plan.masses, masses),
        (plan.agreements, agreements),
        (plan.slots, slots),
        (plan.scenes, scenes),
        (plan.stories, stories),
        *((getattr(plan, name), rows) for name, rows in more.items()),
    ):
        table.write(rows)
    settings = {
        "model": "tiny",
        "weights": "0123456789abcdef",
        "decoder": "dec0dec0dec0dec0",
        "reader": "4eade44eade44ead",
        "precision": "float32",
        "seconds": SECONDS,
        "seeds": 1,
        "prompts": [caption.phrase() for caption in plan.captions],
        "versions": {"deepforcing": "0.1.0", "torch": "2.0"},
        "processor": "an abacus",
    }
    plan.settings_file.write_text(json.dumps(settings), encoding="utf-8")
    return plan


def report(plan: Evaluation) -> str:
    return write_report(plan).read_text(encoding="utf-8")


def section(text: str, name: str) -> str:
    return text.split(f"\n## {name}\n")[1].split("\n## ")[0]


def row(text: str, start: str) -> str:
    """The one line of a table that starts so."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {start}")]
    return line


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """The folder and the text of a report on everything."""
    folder = tmp_path_factory.mktemp("evidence")
    rows = policy_videos() + other_videos()
    stories = told({DeepForcing(phase="none"): 4.0}, {DEEP: 0.5, DeepForcing(score="newest"): 0.7})
    back = {"visits": returning(Visit, "reappear", {DEEP: 0.8}), "journeys": returning(Journey, "revisit", {DEEP: 0.9})}
    looked = masses(0.8), agreements(0.9), slots(0.1, 0.5)
    plan = evidence(folder, rows, *looked, scenes({DEEP: 0.6, SELF: 0.1}), stories, **back)
    return folder, report(plan)


def test_the_verdicts_follow_from_the_numbers(full):
    found = section(full[1], "policies")
    prompt = row(found, "Deep Forcing keeps to the prompt longer")
    assert "overall consistency 20.38 against 18.63" in prompt
    assert "subject retention, deep-forcing minus self-forcing: +71 points (+26 to +117)" in prompt
    assert "**reproduces**" in prompt
    assert "+0.250" in row(found, "Its colours drift less")
    assert "**does not**" in row(found, "Its picture stays better")  # no difference at all
    assert "**does not: the other way round**" in row(found, "Compression adds motion")
    assert "**Reproduces in part**: 5 of 7 findings reproduced, 1 not reproduced, 1 the other way round." in found


def test_the_numbers_are_tabled_at_the_start_and_at_the_end(full):
    found = section(full[1], "policies")
    plain = row(found, "self-forcing").split(" | ")
    assert plain[1] == "100 % (65 to 100)<br>29 % (8 to 64)"
    assert plain[2].startswith("0.000<br>0.303 (0.301 to ")
    assert "7 videos of each policy, from 7 prompts." in found


def test_the_aims_are_met_or_not(full):
    found = section(full[1], "Aims")
    assert row(found, "deep-forcing keeps subject retention").endswith("| +5 points | **met** |")
    above = row(found, "deep-forcing is at least 25 points")
    assert "deep-forcing 100 %, self-forcing 29 %" in above and above.endswith("**met** |")
    assert row(found, "deep-forcing has at most half").endswith("**met** |")
    assert row(found, "deep-forcing has no less dynamic degree").endswith("**not met** |")
    assert "deep-sink phase=none 1.530, deep-sink 1.000" in row(found, "deep-sink with phase none jumps more")
    assert row(found, "random choice keeps subjects worse").endswith("**met** |")


def test_phases_and_depths_are_told_apart(full):
    assert "**reproduces**" in row(section(full[1], "phase"), "With its sink left behind, deep-sink flickers")
    assert "sink reset, deep-sink · 18 minus deep-sink · 10: +0.36" in row(section(full[1], "depth"), "Eighteen repeat")


def test_a_change_of_prompt_is_judged_and_drawn(full):
    part = section(full[1], "switch")
    assert "released: +3.5 | **reproduces** |" in row(part, "With its sink left behind, deep-forcing rolls back")
    second = section(full[1], "second-scene")
    assert "+0.30 | **reproduces** |" in row(second, "The chosen middle keeps more than a random")
    assert "**does not: the other way round**" in row(second, "The chosen middle keeps more than the newest")
    assert (full[0] / "switch.png").exists() and (full[0] / "second-scene.png").exists()
    assert "at 5 s" not in part.split("| --- |")[-1], "nothing is told of what has not begun"


@pytest.mark.parametrize(
    ("name", "found"), [("reappear", "same shade, deep-forcing"), ("revisit", "beginning seen, deep-forcing")]
)
def test_what_comes_back_is_judged(full, name, found):
    part = section(full[1], name)
    assert found in part and "**Reproduces in part**: 1 of 2 findings reproduced, 1 not reproduced." in part
    assert "no such experiment" in part


def test_scenery_is_judged(full):
    part = section(full[1], "scenery")
    assert row(part, "Deep Forcing keeps what").endswith(
        "scenery kept, deep-forcing minus self-forcing: +0.50 | **reproduces** |"
    )
    assert "**does not**" in row(part, "Ten sink frames keep more")
    assert row(part, "self-forcing |") == "| self-forcing | 1.00<br>0.10 |"


def test_attention_itself_is_judged(full):
    assert "100 %" in row(section(full[1], "attention"), "Most heads look at the ten earliest")
    assert "3 of 3 findings reproduced" in section(full[1], "attention")
    assert ": 88 % | **reproduces**" in row(section(full[1], "stability"), "The tokens chosen at the first step")
    assert ": 17 % | **does not: the other way round**" in row(section(full[1], "slots"), "The chosen lie mostly")


def test_attention_that_is_elsewhere_does_not_reproduce(tmp_path):
    found = section(report(evidence(tmp_path, masses=masses(0.1))), "attention")
    assert "**does not: the other way round**" in row(found, "Most heads look at the ten earliest")
    assert "**reproduces**" in row(found, "They look at all of these")
    assert "**does not: the other way round**" in row(found, "That is a good part")


def test_it_says_what_was_run_and_how_to_do_it_again(full):
    head = full[1].split("## At a glance")[0]
    assert "weights `0123456789abcdef`, float32" in head and "an abacus" in head
    assert "weights `dec0dec0dec0dec0`, `4eade44eade44ead`" in head
    assert "7 prompts x 1 seed" in head
    assert "python -m deepforcing evaluate --prompts 7 --seeds 1 --seconds 10 -o " in head
    assert str(full[0].parent) not in full[1]


def test_pictures_are_small_and_read_on_any_ground(full):
    folder, text = full
    for name in EXPERIMENTS:
        assert f"]({name}.png)" in section(text, name)
        path = folder / f"{name}.png"
        with Image.open(path) as picture:
            assert picture.width == 1600 and "transparency" not in picture.info
        assert path.stat().st_size < 80_000
    assert "filmstrip" not in text  # nobody has made the stills


def test_the_same_tables_give_the_same_report(tmp_path):
    plans = [evidence(tmp_path / name, slots=slots(0.1, 0.5)) for name in "ab"]
    texts = [report(plan).replace(f"-o {plan.output.name}", "") for plan in plans]
    assert texts[0] == texts[1]
    assert len({(plan.output / "slots.png").read_bytes() for plan in plans}) == 1


def test_the_summary_is_for_the_apps_list(full):
    summary = json.loads((full[0] / "summary.json").read_text(encoding="utf-8"))
    assert (summary["seconds"], summary["prompts"], summary["videos"]) == (SECONDS, PROMPTS, PROMPTS)
    assert list(summary["policies"]) == ["self-forcing", "attention-sink", "deep-sink", "deep-forcing"]
    assert summary["policies"]["self-forcing"] == {"subject": 0.2857, "colour_drift": 0.303, "scenery": 0.103}


def test_a_summary_of_little_has_no_made_up_numbers():
    rows = [replace(row, subject=nan) for row in video(DEEP, 0, 1, 0.5, 1.0)]
    assert headline(rows, SECONDS)["policies"] == {
        "deep-forcing": {"subject": None, "colour_drift": 0.5, "scenery": None}
    }
    assert headline([], SECONDS)["policies"] == {}


def test_experiments_without_results_say_so(tmp_path):
    text = report(evidence(tmp_path, policy_videos()))
    again = f"python -m deepforcing evaluate slots --prompts 7 --seeds 1 --seconds 10 -o {tmp_path.name}"
    assert f"No results yet: `{again}`" in section(text, "slots")
    assert "evaluate policies --prompts 7" in text
    assert row(section(text, "Aims"), "random choice").endswith("| – | – | **not measured** |")
    assert not (tmp_path / "slots.png").exists()


def test_a_report_on_nothing_is_possible(tmp_path):
    text = report(evidence(tmp_path))
    assert all("No results yet" in section(text, name) for name in EXPERIMENTS)


def test_an_unfinished_evaluation_compares_what_is_common(tmp_path):
    rows = [row for row in policy_videos() if row.policy != "attention-sink"]
    rows = [row for row in rows if not (row.policy == "deep-forcing" and row.prompt == 6 and row.second == 5)]
    found = section(report(evidence(tmp_path, rows)), "policies")
    assert "6 videos of each policy, from 6 prompts." in found
    assert "No videos yet: `attention-sink`." in found and "Left out: 2 videos" in found
    assert "deep-forcing minus self-forcing: +67 points" in row(found, "Deep Forcing keeps to the prompt longer")
    assert "**not measured**" in row(found, "Three sink frames with their phase")


def test_few_prompts_are_not_judged(tmp_path):
    text = report(evidence(tmp_path, policy_videos(prompts=2)))
    assert "**Too few prompts to say.**" in section(text, "policies")
    assert row(section(text, "Aims"), "deep-forcing has at most half").endswith("**too few prompts to say** |")


def test_what_no_classifier_reads_is_not_measured(tmp_path):
    found = section(report(evidence(tmp_path, [replace(row, subject=nan) for row in policy_videos()])), "policies")
    assert "–<br>–" in row(found, "self-forcing")
    assert "**not measured**" in row(found, "Deep Forcing keeps to the prompt longer")
    assert "**reproduces**" in row(found, "Its colours drift less")


def test_what_a_person_wrote_stays(tmp_path):
    plan = evidence(tmp_path)
    notes = "Read this first.\n\n## policies\nIt *drifts*,\n\n- because\n\n## score\nNot run yet.\n\n## Later\nMore."
    (tmp_path / "notes.md").write_text(notes, encoding="utf-8")
    report(plan)
    text = report(plan)
    assert (tmp_path / "notes.md").read_text(encoding="utf-8") == notes
    assert text.index("Read this first.") < text.index("## At a glance")
    assert "### Likely reasons\n\nIt *drifts*,\n\n- because" in section(text, "policies")
    assert "Not run yet." in section(text, "score") and "More." in section(text, "later")


def test_where_nothing_was_run_it_says_how(tmp_path):
    with pytest.raises(SettingsError, match="run `python -m deepforcing evaluate` first"):
        write_report(Evaluation(tmp_path / "nowhere", ()))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, 1, 2, 1, 2], Verdict.REPRODUCES),
        ([-1, 2, -1, 2, -1, 2], Verdict.WEAKER),
        ([1, -2, 1, -2, 1, -2], Verdict.DOES_NOT),
        ([0] * 6, Verdict.DOES_NOT),
        ([-1, -2, -1, -2, -1, -2], Verdict.OPPOSITE),
        ([1] * 5, Verdict.TOO_FEW),
        ([1, 1, 1, 1, 1, nan], Verdict.TOO_FEW),
        ([nan] * 6, Verdict.UNKNOWN),
        ([], Verdict.UNKNOWN),
    ],
)
def test_the_rules_of_a_verdict(values, expected):
    assert verdict(mean_of({(prompt, 0): float(value) for prompt, value in enumerate(values)})) is expected


def test_one_word_for_several_findings():
    assert overall([Verdict.REPRODUCES] * 2) == "**Reproduces**: 2 of 2 findings reproduced."
    assert overall([Verdict.REPRODUCES, Verdict.OPPOSITE]).startswith("**Reproduces in part**: 1 of 2 findings reprod")
    assert overall([Verdict.WEAKER, Verdict.DOES_NOT, Verdict.UNKNOWN]).startswith("**Weaker**: 1 of 2 findings weaker")
    assert overall([Verdict.DOES_NOT] * 2) == "**Does not reproduce**: 2 of 2 findings not reproduced."
    assert overall([Verdict.TOO_FEW, Verdict.UNKNOWN]) == "**Too few prompts to say.**"
    assert overall([Verdict.UNKNOWN]) == "**Not measured.**"


def test_names_at_the_ends_of_lines_do_not_overlap():
    assert spread([0.2, 0.8], gap=0.1, low=0, high=1) == pytest.approx([0.2, 0.8])
    assert spread([0.5, 0.5, 0.1], gap=0.1, low=0, high=1) == pytest.approx([0.45, 0.55, 0.1])
    assert spread([1.0, 0.98, 0.3], gap=0.1, low=0, high=1) == pytest.approx([1.0, 0.9, 0.3])
    assert spread([0.0, 0.0], gap=0.1, low=0, high=1) == pytest.approx([0.0, 0.1])
    assert spread([], gap=0.1, low=0, high=1) == []


def test_policies_beside_have_a_table_of_their_own_and_change_nothing_above(tmp_path, full):
    beside = [
        Scene(label(policy), prompt, 0, second, 0.7 if second else 1.0, 0.1)
        for policy in NEXT[:2]
        for prompt in range(3)
        for second in (0, 5)
    ]
    plan = evidence(tmp_path, scenes=scenes({DEEP: 0.6, SELF: 0.1}) + beside)
    above, below = section(report(plan), "scenery").split("Beside them, with the same prompts and noise:")
    assert above.strip() == section(full[1], "scenery").strip()
    assert row(below, "fade-mem") == "| fade-mem | 1.00<br>0.70 |" and row(below, "self-forcing |")
    assert "3 videos of each policy, from 3 prompts. No videos yet: `future-forcing`" in below
    summary = json.loads((tmp_path / "summary.json").read_text())["policies"]
    assert summary == {n: {"subject": None, "colour_drift": None, "scenery": 0.7} for n in ("decoprune", "fade-mem")}
