import pytest

from ui.recordings.links import PANELS, LinkError, Moment, read_link


@pytest.mark.parametrize(
    ("search", "moment"),
    [
        ("", None),
        ("?__theme=dark&view=api", None),
        ("?trace=deep-forcing", Moment("deep-forcing")),
        ("?trace=deep-forcing&t=12.5&panel=cache", Moment("deep-forcing", 12.5, "cache")),
        ("?t=0&trace=a%20b&__theme=dark", Moment("a b", 0.0)),
        ("?trace=a&t=1&t=2", Moment("a", 2.0)),
    ],
)
def test_links(search, moment):
    assert read_link(search) == moment


@pytest.mark.parametrize("panel", PANELS)
def test_every_panel_can_be_named(panel):
    assert read_link(f"?trace=a&panel={panel}").panel == panel


@pytest.mark.parametrize(
    ("search", "words"),
    [
        ("?t=3", "names no recorded run"),
        ("?trace=&t=3", "names no recorded run"),
        ("?trace=a&t=soon", "t must be seconds, such as 12.5, not 'soon'"),
        ("?trace=a&t=", "t must be seconds"),
        ("?trace=a&t=-1", "t must be seconds"),
        ("?trace=a&t=nan", "t must be seconds"),
        ("?trace=a&t=1e9", "t must be seconds"),
        ("?trace=a&t=٣", "t must be seconds"),
        ("?trace=a&t=" + "9" * 400, r"not '9{37}\.\.\.'"),
        ("?trace=a&panel=<script>", "panel must be one of video, life, .*, roles, meter, not '<script>'"),
        ("?trace=" + "a" * 3000, "too long"),
    ],
)
def test_bad_links_are_answered_in_words(search, words):
    with pytest.raises(LinkError, match=words):
        read_link(search)
