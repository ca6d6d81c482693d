import pytest

import app as command
from deepforcing import SOURCES, AttentionSink
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


def test_each_model_opens_with_a_window_it_knows():
    assert command.policy_of(SOURCES["self-forcing"]).window == 21
    assert command.policy_of(SOURCES["longlive"]) == AttentionSink(window=12, sink=3)


def test_a_space_asks_by_a_variable():
    options = {"DEEPFORCING_OPTIONS": "--model longlive --accept-licence --text cpu"}
    asked = command.read_arguments([], options)
    assert asked.model == "longlive" and asked.accept_licence and asked.text == "cpu"
    assert command.read_arguments(["--model", "tiny"], options).model == "tiny"
    asked = command.read_arguments([], {})
    assert asked.model == "tiny" and not asked.accept_licence
