"""The race's part of the page: who runs, what is shown, and what happens when it is started."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import gradio as gr

from deepforcing import (
    LEADER_RULE,
    Pipeline,
    PromptError,
    SettingsError,
    Timeline,
    check_field,
)

from ..hosting.sessions import Sessions
from ..look.notes import note, problem
from ..look.told import told
from ..look.web import AT, module, serve
from ..player.messages import ELSEWHERE, GONE
from ..player.player import template
from ..prompts.doubts import Doubts
from ..prompts.examples import LONG
from ..prompts.later import later_prompts, read_prompts
from ..prompts.offers import prompt_note_box, take
from ..prompts.words import EXAMPLES, cut_note, prompt_note
from ..settings.form import read_seed
from .names import OPENING, choices, named_runner
from .run import RaceOrder

QUIET = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
LENGTHS = {"20 seconds": 20, "30 seconds": 30, "1 minute": 60, "2 minutes": 120}
CHANGE_AT = "0:30"  # of the change of prompt that is offered: half of the race

# Gradio finds the events that it may send by their quoted names.
MOUNT = (
    AT
    + """
const send = {
  beat: (data) => trigger('beat', data),
  pause: (data) => trigger('pause', data),
  rejoin: (data) => trigger('rejoin', data),
};
import(at(props.module)).then(({ mount }) => mount(element, props, (use) => watch('value', use), send));
"""
)


INTRO = (
    "<h2>Who remembers longest?</h2><p>Two to four ways of keeping the past, side by side: the same prompt, seed and "
    "noise, so that only memory differs.</p>"
)


class RaceTab:
    """Made inside gr.Blocks, where it is to be; `wire` connects it to the model."""

    def __init__(self, small: bool) -> None:
        serve()
        with gr.Column(elem_id="race"):
            gr.HTML(INTRO, elem_id="race-intro", elem_classes="intro", apply_default_css=False)
            self._ask(EXAMPLES[0] if small else next(iter(LONG.values())), small)
            with gr.Row(elem_id="race-field"):
                self._field()
            self.player = gr.HTML(
                value=None,
                html_template=template("race/race.html"),
                what="race",
                js_on_load=MOUNT,
                apply_default_css=False,
                elem_id="race-player",
                module=module("race/race.js"),
                rule=LEADER_RULE,
            )

    def _ask(self, prompt: str, small: bool) -> None:
        with gr.Row(elem_id="race-row"):
            self.prompt = gr.Textbox(
                prompt,
                label="Prompt of the race",
                show_label=False,
                lines=1,
                max_lines=3 if small else 8,
                container=False,
                elem_id="race-prompt",
            )
            self.begin = gr.Button("Start the race", variant="primary", elem_id="race-start")
            self.stop = gr.Button("Stop the race", elem_id="race-stop", visible=False)
            self.download = gr.DownloadButton("Download the race", elem_id="race-download", visible=False)
        self.later = later_prompts("race-later")
        self.change = gr.Button("Change the prompt half-way, for all", size="sm", elem_id="race-change", visible=small)
        self.note = prompt_note_box("race-note")

    def _field(self) -> None:
        self.runners = gr.Dropdown(
            choices(),
            value=list(OPENING),
            multiselect=True,
            max_choices=4,
            allow_custom_value=True,
            label="Runners, two to four",
            info="What each of them keeps of the past. All have the same prompt, seed and noise.",
            elem_id="race-runners",
        )
        self.seed = gr.Textbox("7", label="Seed", info="The noise of all.", max_lines=1, elem_id="race-seed")
        self.length = gr.Dropdown(
            list(LENGTHS), value="1 minute", label="Length", info="Of each video.", elem_id="race-length"
        )

    def wire(self, model: Callable[[], tuple[Pipeline, Sessions]], *, stop, beat, pause, **queue) -> None:
        """model: what is loaded by now. stop, beat, pause: the page's own; queue: options of the long event."""
        self._model, self._doubts = model, Doubts()
        asked = [self.prompt, self.later, self.runners, self.seed, self.length]
        shown = [self.player, self.begin, self.stop, self.download, self.note]
        self.begin.click(self.start, asked, shown, show_progress="hidden", api_visibility="private", **queue)
        self.player.rejoin(self.rejoin, None, shown, show_progress="hidden", api_visibility="private", **queue)
        self.stop.click(stop, **QUIET)
        for event, answer in ((self.player.beat, beat), (self.player.pause, pause)):  # as of the page's own
            event(answer, trigger_mode="multiple", **QUIET)
        self.change.click(change_half_way, self.prompt, self.later, **QUIET)
        looked, prompts = [self.prompt, self.later, self.runners, self.seed], [self.prompt, self.later]
        offered = self.note.offer(take, prompts, prompts, **QUIET)
        offered.then(self.look, looked, [self.note, self.begin], **QUIET)
        gr.on(
            [self.prompt.change, self.later.input, self.runners.change, self.seed.change],
            self.look,
            looked,
            [self.note, self.begin],
            trigger_mode="always_last",
            **QUIET,
        )

    def start(self, request: gr.Request, prompt, later, runners, seed, length) -> Iterator[tuple]:
        """One race, from the click to its end."""
        pipeline, sessions = self._model()
        try:
            frames = LENGTHS[length] * pipeline.shape.fps
            order = RaceOrder(read_prompts(prompt, later), read_seed(seed), _field_of(runners), frames)
            if refused := self._doubts.note(request.session_hash, pipeline, order.prompt):
                yield (gr.skip(), *_buttons(running=False), refused)
                return
            yield (gr.skip(), *_buttons(running=True), cut_note(pipeline, Timeline.of(order.prompt).prompts))
            yield from _shown(sessions, request.session_hash, sessions.packets(request.session_hash, order))
        except (PromptError, SettingsError, OSError) as error:
            yield (gr.skip(), *_buttons(running=False), problem(error))

    def rejoin(self, event: gr.EventData, request: gr.Request) -> Iterator[tuple]:
        """The race that the page had before it was loaded anew; where that is over, the page is told."""
        (run,), (_, sessions), found = told(event, run=str), self._model(), False
        session = request.session_hash
        for shown in _shown(sessions, session, sessions.rejoin(session, run)) if sessions else ():
            found = True
            yield shown
        if not found and sessions and sessions.wants(session):  # a race was started before the player came
            yield (gr.skip(),) * (2 + len(_buttons(running=True)))
        elif not found:
            yield (GONE, *_buttons(running=False), note("Your last race is gone: it is kept for a minute.", "hint"))

    def look(self, prompt, later, runners, seed) -> tuple:
        """What is wrong with what is asked for, and whether a race could start."""
        try:
            asked = read_prompts(prompt, later)
            read_seed(seed)
            _field_of(runners)
            return prompt_note(self._model()[0], asked), gr.update(interactive=True)
        except (PromptError, SettingsError) as error:
            return problem(error), gr.update(interactive=False)


def change_half_way(prompt: str) -> str:
    """Rows of later prompts: one, of the small world, that is not the prompt itself."""
    other = next(text for text in EXAMPLES[1:] if text != prompt)
    return json.dumps([{"at": CHANGE_AT, "prompt": other}])


def _shown(sessions: Sessions, session: str, packets: Iterator[tuple]) -> Iterator[tuple]:
    """With every message the buttons: a tab that is just appearing forgets the first."""
    ended = True
    for value, message, files in packets:
        ended = message["kind"] == "ended"
        yield (value, *_buttons(running=not ended, file=files.video if ended else None), gr.skip())
    if not ended and not sessions.wants(session):
        yield (gr.skip(), *_buttons(running=False), note(ELSEWHERE, "hint"))


def _field_of(runners: list[str] | None) -> tuple:
    return check_field([named_runner(words) for words in runners or []])


def _buttons(running: bool, file: Path | None = None) -> tuple:
    """Start, Stop, Download."""
    return (
        gr.update(visible=not running),
        gr.update(visible=running),
        gr.update(visible=file is not None, value=file and str(file)),
    )
