"""What happens when something is typed, moved or pressed."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path

import gradio as gr

from deepforcing import (
    DeepForcing,
    Pipeline,
    Policy,
    PromptError,
    SettingsError,
    Timeline,
    Trace,
    TraceError,
    make_policy,
    read_runner,
    read_trace,
    settings_of,
)

from .hosting.health import add_health
from .hosting.programs import Programs
from .hosting.replicas import Replicas
from .hosting.sessions import Sessions
from .hosting.zero_gpu import on_zero_gpu
from .lessons.library import read_lessons
from .lessons.live import Lab
from .loading.loader import Loader
from .loading.progress import progress
from .look.header import TITLE
from .look.notes import note, problem
from .look.told import Blocks, told
from .page.launch import launch
from .page.layout import Page, Waiting, is_small, lay_out, lay_out_waiting, model_header, most_steps
from .player.messages import ELSEWHERE, GONE
from .prompts import words
from .prompts.doubts import Doubts
from .prompts.later import later_than, read_prompts
from .prompts.offers import take
from .recordings.library import Recordings
from .runs.changes import Taken, new_scene, take_up
from .runs.files import Files
from .runs.gone_on import gone_on
from .runs.rate import measured_rate
from .runs.run import VideoOrder
from .settings.breaks import mended
from .settings.form import read_length, read_policy, read_seed, setting_names
from .settings.window import window_strip

QUIET = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
KEPT_SECONDS = 3600  # finished videos can be downloaded this long
NO_RUN = "A new scene is for a video that is being made: press Generate first."
RUNS_AT_ONCE = 200  # sessions that may run or wait in line; whoever is beyond waits in Gradio's own, unseen


class App:
    """One model behind a page; a model that is yet to be fetched or loaded behind a page that says so first."""

    def __init__(
        self,
        model: Pipeline | Loader,
        policy: Policy | None = None,
        recordings: Recordings | None = None,
        lessons: Path | None = None,
        runs: int | None = None,
        replicas: Replicas | None = None,
        loras: Sequence[tuple[str, float]] = (),
    ) -> None:
        """policy: what the page opens with; DeepForcing() when None. recordings: the project's when None.

        lessons: a folder with more of them. runs: at once, None for as many as keep their pace. Raises LessonError
        where the folder is none, SettingsError for less than one run. replicas: see `Sessions`. loras: of a model that
        is yet to be loaded, by name, and how strong they will be.
        """
        self.loader = model if isinstance(model, Loader) else None
        self.pipeline: Pipeline | None = None
        self.rate: float | None = None  # frames a second that a small model was measured to make here
        self.sessions: Sessions | None = None
        if runs is not None and runs < 1:
            raise SettingsError(f"--runs must be at least 1, not {runs}")
        self.policy, self._runs, self._replicas = policy or DeepForcing(), runs, replicas
        self.doubts = Doubts()
        if self.loader is None:
            self._use(model)
        self.blocks = Blocks(title=TITLE, fill_width=True, delete_cache=(KEPT_SECONDS, KEPT_SECONDS))
        with self.blocks:
            Programs(lambda: (self.pipeline, self.sessions), RUNS_AT_ONCE)  # first, so that the names are theirs
            recordings = Recordings.shipped() if recordings is None else recordings
            self.page = lay_out(
                self.pipeline,
                self.policy,
                recordings,
                read_lessons(recordings, read_runner, lessons),
                self.rate,
                self.pipeline.loras if self.pipeline else loras,
            )
            self._wire(self.page)
            if self.loader is not None:
                self.waiting = lay_out_waiting(self.loader.offer)
                self._wire_waiting(self.waiting)
        self.blocks.queue(default_concurrency_limit=RUNS_AT_ONCE, max_size=2 * RUNS_AT_ONCE)

    def _use(self, pipeline: Pipeline) -> None:
        self.rate = measured_rate(pipeline) if is_small(pipeline) and not on_zero_gpu() else None
        self.pipeline, self.sessions = pipeline, Sessions(pipeline, most=self._runs, replicas=self._replicas)

    def launch(self, **options):
        """As gr.Blocks.launch, with the page's look. What needs nobody's word is loaded meanwhile."""
        if self.loader is not None and not self.loader.offer.asks:
            self.loader.start(self._use)
        launched = launch(self.blocks, **options)
        add_health(self.blocks.app, lambda: self.pipeline is not None, self.metrics)
        return launched

    def metrics(self) -> str:
        """Figures of all runs, as Prometheus reads them; none before there is a model."""
        return "" if self.sessions is None else self.sessions.tally.text()

    def end(self) -> None:
        """The server stops: runs finish their files, and their pages are told."""
        folder = self.sessions and self.sessions.end_all()
        if folder is not None:
            print(f"Files of the videos that were being made: {folder}")

    def _wire(self, page: Page) -> None:
        self._wire_run(page)
        self._wire_prompt(page)
        self._wire_settings(page)
        page.menu.wire(page.player, page.note, interrupt=self.interrupt, busy=self.busy)
        page.race.wire(
            lambda: (self.pipeline, self.sessions),
            stop=self.stop,
            beat=self.beat,
            pause=self.pause,
            concurrency_limit=RUNS_AT_ONCE,
        )
        page.learn.wire(
            self.blocks,
            page.whole,
            page.others,
            lab=lambda: Lab(self.pipeline, self.sessions) if self.sessions else None,
            close=self.interrupt,
            beat=self.beat,
            pause=self.pause,
            concurrency_limit=RUNS_AT_ONCE,
        )
        self.blocks.unload(self.leave)

    def _wire_run(self, page: Page) -> None:
        inputs = [page.prompt, page.later, page.start.file, *page.asked]
        buttons = [page.generate, page.change, page.stop, page.download, page.save, *page.told]
        outputs = [page.player, *buttons, page.note]
        long = {"show_progress": "hidden", "concurrency_limit": RUNS_AT_ONCE, "api_visibility": "private"}
        starts = [page.generate.click, page.again.click]  # a next run begins while the one before goes on
        gr.on(starts, self.generate, inputs, outputs, trigger_mode="multiple", **long)
        page.player.go_on(self.go_on, inputs, outputs, **long)
        page.player.rejoin(self.rejoin, None, outputs, **long)
        page.change.click(self.change_prompt, page.prompt, page.note, trigger_mode="multiple", **QUIET)
        page.stop.click(self.stop, **QUIET)
        # None is dropped while another is on its way: a beat tells what has arrived, and how fast; who pauses may play
        # again before the answer has come.
        for event, answer in ((page.player.beat, self.beat), (page.player.pause, self.pause)):
            event(answer, trigger_mode="multiple", **QUIET)
        enter = "() => (document.querySelector('#change') ?? document.querySelector('#generate')).click()"
        page.prompt.submit(fn=None, js=enter)

    def _wire_prompt(self, page: Page) -> None:
        gr.on(
            [page.prompt.change, page.later.input],
            self.look_at_prompts,
            [page.prompt, page.later],
            page.note,
            trigger_mode="always_last",
            **QUIET,
        )
        page.start.wire(page.prompt, lambda: self.pipeline, see=not on_zero_gpu())
        asked = [page.prompt, page.later]
        page.note.offer(take, asked, asked, **QUIET).then(self.look_at_prompts, asked, page.note, **QUIET)
        for button, text in page.examples:
            button.click(None, None, page.prompt, js=f"() => {json.dumps(text)}", **QUIET)  # Generate may follow
        if not page.parts:
            return
        parts = list(page.parts.values())
        for part in parts:
            part.input(words.build, parts, page.prompt, **QUIET)
        page.surprise.click(words.surprise, None, parts, **QUIET).then(words.build, parts, page.prompt, **QUIET)

    def _wire_settings(self, page: Page) -> None:
        settings = list(page.settings.values())
        page.policy.input(self.choose_policy, page.policy, settings, **QUIET)
        page.mend.click(self.mend, page.policy, [page.stale, *settings], **QUIET)
        gr.on(
            [control.change for control in page.asked],
            self.check,
            page.asked,
            [page.strip, page.problem, page.seed_note, page.generate, *page.told],
            trigger_mode="always_last",
            **QUIET,
        )
        gr.on([page.new_scene.click, page.take_up.click], self.new_scene, page.asked, page.told, **QUIET)
        page.new_seed.click(lambda: str(random.randrange(10_000)), None, page.seed, **QUIET)

    def _wire_waiting(self, waiting: Waiting) -> None:
        shown = [
            waiting.whole,
            waiting.consent,
            waiting.begin,
            waiting.progress,
            waiting.timer,
            self.page.whole,
            self.page.header,
            self.page.strip,
            self.page.steps,
        ]
        waiting.consent.change(lambda agreed: gr.update(interactive=agreed), waiting.consent, waiting.begin, **QUIET)
        waiting.begin.click(self.begin, waiting.consent, shown, **QUIET)
        waiting.timer.tick(self.look, None, shown, **QUIET)
        self.blocks.load(self.look, None, shown, **QUIET)

    def begin(self, agreed: bool) -> tuple:
        """Fetch and load, unless that is under way."""
        self.loader.start(self._use, agreed)
        return self.look()

    def look(self) -> tuple:
        """How far loading is, for `_wire_waiting`; at its end the page takes the place of the waiting."""
        now = self.loader.progress
        ready, idle = now.stage == "ready", now.stage in ("offered", "failed")
        return (
            gr.update(visible=not ready),
            gr.update(visible=idle and self.loader.offer.consent is not None),
            gr.update(visible=idle, value="Try again" if now.error else self.loader.offer.action),
            progress(now),
            gr.Timer(active=not ready),
            gr.update(visible=ready),
            model_header(self.pipeline, self.rate) if ready else gr.skip(),
            window_strip(self.policy, self.pipeline.geometry) if ready else gr.skip(),
            gr.update(maximum=most_steps(self.pipeline), value=most_steps(self.pipeline)) if ready else gr.skip(),
        )

    def generate(self, request: gr.Request, *asked) -> Iterator[tuple]:
        """One run, from the click to its end."""
        yield from self._make(request.session_hash, lambda: self._asked(*asked))

    def go_on(self, event: gr.EventData, request: gr.Request, *asked) -> Iterator[tuple]:
        """The run that the page shows, from a second of it, with what is asked for now."""
        session, (run, seconds) = request.session_hash, told(event, run=str, seconds=float)

        def order() -> VideoOrder:
            asks, trace = self._asked(*asked), self._trace_of(session, run)
            return gone_on(asks, trace, seconds, self.pipeline, encode=not on_zero_gpu())

        yield from self._make(session, order)

    def _make(self, session: str, order_of: Callable[[], VideoOrder]) -> Iterator[tuple]:
        try:
            order = order_of()
            if refused := self.doubts.note(session, self.pipeline, order.prompt):
                yield (gr.skip(), *_buttons(running=False), refused)
                return
            self.page.menu.viewings.close(session)
            self.sessions.finish(session)  # its files are offered before it is gone
            cut = words.cut_note(self.pipeline, Timeline.of(order.prompt).prompts)
            yield (gr.skip(), *_buttons(running=True)[:-3], *_taken(Taken()), cut)
            yield from self._shown(session, self.sessions.packets(session, order))
        except (PromptError, SettingsError, TraceError, OSError) as error:
            yield (gr.skip(), *_buttons(running=False), problem(error))

    def _trace_of(self, session: str, run: str) -> Trace:
        """Of a run that the page shows, and that is over. Raises SettingsError where it is gone."""
        recorded = self.page.menu.viewings.trace_of(session, run)
        if recorded is not None:
            return recorded
        path = self.sessions.trace_of(session, run)
        if path is None:
            raise SettingsError("this run cannot be gone on with: it is not kept any more")
        return read_trace(path)

    def rejoin(self, event: gr.EventData, request: gr.Request) -> Iterator[tuple]:
        """The run that the page had before it was loaded anew, from its start; where that is over, the page is told."""
        (run,), found = told(event, run=str), False
        try:
            if self.sessions is not None:
                for shown in self._shown(request.session_hash, self.sessions.rejoin(request.session_hash, run)):
                    found = True
                    yield shown
        except (PromptError, SettingsError, OSError) as error:
            yield (gr.skip(), *_buttons(running=False), problem(error))
            return
        if not found and self.busy(request.session_hash):  # Generate was pressed before the player was there
            yield (gr.skip(),) * (2 + len(_buttons(running=True)))
        elif not found:
            yield (GONE, *_buttons(running=False), note("Your last video is gone: it is kept for a minute.", "hint"))

    def _shown(self, session: str, packets: Iterator[tuple[str, dict, Files]]) -> Iterator[tuple]:
        """What a page shows of a run: player, buttons, note. Buttons come with every packet: a page that is just
        appearing forgets the first."""
        over = True
        for value, last, files in packets:
            over = last["kind"] == "ended"
            yield (value, *(_buttons(running=False, **vars(files)) if over else _buttons(running=True)), gr.skip())
        if not over and not self.busy(session):
            yield (gr.skip(), *_buttons(running=False), note(ELSEWHERE, "hint"))

    def change_prompt(self, prompt: str, request: gr.Request):
        run = self.sessions.get(request.session_hash)
        try:
            if refused := self.doubts.note(request.session_hash, self.pipeline, prompt):
                return refused
            if run is None and self.sessions.waits(request.session_hash):
                return note(
                    "Your run in line keeps the prompt that it was asked with: stop it, and Generate again.", "hint"
                )
            if run is not None:
                run.change_prompt(prompt)
            return words.prompt_note(self.pipeline, prompt)
        except PromptError as error:
            return problem(error)

    def stop(self, request: gr.Request) -> None:
        self.interrupt(request.session_hash)

    def busy(self, session: str) -> bool:
        """Whether the session has a run, or waits for one."""
        return self.sessions is not None and self.sessions.wants(session)

    def interrupt(self, session: str) -> None:
        """End the session's run, if it has one."""
        if self.sessions is not None:
            self.sessions.close(session)

    def leave(self, request: gr.Request) -> None:
        """The page is gone, for a moment or for good."""
        if self.sessions is not None:
            self.sessions.leave(request.session_hash)
        self.doubts.leave(request.session_hash)
        self.page.menu.viewings.leave(request.session_hash)
        self.page.learn.viewings.leave(request.session_hash)

    def beat(self, event: gr.EventData, request: gr.Request) -> None:
        run, frame, playing, seen = told(event, run=str, frame=float, playing=bool, seen=int)
        if self.sessions is not None:
            self.sessions.report(request.session_hash, run, frame, playing, seen)

    def pause(self, event: gr.EventData, request: gr.Request) -> None:
        name, paused = told(event, run=str, paused=bool)
        run = self.sessions and self.sessions.get(request.session_hash)
        if run is not None and run.id == name:
            run.pause(paused)

    def look_at_prompts(self, prompt: str, later: str, request: gr.Request) -> str:
        """What is wrong with the prompts, or what would help the model to follow them; the first may yet be empty."""
        try:
            prompts = read_prompts(prompt.strip() or words.EXAMPLES[0], later)
            order = getattr(self.sessions.get(request.session_hash), "order", None)
            if isinstance(order, VideoOrder) and later_than(prompts) != later_than(order.prompt):
                return note("Later prompts are for the next run; “Change prompt” is for this one.", "hint")
            return words.prompt_note(self.pipeline, prompts)
        except (PromptError, SettingsError) as error:
            return problem(error)

    def choose_policy(self, name: str) -> list:
        """Show the settings that the policy has, at the model's or its own defaults."""
        return self._show(self._opening(name))

    def mend(self, name: str) -> list:
        """The prompt is told again, and nothing of the settings is broken; the rest is as `choose_policy` has it."""
        opening = self._opening(name)
        return [False, *self._show(make_policy(name, **mended(name, settings_of(opening))))]

    def _opening(self, name: str) -> Policy:
        return self.policy if name == self.policy.name else make_policy(name)

    def _show(self, policy: Policy) -> list:
        has, defaults = setting_names(policy.name), settings_of(policy)
        return [
            gr.update(visible=setting in has, **({"value": defaults[setting]} if setting in has else {}))
            for setting in self.page.settings
        ]

    def check(self, request: gr.Request, seed, length, switch, stale, steps, policy, *values) -> tuple:
        """The window's picture, what is wrong with the settings, whether a run could start, and what becomes of the one
        that goes on."""
        strip, trouble, seed_trouble = gr.skip(), "", ""
        try:
            strip = window_strip(self._policy(policy, values), self.pipeline.geometry)
        except SettingsError as error:
            trouble = problem(error)
        try:
            read_seed(seed)
        except SettingsError as error:
            seed_trouble = problem(error)
        sound, taken = not (trouble or seed_trouble), Taken()
        if sound:
            taken = self._take_up(request.session_hash, take_up, seed, length, switch, stale, steps, policy, values)
        return strip, trouble, seed_trouble, gr.update(interactive=sound), *_taken(taken)

    def new_scene(self, request: gr.Request, seed, length, switch, stale, steps, policy, *values) -> tuple:
        """The run that goes on gets what the page asks for, with an emptied cache."""
        try:
            asked = seed, length, switch, stale, steps, policy, values
            taken = self._take_up(request.session_hash, new_scene, *asked)
        except SettingsError as error:
            return problem(error), gr.skip(), gr.skip()
        return _taken(taken if taken.words else Taken(NO_RUN))

    def _take_up(self, session: str, how: Callable, *settings) -> Taken:
        run = self.sessions and self.sessions.get(session)
        order = getattr(run, "order", None)
        if isinstance(order, VideoOrder):
            wanted = self._order(order.prompt, *settings)
            begun = round(order.begun * self.pipeline.shape.fps)  # the page's length is of what comes after it
            return how(run, replace(wanted, num_frames=wanted.num_frames and wanted.num_frames + begun))
        waits = run is None and self.sessions is not None and self.sessions.waits(session)
        return Taken("Your run in line keeps the settings that it was asked with.", True) if waits else Taken()

    def _policy(self, name: str, values: tuple):
        """values: of all settings, and of LoRAs."""
        return read_policy(name, dict(zip(self.page.settings, values, strict=False)), self.pipeline.geometry)

    def _asked(self, prompt, later, start, seed, length, switch, stale, steps, policy, *values) -> VideoOrder:
        order = self._order(read_prompts(prompt, later), seed, length, switch, stale, steps, policy, values)
        return replace(order, start=self.page.start.frames(start))

    def _order(self, prompt, seed, length, switch, stale, steps, policy, values) -> VideoOrder:
        frames, policy = read_length(length, self.pipeline.shape.fps), self._policy(policy, values)
        loras = values[len(self.page.settings) :] or None
        return VideoOrder(prompt, read_seed(seed), policy, frames, switch, stale, steps=steps, loras=loras)


def _buttons(running: bool, video: Path | None = None, trace: Path | None = None) -> tuple:
    """Generate, Change, Stop, Download MP4, Save trace; and what was said of changed settings, which goes with its run.
    The files of the run before stay until there are new ones."""
    return (
        gr.update(visible=not running),
        gr.update(visible=running),
        gr.update(visible=running),
        gr.update(label="Save the last video") if running else _file_button("Download MP4", video),
        gr.update(label="Save the last trace") if running else _file_button("Save trace", trace),
        *((gr.skip(),) * 3 if running else _taken(Taken())),
    )


def _taken(taken: Taken) -> tuple:
    """Note and buttons."""
    words = note(escape(taken.words), "hint") if taken.words else ""
    return words, gr.update(visible=taken.anew), gr.update(visible=taken.later)


def _file_button(label: str, file: Path | None) -> dict:
    return gr.update(visible=file is not None, value=file and str(file), label=label)
