"""Recorded runs on a page: from the file to the messages that the player gets."""

import re
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
from test_trace import record, run

from deepforcing import Gauges, StreamEnded, TraceError, read_trace
from deepforcing.__main__ import main
from ui.look.web import html
from ui.recordings import viewings as sent
from ui.recordings.library import OF_LESSONS, SHIPPED, Recordings, messages_of
from ui.recordings.links import PANELS, Moment
from ui.recordings.viewings import Opening, Viewing, Viewings
from ui.replay import ReplayApp

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return record(tmp_path_factory.mktemp("recordings"), run()).rename(tmp_path_factory.mktemp("own") / "my-run.trace")


@pytest.fixture
def recordings(path):
    return Recordings([path])


def opening(recordings, **more) -> Opening:
    return Opening(recordings.get("my-run"), recordings.messages("my-run"), **more)


def watched(play: Viewing) -> list[dict]:
    """All messages, for a page that confirms everything at once."""
    seen = []
    for part in play.parts():
        seen += part
        play.confirm(part[-1]["seq"])
    return seen


def test_recordings_have_names(recordings):
    assert recordings.titles == {"my-run": "My run, 7 s"} and recordings.first == "my-run"
    assert Recordings([]).first is None and Recordings([]).titles == {}
    with pytest.raises(TraceError, match="no recorded run 'other' here: there are my-run"):
        recordings.get("other")
    with pytest.raises(TraceError, match="here: there is none"):
        Recordings([]).get("../../etc/passwd")


def test_ones_own_run_comes_before_a_shipped_one_of_its_name(path, tmp_path):
    twin = tmp_path / "my-run.trace"
    twin.write_bytes(path.read_bytes())
    recordings = Recordings([twin, path])
    assert list(recordings.titles) == ["my-run"] and recordings.get("my-run").path == twin


def test_messages_are_made_once(recordings):
    first, again = list(recordings.messages("my-run")), list(recordings.messages("my-run"))
    assert len(first) == 11 and all(was is now for was, now in zip(first, again, strict=True))


def test_a_recorded_run_sends_what_a_live_one_sends(recordings):
    messages = watched(Viewing(opening(recordings)))
    assert [m["seq"] for m in messages] == list(range(12)) and len({m["run"] for m in messages}) == 1
    assert [m["kind"] for m in messages] == ["started", *["chunk"] * 10, "ended"]
    assert sum(len(m["frames"]) for m in messages[1:-1]) == 113
    assert messages[0]["recorded"] == {"seconds": None, "panel": None, "unasked": False, "link": None}
    assert messages[-1]["reason"] == "recorded" and not messages[-1]["note"]
    bare = [{k: v for k, v in m.items() if k not in ("run", "seq", "recorded")} for m in messages[:-1]]
    assert bare == list(recordings.messages("my-run"))


def test_recorded_gauges_are_shown_and_others_are_measured(path, tmp_path):
    gauges = Gauges((0, 9), 0.5, 1.5, 1.0, 1.0, 2.0, 0.9, 0.5, (), None, 0.002)
    measured = read_trace(record(tmp_path, run(), lambda chunk: gauges))
    shown = [message["gauges"] for message in list(messages_of(measured))[1:]]
    assert all(sent["readings"]["chunk_jump"]["shown"] == "× 2.0" for sent in shown)
    anew = [message["gauges"] for message in list(messages_of(read_trace(path)))[1:]]
    assert anew[0]["readings"]["chunk_jump"]["value"] is None and 0 < anew[-1]["readings"]["chunk_jump"]["value"] < 2


def test_a_moment_goes_along_with_the_start(recordings):
    message = watched(Viewing(opening(recordings, moment=Moment("my-run", 2.5, "cache"), link="my-run")))[0]
    assert message["recorded"] == {"seconds": 2.5, "panel": "cache", "unasked": False, "link": "my-run"}


def test_the_next_part_waits_for_the_page(recordings, monkeypatch):
    monkeypatch.setattr(sent, "FIRST_BYTES", 1)
    monkeypatch.setattr(sent, "PART_BYTES", 1)
    play = Viewing(opening(recordings))
    parts = play.parts()
    assert [m["kind"] for m in next(parts)] == ["started", "chunk"]
    threading.Timer(0.2, play.confirm, [1]).start()
    assert [m["seq"] for m in next(parts)] == [2]
    threading.Timer(0.2, play.confirm, [1]).start()  # of the part before: not enough
    threading.Timer(0.4, play.stop).start()
    assert list(parts) == []


def test_a_page_that_says_nothing_is_sent_no_more_and_told_so(recordings, monkeypatch):
    monkeypatch.setattr(sent, "FIRST_BYTES", 1)
    monkeypatch.setattr(sent, "SILENT_SECONDS", 0.1)
    _, (ended,) = Viewing(opening(recordings)).parts()
    assert (ended["kind"], ended["seq"], ended["note"]) == ("ended", 2, sent.SILENT)


def test_a_part_may_be_long_on_its_way_to_a_page_that_says_it_is_there(recordings, monkeypatch):
    monkeypatch.setattr(sent, "FIRST_BYTES", 1)
    monkeypatch.setattr(sent, "SILENT_SECONDS", 0.5)
    play = Viewing(opening(recordings))
    parts = play.parts()
    next(parts)
    for tenths in range(1, 15):
        threading.Timer(0.1 * tenths, play.confirm, [-1]).start()
    threading.Timer(1.5, play.confirm, [1]).start()
    assert next(parts)[0]["kind"] == "chunk"
    play.stop()


def test_a_run_larger_than_a_page_holds_ends_with_a_note(recordings, monkeypatch):
    monkeypatch.setattr(sent, "MOST_BYTES", 5 * 12 * 500)
    ended = watched(Viewing(opening(recordings)))[-1]
    assert ended["reason"] == "recorded" and 0 < ended["chunks"] < 10
    assert re.fullmatch(r"Shown are its first \d seconds: a page holds no more .*", ended["note"])


def test_damage_in_the_middle_ends_with_its_words(path, tmp_path):
    data = bytearray(path.read_bytes())
    middle = data.index(b"chunks/000004")
    data[middle + 100 : middle + 140] = bytes(40)
    (tmp_path / "my-run.trace").write_bytes(data)
    messages = watched(Viewing(opening(Recordings([tmp_path / "my-run.trace"]))))
    assert messages[-1]["reason"] == "error" and messages[-1]["chunks"] == 4
    assert messages[-1]["error"].startswith("my-run.trace cannot be read: it is damaged")


def test_a_run_that_had_ended_with_an_error_says_so(path, tmp_path):
    record(tmp_path, [*list(read_trace(path))[:3], StreamEnded("error", 2, "no <memory>")])
    trace = read_trace(tmp_path / "run.trace")
    ended = watched(Viewing(Opening(trace, messages_of(trace))))[-1]
    assert ended["error"] is None and ended["note"] == "This run had ended with an error: no <memory>"


def test_opening_another_run_ends_the_first(recordings, monkeypatch):
    monkeypatch.setattr(sent, "FIRST_BYTES", 1)
    viewings = Viewings()
    first = viewings.play("a", opening(recordings))
    part = next(first)
    second = viewings.play("a", opening(recordings))
    newer = next(second)
    assert newer[0]["run"] > part[0]["run"], "names sort by time: the page drops what comes late"
    assert list(first) == []
    viewings.confirm("a", part[0]["run"], 99)  # of the run that was left: nothing happens
    viewings.confirm("b", newer[0]["run"], 99)
    viewings.confirm("a", newer[0]["run"], newer[-1]["seq"])
    assert next(second)[0]["seq"] == newer[-1]["seq"] + 1
    viewings.close("a")
    assert list(second) == []
    viewings.close("a")


def test_a_file_without_a_trace_is_refused_with_one_line(tmp_path, capsys):
    (tmp_path / "x.trace").write_text("once")
    for name in ("x.trace", "none.trace"):
        assert main(["replay", str(tmp_path / name)]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"deepforcing: {name} cannot be read: ") and error.count("\n") == 1


def test_a_shipped_file_that_is_damaged_is_left_out(tmp_path, path, monkeypatch, capsys):
    (tmp_path / "a.trace").write_text("version https://git-lfs")
    (tmp_path / "b.trace").write_bytes(path.read_bytes())
    monkeypatch.setattr("ui.recordings.library.SHIPPED", tmp_path)
    monkeypatch.setattr("ui.recordings.library.OF_LESSONS", tmp_path / "lessons")
    assert list(Recordings.shipped().titles) == ["b"]
    assert "a.trace cannot be read" in capsys.readouterr().err


def test_the_page_without_a_model_needs_no_torch(path):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path\n"
        "from ui.replay import ReplayApp\n"
        "from ui.recordings.library import Recordings, messages_of\n"
        "app = ReplayApp(Recordings([Path(sys.argv[1])]))\n"
        "print(len(list(app.menu.recordings.messages('my-run'))), len(app.blocks.get_config_file()['dependencies']))"
    )
    done = subprocess.run([sys.executable, "-c", code, path], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split()[0] == "11" and int(done.stdout.split()[1]) >= 5, done.stderr


def test_every_panel_of_a_link_is_on_the_page():
    assert re.findall(r'data-panel="(\w+)"', html("player/player.html")) == list(PANELS)


def test_an_unknown_name_or_moment_is_told_and_nothing_is_interrupted(recordings):
    app, interrupted = ReplayApp(recordings), []
    app.menu._interrupt = interrupted.append
    ((player, note),) = app.menu.open_named("<b>x</b>", "a")
    assert "&lt;b&gt;x&lt;/b&gt;" in note and "value" not in player and not interrupted
    ((_, note),) = app.menu._play("a", lambda: app.menu._opening(Moment("my-run", 99.0)))
    assert "my-run ends at 7.1 s, before 99.0 s." in note and not interrupted


def test_a_page_that_opens_late_does_not_end_a_run_of_its_viewer(recordings):
    app, interrupted = ReplayApp(recordings), []
    app.menu._interrupt, app.menu._busy = interrupted.append, lambda session: session == "a"
    for search in ("", "?trace=my-run&t=2.5"):
        assert list(arriving(app, "a", search)) == [(gr.skip(), gr.skip())] and not interrupted
    next(arriving(app, "b", ""))
    assert interrupted == ["b"]


def test_a_page_that_opens_late_leaves_the_recording_that_its_viewer_chose(recordings):
    app = ReplayApp(recordings)
    next(app.menu.open_named("my-run", "a"))
    for search in ("", "?trace=my-run&t=2.5"):
        assert list(arriving(app, "a", search)) == [(gr.skip(), gr.skip())]


def arriving(app, session: str, search: str):
    return app.menu.arrive(gr.EventData(None, {"search": search}), SimpleNamespace(session_hash=session))


def test_the_runs_that_are_shipped_open_and_are_small():
    paths, lessons = sorted(SHIPPED.glob("*.trace")), sorted(OF_LESSONS.glob("*.trace"))
    assert 2 <= len(paths) <= 4 and sum(path.stat().st_size for path in (*paths, *lessons)) < 15e6
    recordings = Recordings.shipped()
    assert list(recordings.titles) == [path.stem for path in paths]
    assert set(recordings.names) == {path.stem for path in (*paths, *lessons)}
    for path in (*paths, *lessons):
        trace = read_trace(path)
        assert trace.started.model == "tiny" and 10 <= trace.seconds <= 60
        assert path.stat().st_size * 60 / trace.seconds < 10e6, "a minute is at most 10 MB"
        assert sum(len(message.get("frames", ())) for message in messages_of(trace)) == round(16 * trace.seconds)
