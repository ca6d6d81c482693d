"""The lessons' part of the page: cards, and one lesson beside a player of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory

import gradio as gr

from deepforcing import PromptError, SettingsError, TraceError

from ..link import LinkError, read_lesson_link
from ..names import run_name
from ..notes import note, problem
from ..player import player
from ..shelf import Shelf
from ..showing import Opening, Showings
from ..view import packet
from .chart import figure
from .lesson import Ask, Broken, Compare, Lesson, Picture, Run, Sketch, Slider
from .measures import MEASURES
from .notebook import Notebook
from .picture import draw, file_name
from .sketch import read_sketch, shown, sketch_pad
from .take import ENOUGH_SECONDS
from .verdict import Answer, judge, said

QUIET = {"show_progress": "hidden", "api_visibility": "private"}
TAB = "learn"
AWAY = ["away"]  # hidden by its look only: what is taken off the page would come back with another player
IDLE = "The experiment plays here."
NONE_HERE = "There are no lessons here. Start with --lessons FOLDER to bring some."
NO_MODEL = "This experiment needs the model, which this page does not have. Go on without it."
FOCUS = "() => { const h = document.querySelector('#lesson-words h2'); if (h) { h.tabIndex = -1; h.focus(); } }"

# (session, run, runner with its answers) -> (value for the player, message), as `Sessions.packets` gives them
Live = Callable[[str, Run, str], Iterator[tuple[str, dict]]]
Updates = dict[gr.components.Component, object]


class LessonDesk:
    """Made inside gr.Blocks, where it is to be; `wire` connects it. live: whether there is a model to run."""

    def __init__(self, lessons: Iterable[Lesson | Broken], shelf: Shelf, live: bool, wide: bool = False) -> None:
        self.lessons, self.shelf, self.showings = tuple(lessons), shelf, Showings()
        self._has_model = live
        self._live: Live | None = None
        self._close: Callable[[str], None] = lambda session: None
        self.notebook = gr.State(Notebook())
        with gr.Column(elem_id="lesson-cards") as self.shelf_of_cards:
            self.cards = [self._card(number, lesson) for number, lesson in enumerate(self.lessons, 1)]
            self.trouble = gr.HTML(
                "" if self.lessons else note(NONE_HERE, "hint"), elem_id="lesson-trouble", apply_default_css=False
            )
        with gr.Column(elem_id="lesson", elem_classes=AWAY) as self.room:
            with gr.Column(elem_id="lesson-text"):
                self._text()
            self.player = player(
                wide, IDLE, elem_id="lesson-player", starts="#lesson-run, #lesson-play", stops="#lesson-stop"
            )

    def _card(self, number: int, lesson: Lesson | Broken) -> gr.Button | gr.HTML:
        if isinstance(lesson, Broken):
            return gr.HTML(problem(ValueError(lesson.error)), elem_classes="card broken", apply_default_css=False)
        minutes = f"about {lesson.minutes} minute{'s' if lesson.minutes > 1 else ''}"
        words = f"{number} · {lesson.title}\n{lesson.summary}\n{minutes}"
        return gr.Button(words, elem_classes="card", elem_id=f"lesson-card-{number}")

    def _text(self) -> None:
        self.progress = gr.HTML(elem_id="lesson-progress", apply_default_css=False)
        self.words = gr.Markdown(elem_id="lesson-words")
        with gr.Column(elem_id="lesson-ask", visible=False) as self.ask_box:
            self.question = gr.Markdown(elem_id="lesson-question")
            self.slider = gr.Slider(0, 1, 0, label="Your prediction", visible=False, elem_id="lesson-slider")
            self.choices = gr.Radio([], label="Your prediction", visible=False, elem_id="lesson-choices")
            self.sketch = sketch_pad("lesson-sketch")
            self.commit = gr.Button("That is my prediction", variant="primary", elem_id="lesson-commit")
        with gr.Column(elem_id="lesson-experiment", visible=False) as self.run_box:
            self.about = gr.HTML(elem_id="lesson-about", apply_default_css=False)
            with gr.Row(elem_id="lesson-run-row"):
                self.run = gr.Button("Run it", variant="primary", elem_id="lesson-run")
                self.play = gr.Button("Play the recording", elem_id="lesson-play")
                self.stop = gr.Button("Stop here", visible=False, elem_id="lesson-stop")
        with gr.Column(elem_id="lesson-compare", visible=False) as self.compare_box:
            self.verdict = gr.HTML(elem_id="lesson-verdict", apply_default_css=False)
            self.plot = gr.Plot(show_label=False, container=False, elem_id="lesson-plot")
        with gr.Column(elem_id="lesson-picture", visible=False) as self.picture_box:
            self.image = gr.Image(
                show_label=False, interactive=False, container=False, buttons=["fullscreen"], elem_id="lesson-image"
            )
            self.download = gr.DownloadButton("Download the picture", variant="primary", elem_id="lesson-download")
        self.note = gr.HTML(elem_id="lesson-note", apply_default_css=False)
        with gr.Row(elem_id="lesson-steps"):
            self.leave = gr.Button("All lessons", elem_id="lesson-leave")
            self.back = gr.Button("Back", elem_id="lesson-back")
            self.next = gr.Button("Next", variant="primary", elem_id="lesson-next")

    def wire(
        self,
        blocks: gr.Blocks,
        tabs: gr.Tabs,
        others: Sequence[gr.Tab],
        live: Live | None = None,
        close: Callable[[str], None] = lambda session: None,
        beat: Callable | None = None,
        pause: Callable | None = None,
        **queue,
    ) -> None:
        """others: the tabs beside this one; live: runs an experiment; close: ends what the session runs; beat, pause: the
        page's own; queue: options of the long events."""
        self._live, self._close = live, close
        shown = self._shown()
        for button, lesson in zip(self.cards, self.lessons, strict=True):
            if isinstance(lesson, Lesson):
                self._moves(button, _opens(self, lesson), [*shown, self.player])
        for button, move in ((self.back, self.go_back), (self.next, self.go_on), (self.leave, self.go_away)):
            self._moves(button, move, shown)
        answers = [self.notebook, self.slider, self.choices, self.sketch]
        self.commit.click(self.predict, answers, shown, **QUIET)
        running = [self.player, self.run, self.play, self.stop, self.next, self.note]
        self.run.click(self.run_it, self.notebook, running, **QUIET, **queue)
        self.play.click(self.play_it, self.notebook, running, **QUIET, **queue)
        self.stop.click(self.interrupt, self.notebook, queue=False, **QUIET)
        for tab in others:
            tab.select(self.interrupt, self.notebook, queue=False, **QUIET)
        # A page may confirm a part before the answer to its last confirmation has come: none of them may be dropped.
        self.player.confirm(self.confirm, queue=False, trigger_mode="multiple", **QUIET)
        for event, answer in ((self.player.beat, beat), (self.player.pause, pause)):
            if answer is not None:
                event(answer, queue=False, **QUIET)
        self.player.arrive(self.arrive, self.notebook, shown, **QUIET)
        blocks.load(self.turn_to, None, tabs, **QUIET)

    def _moves(self, button: gr.Button, move: Callable, shown: list) -> None:
        button.click(move, self.notebook, shown, **QUIET).then(fn=None, js=FOCUS)

    def _shown(self) -> list:
        boxes = [self.shelf_of_cards, self.room, self.ask_box, self.run_box, self.compare_box, self.picture_box]
        ask = [self.question, self.slider, self.choices, self.sketch, self.commit]
        run = [self.about, self.run, self.play, self.stop]
        found = [self.verdict, self.plot, self.image, self.download]
        rest = [self.trouble, self.progress, self.words, self.note, self.back, self.next]
        return [*boxes, *ask, *run, *found, *rest]

    def open(self, lesson: Lesson, notebook: Notebook, number: int = 0) -> Iterator[Updates]:
        """Begin a lesson, or go on with it where it was left."""
        another = notebook.lesson is not lesson
        notebook.open(lesson, number)
        for updates in self._page(notebook):
            yield {**updates, self.player: _emptied() if another else gr.skip()}

    def go_back(self, notebook: Notebook, request: gr.Request) -> Iterator[Updates]:
        yield from self._go(notebook, request.session_hash, -1)

    def go_on(self, notebook: Notebook, request: gr.Request) -> Iterator[Updates]:
        """The next step, if this one is done; after the last one, the cards."""
        if notebook.lesson is not None and notebook.last:
            yield from self.go_away(notebook, request)
            notebook.close()
        elif notebook.lesson is not None and notebook.ready(self._possible(notebook)):
            yield from self._go(notebook, request.session_hash, 1)

    def _go(self, notebook: Notebook, session: str, steps: int) -> Iterator[Updates]:
        if notebook.lesson is None:  # a page that was open while the server began anew
            yield self._all_cards()
            return
        self._interrupt(session, notebook)
        notebook.go(steps)
        yield from self._page(notebook)

    def go_away(self, notebook: Notebook, request: gr.Request) -> Iterator[Updates]:
        """Back to the cards; the lesson waits where it is."""
        self._interrupt(request.session_hash, notebook)
        notebook.take = None
        yield self._all_cards()

    def turn_to(self, request: gr.Request) -> object:
        """A page was opened: its link may want this tab. What is on the tab can be told only when it is there: updates
        before make Gradio (6.31) forget all else about a component."""
        return gr.Tabs(selected=TAB) if request.query_params.get("lesson") else gr.skip()

    def arrive(self, notebook: Notebook, event: gr.EventData) -> Iterator[Updates]:
        """The tab is there, perhaps by a link to a lesson's step."""
        try:
            asked = read_lesson_link(str(event._data["search"]))
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

    def predict(self, notebook: Notebook, number: float, choice: str | None, drawn: str) -> Iterator[Updates]:
        """Write down what the reader thinks."""
        if notebook.lesson is None or not isinstance(notebook.step.block, Ask):
            return
        try:
            notebook.answer(_answer(notebook.step.block, number, choice, drawn))
        except (ValueError, TypeError) as error:
            yield {self.note: problem(error)}
            return
        yield from self._page(notebook)

    def run_it(self, notebook: Notebook, request: gr.Request) -> Iterator[Updates]:
        """The experiment itself, from the click to its end."""
        run = self._run_of(notebook)
        if run is None or self._live is None or run.recorded:
            return
        self.showings.close(request.session_hash)
        values = self._live(request.session_hash, run, notebook.runner(run))
        yield from self._take(notebook, False, ((value, [message]) for value, message in values))

    def play_it(self, notebook: Notebook, request: gr.Request) -> Iterator[Updates]:
        """Its recording, as far as the experiment goes."""
        run = self._run_of(notebook)
        if run is None or run.trace is None:
            return
        parts = self.showings.play(request.session_hash, self._opening(run))
        yield from self._take(notebook, True, ((packet(part), part) for part in parts))

    def _take(self, notebook: Notebook, recorded: bool, values: Iterable[tuple[str, list[dict]]]) -> Iterator[Updates]:
        take, trouble = notebook.begin(recorded), ""
        yield {**self._buttons(notebook, running=not recorded), self.next: gr.update(interactive=False), self.note: ""}
        try:
            for value, messages in values:
                for message in messages:
                    take.add(message)
                yield {self.player: value}
        except (PromptError, SettingsError, TraceError, OSError) as error:
            trouble = problem(error)
        if notebook.finish(take):
            ready = gr.update(interactive=notebook.ready(self._possible(notebook)))
            yield {**self._buttons(notebook), self.next: ready, self.note: trouble or _came(take.seconds, take.enough)}

    def _opening(self, run: Run) -> Opening:
        trace = self.shelf.get(run.trace)
        most = run.seconds * trace.started.fps
        messages = (m for m in self.shelf.messages(run.trace) if m["kind"] != "chunk" or m["first"] < most)
        return Opening(trace, messages)

    def interrupt(self, notebook: Notebook, request: gr.Request) -> None:
        """End the lesson's run, if one is under way; what was made of it counts."""
        self._interrupt(request.session_hash, notebook)

    def _interrupt(self, session: str, notebook: Notebook) -> None:
        if notebook.take is None:
            return
        self.showings.close(session)
        if not notebook.take.recorded:
            self._close(session)

    def confirm(self, event: gr.EventData, request: gr.Request) -> None:
        """The page has received a part of a recording."""
        self.showings.confirm(request.session_hash, str(event._data["run"]), int(event._data["seen"]))

    def _run_of(self, notebook: Notebook) -> Run | None:
        block = notebook.step.block if notebook.lesson is not None else None
        return block if isinstance(block, Run) else None

    def _possible(self, notebook: Notebook) -> bool:
        """Whether this step's experiment can be made here, live or from its recording."""
        run = self._run_of(notebook)
        return run is not None and (run.trace is not None or (self._has_model and not run.recorded))

    def _all_cards(self) -> Updates:
        return {self.shelf_of_cards: gr.update(visible=True), self.room: gr.update(elem_classes=AWAY), self.trouble: ""}

    def _page(self, notebook: Notebook) -> Iterator[Updates]:
        """Everything of a step. The picture's file lives until the page has it."""
        block = notebook.step.block
        with TemporaryDirectory(prefix="deepforcing-") as folder:
            yield {
                **self._frame(notebook),
                **self._asked(notebook, block if isinstance(block, Ask) else None),
                **self._experiment(notebook, block if isinstance(block, Run) else None),
                **self._compared(notebook, block if isinstance(block, Compare) else None),
                **self._drawn(notebook, block if isinstance(block, Picture) else None, Path(folder)),
                self.note: self._hint(notebook),
            }

    def _frame(self, notebook: Notebook) -> Updates:
        lesson, number, panels = notebook.lesson, notebook.number + 1, notebook.panels
        classes = ["reading"] if panels is None else [f"shows-{panel}" for panel in panels]
        bar = f"<progress max='{len(lesson.steps)}' value='{number}' aria-hidden='true'></progress>"
        place = f"<span>{escape(lesson.title)}</span> <span>Step {number} of {len(lesson.steps)}</span>"
        return {
            self.shelf_of_cards: gr.update(visible=False),
            self.room: gr.update(elem_classes=classes),
            self.progress: f"<p class='lesson-place'>{place}</p>{bar}",
            self.words: f"## {notebook.step.heading}\n\n{notebook.step.text}",
            self.back: gr.update(interactive=number > 1),
            self.next: gr.update(
                value="Done: all lessons" if notebook.last else "Next",
                interactive=notebook.ready(self._possible(notebook)),
            ),
            self.trouble: "",
        }

    def _hint(self, notebook: Notebook) -> str:
        block = notebook.step.block
        if isinstance(block, Ask) and block.name in notebook.answers:
            return note(escape(f"{said(block, notebook.answers[block.name])}. Now see what happens."), "hint")
        return note(NO_MODEL, "hint") if isinstance(block, Run) and not self._possible(notebook) else ""

    def _asked(self, notebook: Notebook, ask: Ask | None) -> Updates:
        if ask is None:
            return {self.ask_box: gr.update(visible=False)}
        form, answer = ask.form, notebook.answers.get(ask.name)
        open_ = answer is None
        return {
            self.ask_box: gr.update(visible=True),
            self.question: ask.question,
            self.slider: _slider(form, answer) if isinstance(form, Slider) else gr.update(visible=False),
            self.choices: gr.update(choices=list(form), value=answer, visible=True, interactive=open_)
            if isinstance(form, tuple)
            else gr.update(visible=False),
            self.sketch: shown(form, answer)
            if isinstance(form, Sketch)
            else gr.update(visible=False),
            self.commit: gr.update(visible=open_),
        }

    def _experiment(self, notebook: Notebook, run: Run | None) -> Updates:
        if run is None:
            return {self.run_box: gr.update(visible=False)}
        return {self.run_box: gr.update(visible=True), self.about: self._about(notebook, run), **self._buttons(notebook)}

    def _about(self, notebook: Notebook, run: Run) -> str:
        prompt = run.prompt if isinstance(run.prompt, str) or run.prompt is None else " → ".join(run.prompt.prompts)
        facts = [notebook.runner(run) or f"recorded run {run.trace}", f"{run.seconds} s"]
        facts += [] if run.recorded else [f"seed {run.seed}"]
        quoted = f"<p class='lesson-prompt'>“{escape(prompt)}”</p>" if prompt else ""
        return f"{quoted}<p class='lesson-facts'>{escape(' · '.join(facts))}</p>"

    def _buttons(self, notebook: Notebook, running: bool = False) -> Updates:
        run = self._run_of(notebook)
        again = run.name in notebook.taken
        runs, plays = self._has_model and not run.recorded, run.trace is not None
        return {
            self.run: gr.update(visible=runs and not running, value="Run it again" if again else "Run it"),
            self.play: gr.update(visible=plays and not running, variant="secondary" if runs else "primary"),
            self.stop: gr.update(visible=running),
        }

    def _compared(self, notebook: Notebook, compare: Compare | None) -> Updates:
        if compare is None:
            return {self.compare_box: gr.update(visible=False)}
        found = judge(compare, notebook.taken, notebook.answers)
        what = escape(MEASURES[compare.measure].what)
        return {
            self.compare_box: gr.update(visible=True),
            self.verdict: f"<p class='lesson-found' role='status'>{escape(found.words)}</p><p>{what}</p>",
            self.plot: gr.update(value=found.chart and figure(found.chart), visible=found.chart is not None),
        }

    def _drawn(self, notebook: Notebook, picture: Picture | None, folder: Path) -> Updates:
        if picture is None:
            return {self.picture_box: gr.update(visible=False)}
        path = folder / file_name(picture.title)
        path.write_bytes(draw(notebook.lesson.title, picture, notebook.taken, notebook.answers))
        return {
            self.picture_box: gr.update(visible=True),
            self.image: gr.update(value=str(path)),
            self.download: gr.update(value=str(path)),
        }


def _slider(form: Slider, answer: float | None) -> object:
    return gr.update(
        minimum=form.low,
        maximum=form.high,
        step=form.step,
        value=form.start if answer is None else answer,
        label=f"Your prediction, {form.unit}" if form.unit else "Your prediction",
        visible=True,
        interactive=answer is None,
    )


def _answer(ask: Ask, number: float, choice: str | None, drawn: str) -> Answer:
    """What the reader thinks. Raises ValueError for nothing, or for what cannot be."""
    if isinstance(ask.form, Slider):
        return min(max(float(number), ask.form.low), ask.form.high)
    if isinstance(ask.form, Sketch):
        return read_sketch(drawn, ask.form)
    if choice not in ask.form:
        raise ValueError("Choose one of them first.")
    return choice


def _came(seconds: float, enough: bool) -> str:
    """What a run has come to, for the reader."""
    if enough:
        return note(f"{seconds:.0f} seconds of video are measured. Watch as long as you like, then press Next.", "hint")
    return note(f"That is {seconds:.0f} s of video; to go on, at least {ENOUGH_SECONDS:.0f} s are needed.", "hint")


def _emptied() -> str:
    """For the player: what another lesson showed is gone."""
    return packet([{"run": run_name(), "seq": 0, "kind": "idle", "text": IDLE}])


def _opens(desk: LessonDesk, lesson: Lesson) -> Callable:
    def opens(notebook: Notebook) -> Iterator[Updates]:
        yield from desk.open(lesson, notebook)

    return opens
