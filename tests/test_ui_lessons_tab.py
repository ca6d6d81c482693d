"""The lessons' tab without a browser: what its buttons lead to, live and from a recording."""

import json
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
from conftest import soon
from test_trace import record, run

from deepforcing import DeepForcing
from ui.app import App
from ui.lessons.lesson import Broken
from ui.lessons.notebook import Notebook
from ui.lessons.text_column import NO_MODEL
from ui.player.messages import GONE
from ui.recordings.library import Recordings
from ui.replay import ReplayApp

READER = SimpleNamespace(session_hash="a")
LESSON = """# A lesson
In short.
## Read
Text.
## Guess
```ask
name = "frames"
question = "How many?"
slider = { from = 3, to = 6 }
```
## Choose
```ask
name = "pick"
question = "Which?"
choices = ["little", "much"]
```
## Draw
```ask
name = "curve"
question = "How?"
sketch = { x = "x", y = "y", points = 5 }
```
## Live
```run
name = "live"
runner = "deep-sink window=9 sink={frames}"
prompt = "a red balloon"
seconds = 9
panels = ["attention"]
```
## Recorded
```run
name = "old"
recorded = true
trace = "my-run"
```
## See
```compare
measure = "first_mass"
of = ["live"]
prediction = "pick"
bounds = [50]
```
## Keep
```picture
title = "Mine"
strip = ["live"]
```
"""


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    return record(tmp_path_factory.mktemp("recordings"), run()).rename(tmp_path_factory.mktemp("own") / "my-run.trace")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lessons")
    (folder / "lesson.md").write_text(LESSON, encoding="utf-8")
    (folder / "broken.md").write_text(LESSON.replace("deep-sink", "<b>deep-wish"), encoding="utf-8")
    return folder


class Reader:
    """Presses the buttons of a tab, and sees what the page would see."""

    def __init__(self, app, tab) -> None:
        self.app, self.tab, self.column, self.notebook = app, tab, tab.column, Notebook()
        self.seen = {}

    def see(self, updates) -> "Reader":
        for update in updates:
            self.seen |= update
            self.answer(update.get(self.tab.player))
        return self

    def answer(self, value) -> None:
        """As a page that confirms everything, and has always seen it all."""
        if not isinstance(value, str):
            return
        for message in json.loads(value)["messages"]:
            self.tab.viewings.confirm("a", message["run"], message["seq"])
        sessions = getattr(self.app, "sessions", None)
        if sessions is not None:
            sessions.report("a", message["run"], 10**6, True, message["seq"])

    def open(self) -> "Reader":
        lesson = next(lesson for lesson in self.tab.lessons if lesson.name == "lesson")
        return self.see(self.tab.open(lesson, self.notebook))

    def to(self, number: int) -> "Reader":
        while self.notebook.number < number - 1:
            self.see(self.tab.go_on(self.notebook, READER))
        return self

    def guess(self, number=5.0, choice="much", drawn="") -> "Reader":
        drawn = drawn or json.dumps({"points": [0, 0.25, 0.5, 2, 1]})
        return self.see(self.tab.predict(self.notebook, number, choice, drawn))

    @property
    def note(self) -> str:
        return self.seen[self.column.note]

    @property
    def may_go_on(self) -> bool:
        return self.seen[self.column.next]["interactive"]


@pytest.fixture
def reader(pipeline, trace, folder):
    app = App(pipeline, DeepForcing(), Recordings([trace]), folder)
    return Reader(app, app.page.learn)


@pytest.fixture
def without_model(trace, folder):
    app = ReplayApp(Recordings([trace]), folder)
    return Reader(app, app.learn)


def test_a_lesson_goes_from_prediction_to_picture(reader):
    reader.open()
    assert "Step 1 of 8" in reader.seen[reader.column.progress] and reader.may_go_on
    assert reader.seen[reader.tab.room]["elem_classes"] == ["reading"], "nothing has been run: no player yet"
    assert not reader.to(2).may_go_on
    assert reader.guess().may_go_on and "You said 5. Now see" in reader.note
    assert reader.guess(number=3.0).notebook.answers["frames"] == 5, "the first prediction counts"
    reader.to(3).guess(choice=None)
    assert "Choose one of them first." in reader.note and not reader.may_go_on
    reader.guess().to(4).guess(drawn='{"points": [1]}')
    assert "The curve cannot be read." in reader.note and not reader.may_go_on
    assert reader.guess().notebook.answers["curve"] == (0, 0.25, 0.5, 1, 1)
    live_run(reader.to(5))
    reader.see(reader.tab.play_it(reader.to(6).notebook, READER))
    assert reader.notebook.collector is None and "to go on, at least 8 are needed" in reader.note, (
        "it has seven seconds"
    )
    reader.notebook.number = 6
    reader.see(reader.column.page(reader.notebook))
    assert "You chose “much”. This run: " in reader.seen[reader.column.verdict]
    assert reader.seen[reader.column.plot]["value"].data[0].name == "deep-sink window=9 sink=5"
    picture_of_it(reader)


def test_an_experiment_is_not_taken_for_a_later_one_after_a_reload(reader):
    reader.open().to(2).guess().to(3).guess().to(4).guess()
    live_run(reader.to(5))
    (name,) = reader.tab._readers
    event = SimpleNamespace(_data={"run": name})
    reader.to(6)
    assert list(reader.tab.rejoin(event, SimpleNamespace(session_hash="b"))) == [{reader.tab.player: GONE}]
    assert set(reader.notebook.outcomes) == {"live"}


def live_run(reader) -> None:
    assert "deep-sink window=9 sink=5 · 9 s · seed 7" in reader.seen[reader.column.about]
    assert reader.seen[reader.tab.room]["elem_classes"] == ["shows-attention"] and not reader.may_go_on
    reader.see(reader.tab.run_it(reader.notebook, READER))
    assert "9 seconds of video are measured" in reader.note and reader.may_go_on
    made = reader.notebook.outcomes["live"]
    assert made.label == "deep-sink window=9 sink=5" and made.seconds == 9 and len(made.stills) == 6
    assert not hasattr(reader.notebook, "frames") and len(str(made)) < 100_000, "no frames are kept but the stills"


def picture_of_it(reader) -> None:
    reader.notebook.number = 7
    for updates in reader.tab._page(reader.notebook):
        path = updates[reader.column.download]["value"]
        assert path.endswith("/mine.png") and Path(path).read_bytes().startswith(b"\x89PNG")
    assert updates[reader.column.next]["value"] == "Done"
    reader.see(reader.tab.go_on(reader.notebook, READER))
    assert reader.notebook.lesson is None and reader.seen[reader.tab.card_list]["visible"]


def test_a_run_that_is_stopped_early_is_not_enough(reader):
    reader.open().notebook.number = 4
    updates = reader.tab.run_it(reader.notebook, READER)
    for update in updates:
        reader.see([update])
        if reader.notebook.collector and reader.notebook.collector.seconds > 1:
            reader.tab.interrupt(reader.notebook, READER)
    assert "to go on, at least 8 are needed" in reader.note and not reader.may_go_on
    assert soon(lambda: reader.app.sessions.active == 0) and not reader.notebook.outcomes


def test_leaving_the_step_ends_its_run_and_keeps_its_words_to_itself(reader):
    reader.open().notebook.number = 4
    updates = reader.tab.run_it(reader.notebook, READER)
    while reader.notebook.collector is None or reader.notebook.collector.seconds < 1:
        reader.see([next(updates)])
    reader.see(reader.tab.go_back(reader.notebook, READER))
    late = list(updates)
    assert all(set(update) == {reader.tab.player} for update in late), "of another step by now"
    assert (
        soon(lambda: reader.app.sessions.active == 0)
        and reader.notebook.collector is None
        and not reader.notebook.outcomes
    )


def test_an_order_that_cannot_work_is_told(reader, monkeypatch):
    reader.open().notebook.number = 4
    monkeypatch.setitem(reader.notebook.answers, "frames", 30.0)
    reader.see(reader.tab.run_it(reader.notebook, READER))
    assert "note problem" in reader.note and "sink" in reader.note and soon(lambda: reader.app.sessions.active == 0)


def test_a_broken_lesson_is_a_card_and_runs_nothing(reader):
    broken, card = reader.tab.lessons[-2], reader.tab.cards[-2]
    assert isinstance(broken, Broken) and "broken.md, step 5 (Live): unknown policy" in card.value
    assert "&lt;b&gt;deep-wish" in card.value and "<b>" not in card.value
    assert soon(lambda: reader.app.sessions.active == 0)


def test_without_a_model_recordings_play_and_the_rest_is_skipped(without_model):
    reader = without_model.open()
    reader.to(2).guess().to(3).guess().to(4).guess().to(5)
    assert NO_MODEL in reader.note and reader.may_go_on and not reader.seen[reader.column.run]["visible"]
    reader.see(reader.tab.run_it(reader.notebook, READER))
    assert reader.notebook.collector is None
    reader.to(6)
    assert reader.seen[reader.column.play]["visible"] and not reader.seen[reader.column.run]["visible"]
    reader.notebook.number = 6
    reader.see(reader.column.page(reader.notebook))
    assert "Not run here: “live”" in reader.seen[reader.column.verdict]
    assert reader.seen[reader.column.plot]["value"] is None


def test_a_recording_is_shown_as_far_as_the_experiment_goes(without_model, trace):
    reader = without_model.open()
    reader.notebook.number = 5
    run = reader.notebook.step.block
    short = type(run)(**{**vars(run), "seconds": 4})
    kinds = [message["kind"] for message in reader.tab._opening(short).messages]
    assert kinds == ["started", *["chunk"] * 6], "chunks that begin before four seconds"


def test_links_open_a_step(without_model):
    reader = without_model
    reader.see(reader.tab.follow("?lesson=lesson&step=3&__theme=dark", reader.notebook))
    assert "Step 3 of 8" in reader.seen[reader.column.progress]
    reader.see(reader.tab.follow("?lesson=lesson&step=99", Notebook()))
    assert "Step 8 of 8" in reader.seen[reader.column.progress]
    for link, words in {"?lesson=<b>": "no lesson &#x27;&lt;b&gt;&#x27;", "?lesson=lesson&step=x": "a number"}.items():
        reader.see(reader.tab.follow(link, Notebook()))
        assert words in reader.seen[reader.tab.trouble]


def test_an_event_that_changes_nothing_says_so(reader):
    """Gradio empties the components of one that yields nothing: a lesson that is just opened would be blank."""
    tab, nobody = reader.tab, Notebook()
    events = [
        tab.follow("?trace=my-run", nobody),
        tab.predict(nobody, 1, None, ""),
        tab.run_it(nobody, READER),
        tab.play_it(nobody, READER),
    ]
    for event in events:
        (updates,) = event
        assert all(update == gr.skip() for update in updates.values()) and len(updates) == 1


def test_another_lesson_begins_anew_and_the_same_goes_on(reader):
    reader.open().to(2).guess().to(3)
    reader.see(reader.tab.go_away(reader.notebook, READER))
    assert reader.seen[reader.tab.room]["elem_classes"] == ["away"]
    assert "Step 3 of 8" in reader.open().seen[reader.column.progress]
    twin = type(reader.notebook.lesson)(**vars(reader.notebook.lesson))
    reader.notebook.lesson = twin
    assert "Step 1 of 8" in reader.open().seen[reader.column.progress] and not reader.notebook.answers
    assert json.loads(reader.seen[reader.tab.player])["messages"][0]["kind"] == "idle"


def test_a_page_without_lessons_says_so(tmp_path, trace, monkeypatch):
    monkeypatch.setattr("ui.lessons.library.SHIPPED", tmp_path)
    assert "There are no lessons here" in ReplayApp(Recordings([trace])).learn.trouble.value
