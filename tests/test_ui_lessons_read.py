"""A lesson's file: what it may say, and that everything else is refused in words before anything is run."""

from pathlib import Path

import pytest

from deepforcing import POLICIES, StreamStarted, Timeline, read_runner
from deepforcing.__main__ import main
from ui.lessons.lesson import Ask, Broken, Compare, LessonError, Picture, Run, Sketch, Slider
from ui.lessons.library import ASSETS, read_lessons
from ui.lessons.measures import MEASURES
from ui.lessons.reader import Checks, read_lesson
from ui.recordings.library import Recordings
from ui.recordings.links import PANELS

FIXTURES = Path(__file__).parent / "fixtures" / "lessons"
FACTS = {"height": 96, "width": 96, "stride": 4, "grid": (6, 6), "chunk_frames": 3, "layers": 6, "heads": 4}
STARTED = StreamStarted(
    "tiny", "ab", "p", 7, "self-forcing", {"window": 21}, fps=16, attention="a", switch="keep", **FACTS
)
CHECKS = Checks(read_runner, {"self-forcing": STARTED}, ASSETS)

ASK = '## Guess\n```ask\nname = "share"\nquestion = "How much?"\nslider = { from = 0, to = 12 }\n```\n'
CHOICE = '## Choose\n```ask\nname = "pick"\nquestion = "Which?"\nchoices = ["a", "b", "c"]\n```\n'
DRAW = '## Draw\n```ask\nname = "curve"\nquestion = "How?"\nsketch = { x = "x", y = "y", points = 9 }\n```\n'
RUN = '## Run\n```run\nname = "window"\nrunner = "self-forcing"\nprompt = "a balloon"\n```\n'
COMPARE = '## Compare\n```compare\nmeasure = "sink_mass"\nof = ["window"]\n```\n'
PICTURE = '## Keep\n```picture\ntitle = "Mine"\nstrip = ["window"]\n```\n'


def read(text: str, folder: Path, checks: Checks = CHECKS):
    path = folder / "lesson.md"
    path.write_text(text, encoding="utf-8")
    return read_lesson(path, checks)


def test_the_lesson_of_the_fixtures_says_what_is_in_its_file():
    lesson = read_lesson(FIXTURES / "window.md", CHECKS)
    assert (lesson.name, lesson.title) == ("window", "A window, tried out") and lesson.minutes == 4
    assert lesson.summary == "What a sliding window forgets. A lesson for tests, with one of everything."
    assert [type(step.block) for step in lesson.steps[1:]] == [Ask, Ask, Ask, Run, Ask, Run, *[Compare] * 4, Picture]
    text = lesson.steps[0].text
    assert "](data:image/png;base64,iVBOR" in text and 'print("a fenced block that is only text")\n```' in text
    assert lesson.steps[1].block.form == Slider(0, 100, 1, 50, "%")
    assert lesson.steps[2].block.form == Sketch("cached frame, oldest first", "share of attention", 21)
    window, sink = lesson.runs.values()
    assert (window.seed, window.seconds, window.trace, window.panels) == (7, 20, "self-forcing", ("attention", "rope"))
    later = ((0.0, "a red balloon drifting over the sea at night"), (10.0, "a blue kite over the mountains by day"))
    assert sink.prompt == Timeline(later) and sink.trace is None and not sink.recorded
    assert lesson.steps[9].block.bounds == (5.0, 15.0) and lesson.steps[10].block.difference
    assert lesson.steps[11].block.chart.prediction is lesson.steps[1].block


def test_every_lesson_that_is_shipped_can_be_given():
    lessons = read_lessons(Recordings.shipped(), read_runner)
    assert [lesson.error for lesson in lessons if isinstance(lesson, Broken)] == []
    assert len({lesson.name for lesson in lessons}) == len(lessons)


def test_a_heading_in_a_fenced_block_is_text(tmp_path):
    lesson = read("# T\nsum\nmary\n## One\n````\n```\n## not a step\n````\nend", tmp_path)
    assert lesson.summary == "sum mary" and len(lesson.steps) == 1 and "## not a step" in lesson.steps[0].text


def test_a_recording_of_another_model_needs_no_runner(tmp_path):
    block = '```run\nname = "far"\nrecorded = true\ntrace = "self-forcing"\n```\n'
    run = read(f"# T\n## R\n{block}", tmp_path).runs["far"]
    assert run.recorded and run.runner is None and run.prompt is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "its first line must be a title"),
        ("no title\n## A\n", "its first line must be a title"),
        ("# T\nno steps", "a lesson has 1 to 40 steps"),
        ("# T\n" + "## A\n" * 41, "not 41"),
        ("# T\n##  \n", "step 1 .*: it has no heading"),
        (f"# T\n{ASK}\n```run\n```\n", "one block at most, not ask and run"),
        ("# T\n## A\n```ask\nname = \n```\n", r"step 1 \(A\): its block ask is not TOML"),
        ("# T\n## A\n```ask\nname = 1\n", "a fenced block is not closed"),
        (f"# T\n{ASK}{ASK}", r"step 2 \(Guess\): the name 'share' is taken"),
        ("# T\n" + ASK.replace('"share"', '"Share it"'), "name must be small letters"),
        ("# T\n" + ASK.replace("from = 0", "from = 20"), "slider needs from < to"),
        ("# T\n" + ASK.replace("from = 0", "from = inf"), "slider needs from, a number"),
        ("# T\n" + ASK.replace("to = 12", "to = 12, until = 3"), "slider has no 'until'; it has: from,"),
        ("# T\n" + ASK.replace("slider", "choices = []\nslider"), "not slider and choices"),
        ("# T\n" + CHOICE.replace('"b", "c"', '"a"'), "2 to 6 different short texts"),
        ("# T\n" + DRAW.replace("9", "900"), "points must be a whole number from 5 to 60, not 900"),
        ("# T\n" + RUN.replace("self-forcing", "deep-wish"), r"lesson.md, step 1 \(Run\): unknown policy 'deep-wish'"),
        ("# T\n" + RUN.replace("self-forcing", "self-forcing sink=4"), "self-forcing has no setting 'sink'"),
        ("# T\n" + RUN.replace("self-forcing", "deep-sink sink={share}"), "no earlier step asks for 'share'"),
        (f"# T\n{CHOICE}" + RUN.replace("self-forcing", "deep-sink sink={pick}"), "must be the answer of a slider"),
        (
            f"# T\n{ASK.replace('12', '30')}" + RUN.replace("self-forcing", "deep-sink sink={share}"),
            "sink 30 fills the whole window of 21",  # what the reader could choose must work too
        ),
        ("# T\n" + RUN.replace('prompt = "a balloon"', ""), "run needs prompt"),
        ("# T\n" + RUN.replace('"a balloon"', '"a balloon"\nseconds = 600'), "seconds must be .* from 8 to 120"),
        ("# T\n" + RUN.replace('"a balloon"', '"a balloon"\nseed = -1'), "seed must be"),
        ("# T\n" + RUN.replace('"a balloon"', '"a"\nlater = [{at = "soon", prompt = "b"}]'), "a time is written as"),
        ("# T\n" + RUN.replace('"a balloon"', '"a"\nlater = [{at = "0:10"}]'), "later needs prompt"),
        ("# T\n" + RUN.replace('"a balloon"', '"a"\ntrace = "other"'), "no recorded run 'other'; there are: self-f"),
        (
            "# T\n" + RUN.replace("self-forcing", "deep-sink").replace("prompt", 'trace = "self-forcing"\nprompt'),
            "was made with self-forcing, not with deep-sink",
        ),
        ("# T\n" + RUN.replace("prompt", "recorded = true\nprompt"), "run needs trace"),
        ("# T\n" + RUN.replace("prompt", 'panels = ["sky"]\nprompt'), "panels: 'sky' is not a panel; .* attention"),
        (f"# T\n{COMPARE}{RUN}", "of: 'window' is not an earlier run; there are: none"),
        (f"# T\n{RUN}" + COMPARE.replace("sink_mass", "beauty"), "no measure 'beauty'; there are: sink_mass"),
        (f"# T\n{RUN}" + COMPARE.replace("of =", "difference = true\nof ="), "difference needs two runs"),
        (f"# T\n{RUN}" + COMPARE.replace("of =", 'prediction = "share"\nof ='), "no earlier step asks for 'share'"),
        (f"# T\n{RUN}{DRAW}" + COMPARE.replace("of =", 'prediction = "curve"\nof ='), "a sketch goes with attention"),
        (f"# T\n{RUN}{CHOICE}" + COMPARE.replace("of =", 'prediction = "pick"\nof ='), "3 choices need 2 bounds"),
        (
            f"# T\n{RUN}{CHOICE}" + COMPARE.replace("of =", 'prediction = "pick"\nbounds = [9, 2]\nof ='),
            "bounds must ascend",
        ),
        (f"# T\n{RUN}" + COMPARE.replace("of =", "bounds = [1]\nof ="), "bounds go with a prediction"),
        (f"# T\n{RUN}" + PICTURE.replace('strip = ["window"]', ""), "a picture needs a strip, or a measure"),
        (f"# T\n{RUN}" + PICTURE.replace("strip", "film"), "a picture needs a strip"),
        ("# T\n## A\n![x](../../secret.png)", "outside the lesson's folder and the project's assets"),
        ("# T\n## A\n![x](/etc/passwd)", "outside the lesson's folder"),
        ("# T\n## A\n![x](https://example.org/a.png)", "must be a relative path"),
        ("# T\n## A\n![x](none.png)", "there is no picture 'none.png'"),
        ("# T\n## A\n![x](lesson.md)", "there is no picture 'lesson.md'"),
        ("# T\n## A\n" + "x" * 100_000, "it is larger than 100 kB"),
    ],
)
def test_what_is_wrong_is_named_with_its_file_and_step(tmp_path, text, words):
    with pytest.raises(LessonError, match=words) as told:
        read(text, tmp_path)
    assert str(told.value).startswith("lesson.md") and "\n" not in str(told.value)[:40]


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "lesson.md").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LessonError, match=r"lesson\.md: it cannot be read"):
        read_lesson(tmp_path / "lesson.md", CHECKS)


def test_a_broken_lesson_leaves_the_others_alone(tmp_path):
    (tmp_path / "a.md").write_text("# T\n" + RUN.replace("self-forcing", "deep-wish"))
    (tmp_path / "b.md").write_text(f"# Whole\n{RUN}")
    own = read_lessons(Recordings([]), read_runner, tmp_path)[-2:]
    assert isinstance(own[0], Broken) and "unknown policy 'deep-wish'" in own[0].error and own[1].title == "Whole"
    with pytest.raises(LessonError, match="is no folder"):
        read_lessons(Recordings([]), read_runner, tmp_path / "none")


def test_a_folder_that_is_none_ends_with_one_line(tmp_path, capsys):
    assert main(["replay", "--lessons", str(tmp_path / "none")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("deepforcing: ") and "is no folder" in error and error.count("\n") == 1


def test_the_manual_names_every_measure_panel_and_key():
    manual = (Path(__file__).parents[1] / "docs" / "lessons.md").read_text("utf-8").partition("## Add a lesson")[2]
    keys = {name for block in (Ask, Run, Compare, Picture) for name in block.__dataclass_fields__}
    for name in (*MEASURES, *PANELS[1:], *(keys - {"form", "chart"})):
        assert name in manual, f"{name} is not described"


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_can_be_compared(tmp_path, measure):
    lesson = read(f"# T\n{RUN}" + COMPARE.replace("sink_mass", measure), tmp_path)
    assert lesson.steps[1].block == Compare(measure, ("window",), None, False, ())


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_can_be_run(tmp_path, policy):
    assert read("# T\n" + RUN.replace("self-forcing", policy), tmp_path).runs["window"].runner == policy
