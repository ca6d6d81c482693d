"""The page: what is on it, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import gradio as gr

from deepforcing import POLICIES, SWITCHES, DeepForcing, Pipeline, Policy, settings_of
from deepforcing.captions import TABLES

from ..lessons.lesson import Broken, Lesson
from ..lessons.tab import TAB, LessonTab
from ..loading.loader import Offer
from ..look.header import header
from ..player.player import player
from ..prompts import words
from ..prompts.examples import LONG
from ..prompts.later import later_prompts
from ..prompts.offers import prompt_note_box
from ..prompts.start import StartFrom
from ..race.tab import RaceTab
from ..recordings.library import Recordings
from ..recordings.menu import RecordingsMenu
from ..runs.rate import rate_words
from ..settings.evidence import measured
from ..settings.form import LENGTHS
from ..settings.knobs import knobs, stale_knob
from ..settings.window import window_strip
from .address import head

TOGGLE_MORE = """() => {
  const open = document.body.toggleAttribute("data-more");
  document.getElementById("more-button").setAttribute("aria-expanded", open);
}"""
ALL_POLICIES = "() => { document.body.dataset.policies = 'all'; }"
STARTS = "× Starts from your picture"
MOST_STRENGTH = 2.0  # of a LoRA, unless it was loaded with more
USUAL_STEPS = 4  # of denoising
LOOK_SECONDS = 0.7  # between two looks at the progress of loading


@dataclass
class Page:
    """Every component that something listens to, or that changes."""

    whole: gr.Tabs = None
    race: RaceTab = None
    learn: LessonTab = None
    others: list[gr.Tab] = field(default_factory=list)  # the tabs beside the lessons'
    header: gr.HTML = None
    prompt: gr.Textbox = None
    later: gr.HTML = None
    start: StartFrom = None
    generate: gr.Button = None
    change: gr.Button = None
    stop: gr.Button = None
    download: gr.DownloadButton = None
    save: gr.DownloadButton = None
    note: gr.HTML = None
    examples: list[tuple[gr.Button, str]] = field(default_factory=list)  # with the prompts that they stand for
    surprise: gr.Button = None
    parts: dict[str, gr.Radio] = field(default_factory=dict)
    menu: RecordingsMenu = None
    player: gr.HTML = None
    policy: gr.Radio = None
    strip: gr.HTML = None
    problem: gr.HTML = None
    settings: dict[str, gr.components.Component] = field(default_factory=dict)
    seed: gr.Textbox = None
    new_seed: gr.Button = None
    seed_note: gr.HTML = None
    length: gr.Dropdown = None
    switch: gr.Radio = None
    stale: gr.Checkbox = None
    live: gr.HTML = None  # what a setting that was touched means for the run that goes on
    take_up: gr.Button = None
    again: gr.Button = None
    new_scene: gr.Button = None
    steps: gr.Slider = None
    mend: gr.Button = None
    loras: list[gr.Slider] = field(default_factory=list)  # how strong each is, none where the model has none

    @property
    def asked(self) -> list[gr.components.Component]:
        """What says how a run is made, its prompts left out."""
        first = [self.seed, self.length, self.switch, self.stale, self.steps, self.policy]
        return [*first, *self.settings.values(), *self.loras]

    @property
    def told(self) -> list[gr.components.Component]:
        """What is said of settings that are touched while a run goes on, with its buttons."""
        return [self.live, self.take_up, self.again]


@dataclass
class Waiting:
    """What is on the page before the model is there."""

    whole: gr.Column
    consent: gr.Checkbox
    begin: gr.Button
    progress: gr.HTML
    timer: gr.Timer


def lay_out(
    pipeline: Pipeline | None,
    default: Policy,
    recordings: Recordings,
    lessons: Sequence[Lesson | Broken] = (),
    rate: float | None = None,
    loras: Sequence[tuple[str, float]] = (),
) -> Page:
    """Make the components inside the current gr.Blocks. Without a pipeline all but the header stays hidden. loras: the
    model's, by name, and how strong they are at first."""
    page = Page(header=head(model_header(pipeline, rate)))
    with gr.Tabs(elem_id="views", visible=pipeline is not None) as page.whole:
        with gr.Tab("Watch") as watch, gr.Column(elem_id="page"):
            _watch(page, pipeline, default, recordings, loras)
        watch.select(fn=None, js="() => window.dispatchEvent(new Event('resize'))")  # plots that were hidden fit again
        with gr.Tab("Race") as race:
            page.race = RaceTab(is_small(pipeline))
        with gr.Tab("Learn", id=TAB):
            page.learn = LessonTab(lessons, recordings, live=True, wide=not is_small(pipeline))
        page.others = [watch, race]
    return page


def _watch(
    page: Page, pipeline: Pipeline | None, default: Policy, recordings: Recordings, loras: Sequence[tuple[str, float]]
) -> None:
    with gr.Column(elem_id="ask"):
        _ask(page, is_small(pipeline), recordings)
    idle = "Type a prompt, or pick an example, and press Generate."
    starts = "#generate, #again, #recordings button"
    page.player = player(not is_small(pipeline), idle, starts=starts, settings=True, keeps="video")
    with gr.Row(elem_id="live"):
        page.live = gr.HTML(elem_id="live-note", apply_default_css=False)
        page.take_up = gr.Button(
            "Take it up now, with an empty cache", size="sm", visible=False, elem_id="take-up-anew"
        )
        page.again = gr.Button("Start the next run", size="sm", visible=False, elem_id="again")
    with gr.Column(elem_id="settings"):
        _settings(page, default, pipeline, loras)
    with gr.Column(elem_id="break-it"):
        _break_it(page, default, window_strip(default, pipeline.geometry) if pipeline else "")


def lay_out_waiting(offer: Offer) -> Waiting:
    """The page before the page: what will be fetched, the consent, the progress."""
    with gr.Column(elem_id="waiting") as whole:
        gr.Markdown(offer.text, elem_id="offer")
        consent = gr.Checkbox(label=offer.consent or "", visible=offer.consent is not None, elem_id="consent")
        begin = gr.Button(offer.action, variant="primary", interactive=offer.consent is None, elem_id="begin")
        progress = gr.HTML(elem_id="progress", apply_default_css=False)
    return Waiting(whole, consent, begin, progress, gr.Timer(LOOK_SECONDS, active=False))


def model_header(pipeline: Pipeline | None, rate: float | None = None) -> str:
    """HTML of the top of the page; without a pipeline nothing is said about the model. rate: frames a second that it
    was measured to make on this machine."""
    if pipeline is None:
        return header("")
    s, tokens = pipeline.shape, pipeline.geometry.tokens_per_frame
    facts = (
        f"{pipeline.name} model",
        f"{s.width} × {s.height}, {s.fps} fps" + (f" ({rate_words(rate)})" if rate else ""),
        f"{tokens:,} tokens a frame",
        f"{pipeline.layers} layers of {pipeline.heads} heads",
    )
    return header(" · ".join(facts))


def is_small(pipeline: Pipeline | None) -> bool:
    """Whether this is the model with the small world, whose words can be chosen from lists."""
    return pipeline is not None and pipeline.name.startswith("tiny")


def _ask(page: Page, small: bool, recordings: Recordings) -> None:
    examples = {text: text for text in words.EXAMPLES} if small else LONG
    with gr.Row(elem_id="prompt-row"):
        page.prompt = gr.Textbox(
            value=next(iter(examples.values())),
            placeholder="Describe what the video should show",
            label="Prompt",
            show_label=False,
            lines=1,
            max_lines=3 if small else 8,
            autofocus=True,
            container=False,
            elem_id="prompt",
        )
        page.generate = gr.Button("Generate", variant="primary", elem_id="generate")
        page.change = gr.Button("Change prompt", variant="primary", elem_id="change", visible=False)
        page.stop = gr.Button("Stop", elem_id="stop", visible=False)
        page.download = gr.DownloadButton("Download MP4", elem_id="download", visible=False)
        page.save = gr.DownloadButton("Save trace", elem_id="save-trace", visible=False)
    page.note = prompt_note_box("note")
    page.problem = gr.HTML(elem_id="problem", apply_default_css=False)
    with gr.Row(elem_id="examples"):
        badge = gr.Button(STARTS, size="sm", visible=False, elem_classes="chip", elem_id="start-badge")
        page.examples = [(gr.Button(title, size="sm", elem_classes="chip"), text) for title, text in examples.items()]
        gr.Button("More ...", size="sm", elem_classes="chip", elem_id="more-button").click(fn=None, js=TOGGLE_MORE)
    with gr.Column(elem_id="more"):
        page.menu = RecordingsMenu(recordings)
        page.later = later_prompts("later")
        page.start = StartFrom(small, badge)
        if small:
            _builder(page)


def _builder(page: Page) -> None:
    with gr.Accordion("Build a prompt", open=False, elem_id="builder"):
        for name, table in TABLES.items():
            page.parts[name] = gr.Radio(list(table), value=getattr(words.START, name), label=name.capitalize())
        page.surprise = gr.Button("Surprise me", size="sm", elem_id="surprise")


def policy_title(policy: type[Policy], embedded: bool) -> str:
    """Name and summary, and what was measured of it where the model is the one that was measured."""
    return "\n".join(filter(None, (policy.name, policy.summary, measured(policy.name) if embedded else "")))


def most_steps(pipeline: Pipeline | None) -> int:
    """Denoising steps that the model has; of one that is still to come, as many as usual."""
    return USUAL_STEPS if pipeline is None else len(pipeline.denoiser.steps)


def _settings(page: Page, default: Policy, pipeline: Pipeline | None, loras: Sequence[tuple[str, float]]) -> None:
    embedded = pipeline is not None and pipeline.name == "tiny"
    with gr.Column(elem_id="run-settings"):
        _run_settings(page, most_steps(pipeline))
        page.loras = [_lora(name, strength) for name, strength in loras]
    gr.Markdown("## Cache policy")
    choices = [(policy_title(policy, embedded), name) for name, policy in POLICIES.items()]
    page.policy = gr.Radio(
        choices, value=default.name, show_label=False, label="Policy", container=False, elem_id="policy"
    )
    more = gr.Button("More policies ...", size="sm", elem_classes="chip", elem_id="more-policies")
    more.click(fn=None, js=ALL_POLICIES)


def _break_it(page: Page, default: Policy, strip: str) -> None:
    has = settings_of(default)
    gr.Markdown("## Break it")
    page.strip = gr.HTML(strip, elem_id="strip", apply_default_css=False)
    with gr.Row(elem_id="break-buttons"):
        page.mend = gr.Button("Mend everything", size="sm", elem_id="mend")
        page.new_scene = gr.Button("New scene: empty the cache", size="sm", elem_id="new-scene")
    with gr.Column(elem_id="knobs"):
        page.settings = knobs(settings_of(DeepForcing()) | has)  # a policy's hidden settings wait at their defaults
        page.stale = stale_knob()
    for name, control in page.settings.items():
        control.visible = name in has


def _run_settings(page: Page, steps: int) -> None:
    gr.Markdown("## Run")
    with gr.Row(elem_id="seed-row"):
        page.seed = gr.Textbox("7", label="Seed", max_lines=1, elem_id="seed", scale=3, min_width=80)
        page.new_seed = gr.Button("New seed", size="sm", scale=1, min_width=80, elem_id="new-seed")
    page.seed_note = gr.HTML(elem_id="seed-note", apply_default_css=False)
    page.length = gr.Dropdown(list(LENGTHS), value="endless", label="Length", elem_id="length")
    page.switch = gr.Radio(
        list(SWITCHES),
        value="keep",
        label="Cache at a new prompt",
        info="stays, is re-encoded with the new prompt, or is cut to its sink",
        elem_id="switch",
    )
    page.steps = gr.Slider(
        1,
        steps,
        steps,
        step=1,
        label="Denoising steps",
        info="of each chunk; fewer are quicker, and worse",
        elem_id="steps",
    )


def _lora(name: str, strength: float) -> gr.Slider:
    return gr.Slider(
        min(0.0, strength),
        max(MOST_STRENGTH, strength),
        strength,
        step=0.05,
        label=name.replace("lora", "LoRA", 1),
        info="how strongly it changes the model; 0: not at all",
        elem_classes="lora",
    )
