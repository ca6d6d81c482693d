"""The lessons' part of the page: cards, one lesson beside a player of its own, and what happens when a button is
pressed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import gradio as gr

from deepforcing import PromptError, SettingsError, TraceError

from ..look.notes import note, problem
from ..look.told import told
from ..look.web import serve
from ..player.messages import GONE, packet
from ..player.player import player
from ..recordings.library import Recordings
from ..recordings.links import LinkError, read_lesson_link
from ..recordings.viewings import Opening, Viewings
from ..runs.names import run_name
from .lesson import Ask, Broken, Lesson, LessonError, Run, Sketch, Slider
from .notebook import Notebook
from .outcome import ENOUGH_SECONDS, Collector
from .quiz import desk
from .sketch import read_sketch
from .text_column import TextColumn, Updates
from .verdict import Answer

if TYPE_CHECKING:
    from .live import Lab  # which needs a model

QUIET = {"show_progress": "hidden", "api_visibility": "private"}
TAB = "learn"
AWAY = ["away"]  # hidden by its look only: what is taken off the page would come back with another player
INTRO = (
    "<h2>Short lessons</h2><p>Say what you expect, run it, and see how far off you were. The pictures are from "
    "recorded runs of the small model. How far you are is kept on this device alone.</p>"
)
IDLE = "The experiment plays here."
NONE_HERE = "There are no lessons here. Start with --lessons FOLDER to bring some."
FOCUS = "() => { const h = document.querySelector('#lesson-words h2'); if (h) { h.tabIndex = -1; h.focus(); } }"

READERS = 24  # of experiments, that are found again


class LessonTab:
    """Made inside gr.Blocks, where it is to be; `wire` connects it. live: whether there is a model to run."""

    def __init__(
        self, lessons: Iterable[Lesson | Broken], recordings: Recordings, live: bool, wide: bool = False
    ) -> None:
        self.lessons, self.recordings, self.viewings = tuple(lessons), recordings, Viewings()
        self._lab: Callable[[], Lab | None] = lambda: None
        self._readers: OrderedDict[str, tuple[Notebook, Run]] = OrderedDict()  # by their live run, and what that is
        self._close: Callable[[str], None] = lambda session: None
        self.notebook, self.asked = gr.State(Notebook()), gr.State("")
        with gr.Column(elem_id="lesson-cards") as self.card_list:
            gr.HTML(INTRO, elem_id="lesson-intro", elem_classes="intro", apply_default_css=False)
            self.cards = [_card(number, lesson) for number, lesson in enumerate(self.lessons, 1)]
            none = "" if self.lessons else note(NONE_HERE, "hint")
            self.trouble = gr.HTML(none, elem_id="lesson-trouble", apply_default_css=False)
            desk("lesson-desk")
        with gr.Column(elem_id="lesson", elem_classes=AWAY) as self.room:
            with gr.Column(elem_id="lesson-text"):
                self.column = TextColumn(live)
            self.player = player(
                wide,
                IDLE,
                elem_id="lesson-player",
                starts="#lesson-run, #lesson-play",
                stops="#lesson-stop",
                keeps="lesson" if live else None,
            )

    def wire(
        self,
        blocks: gr.Blocks,
        tabs: gr.Tabs,
        others: Sequence[gr.Tab],
        lab: Callable[[], Lab | None] = lambda: None,
        close: Callable[[str], None] = lambda session: None,
        beat: Callable | None = None,
        pause: Callable | None = None,
        **queue,
    ) -> None:
        """others: the tabs beside this one. lab: where experiments are made, if anywhere; close: ends what the session
        runs; beat, pause: the page's own. queue: options of the long events."""
        self._lab, self._close = lab, close
        self._wire_steps()
        self._wire_runs(beat, pause, queue)
        for tab in others:
            tab.select(self.interrupt, self.notebook, queue=False, **QUIET)
        # What is on the tab can be changed only when it is there: from an update that comes before, Gradio (6.31)
        # keeps that alone of a component. So a link first turns to the tab, and is followed when the player is there.
        blocks.load(self.turn_to, None, tabs, **QUIET)
        self.player.arrive(self.arrive, None, self.asked, **QUIET)
        self.asked.change(self.follow, [self.asked, self.notebook], self._shown, **QUIET)

    def _wire_steps(self) -> None:
        column = self.column
        for button, lesson in zip(self.cards, self.lessons, strict=True):
            if isinstance(lesson, Lesson):
                self._moves(button, _opens(self, lesson), [*self._shown, self.player])
        for button, move in ((column.back, self.go_back), (column.next, self.go_on), (column.leave, self.go_away)):
            self._moves(button, move, self._shown)
        answers = [self.notebook, column.slider, column.choices, column.sketch]
        column.commit.click(self.predict, answers, self._shown, **QUIET)

    def _wire_runs(self, beat: Callable | None, pause: Callable | None, queue: dict) -> None:
        column, changed = self.column, [self.player, *self.column.running]
        column.run.click(self.run_it, self.notebook, changed, **QUIET, **queue)
        column.play.click(self.play_it, self.notebook, changed, **QUIET, **queue)
        column.stop.click(self.interrupt, self.notebook, queue=False, **QUIET)
        self.player.rejoin(self.rejoin, None, [self.notebook, *self._shown, self.player], **QUIET, **queue)
        # A page may confirm a part before the answer to its last confirmation has come: none of them may be dropped.
        self.player.confirm(self.confirm, queue=False, trigger_mode="multiple", **QUIET)
        for event, answer in ((self.player.beat, beat), (self.player.pause, pause)):
            if answer is not None:
                event(answer, queue=False, trigger_mode="multiple", **QUIET)

    def _moves(self, button: gr.Button, move: Callable, changed: list) -> None:
        button.click(move, self.notebook, changed, **QUIET).then(fn=None, js=FOCUS)

    @property
    def _shown(self) -> list:
        return [self.card_list, self.room, self.trouble, *self.column.changing]

    def turn_to(self, request: gr.Request) -> object:
        """A page was opened: its link may want this tab."""
        return gr.Tabs(selected=TAB) if "lesson" in request.query_params else gr.skip()

    def arrive(self, event: gr.EventData) -> str:
        """The tab is there. What its link asks for."""
        return told(event, search=str)[0]

    def follow(self, search: str, notebook: Notebook) -> Iterator[Updates]:
        """A link to a lesson's step."""
        yield {self.trouble: gr.skip()}  # from an event that yields nothing Gradio (6.31) makes its components empty
        try:
            asked = read_lesson_link(search)
            if asked is not None:
                notebook.open(self._named(asked[0]), asked[1] - 1)
                yield from self._page(notebook)
        except LinkError as error:
            yield {self.trouble: problem(error)}

    def _named(self, name: str) -> Lesson:
        for lesson in self.lessons:
            if lesson.name == name and isinstance(lesson, Lesson):
                return lesson
        raise LinkError(f"There is no lesson {name[:40]!r} here.")

    def open(self, lesson: Lesson, notebook: Notebook) -> Iterator[Updates]:
        """Begin a lesson, or go on with it where it was left."""
        another = notebook.lesson is not lesson
        notebook.open(lesson)
        for updates in self._page(notebook):
            yield {**updates, self.player: _emptied() if another else gr.skip()}

    def go_back(self, notebook: Notebook, request: gr.Request) -> Iterator[Updates]:
        yield from self._go(notebook, request.session_hash, -1)

    def go_on(self, notebook: Notebook, request: gr.Request) -> Iterator[Updates]:
        """The next step; after the last one, the cards, and the lesson is over."""
        if notebook.lesson is not None and notebook.last:
            yield from self.go_away(notebook, request)
            notebook.close()
        else:
            yield from self._go(notebook, request.session_hash, 1)

    def go_away(self, notebook: Notebook, request: gr.Request) -> Iterator[Updates]:
        """Back to the cards; the lesson waits where it is."""
        self._interrupt(request.session_hash, notebook)
        notebook.collector = None
        yield {self.card_list: gr.update(visible=True), self.room: gr.update(elem_classes=AWAY), self.trouble: ""}

    def _go(self, notebook: Notebook, session: str, steps: int) -> Iterator[Updates]:
        if notebook.lesson is None:  # of a session that the server does not know any more
            gone = LessonError("This lesson was closed. Go to all lessons, and open it again.")
            yield {self.column.note: problem(gone)}
            return
        self._interrupt(session, notebook)
        notebook.go(steps)
        yield from self._page(notebook)

    def _page(self, notebook: Notebook) -> Iterator[Updates]:
        panels = notebook.panels
        classes = ["reading"] if panels is None else [f"shows-{panel}" for panel in panels]
        frame = {self.card_list: gr.update(visible=False), self.room: gr.update(elem_classes=classes)}
        for updates in self.column.page(notebook):
            yield {**frame, self.trouble: "", **updates}

    def predict(self, notebook: Notebook, number: float, choice: str | None, drawn: str) -> Iterator[Updates]:
        """Write down what the reader thinks."""
        if notebook.lesson is None or not isinstance(notebook.step.block, Ask):
            yield {self.trouble: gr.skip()}
            return
        try:
            notebook.answer(_answer(notebook.step.block, number, choice, drawn))
        except (ValueError, TypeError) as error:
            yield {self.column.note: problem(error)}
            return
        yield from self._page(notebook)

    def run_it(self, notebook: Notebook, request: gr.Request) -> Iterator[Updates]:
        """The experiment itself, from the click to its end."""
        run, lab = _run_of(notebook), self._lab()
        if run is None or lab is None or run.recorded:
            yield {self.player: gr.skip()}
            return
        self.viewings.close(request.session_hash)
        values = self._remembered(notebook, run, lab.run(request.session_hash, run, notebook.runner(run)))
        yield from self._take(notebook, run, False, values)

    def _remembered(
        self, notebook: Notebook, run: Run, values: Iterable[tuple[str, dict]]
    ) -> Iterator[tuple[str, list[dict]]]:
        """Whose experiment it is, for a page that is loaded anew meanwhile."""
        for value, message in values:
            self._readers[message["run"]] = notebook, run
            while len(self._readers) > READERS:
                self._readers.popitem(last=False)
            yield value, [message]

    def rejoin(self, event: gr.EventData, request: gr.Request) -> Iterator[Updates]:
        """The experiment that the page had before it was loaded anew, and its reader's answers; the page is told where
        there is none any more, or the reader has gone on to another."""
        (run,), lab = told(event, run=str), self._lab()
        notebook, block = self._readers.get(run, (None, None))
        here = notebook is not None and _run_of(notebook) is block
        values = lab.rejoin(request.session_hash, run) if lab and here else iter(())
        first = next(values, None)
        if first is None:
            yield {self.player: GONE}  # which then follows its address
            return
        for updates in self._page(notebook):
            yield {**updates, self.notebook: notebook}
        yield from self._take(notebook, block, False, self._remembered(notebook, block, chain([first], values)))

    def play_it(self, notebook: Notebook, request: gr.Request) -> Iterator[Updates]:
        """Its recording, as far as the experiment goes."""
        run = _run_of(notebook)
        if run is None or run.trace is None:
            yield {self.player: gr.skip()}
            return
        parts = self.viewings.play(request.session_hash, self._opening(run))
        yield from self._take(notebook, run, True, ((packet(part), part) for part in parts))

    def _take(
        self, notebook: Notebook, run: Run, recorded: bool, values: Iterable[tuple[str, list[dict]]]
    ) -> Iterator[Updates]:
        collector, trouble = notebook.begin(recorded), ""
        busy = self.column.buttons(notebook, run, busy=True)  # with every message: what appears forgets the first
        yield {**busy, self.column.note: ""}
        try:
            for value, messages in values:
                for message in messages:
                    collector.add(message)
                yield {self.player: value, **(busy if notebook.collector is collector else {})}
        except (PromptError, SettingsError, TraceError, OSError) as error:
            trouble = problem(error)
        if notebook.finish(collector):
            yield {**self.column.buttons(notebook, run), self.column.note: trouble or _came(collector)}

    def _opening(self, run: Run) -> Opening:
        trace = self.recordings.get(run.trace)
        most = run.seconds * trace.started.fps
        messages = (m for m in self.recordings.messages(run.trace) if m["kind"] != "chunk" or m["first"] < most)
        return Opening(trace, messages)

    def interrupt(self, notebook: Notebook, request: gr.Request) -> None:
        """End the lesson's run, if one is under way; what was made of it counts."""
        self._interrupt(request.session_hash, notebook)

    def _interrupt(self, session: str, notebook: Notebook) -> None:
        if notebook.collector is None:
            return
        self.viewings.close(session)
        if not notebook.collector.recorded:
            self._close(session)

    def confirm(self, event: gr.EventData, request: gr.Request) -> None:
        """The page has received a part of a recording."""
        self.viewings.confirm(request.session_hash, *told(event, run=str, seen=int))


def _card(number: int, lesson: Lesson | Broken) -> gr.Button | gr.HTML:
    if isinstance(lesson, Broken):
        return gr.HTML(problem(LessonError(lesson.error)), elem_classes="card", apply_default_css=False)
    serve(*filter(None, [lesson.picture]))
    minutes = f"about {lesson.minutes} minute{'s' if lesson.minutes > 1 else ''}"
    return gr.Button(
        f"{number} · {lesson.title}\n{lesson.summary}\n{minutes}",
        icon=lesson.picture,
        elem_classes="card",
        elem_id=f"card-{len(lesson.steps)}-{lesson.name}",
    )


def _run_of(notebook: Notebook) -> Run | None:
    block = notebook.step.block if notebook.lesson is not None else None
    return block if isinstance(block, Run) else None


def _answer(ask: Ask, number: float, choice: str | None, drawn: str) -> Answer:
    """What the reader thinks. Raises ValueError for nothing, or for what cannot be."""
    if isinstance(ask.form, Slider):
        return min(max(float(number), ask.form.low), ask.form.high)
    if isinstance(ask.form, Sketch):
        return read_sketch(drawn, ask.form)
    if choice not in ask.form:
        raise ValueError("Choose one of them first.")
    return choice


def _came(collector: Collector) -> str:
    """What a run has come to, for the reader."""
    made = f"{collector.seconds:.0f} seconds of video"
    if collector.enough:
        return note(f"{made} are measured. Watch as long as you like, then press Next.", "hint")
    return note(f"These are {made}; to go on, at least {ENOUGH_SECONDS:.0f} are needed.", "hint")


def _emptied() -> str:
    """For the player: what another lesson showed is gone."""
    return packet([{"run": run_name(), "seq": 0, "kind": "idle", "text": IDLE}])


def _opens(tab: LessonTab, lesson: Lesson) -> Callable:
    def opens(notebook: Notebook) -> Iterator[Updates]:
        yield from tab.open(lesson, notebook)

    return opens
