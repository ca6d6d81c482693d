import pytest
import torch

import app as command
from deepforcing import AttentionSink
from deepforcing.memory import Room
from deepforcing.models.fetch import Progress
from deepforcing.models.released import Loading
from deepforcing.models.sources import SOURCES, readable
from ui.app import App


@pytest.fixture
def built(pipeline):
    return App(pipeline)


def test_the_page_builds_with_every_listener(built):
    config = built.blocks.get_config_file()
    assert len(config["dependencies"]) >= 15
    assert set(built.page.player.props["figures"]) == {"light", "dark"}


def test_settings_are_shown_where_the_policy_has_them(built):
    updates = dict(zip(built.page.settings, built.choose_policy("attention-sink"), strict=True))
    assert updates["sink"]["visible"] and updates["sink"]["value"] == 3
    assert not updates["budget"]["visible"] and "value" not in updates["budget"]


def test_contradictions_are_said_and_cannot_start(built):
    values = [control.value for control in built.page.settings.values()]
    strip, trouble, seed_trouble, generate = built.check("deep-forcing", "7", *values)
    assert "current" in strip and not trouble and not seed_trouble and generate["interactive"]
    values[list(built.page.settings).index("recent")] = 8
    _, trouble, _, generate = built.check("deep-forcing", "7", *values)
    assert "sink 10 + recent 8 leaves nothing of budget 16" in trouble and not generate["interactive"]
    _, _, seed_trouble, generate = built.check("self-forcing", "<b>seven</b>", *values)
    assert "&lt;b&gt;" in seed_trouble and not generate["interactive"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "/no/such/model"], "error: unknown model"),
        (["--model", "tiny", "--size", "480"], "error: --size must be HEIGHTxWIDTH"),
        (["--model", "tiny", "--compile", "--weights", "offload"], "error: weights that are offloaded"),
    ],
)
def test_what_cannot_be_is_one_line_and_status_2(arguments, words, capsys):
    assert command.main(arguments) == 2
    written = capsys.readouterr()
    assert written.err.startswith(words) and written.err.count("\n") == 1


@pytest.fixture
def nothing_here(monkeypatch):
    monkeypatch.setattr(command, "present", lambda source, parts: {})
    monkeypatch.setattr(command, "best_device", lambda: torch.device("cpu"))


def test_an_offer_names_files_licences_and_memory(nothing_here):
    source = SOURCES["self-forcing"]
    offer = command.make_offer(source, Loading(), command.policy_of(source), agreed=False)
    for part in source.choose():
        assert part.repo in offer.text and part.licence in offer.text and readable(part.bytes) in offer.text
    assert "To fetch: **28.9 GB**" in offer.text and "taehv" not in offer.text
    assert "832 × 480 and a window of 21" in offer.text and "keys and values" in offer.text
    assert "transformer" in offer.consent and offer.asks
    agreed = command.make_offer(source, Loading(), command.policy_of(source), agreed=True)
    assert agreed.consent is None and not agreed.asks


def test_the_small_decoder_takes_the_place_of_the_full_one(nothing_here):
    offer = command.make_offer(
        SOURCES["longlive"], Loading("small", height=240, width=416), AttentionSink(12, 3), False
    )
    assert "taew2_1" in offer.text or "taehv" in offer.text
    assert "| vae |" not in offer.text and "416 × 240 and a window of 12" in offer.text and "lora" in offer.consent


def test_what_does_not_fit_comes_with_what_would(nothing_here, monkeypatch):
    monkeypatch.setattr(command, "room", lambda device: Room(30 * 10**9, 30 * 10**9))
    source = SOURCES["self-forcing"]
    text = command.memory_text(source, Loading(), command.policy_of(source))
    assert "This does not fit" in text and "It would with: " in text
    monkeypatch.setattr(command, "room", lambda device: Room(10**6, 10**6))
    assert "Nothing that can be set would change that" in command.memory_text(
        source, Loading(), command.policy_of(source)
    )
    monkeypatch.setattr(command, "room", lambda device: Room(10**12, 10**12))
    assert "does not fit" not in command.memory_text(source, Loading(), command.policy_of(source))


def test_a_model_that_is_here_is_loaded_without_asking(monkeypatch):
    monkeypatch.setattr(command, "present", lambda source, parts: dict.fromkeys(parts, "here"))
    source = SOURCES["self-forcing"]
    offer = command.make_offer(source, Loading(), command.policy_of(source), agreed=False)
    assert not offer.asks and offer.consent is None and "To fetch: **nothing**" in offer.text


def test_a_published_model_is_fetched_with_progress_then_loaded(monkeypatch, pipeline):
    asked, reports = {}, []

    def fetch(source, *, parts, accept_non_commercial, progress):
        asked.update(parts=parts, agreed=accept_non_commercial)
        progress(Progress("vae", "vae/config.json", 5, 10, 5, 10, 0, 1))

    monkeypatch.setattr(command, "fetch", fetch)
    monkeypatch.setattr(command, "load_pipeline", lambda name, loading: pipeline)
    made = command.prepare(SOURCES["self-forcing"], Loading(), True, lambda *step: reports.append(step))
    assert made is pipeline and asked["agreed"] and "transformer" in asked["parts"]
    assert reports == [("vae: vae/config.json", 5, 10), ("Loading the weights", 0, 0)]


def test_each_model_opens_with_a_window_it_knows():
    assert command.policy_of(SOURCES["self-forcing"]).window == 21
    assert command.policy_of(SOURCES["longlive"]) == AttentionSink(window=12, sink=3)


def test_a_space_asks_by_variables():
    asked = command.read_arguments([], {"DEEPFORCING_MODEL": "longlive", "DEEPFORCING_ACCEPT_LICENCE": "1"})
    assert asked.model == "longlive" and asked.accept_licence
    asked = command.read_arguments([], {})
    assert asked.model == "tiny" and not asked.accept_licence
