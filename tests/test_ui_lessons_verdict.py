"""Prediction beside measurement: in words, as a chart, as a picture to take home."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from ui.lessons.chart import figure
from ui.lessons.lesson import Ask, Compare, Picture, Sketch, Slider
from ui.lessons.measures import MEASURES, Series
from ui.lessons.outcome import Outcome
from ui.lessons.picture import draw, file_name
from ui.lessons.verdict import fitted, judge

SHARE = Ask("share", "How much?", Slider(0, 100, 1, 50, "%"))
PICK = Ask("pick", "Which?", ("under 10", "10 to 30", "over 30"))
CURVE = Ask("curve", "How?", Sketch("x", "y", 5))


def still(shade: int) -> bytes:
    buffer = BytesIO()
    Image.fromarray(np.full((96, 96, 3), shade, np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


def taken(label: str, value: float = 17.0, bars=(10.0, 10.0, 20.0, 60.0), known: bool = True) -> Outcome:
    places = tuple((i + 0.5) / len(bars) for i in range(len(bars)))
    series = {name: Series((1.0, 20.0), (5.0, value)) if known else Series((), ()) for name in MEASURES}
    series["attention_by_frame"] = Series(places, tuple(bars))
    stills = tuple((float(second), still(20 * second)) for second in range(6))
    return Outcome(label, "tiny", "7", False, 20.0, series, stills)


RUNS = {"a": taken("self-forcing"), "b": taken("deep-sink sink=4", 41.0)}


def words(of=("a",), prediction=None, measure="sink_mass", difference=False, bounds=(), answer=None, runs=RUNS) -> str:
    answers = {} if answer is None else {prediction.name: answer}
    return judge(Compare(measure, tuple(of), prediction, difference, bounds), runs, answers).words


@pytest.mark.parametrize(
    ("answer", "how"),
    [
        (17.0, "close to what you thought"),
        (22.0, "close to what you thought"),
        (30.0, "a little less than you thought"),
        (50.0, "much less than you thought"),
        (5.0, "a little more than you thought"),
    ],
)
def test_a_number(answer, how):
    assert words(prediction=SHARE, answer=answer) == f"You said {answer:g} %. This run: 17 %: {how}."


def test_several_runs_are_judged_one_by_one():
    told = words("ab", SHARE, answer=50.0)
    assert told == (
        "You said 50 %. self-forcing: 17 %: much less than you thought; "
        "deep-sink sink=4: 41 %: a little less than you thought."
    )


def test_a_difference():
    asked = {"of": "ab", "difference": True}
    assert words(**asked) == "From self-forcing to deep-sink sink=4: +24 points."
    assert words(**asked, measure="reach") == "From self-forcing to deep-sink sink=4: +24 s."
    told = words(**asked, prediction=SHARE, answer=20.0)
    assert told == "You said 20 %. From self-forcing to deep-sink sink=4: +24 points: close to what you thought."


@pytest.mark.parametrize(("value", "right"), [(9.9, 0), (10.0, 1), (29.9, 1), (30.0, 2)])
def test_the_right_choice_comes_from_the_measurement(value, right):
    runs = {"a": taken("x", value)}
    for answer in PICK.form:
        told = words(prediction=PICK, bounds=(10.0, 30.0), answer=answer, runs=runs)
        how = "as you thought" if answer == PICK.form[right] else "not what you thought"
        assert f"You chose “{answer}”" in told and told.endswith(f"which is “{PICK.form[right]}”: {how}.")


def test_a_curve_is_fitted_to_the_same_area_and_compared():
    bars = RUNS["a"].series["attention_by_frame"]
    drawn = fitted((0.0, 0.0, 0.0, 0.0, 1.0), bars)
    assert sum(drawn.y) == pytest.approx(100) and drawn.y[:3] == (0, 0, 0)
    assert fitted((0.0,) * 5, bars).y == pytest.approx([25] * 4)
    flat = words(prediction=CURVE, measure="attention_by_frame", answer=(0.5,) * 5)
    ends = "60 % of the attention goes to the newest quarter of the window, 10 % to the oldest"
    assert flat == f"This run: 65 % of its area is shared with your curve, something like it; {ends}."
    assert words(measure="attention_by_frame") == f"This run: {ends}."


def test_what_was_not_run_or_is_too_short_is_said():
    assert words("ab", runs={"a": RUNS["a"]}).startswith("Not run here: “b”.")
    assert judge(Compare("reach", ("b",), None, False, ()), {}, {}).chart is None
    short = {"a": taken("x", known=False), "b": taken("y", known=False)}
    assert words(runs=short) == "This run: too short to measure this."
    assert words("ab", difference=True, runs=short) == "x: too short to measure this; y: too short to measure this."


def test_charts_show_runs_and_predictions():
    chart = judge(Compare("sink_mass", ("a", "b"), SHARE, False, ()), RUNS, {"share": 50.0}).chart
    made = figure(chart)
    assert [line.name for line in made.data] == ["self-forcing", "deep-sink sink=4", "your prediction"]
    assert made.data[2].y == (50.0, 50.0) and made.data[0].x == (1.0, 20.0)
    chart = judge(Compare("attention_by_frame", ("a",), CURVE, False, ()), RUNS, {"curve": (0.5,) * 5}).chart
    assert [part.type for part in figure(chart).data] == ["bar", "scatter"]


@pytest.mark.parametrize(
    ("strip", "chart"),
    [
        (("a", "b"), Compare("sink_mass", ("a", "b"), SHARE, False, ())),
        (("a",), None),
        ((), Compare("attention_by_frame", ("a",), CURVE, False, ())),
        (("missing",), Compare("sink_mass", ("missing",), None, False, ())),
    ],
)
def test_a_picture_is_a_png_and_the_same_each_time(strip, chart):
    answers = {"share": 50.0, "curve": (0.1, 0.2, 0.3, 0.4, 0.5)}
    wanted = Picture("Half a $window$", strip, chart)
    data = draw("Lesson", wanted, RUNS, answers)
    assert data.startswith(b"\x89PNG") and data == draw("Lesson", wanted, RUNS, answers)
    picture = Image.open(BytesIO(data))
    below = np.asarray(picture.convert("L"))[-60:]
    assert picture.width == 1200 and (below < 200).any(), "what made it is written there"


def test_the_strip_shows_the_run_s_own_frames():
    picture = Image.open(BytesIO(draw("L", Picture("T", ("a",), None), RUNS, {}))).convert("RGB")
    shades = {colour[0] for _, colour in picture.getcolors(1 << 20) if len(set(colour)) == 1}
    assert {0, 20, 40, 60, 80, 100} <= {20 * round(shade / 20) for shade in shades}


def test_file_names_are_plain():
    assert file_name("Half a window: é/../x") == "half-a-window-x.png" and file_name("日本") == "lesson.png"
