import threading

import pytest

from deepforcing import AttentionSink, ModelError
from ui.app import App
from ui.loading.loader import Loader, Offer, Progress, TerminalLines, amount
from ui.loading.progress import progress

OFFER = Offer("## Something large", consent="I will not use it commercially.")
WAIT = 20  # seconds, far more than any of this takes


def loaded(prepare, offer=Offer("## Something large"), agreed=False):  # noqa: B008
    """The loader at its end, and what it gave."""
    loader, got = Loader(prepare, offer), []
    assert loader.start(got.append, agreed)
    loader.join(WAIT)
    return loader, got


def test_nothing_begins_without_consent():
    asked = []
    loader = Loader(lambda report: asked.append(1), OFFER)
    assert not loader.start(lambda pipeline: None) and loader.progress == Progress() and not asked
    assert loader.start(lambda pipeline: None, agreed=True)
    loader.join(WAIT)
    assert asked and loader.progress.stage == "ready"


def test_progress_names_every_step_in_order(pipeline):
    def prepare(report):
        for done in (0, 50, 100):
            report("vae.safetensors", done, 100)
        report("Loading the weights", 0, 0)
        return pipeline

    loader, got = loaded(prepare)
    assert got == [pipeline]
    assert loader.progress == Progress("ready", (("vae.safetensors", 100, 100), ("Loading the weights", 0, 0)))


def test_a_second_click_does_not_fetch_twice(pipeline):
    begun, go = [], threading.Event()

    def prepare(report):
        begun.append(1)
        go.wait(WAIT)
        return pipeline

    loader = Loader(prepare, OFFER)
    for _ in range(3):
        assert loader.start(lambda pipeline: None, agreed=True)
    assert loader.progress.stage == "working"
    go.set()
    loader.join(WAIT)
    assert loader.start(lambda pipeline: None, agreed=True) and len(begun) == 1


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ModelError("The disk has 1 GB free, 9 GB are needed"), "The disk has 1 GB"),
        (KeyError("odd"), "KeyError: 'odd'"),
    ],
)
def test_a_failure_is_told_and_can_be_tried_again(pipeline, error, words, capsys):
    outcome = [error, pipeline]

    def prepare(report):
        now = outcome.pop(0)
        if isinstance(now, Exception):
            raise now
        return now

    loader, got = loaded(prepare)
    assert loader.progress.stage == "failed" and words in loader.progress.error and not got
    assert ("Traceback" in capsys.readouterr().err) == isinstance(error, KeyError)
    assert loader.start(got.append)
    loader.join(WAIT)
    assert loader.progress.stage == "ready" and got == [pipeline]


def test_the_terminal_gets_a_line_now_and_then():
    lines, now = [], [0.0]
    tell = TerminalLines(lines.append, lambda: now[0])
    for second in range(21):
        now[0] = float(second)
        tell("transformer.pt", 284 * 10**6 * second, 5_680_000_000)
    tell("transformer.pt", 5_680_000_000, 5_680_000_000)
    tell("Loading the weights", 0, 0)
    assert lines[0] == "transformer.pt: 0.00 of 5.68 GB (0 %)" and len(lines) == 6
    assert lines[1] == "transformer.pt: 1.42 of 5.68 GB (25 %)"
    assert lines[-2:] == ["transformer.pt: 5.68 of 5.68 GB (100 %)", "Loading the weights"]


def test_amounts():
    assert amount(1_200_000, 507_000_000) == "1 of 507 MB (0 %)" and amount(5, 10) == "5 of 10 B (50 %)"


def test_progress_as_html_escapes_and_marks_what_is_complete():
    html = progress(Progress("failed", (("<b>a", 5, 5), ("b", 1, 4)), "no <room>"))
    assert "&lt;b&gt;a" in html and "no &lt;room&gt;" in html and html.count("<progress") == 2
    assert html.index("complete='true'") < html.index("complete='false'")
    assert progress(Progress()) == ""


def test_the_page_comes_when_the_model_is_there(pipeline):
    app = App(Loader(lambda report: pipeline, OFFER))
    waiting, page = app.look()[0], app.look()[5]
    assert waiting["visible"] and not page["visible"] and app.pipeline is None
    assert app.begin(False)[0]["visible"] and app.pipeline is None
    app.begin(True)
    app.loader.join(WAIT)
    shown = app.look()
    assert not shown[0]["visible"] and shown[5]["visible"] and not shown[4].active
    assert "32" in shown[6] and "6 tokens a frame" in shown[6] and "sink" in shown[7]


def test_what_needs_nobodys_word_is_loaded_at_launch(pipeline, monkeypatch):
    app = App(Loader(lambda report: pipeline, Offer("All of it is here.", asks=False)))
    monkeypatch.setattr(app.blocks, "launch", lambda **_: None)
    app.launch()
    app.loader.join(WAIT)
    assert app.pipeline is pipeline and app.look()[5]["visible"]


def test_a_page_opens_with_the_models_own_policy(pipeline):
    app = App(pipeline, AttentionSink(window=12, sink=3))
    settings = app.page.settings
    assert app.page.policy.value == "attention-sink" and settings["window"].value == 12
    assert not settings["budget"].visible and settings["sink"].visible and settings["sink"].value == 3
    again = dict(zip(settings, app.choose_policy("attention-sink"), strict=True))
    assert again["window"]["value"] == 12
    assert dict(zip(settings, app.choose_policy("self-forcing"), strict=True))["window"]["value"] == 21


def test_the_word_lists_belong_to_the_tiny_model(pipeline):
    page = App(pipeline).page
    assert (
        not page.parts and all(80 <= len(text.split()) <= 120 for _, text in page.examples) and len(page.examples) >= 5
    )
    assert page.prompt.value == page.examples[0][1]
