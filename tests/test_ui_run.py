import json
import subprocess
import threading
import time
from dataclasses import replace

import imageio_ffmpeg
import pytest
from conftest import soon
from test_video_file import FULL, program  # noqa: F401  (a fixture)

from deepforcing import DeepForcing, DriftMeter, PromptError, StreamEnded, generate_long_video, read_trace
from deepforcing.pipeline import started_event
from ui.hosting.sessions import TOO_FULL, Sessions
from ui.recordings.library import messages_of
from ui.runs.files import ELSEWHERE, Recording, file_name
from ui.runs.pace import AHEAD_SECONDS, Pace
from ui.runs.run import VideoOrder

pytestmark = pytest.mark.timeout(120)  # a stop that does not stop fails
POLICY = DeepForcing(window=9, sink=3, budget=8, recent=4)


def order(prompt="a red balloon", frames=None) -> VideoOrder:
    return VideoOrder(prompt, 7, POLICY, frames)


def playing(sessions, session, until, seen=None):
    """Read a run, close it when `until(message)` is true, and return all its messages; they also go to `seen`."""
    seen = [] if seen is None else seen
    for message, files in sessions.play(session, order()):
        seen.append(message)
        run = sessions.get(session)
        if run is not None:
            run.report(10**6, True)  # a viewer that is always far ahead
        if until(message):
            sessions.close(session)
        if message["kind"] == "ended":
            assert all(file is None or file.exists() for file in (files.video, files.trace))
    return seen


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_pace_follows_the_playhead():
    clock = Clock()
    pace = Pace(16, clock)
    pace.made = 48
    clock.now = 2.0
    assert pace.played() == 0 and pace.ahead_enough  # nothing was reported yet
    pace.report(30, playing=True)
    assert pace.played() == 30 and not pace.ahead_enough
    pace.report(10, playing=False)
    clock.now = 60.0
    assert pace.played() == 10 and pace.ahead_enough and pace.silent_seconds() == 58


def test_a_report_is_carried_forward_only_for_a_moment():
    clock = Clock()
    pace = Pace(16, clock)
    pace.report(0, playing=True)
    clock.now = 1.0
    assert pace.played() == 16
    clock.now = 100.0
    assert pace.played() == 32


def test_a_finite_run_ends_with_files_that_name_what_made_it(pipeline, tmp_path):
    sessions, kept, trace = Sessions(pipeline), tmp_path / "copy.mp4", tmp_path / "copy.trace"
    messages = []
    for message, files in sessions.play("a", order(frames=40)):
        messages.append(message)
        if sessions.get("a"):
            sessions.get("a").report(10**6, True)
        if message["kind"] == "chunk" and message["index"] == 0:
            sessions.get("a").change_prompt("a blue <b>boat</b>")
        if files.video is not None:
            kept.write_bytes(files.video.read_bytes())
            trace.write_bytes(files.trace.read_bytes())
    assert [m["seq"] for m in messages] == list(range(len(messages)))
    assert messages[0]["kind"] == "started" and messages[-1]["kind"] == "ended"
    assert messages[-1]["reason"] == "finished"
    assert all(m["gauges"]["readings"] for m in messages if m["kind"] == "chunk")
    assert sum(len(m["frames"]) for m in messages if m["kind"] == "chunk") == 40
    assert [m["prompt"] for m in messages if m["kind"] == "prompt"] == ["a blue <b>boat</b>"]
    assert imageio_ffmpeg.count_frames_and_secs(str(kept))[0] == 40
    made = metadata(kept)
    assert [part["prompt"] for part in made["prompts"]] == ["a red balloon", "a blue <b>boat</b>"]
    assert made["device"] == read_trace(trace).started.device == "CPU"
    assert made["seed"] == 7 and made["policy"] == "deep-forcing" and made["settings"]["budget"] == 8
    sent = [m for m in messages if m["kind"] in ("started", "chunk")]
    assert read_trace(trace).is_measured
    replayed = list(messages_of(read_trace(trace)))
    assert [m["prompt"] for m in replayed] == [m["prompt"] for m in sent]
    for was, now in zip(sent[1:], replayed[1:], strict=True):
        assert all(now[name] == was[name] for name in ("cache", "first", "gauges"))
        assert len(now["frames"]) == len(was["frames"])


def test_a_trace_that_cannot_be_written_does_not_take_the_video_along(pipeline, tmp_path, monkeypatch):
    monkeypatch.setattr("deepforcing.trace.writer.MOST_CHUNKS", 1)
    sessions, messages = Sessions(pipeline), []
    for message, files in sessions.play("a", order(frames=33)):
        messages.append(message)
        if sessions.get("a"):
            sessions.get("a").report(10**6, True)
        assert message["kind"] != "ended" or (files.video.exists() and files.trace is None)
    (notice,) = [m["text"] for m in messages if m["kind"] == "notice"]
    assert notice.startswith("The trace cannot be written any further: a trace cannot hold more than the 1 chunk")


def test_a_video_that_cannot_be_written_is_told_once_and_the_run_goes_on(pipeline, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError("no room")

    monkeypatch.setattr("ui.runs.files.VideoWriter", refuse)
    sessions, messages = Sessions(pipeline), []
    for message, files in sessions.play("a", order(frames=33)):
        messages.append(message)
        if sessions.get("a"):
            sessions.get("a").report(10**6, True)
        assert files.video is None and files.trace is None
    notices = [m["text"] for m in messages if m["kind"] == "notice"]
    assert notices == ["The video file cannot be written any further: no room"]
    assert messages[-1]["reason"] == "finished"


def test_a_full_disk_is_told_and_what_there_is_of_the_video_is_offered(pipeline, tmp_path, program):  # noqa: F811
    program(FULL.replace("512", "40"))
    sessions, messages, kept = Sessions(pipeline), [], tmp_path / "kept.mp4"
    for message, files in sessions.play("a", order(frames=96)):
        messages.append(message)
        if sessions.get("a"):
            sessions.get("a").report(10**6, True)
        if message["kind"] == "ended":
            assert files.trace is None and not files.video.name.endswith("seed-7.mp4")
            kept.write_bytes(files.video.read_bytes())
    (notice,) = [m["text"] for m in messages if m["kind"] == "notice"]
    assert notice.endswith(": File too large. What there is of it can be downloaded at the end. " + ELSEWHERE)
    assert 0 < imageio_ffmpeg.count_frames_and_secs(str(kept))[0] < 96 and messages[-1]["reason"] == "finished"


def test_prompts_that_do_not_fit_a_command_line_go_into_the_file(pipeline, tmp_path):
    recording = Recording(tmp_path, started_event(pipeline, "a", POLICY, 7))
    meter = DriftMeter(pipeline.shape, pipeline.chunk_frames)
    for chunk in generate_long_video(pipeline, "a", num_frames=33):
        recording.write(replace(chunk, prompt=f"{chunk.index} " + "飛" * 60_000), meter.add(chunk))
    files = recording.finish(StreamEnded("finished", 3))
    assert recording.troubles == [] and len(metadata(files.video)["prompts"]) == 4


def metadata(path) -> dict:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-f", "ffmetadata", "-"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    comment = next(line for line in text.splitlines() if line.startswith("comment="))
    return json.loads(comment.removeprefix("comment=").replace("\\=", "=").replace("\\;", ";").replace("\\#", "#"))


def test_stop_ends_the_run_and_leaves_nothing(pipeline):
    sessions, before = Sessions(pipeline), {*threading.enumerate()}
    messages = playing(sessions, "a", lambda m: m.get("index") == 2)
    assert messages[-1]["kind"] == "ended" and messages[-1]["reason"] == "stopped"
    assert sessions.get("a") is None and {*threading.enumerate()} <= before  # others may end meanwhile


def test_a_slow_viewer_holds_generation_back(pipeline):
    sessions, chunks = Sessions(pipeline), 0
    threading.Timer(1.5, sessions.close, ["a"]).start()
    for message, _ in sessions.play("a", order()):
        if sessions.get("a"):
            sessions.get("a").report(0, False)
        chunks += message["kind"] == "chunk"
    frames = 9 + 12 * (chunks - 1)
    assert frames <= AHEAD_SECONDS * 16 + 12 + 2 * 12 + 12  # what may run ahead, what the stream had made, one more


def test_a_run_makes_a_chunk_in_advance_only_while_it_is_not_ahead(pipeline, tmp_path):
    run, in_advance = order().run(pipeline, tmp_path, "r"), []
    for message in run.messages(lambda: len(in_advance) > 2):
        if message["kind"] == "chunk":
            in_advance.append(run._stream.max_queued)
    assert in_advance[:3] == [1, 1, 0], "9, 21 and 33 frames, of which none is seen"


def test_a_page_that_falls_silent_ends_its_run_and_the_first_reason_is_told(pipeline, tmp_path, monkeypatch):
    monkeypatch.setattr("ui.runs.paced_run.SILENT_SECONDS", 0.0)
    run = order().run(pipeline, tmp_path, "r")
    *_, last = run.messages(lambda: True)
    assert last["reason"] == "stopped" and last["note"] == "The page fell silent, so the run was ended."
    run.stop("Another.")
    assert run.note == last["note"]


def test_a_second_session_waits_its_turn_and_then_runs(pipeline):
    sessions, second = Sessions(pipeline, most=1), []
    first_has_it = threading.Event()

    def other():
        first_has_it.wait(60)
        playing(sessions, "b", lambda m: m["kind"] == "chunk", second)

    thread = threading.Thread(target=other)
    thread.start()

    def seen_waiting(message):
        first_has_it.set()
        return bool(second) or message.get("index", 0) > 400

    playing(sessions, "a", seen_waiting)
    thread.join(60)
    assert second[0]["kind"] == "waiting" and second[0]["ahead"] == 1
    assert second[-1]["kind"] == "ended" and any(m["kind"] == "chunk" for m in second)


def test_two_sessions_run_at_once_where_both_keep_their_pace_and_are_told(pipeline):
    sessions, second = Sessions(pipeline), []
    first_was_measured = threading.Event()

    def other():
        first_was_measured.wait(60)
        playing(sessions, "b", lambda m: m.get("index", 0) > 2, second)

    thread = threading.Thread(target=other)
    thread.start()

    def enough(message):
        if message.get("index", 0) > 2:
            first_was_measured.set()
        return bool(second) and second[-1]["kind"] == "ended"

    first = playing(sessions, "a", enough)
    thread.join(60)
    assert second[0]["kind"] == "started" and second[-1]["kind"] == "ended"
    assert {m["sharing"] for m in first if m["kind"] == "chunk"} == {1, 2}
    assert soon(lambda: sessions.active == 0)


def test_who_shares_a_model_that_became_too_slow_is_told_once(pipeline, monkeypatch):
    monkeypatch.setattr("ui.hosting.room.Room.loads", [0.7, 0.6])
    sessions = Sessions(pipeline)
    messages = playing(sessions, "a", lambda m: m.get("index", 0) > 3)
    assert [m["text"] for m in messages if m["kind"] == "notice"] == [TOO_FULL.format(2)]


def test_a_run_gives_way_to_those_who_wait(pipeline):
    sessions = Sessions(pipeline, most=1, turn_seconds=0.2)
    waiter = threading.Thread(target=playing, args=(sessions, "b", lambda m: True))

    def too_many(message):
        if message["kind"] == "started":  # nobody is in line before
            waiter.start()
        return message.get("index", 0) > 2000

    ended = playing(sessions, "a", too_many)[-1]
    waiter.join(60)
    assert ended["reason"] == "stopped" and "waiting" in ended["note"]


def test_leaving_the_line(pipeline):
    sessions, seen = Sessions(pipeline, most=1), []
    holder = sessions.play("a", order())
    next(holder)
    began = time.monotonic()
    for message, _ in sessions.play("b", order()):
        if not seen:  # it is in line now, whatever else the machine has to do
            threading.Timer(0.3, sessions.close, ["b"]).start()
        seen.append(message)
    assert [m["kind"] for m in seen] == ["waiting", "ended"] and time.monotonic() - began < 30
    holder.close()


def test_starting_again_ends_the_earlier_run(pipeline):
    sessions = Sessions(pipeline)
    first = sessions.play("a", order())
    next(first)
    run = sessions.get("a")
    second = sessions.play("a", order())
    thread = threading.Thread(target=lambda: list(first))
    thread.start()
    next(message for message, _ in second if message["kind"] == "started")
    assert sessions.get("a") is not run
    second.close()
    thread.join(60)


def test_bad_orders_are_refused_and_leave_the_line(pipeline):
    sessions = Sessions(pipeline)
    with pytest.raises(PromptError, match="empty"):
        list(sessions.play("a", order("   ")))
    with pytest.raises(PromptError, match="10,000 characters"):
        list(sessions.play("a", order("x" * 10_000)))
    assert playing(sessions, "a", lambda m: m["kind"] == "chunk")[-1]["kind"] == "ended"


@pytest.mark.parametrize(
    ("prompt", "name"),
    [("A red balloon!", "a-red-balloon-seed-7"), ("../../etc/passwd", "etc-passwd-seed-7"), ("龍", "video-seed-7")],
)
def test_file_names_are_safe(prompt, name):
    assert file_name(prompt, 7) == f"{name}.mp4"
