"""The text column of a lesson: its components, and what they are at each step. A pure function of the notebook."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory

import gradio as gr

from ..look.notes import note
from .chart import figure
from .lesson import Ask, Compare, Picture, Run, Sketch, Slider
from .measures import MEASURES
from .notebook import Notebook
from .picture import draw, file_name
from .sketch import shown, sketch_pad
from .verdict import judge, said

COMMIT = "That is my prediction"
CHOOSE = "That is my choice"
NO_MODEL = "This experiment needs the model, which this page does not have. Go on without it."

Updates = dict[gr.blocks.Block, object]


class TextColumn:
    """Made inside gr.Blocks, where it is to be. live: whether there is a model to run.

    Buttons get their words with every update: Gradio (6.31) can lose them while a tab is being opened.
    """

    def __init__(self, live: bool) -> None:
        self._live = live
        self.progress = gr.HTML(elem_id="lesson-progress", apply_default_css=False)
        self.words = gr.Markdown(elem_id="lesson-words")
        self._ask()
        self._experiment()
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

    def _ask(self) -> None:
        with gr.Column(elem_id="lesson-ask", visible=False) as self.ask_box:
            self.question = gr.Markdown(elem_id="lesson-question")
            self.slider = gr.Slider(0, 1, 0, label="Your prediction", visible=False, elem_id="lesson-slider")
            self.choices = gr.Radio([], label="Your prediction", visible=False, elem_id="lesson-choices")
            self.sketch = sketch_pad("lesson-sketch")
            self.commit = gr.Button(COMMIT, variant="primary", elem_id="lesson-commit")

    def _experiment(self) -> None:
        with gr.Column(elem_id="lesson-experiment", visible=False) as self.run_box:
            self.about = gr.HTML(elem_id="lesson-about", apply_default_css=False)
            with gr.Row(elem_id="lesson-run-row"):
                self.run = gr.Button("Run it", variant="primary", elem_id="lesson-run")
                self.play = gr.Button("Play the recording", elem_id="lesson-play")
                self.stop = gr.Button("Stop here", visible=False, elem_id="lesson-stop")

    @property
    def changing(self) -> list[gr.blocks.Block]:
        """All that a step may change."""
        boxes = [self.ask_box, self.run_box, self.compare_box, self.picture_box]
        ask = [self.question, self.slider, self.choices, self.sketch, self.commit]
        found = [self.verdict, self.plot, self.image, self.download]
        return [*boxes, self.progress, self.words, *ask, self.about, *found, self.back, *self.running]

    @property
    def running(self) -> list[gr.blocks.Block]:
        """What a run changes while it goes on."""
        return [self.run, self.play, self.stop, self.next, self.note]

    def page(self, notebook: Notebook) -> Iterator[Updates]:
        """Everything of a step. The picture's file lives until the page has it."""
        block = notebook.step.block
        with TemporaryDirectory(prefix="deepforcing-") as folder:
            yield {
                **self._frame(notebook),
                **self._asked(notebook, block if isinstance(block, Ask) else None),
                **self._made(notebook, block if isinstance(block, Run) else None),
                **self._compared(notebook, block if isinstance(block, Compare) else None),
                **self._drawn(notebook, block if isinstance(block, Picture) else None, Path(folder)),
                self.note: self._hint(notebook),
            }

    def possible(self, run: Run) -> bool:
        """Whether the experiment can be made here, live or from its recording."""
        return run.trace is not None or (self._live and not run.recorded)

    def buttons(self, notebook: Notebook, run: Run, busy: bool = False) -> Updates:
        """Those of an experiment, and Next. busy: it is under way; a recording arrives too fast to be stopped."""
        runs, plays = self._live and not run.recorded, run.trace is not None
        words = "Run it again" if run.name in notebook.outcomes else "Run it"
        live = busy and not notebook.collector.recorded
        second = "secondary" if runs else "primary"
        return {
            self.run: gr.update(visible=runs and not busy, value=words),
            self.play: gr.update(visible=plays and not busy, value="Play the recording", variant=second),
            self.stop: gr.update(visible=live, value="Stop here"),
            self.next: self._next(notebook, busy),
        }

    def _next(self, notebook: Notebook, busy: bool = False) -> object:
        block = notebook.step.block
        ready = not busy and notebook.ready(not isinstance(block, Run) or self.possible(block))
        return gr.update(value="Done" if notebook.last else "Next", interactive=ready)

    def _frame(self, notebook: Notebook) -> Updates:
        steps, number = len(notebook.lesson.steps), notebook.number + 1
        place = f"<span>{escape(notebook.lesson.title)}</span> <span>Step {number} of {steps}</span>"
        data = f"data-lesson='{escape(notebook.lesson.name)}' data-step='{number}'"
        bar = f"<progress max='{steps}' value='{number}' aria-hidden='true'></progress>"
        return {
            self.progress: f"<p class='lesson-place' {data}>{place}</p>{bar}",
            self.words: f"## {notebook.step.heading}\n\n{notebook.step.text}",
            self.back: gr.update(value="Back", interactive=number > 1),
            self.next: self._next(notebook),
        }

    def _hint(self, notebook: Notebook) -> str:
        block = notebook.step.block
        if isinstance(block, Ask) and block.name in notebook.answers:
            return note(escape(f"{said(block, notebook.answers[block.name])}. Now see what happens."), "hint")
        return note(NO_MODEL, "hint") if isinstance(block, Run) and not self.possible(block) else ""

    def _asked(self, notebook: Notebook, ask: Ask | None) -> Updates:
        if ask is None:
            return {self.ask_box: gr.update(visible=False)}
        form, answer = ask.form, notebook.answers.get(ask.name)
        chooses = notebook.lesson.chooses(ask)
        label = "Your choice" if chooses else "Your prediction"
        hidden = gr.update(visible=False)
        return {
            self.ask_box: gr.update(visible=True),
            self.question: ask.question,
            self.slider: _slider(form, answer, label) if isinstance(form, Slider) else hidden,
            self.choices: _choices(form, answer, label) if isinstance(form, tuple) else hidden,
            self.sketch: shown(form, answer) if isinstance(form, Sketch) else hidden,
            self.commit: gr.update(visible=answer is None, value=CHOOSE if chooses else COMMIT),
        }

    def _made(self, notebook: Notebook, run: Run | None) -> Updates:
        if run is None:
            return {self.run_box: gr.update(visible=False)}
        about = _about(run, notebook.runner(run))
        return {self.run_box: gr.update(visible=True), self.about: about, **self.buttons(notebook, run)}

    def _compared(self, notebook: Notebook, compare: Compare | None) -> Updates:
        if compare is None:
            return {self.compare_box: gr.update(visible=False)}
        found = judge(compare, notebook.outcomes, notebook.answers)
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
        path.write_bytes(draw(notebook.lesson.title, picture, notebook.outcomes, notebook.answers))
        return {
            self.picture_box: gr.update(visible=True),
            self.image: gr.update(value=str(path)),
            self.download: gr.update(value=str(path), label="Download the picture"),
        }


def _about(run: Run, runner: str | None) -> str:
    prompts = () if run.prompt is None else (run.prompt,) if isinstance(run.prompt, str) else run.prompt.prompts
    facts = [runner or f"recorded run {run.trace}", f"{run.seconds} s", *([] if run.recorded else [f"seed {run.seed}"])]
    quoted = "".join(f"<p class='lesson-prompt'>“{escape(prompt)}”</p>" for prompt in prompts)
    return f"{quoted}<p class='lesson-facts'>{escape(' · '.join(facts))}</p>"


def _slider(form: Slider, answer: float | None, label: str) -> object:
    return gr.update(
        minimum=form.low,
        maximum=form.high,
        step=form.step,
        value=form.start if answer is None else answer,
        label=f"{label}, {form.unit}" if form.unit else label,
        visible=True,
        interactive=answer is None,
    )


def _choices(form: tuple[str, ...], answer: str | None, label: str) -> object:
    return gr.update(choices=list(form), value=answer, label=label, visible=True, interactive=answer is None)
