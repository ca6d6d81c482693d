"""Recorded runs on a page: from the file to the messages that the player gets."""

import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from test_trace import record, run

from deepforcing import Gauges, StreamEnded, TraceError, read_trace
from deepforcing.__main__ import main
from ui import showing
from ui.link import PANELS, Moment
from ui.player import WEB
from ui.replay import ReplayApp
from ui.shelf import OF_LESSONS, SHIPPED, Shelf, messages_of
from ui.showing import Opening, Showing, Showings

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return record(tmp_path_factory.mktemp("shelf"), run()).rename(tmp_path_factory.mktemp("own") / "my-run.trace")


@pytest.fixture
def shelf(path):
    return Shelf([path])


def opening(shelf, **more) -> Opening:
    return Opening(shelf.get("my-run"), shelf.messages("my-run"), **more)


def watched(play: Showing) -> list[dict]:
    """All messages, for a page that confirms everything at once."""
    seen = []
    for part in play.parts():
        seen += part
        play.confirm(part[-1]["seq"])
    return seen


def test_a_shelf_names_its_runs(shelf):
    assert shelf.titles == {"my-run": "My run, 7 s"} and shelf.first == "my-run"
    assert Shelf([]).first is None and Shelf([]).titles == {}
    with pytest.raises(TraceError, match="no recorded run 'other' here: there are my-run"):
        shelf.get("other")
    with pytest.raises(TraceError, match="here: there is none"):
        Shelf([]).get("../../etc/passwd")


def test_ones_own_run_comes_before_a_shipped_one_of_its_name(path, tmp_path):
    twin = tmp_path / "my-run.trace"
    twin.write_bytes(path.read_bytes())
    shelf = Shelf([twin, path])
    assert list(shelf.titles) == ["my-run"] and shelf.get("my-run").path == twin


def test_messages_are_made_once(shelf):
    first, again = list(shelf.messages("my-run")), list(shelf.messages("my-run"))
    assert len(first) == 11 and all(was is now for was, now in zip(first, again, strict=True))


def test_a_recorded_run_sends_what_a_live_one_sends(shelf):
    messages = watched(Showing(opening(shelf)))
    assert [m["seq"] for m in messages] == list(range(12)) and len({m["run"] for m in messages}) == 1
    assert [m["kind"] for m in messages] == ["started", *["chunk"] * 10, "ended"]
    assert sum(len(m["frames"]) for m in messages[1:-1]) == 113
    assert messages[0]["recorded"] == {"seconds": None, "panel": None, "unasked": False, "link": None}
    assert messages[-1]["reason"] == "recorded" and not messages[-1]["note"]
    bare = [{k: v for k, v in m.items() if k not in ("run", "seq", "recorded")} for m in messages[:-1]]
    assert bare == list(shelf.messages("my-run"))


def test_recorded_gauges_are_shown_and_others_are_measured(path, tmp_path):
    gauges = Gauges((0, 9), 0.5, 1.5, 1.0, 1.0, 2.0, 0.9, 0.5, (), None, 0.002)
    measured = read_trace(record(tmp_path, run(), lambda chunk: gauges))
    shown = [message["gauges"] for message in list(messages_of(measured))[1:]]
    assert all(sent["readings"]["chunk_jump"]["shown"] == "× 2.0" for sent in shown)
    anew = [message["gauges"] for message in list(messages_of(read_trace(path)))[1:]]
    assert anew[0]["readings"]["chunk_jump"]["value"] is None and 0 < anew[-1]["readings"]["chunk_jump"]["value"] < 2


def test_a_moment_goes_along_with_the_start(shelf):
    message = watched(Showing(opening(shelf, moment=Moment("my-run", 2.5, "cache"), link="my-run")))[0]
    assert message["recorded"] == {"seconds": 2.5, "panel": "cache", "unasked": False, "link": "my-run"}


def test_the_next_part_waits_for_the_page(shelf, monkeypatch):
    monkeypatch.setattr(showing, "FIRST_BYTES", 1)
    monkeypatch.setattr(showing, "PART_BYTES", 1)
    play = Showing(opening(shelf))
    parts = play.parts()
    assert [m["kind"] for m in next(parts)] == ["started", "chunk"]
    threading.Timer(0.2, play.confirm, [1]).start()
    assert [m["seq"] for m in next(parts)] == [2]
    threading.Timer(0.2, play.confirm, [1]).start()  # of the part before: not enough
    threading.Timer(0.4, play.stop).start()
    assert list(parts) == []


def test_a_page_that_says_nothing_is_sent_no_more(shelf, monkeypatch):
    monkeypatch.setattr(showing, "FIRST_BYTES", 1)
    monkeypatch.setattr(showing, "CONFIRM_SECONDS", 0.1)
    assert len(list(Showing(opening(shelf)).parts())) == 1


def test_a_run_larger_than_a_page_holds_ends_with_a_note(shelf, monkeypatch):
    monkeypatch.setattr(showing, "MOST_BYTES", 5 * 12 * 500)
    ended = watched(Showing(opening(shelf)))[-1]
    assert ended["reason"] == "recorded" and 0 < ended["chunks"] < 10
    assert re.fullmatch(r"Shown are its first \d seconds: a page holds no more .*", ended["note"])


def test_damage_in_the_middle_ends_with_its_words(path, tmp_path):
    data = bytearray(path.read_bytes())
    middle = data.index(b"chunks/000004")
    data[middle + 100 : middle + 140] = bytes(40)
    (tmp_path / "my-run.trace").write_bytes(data)
    messages = watched(Showing(opening(Shelf([tmp_path / "my-run.trace"]))))
    assert messages[-1]["reason"] == "error" and messages[-1]["chunks"] == 4
    assert messages[-1]["error"].startswith("my-run.trace cannot be read: it is damaged")


def test_a_run_that_had_ended_with_an_error_says_so(path, tmp_path):
    record(tmp_path, [*list(read_trace(path))[:3], StreamEnded("error", 2, "no <memory>")])
    trace = read_trace(tmp_path / "run.trace")
    ended = watched(Showing(Opening(trace, messages_of(trace))))[-1]
    assert ended["error"] is None and ended["note"] == "This run had ended with an error: no <memory>"


def test_opening_another_run_ends_the_first(shelf, monkeypatch):
    monkeypatch.setattr(showing, "FIRST_BYTES", 1)
    showings = Showings()
    first = showings.play("a", opening(shelf))
    part = next(first)
    second = showings.play("a", opening(shelf))
    newer = next(second)
    assert newer[0]["run"] > part[0]["run"], "names sort by time: the page drops what comes late"
    assert list(first) == []
    showings.confirm("a", part[0]["run"], 99)  # of the run that was left: nothing happens
    showings.confirm("b", newer[0]["run"], 99)
    showings.confirm("a", newer[0]["run"], newer[-1]["seq"])
    assert next(second)[0]["seq"] == newer[-1]["seq"] + 1
    showings.close("a")
    assert list(second) == []
    showings.close("a")


def test_a_file_without_a_trace_is_refused_with_one_line(tmp_path, capsys):
    (tmp_path / "x.trace").write_text("once")
    for name in ("x.trace", "none.trace"):
        assert main(["replay", str(tmp_path / name)]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"deepforcing: {name} cannot be read: ") and error.count("\n") == 1


def test_a_shipped_file_that_is_damaged_is_left_out(tmp_path, path, monkeypatch, capsys):
    (tmp_path / "a.trace").write_text("version https://git-lfs")
    (tmp_path / "b.trace").write_bytes(path.read_bytes())
    monkeypatch.setattr("ui.shelf.SHIPPED", tmp_path)
    monkeypatch.setattr("ui.shelf.OF_LESSONS", tmp_path / "lessons")
    assert list(Shelf.shipped().titles) == ["b"]
    assert "a.trace cannot be read" in capsys.readouterr().err


def test_the_page_without_a_model_needs_no_torch(path):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path\n"
        "from ui.replay import ReplayApp\n"
        "from ui.shelf import Shelf, messages_of\n"
        "app = ReplayApp(Shelf([Path(sys.argv[1])]))\n"
        "print(len(list(app.desk.shelf.messages('my-run'))), len(app.blocks.get_config_file()['dependencies']))"
    )
    done = subprocess.run([sys.executable, "-c", code, path], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split()[0] == "11" and int(done.stdout.split()[1]) >= 5, done.stderr


def test_every_panel_of_a_link_is_on_the_page():
    assert re.findall(r'data-panel="(\w+)"', (WEB / "player.html").read_text("utf-8")) == list(PANELS)


def test_an_unknown_name_or_moment_is_told_and_nothing_is_interrupted(shelf):
    app, interrupted = ReplayApp(shelf), []
    app.desk._interrupt = interrupted.append
    ((player, note),) = app.desk.open_named("<b>x</b>", "a")
    assert "&lt;b&gt;x&lt;/b&gt;" in note and "value" not in player and not interrupted
    ((_, note),) = app.desk._play("a", lambda: app.desk._opening(Moment("my-run", 99.0)))
    assert "my-run ends at 7.1 s, before 99.0 s." in note and not interrupted


def test_a_page_that_opens_late_does_not_end_a_run_of_its_viewer(shelf):
    app, interrupted, trace = ReplayApp(shelf), [], shelf.get("my-run")
    app.desk._interrupt, app.desk._busy = interrupted.append, lambda session: session == "a"
    unasked = Opening(trace, shelf.messages("my-run"), unasked=True)
    assert len(list(app.desk._play("a", lambda: unasked))) == 1 and not interrupted
    next(app.desk._play("b", lambda: unasked))
    assert interrupted == ["b"]


def test_the_runs_that_are_shipped_open_and_are_small():
    paths, lessons = sorted(SHIPPED.glob("*.trace")), sorted(OF_LESSONS.glob("*.trace"))
    assert 2 <= len(paths) <= 4 and sum(path.stat().st_size for path in (*paths, *lessons)) < 15e6
    shelf = Shelf.shipped()
    assert list(shelf.titles) == [path.stem for path in paths]
    assert set(shelf.names) == {path.stem for path in (*paths, *lessons)}
    for path in (*paths, *lessons):
        trace = read_trace(path)
        assert trace.started.model == "tiny" and 10 <= trace.seconds <= 60
        assert path.stat().st_size * 60 / trace.seconds < 10e6, "a minute is at most 10 MB"
        assert sum(len(message.get("frames", ())) for message in messages_of(trace)) == round(16 * trace.seconds)
