import pytest

from deepforcing import POLICIES, AttentionSink, DeepForcing, DeepSink, Geometry, SettingsError, SlidingWindow
from ui.settings.form import LENGTHS, read_length, read_policy, read_seed
from ui.settings.window import window_parts, window_strip

GEOMETRY = Geometry(6, 6)


@pytest.mark.parametrize(("text", "seed"), [("7", 7), (" 0 ", 0), (12, 12), (str(2**63 - 1), 2**63 - 1)])
def test_seeds(text, seed):
    assert read_seed(text) == seed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("-1", "must not be negative: -1"),
        (str(2**63), "too large"),
        ("9" * 5000, "too large"),
        ("seven", "must be a whole number, not 'seven'"),
        ("1.5", "must be a whole number"),
        ("٣", "must be a whole number"),
        ("<script>", "must be a whole number"),
        ("", "empty"),
        (None, "empty"),
    ],
)
def test_bad_seeds_are_named(text, words):
    with pytest.raises(SettingsError, match=words.replace("^", r"\^")):
        read_seed(text)


def test_a_policy_takes_only_its_own_settings():
    policy = read_policy("attention-sink", {"sink": 4, "budget": 16, "phase": "none", "window": 21}, GEOMETRY)
    assert policy == AttentionSink(window=21, sink=4)


def test_contradictions_are_said():
    with pytest.raises(SettingsError, match=r"sink 10 \+ recent 8 leaves nothing of budget 16"):
        read_policy("deep-forcing", {"sink": 10, "recent": 8, "budget": 16}, GEOMETRY)
    with pytest.raises(SettingsError, match="recent 2 is shorter than the chunk of 3"):
        read_policy("deep-forcing", {"recent": 2}, GEOMETRY)


def test_lengths():
    assert read_length("endless", 16) is None and read_length("10 seconds", 16) == 160
    assert all(read_length(choice, 16) is None or read_length(choice, 16) > 0 for choice in LENGTHS)


@pytest.mark.parametrize(
    ("policy", "parts"),
    [
        (DeepForcing(), [("sink", 10), ("top-C", 2), ("recent", 1), ("current", 3), ("free", 5)]),
        (DeepSink(), [("sink", 10), ("recent", 8), ("current", 3)]),
        (SlidingWindow(), [("recent", 18), ("current", 3)]),
        (DeepForcing(recent=3, queries="current"), [("sink", 10), ("top-C", 3), ("current", 3), ("free", 5)]),
    ],
)
def test_the_strip_accounts_for_every_frame_of_the_window(policy, parts):
    assert window_parts(policy, GEOMETRY) == parts


@pytest.mark.parametrize("name", POLICIES)
def test_the_strip_has_one_box_a_frame(name):
    policy = POLICIES[name]()
    assert window_strip(policy, GEOMETRY).count("<i ") == policy.window


def test_the_words_of_the_window_are_escaped(monkeypatch):
    monkeypatch.setattr("ui.settings.window.ROLE_MEANING", {"sink": "the 'first' <b>frames</b>"})
    strip = window_strip(DeepForcing(), GEOMETRY)
    assert "<b>frames" not in strip and "title='sink: the &#x27;first&#x27; &lt;b&gt;frames&lt;/b&gt;'" in strip
