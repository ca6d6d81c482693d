"""A run as one file: what comes back, and what is refused."""

import json
import math
import pickle
import random
import subprocess
import sys
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
from conftest import small_pipeline
from safetensors.numpy import load, save

from deepforcing import (
    Chunk,
    DeepForcing,
    DriftMeter,
    Gauges,
    Jump,
    SettingsChanged,
    SlidingWindow,
    StreamEnded,
    TraceError,
    TraceWriter,
    VideoShape,
    VideoWriter,
    generate_long_video,
    read_trace,
)
from deepforcing.pipeline import started_event
from deepforcing.timeline import Timeline
from deepforcing.trace import archive

POLICY = DeepForcing(window=9, sink=3, budget=8, recent=4)
ROOT = Path(__file__).parents[1]
MARKUP = "<img src=x onerror=alert(1)> & \ud800 龍"


def run(policy=POLICY, probe=True, frames=113) -> list:
    """Events of a small run whose prompt changes."""
    pipeline = small_pipeline()
    prompts = lambda index: "a red balloon" if index < 4 else "another"  # noqa: E731
    chunks = generate_long_video(pipeline, prompts, num_frames=frames, policy=policy, seed=7, probe=probe)
    chunks = (replace(chunk, prompt=MARKUP) if chunk.prompt == "another" else chunk for chunk in chunks)
    events = [started_event(pipeline, "a red balloon", policy, 7), *chunks]
    return [*events, StreamEnded("finished", len(events) - 1)]


def record(folder: Path, events: list, gauges=lambda chunk: None) -> Path:
    """Their trace. gauges: what was measured of a chunk."""
    path, video = folder / "run.trace", folder / "run.mp4"
    with VideoWriter(video, VideoShape(32, 48)) as movie:
        for chunk in events[1:-1]:
            movie.write(chunk.frames)
    with TraceWriter(path) as trace:
        for event in events:
            trace.write(event, gauges(event) if isinstance(event, Chunk) else None)
        assert not path.exists()
        assert trace.finish(video) == path
    return path


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    events = run()
    return record(tmp_path_factory.mktemp("trace"), events), events


def differences(was, now, where="event"):
    """Where two events differ: exactly, or beyond float16 for what is kept in it."""
    if isinstance(was, np.ndarray):
        assert was.shape == now.shape and was.dtype == now.dtype, where
        if where.endswith((".scores", ".mass")):
            scale = np.nanmax(np.abs(was), initial=0)
            assert np.allclose(was, now, rtol=1e-3, atol=1e-3 * scale, equal_nan=True), where
        elif where == "Chunk.frames":
            assert np.abs(was.astype(int) - now).mean() < 12, where
        else:
            assert np.array_equal(was, now, equal_nan=was.dtype.kind == "f"), where
    elif is_dataclass(was):
        assert type(was) is type(now), where
        for field in fields(was):
            name = f"{type(was).__name__}.{field.name}"
            differences(getattr(was, field.name), getattr(now, field.name), name)
    elif isinstance(was, tuple) and was and is_dataclass(was[0]):
        assert len(was) == len(now), where
        for one, other in zip(was, now, strict=True):
            differences(one, other)
    else:
        assert was == now or (was != was and now != now), where  # NaN is itself too


def test_events_come_back_as_they_were(recorded):
    path, events = recorded
    again = list(read_trace(path))
    assert len(again) == len(events)
    for was, now in zip(events, again, strict=True):
        differences(was, now)
    chunks = again[1:-1]
    assert any(chunk.compression for chunk in chunks) and len(chunks[0].cache.frames) == 0
    assert any(np.isnan(chunk.compression.scores).any() for chunk in chunks if chunk.compression)


def test_two_long_prompts_at_once_come_back(tmp_path):
    one, other = "a b " * 300, "b a " * 300
    text = Timeline(((0, one), (3, other)), (0, 3)).at(4)
    events = [replace(event, prompt=text) if isinstance(event, Chunk) else event for event in run(frames=33)]
    assert len(text) > 2000 and read_trace(record(tmp_path, events)).prompts[0][1] == text


def test_changes_of_settings_come_back_before_their_chunks_and_the_first_traces_had_none(recorded, tmp_path):
    events = run(frames=33)
    changes = [SettingsChanged(1, {"sink": 3}, {"sink": 2}), SettingsChanged(2, {"probe": True}, {"probe": False})]
    late = SettingsChanged(3, {"switch": "keep"}, {"switch": "sink"})  # the run was ended before its chunk
    told = [*events[:2], changes[0], events[2], changes[1], *events[3:-1], late, events[-1]]
    path, video = tmp_path / "run.trace", tmp_path / "run.mp4"
    with VideoWriter(video, VideoShape(32, 48)) as movie, TraceWriter(path) as trace:
        for event in told:
            trace.write(event)
            if isinstance(event, Chunk):
                movie.write(event.frames)
        movie.close()
        trace.finish(video)
    again = read_trace(path)
    assert again.changes == tuple(changes) and again.index.ended.chunks == 3
    assert [type(event) for event in again] == [type(event) for event in told if event is not late]
    first = with_index((path, events), tmp_path, lambda index: index.pop("changes"))
    assert read_trace(first).changes == () and read_trace(recorded[0]).changes == ()


CHANGE = {"chunk": 1, "before": {"sink": 3}, "after": {"sink": 2}}


@pytest.mark.parametrize(
    "changes",
    [
        CHANGE,
        [CHANGE, CHANGE],
        [{**CHANGE, "chunk": -1}],
        [{**CHANGE, "chunk": 10**6}],
        [{**CHANGE, "after": {"budget": 2}}],
        [{**CHANGE, "after": {"sink": [2]}}],
        [{**CHANGE, "after": {"sink": "x" * 3000}}],
        [{**CHANGE, "before": None}],
        [CHANGE] * 20_000,
    ],
)
def test_changes_that_no_run_has_are_refused(recorded, tmp_path, changes):
    with pytest.raises(TraceError):
        read_trace(with_index(recorded, tmp_path, lambda index: index.update(changes=changes)))


def test_a_trace_can_be_read_again_and_left_early(recorded):
    trace = read_trace(recorded[0])
    assert [next(iter(trace)), *list(trace)[:1]] == [trace.started] * 2
    reading = iter(trace)
    assert next(reading) == trace.started and [next(reading).index for _ in range(3)] == [0, 1, 2]
    reading.close()


def test_what_is_known_without_reading_the_video(recorded):
    trace = read_trace(recorded[0])
    assert trace.seconds == 113 / 16 and trace.started.policy == "deep-forcing" and trace.started.seed == 7
    assert trace.prompts == ((0.0, "a red balloon"), (45 / 16, MARKUP))
    assert trace.started.settings == {**trace.started.settings, "budget": 8, "window": 9}


def test_the_switch_is_told_and_the_first_traces_had_none(recorded, tmp_path):
    cut = with_index(recorded, tmp_path, lambda index: index["started"].update(switch="sink"))
    assert read_trace(cut).started.switch == "sink"
    first = with_index(recorded, tmp_path, lambda index: index["started"].pop("switch"))
    assert read_trace(first).started == read_trace(recorded[0]).started and read_trace(first).started.switch == "keep"
    stale = with_index(recorded, tmp_path, lambda index: index["started"].update(stale_prompt=True))
    assert read_trace(stale).started.stale_prompt
    first = with_index(recorded, tmp_path, lambda index: index["started"].pop("stale_prompt"))
    assert read_trace(first).started == read_trace(recorded[0]).started


MARKED = Gauges((0, 9), 0.1, 1.5, 0.7, math.nan, 2.0, 0.9, 0.5, (Jump(40, 3.5, math.nan),), 40, 0.002, -0.25)


def marked(recorded, folder: Path) -> tuple[Path, list]:
    """The run again, with gauges for its chunk 3 only."""
    return record(folder, recorded[1], lambda chunk: MARKED if chunk.index == 3 else None), recorded[1]


def test_gauges_come_back_as_they_were_measured(recorded, tmp_path):
    meter, was = DriftMeter.of(recorded[1][0]), []
    trace = read_trace(record(tmp_path, recorded[1], lambda chunk: was.append(meter.add(chunk)) or was[-1]))
    assert trace.is_measured and len(was) == 10 and math.isnan(was[0].chunk_jump) and was[-1].chunk_jump > 0
    for number, gauges in enumerate(was):
        differences(gauges, trace.gauges(number))


def test_traces_made_before_a_gauge_was_there_know_nothing_of_it(recorded, tmp_path):
    def forget(index):
        for chunk in index["chunks"]:
            (chunk["gauges"] or {}).pop("old_scene", None)

    older = read_trace(with_index(marked(recorded, tmp_path), tmp_path, forget))
    assert math.isnan(older.gauges(3).old_scene) and older.gauges(3).sharpness == MARKED.sharpness


def test_a_trace_says_whether_all_of_it_was_measured(recorded, tmp_path):
    trace = read_trace(marked(recorded, tmp_path)[0])
    differences(MARKED, trace.gauges(3))
    assert trace.gauges(2) is None and not trace.is_measured and not read_trace(recorded[0]).is_measured


def test_a_trace_of_the_first_schema_opens(recorded, tmp_path):
    def older(index):
        index.update(schema=1)
        for chunk in index["chunks"]:
            del chunk["gauges"]

    trace = read_trace(with_index(recorded, tmp_path, older))
    assert len(list(trace)) == 12 and not trace.is_measured and trace.gauges(0) is None


def test_a_run_without_probe_compression_or_end(tmp_path):
    events = run(SlidingWindow(window=9), probe=False, frames=33)
    chunks = list(read_trace(record(tmp_path, events)))[1:-1]
    assert all(chunk.attention is None and chunk.compression is None for chunk in chunks) and len(chunks) == 3
    with TraceWriter(tmp_path / "run.trace") as trace:
        for event in events[:-1]:
            trace.write(event)
        trace.finish(tmp_path / "run.mp4")
    assert list(read_trace(tmp_path / "run.trace"))[-1] == StreamEnded("stopped", 3)


@pytest.mark.parametrize("factor", [1e-20, 1e12])
def test_scores_of_any_size_survive(tmp_path, recorded, factor):
    def scaled(event):
        if getattr(event, "compression", None) is None:
            return event
        return replace(event, compression=replace(event.compression, scores=event.compression.scores * factor))

    events = [scaled(event) for event in recorded[1]]
    for was, now in zip(events, read_trace(record(tmp_path, events)), strict=True):
        differences(was, now)


def test_an_error_is_kept_with_its_words(tmp_path, recorded):
    events = [*recorded[1][:3], StreamEnded("error", 2, "no <memory> left " + "x" * 5000)]
    ended = list(read_trace(record(tmp_path, events)))[-1]
    assert ended.reason == "error" and ended.error.startswith("no <memory> left x")


def test_it_opens_and_plays_without_torch(recorded):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from deepforcing import read_trace\n"
        "chunks = list(read_trace(sys.argv[1]))[1:-1]\n"
        "print(len(chunks), sum(len(chunk.frames) for chunk in chunks), chunks[-1].compression is not None)"
    )
    done = subprocess.run([sys.executable, "-c", code, recorded[0]], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split()[:2] == ["10", "113"], done.stderr


# Writing.


def test_an_interrupted_recording_leaves_no_file(tmp_path, recorded):
    with pytest.raises(KeyboardInterrupt), TraceWriter(tmp_path / "run.trace") as trace:
        trace.write(recorded[1][0])
        trace.write(recorded[1][1])
        (part,) = tmp_path.iterdir()
        raise KeyboardInterrupt
    assert part.suffix == ".part" and not list(tmp_path.iterdir())


def test_a_killed_recording_leaves_nothing_that_opens(tmp_path, recorded):
    whole = recorded[0].read_bytes()
    for share in (0.1, 0.5, 0.9, 0.999):
        cut = tmp_path / "cut.trace"
        cut.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(TraceError, match=r"cut\.trace cannot be read: it is damaged or was cut short"):
            read_trace(cut)


def test_an_earlier_trace_stays_until_the_new_one_is_whole(tmp_path, recorded):
    (tmp_path / "run.trace").write_bytes(recorded[0].read_bytes())
    with TraceWriter(tmp_path / "run.trace") as trace:
        trace.write(recorded[1][0])
    assert read_trace(tmp_path / "run.trace").seconds == 113 / 16


def test_nothing_recorded_is_no_trace(tmp_path, recorded):
    with TraceWriter(tmp_path / "run.trace") as trace, pytest.raises(TraceError, match="no chunk"):
        trace.finish(recorded[0].parent / "run.mp4")
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(OSError, match="there is no folder"):
        TraceWriter(tmp_path / "nowhere" / "run.trace")


def test_a_disk_without_room_is_told_and_nothing_is_left(tmp_path, recorded):
    """A limit on the size of files stands for the disk: the system refuses to write on."""
    video, target = recorded[0].parent / "run.mp4", tmp_path / "run.trace"
    code = (
        "import resource, sys\n"
        "from deepforcing import TraceWriter, read_trace\n"
        "path, video, target, room = sys.argv[1:]\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(room), int(room)))\n"
        "with TraceWriter(target) as trace:\n"
        "    for event in read_trace(path):\n"
        "        trace.write(event)\n"
        "    trace.finish(video)"
    )
    given = [recorded[0], video, target, str(video.stat().st_size + 1000)]  # reading needs room for the video
    done = subprocess.run([sys.executable, "-c", code, *given], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and f"OSError: cannot write {target}: File too large" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_trace_does_not_grow_without_end(tmp_path, recorded, monkeypatch):
    monkeypatch.setattr("deepforcing.trace.writer.MOST_CHUNKS", 2)
    with TraceWriter(tmp_path / "run.trace") as trace:
        for event in recorded[1][:3]:
            trace.write(event)
        with pytest.raises(TraceError, match="more than the 2 chunks"):
            trace.write(recorded[1][3])


# Reading what should not be read.


def changed(path: Path, folder: Path, method=None, **content) -> Path:
    """A copy of the trace with other content for some files, by name; None leaves a file out."""
    names = {"index": "trace.json", "video": "video.mp4", "chunk": "chunks/000003.safetensors"}
    content = {names.get(name, name): data for name, data in content.items()}
    with ZipFile(path) as old, ZipFile(folder / "other.trace", "w", ZIP_DEFLATED) as new:
        for info in old.infolist():
            data = content.pop(info.filename, old.read(info.filename))
            if data is not None:
                new.writestr(info.filename, data, method if method is not None else info.compress_type)
        for name, data in content.items():
            new.writestr(name, data)
    return folder / "other.trace"


def with_index(recorded, folder, change) -> Path:
    """A copy whose index went through `change`."""
    with ZipFile(recorded[0]) as old:
        index = json.loads(old.read("trace.json"))
    change(index)
    return changed(recorded[0], folder, index=json.dumps(index))


def refuse(path, words):
    with pytest.raises(TraceError, match=words) as caught:
        for _ in read_trace(path):
            pass
    assert str(caught.value).startswith(f"{path.name} cannot be read: ")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty"),
        (b"once upon a time", "it is no trace, or was damaged"),
        (b"PK\x03\x04 and nothing else", "damaged or was cut short"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path, content, words):
    (tmp_path / "x.trace").write_bytes(content)
    refuse(tmp_path / "x.trace", words)


def test_what_is_no_file_is_named(tmp_path):
    refuse(tmp_path / "none.trace", "No such file")
    (tmp_path / "folder.trace").mkdir()
    refuse(tmp_path / "folder.trace", "s a directory")


def test_a_zip_of_another_program_is_refused(tmp_path):
    with ZipFile(tmp_path / "doc.trace", "w") as other:
        other.writestr("word/document.xml", "<xml/>")
    refuse(tmp_path / "doc.trace", "it is no trace: it has a file 'word/document.xml'")


@pytest.mark.parametrize("name", ["../../evil.py", "/etc/passwd", "chunks/../trace.json", "chunks/999999.safetensors"])
def test_a_path_out_of_the_archive_is_refused(recorded, tmp_path, name):
    refuse(changed(recorded[0], tmp_path, **{name: b"x"}), "it has a file")
    assert [path.name for path in tmp_path.iterdir()] == ["other.trace"]


@pytest.mark.parametrize("part", ["index", "video", "chunk"])
def test_a_missing_part_is_refused(recorded, tmp_path, part):
    refuse(changed(recorded[0], tmp_path, **{part: None}), "it is no trace")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_are_refused(recorded, tmp_path):
    path = changed(recorded[0], tmp_path)
    with ZipFile(path, "a") as twice:
        twice.writestr("trace.json", "{}")
    refuse(path, "it is no trace, or lacks a part")


def test_a_newer_trace_asks_for_an_update(recorded, tmp_path):
    path = with_index(recorded, tmp_path, lambda index: index.update(schema=5, news=[]))
    refuse(path, "it has schema 5, and this version reads up to 4. Update Deep Forcing")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda index: index.update(kind="music"), "does not say that it is a trace"),
        (lambda index: index.update(schema="1"), "index: schema is not a whole number"),
        (lambda index: index.pop("started"), "started is not an object"),
        (lambda index: index["started"].update(fps=0), "started: fps is not a whole number from 1 to 240"),
        (lambda index: index["started"].update(layers=True), "started: layers is not"),
        (lambda index: index["started"].update(stale_prompt="no"), "started: stale_prompt is not true or false"),
        (lambda index: index["started"].update(grid=[6]), "started: grid is not two whole numbers"),
        (lambda index: index["started"].update(grid=[10**9, 1]), "started: grid is not a whole number"),
        (lambda index: index["started"].update(prompt=["x"]), "started: prompt is not text"),
        (lambda index: index["started"].update(settings={"a": "x" * 30_000}), "started: settings is not"),
        (lambda index: index["prompts"][0].update(prompt="x" * 50_000), "prompts: prompt is not text of at most 40000"),
        (
            lambda index: (
                index["started"].update(height=4096, width=4096, chunk_frames=64),
                index["chunks"][0].update(frames=9),
            ),
            "chunks: frames is not as many pictures as a chunk may hold",
        ),
        (lambda index: index["chunks"].pop(), "ended: chunks is not a whole number from 9 to 9"),
        (lambda index: index.update(chunks=[]), "chunks is not a list"),
        (lambda index: index["chunks"][2].update(frames=13), "chunks: frames is not a whole number from 1 to 12"),
        (lambda index: index["chunks"][2].update(prompt=2), "chunks: prompt is not"),
        (lambda index: index["chunks"][2].update(latent_frames=[5, 8]), "chunk 2 does not follow"),
        (lambda index: index["chunks"][2]["timings"].update(dit="soon"), "timings: dit is not a number of seconds"),
        (lambda index: index["chunks"][2]["timings"].update(dit=-1), "timings: dit is not a number of seconds"),
        (lambda index: index["ended"].update(reason="bored"), "ended: reason is not finished, stopped or error"),
        (lambda index: index["chunks"][9].update(frames=12), "video ends after 113 of 117 frames"),
        (lambda index: index["started"].update(height=64, width=480), "video ends after 0 of 113 frames"),
        (lambda index: index["started"].update(layers=3), "cache.kept does not fit the run"),
        (lambda index: index["started"].update(heads=3), "attention.mass does not fit the run"),
    ],
)
def test_an_index_that_cannot_be_is_refused(recorded, tmp_path, change, words):
    refuse(with_index(recorded, tmp_path, change), words)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda row: row.update(start=[9, 9]), "gauges: start is not the first of some frames"),
        (lambda row: row.update(start=[0, 46]), "gauges: start is not a whole number from 0 to 45"),
        (lambda row: row.update(colour_drift="much"), "gauges: colour_drift is not a number from 0 to 1, or null"),
        (lambda row: row.update(motion=-1), "gauges: motion is not a number"),
        (lambda row: row.update(old_scene="half"), "gauges: old_scene is not a number"),
        (lambda row: row.pop("saturation"), "gauges: saturation is not a number"),
        (lambda row: row.update(sink_reset=True), "gauges: sink_reset is not a number"),
        (lambda row: row.update(seconds=None), "gauges: seconds is not a number of seconds"),
        (lambda row: row.update(reset_at=45), "gauges: reset_at is not a whole number from 0 to 44"),
        (lambda row: row.update(jumps=[row["jumps"][0]] * 13), "gauges: jumps is not a list of 0 to 12"),
        (lambda row: row["jumps"][0].update(frame=45), "jumps: frame is not a whole number from 33 to 44"),
        (lambda row: row["jumps"][0].update(likeness=[]), "jumps: likeness is not a number"),
        (lambda row: row.update(jumps=[3]), "jumps is not an object"),
    ],
)
def test_gauges_that_cannot_be_are_refused(recorded, tmp_path, change, words):
    refuse(with_index(marked(recorded, tmp_path), tmp_path, lambda index: change(index["chunks"][3]["gauges"])), words)


@pytest.mark.parametrize("text", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b'{"schema": NaN}', b"[]", b"9" * 10_000])
def test_an_index_that_is_not_json_is_refused(recorded, tmp_path, text):
    refuse(changed(recorded[0], tmp_path, index=text), "index")


def test_infinite_numbers_are_refused(recorded, tmp_path):
    with ZipFile(recorded[0]) as old:
        text = old.read("trace.json").decode().replace('"budget": 8', '"budget": 1e999')
    refuse(changed(recorded[0], tmp_path, index=text), "settings is not")


def arrays_changed(recorded, folder, change) -> Path:
    """A copy with other arrays in chunk 3."""
    with ZipFile(recorded[0]) as old:
        arrays = load(old.read("chunks/000003.safetensors"))
    change(arrays)
    return changed(recorded[0], folder, chunk=save({name: np.ascontiguousarray(a) for name, a in arrays.items()}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a.pop("cache.kept"), "cache.kept does not fit"),
        (lambda a: a.update({"cache.kept": a["cache.kept"][:, 1:]}), "cache.kept does not fit"),
        (lambda a: a.update({"cache.time": a["cache.time"].astype(np.float64)}), "cache.time does not fit"),
        (lambda a: a.update({"cache.frames": a["cache.frames"] + 1}), "cache.frames are not frames of the run"),
        (lambda a: a.update({"cache.frames": a["cache.frames"] - 1}), "cache.frames are not frames of the run"),
        (lambda a: a.update({"cache.frames": a["cache.frames"][::-1]}), "cache.frames are not frames"),
        (lambda a: a.update({"cache.roles": np.full_like(a["cache.roles"], 4)}), "cache.roles are unknown"),
        (lambda a: a.update({"attention.mass": a["attention.mass"] * 0 - 1}), "attention.mass is not a share"),
        (lambda a: a.update({"attention.mass": a["attention.mass"] * np.nan}), "attention.mass is not a share"),
        (lambda a: a.update({"compression.scores": a["compression.scores"][1:]}), "compression.scores does not fit"),
        (lambda a: a.update({"compression.kept": a["compression.kept"][:1]}), "compression.kept does not fit"),
        (lambda a: a.update({"compression.candidate": np.tile(a["compression.candidate"], (2, 1, 1))}), "does not fit"),
    ],
)
def test_arrays_that_do_not_fit_the_run_are_refused(recorded, tmp_path, change, words):
    refuse(arrays_changed(recorded, tmp_path, change), words)


def test_a_pickle_is_never_opened(recorded, tmp_path):
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "evil",)

    refuse(changed(recorded[0], tmp_path, chunk=pickle.dumps(Evil())), "arrays are damaged")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("part", ["index", "chunk"])
def test_a_zip_bomb_is_refused_by_what_it_declares(recorded, tmp_path, part):
    bomb = changed(recorded[0], tmp_path, method=ZIP_DEFLATED, **{part: bytes(50 << 20)})
    assert bomb.stat().st_size < 1_000_000
    refuse(bomb, "is larger than 16 MB")


def test_many_small_bombs_are_refused_by_their_sum(recorded, tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MOST_BYTES", 1 << 20)
    refuse(changed(recorded[0], tmp_path, chunk=bytes(1 << 20), method=ZIP_DEFLATED), "larger than 1 MB")


def test_a_bomb_that_declares_little_is_cut_off(recorded, tmp_path):
    """The size in the zip's directory is a lie: nothing beyond it is unpacked, and what is fails its checksum."""
    path = changed(recorded[0], tmp_path, chunk=bytes(15 << 20), method=ZIP_DEFLATED)
    data = path.read_bytes().replace((15 << 20).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    path.write_bytes(data)
    refuse(path, "damaged")


def test_too_many_chunks_are_refused(recorded, tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MOST_CHUNKS", 9)
    refuse(recorded[0], "more than 9 chunks")


@pytest.mark.parametrize("method", [ZIP_BZIP2])
def test_other_packing_is_refused(recorded, tmp_path, method):
    refuse(changed(recorded[0], tmp_path, method=method), "packed in a way that no trace is")


def test_a_video_that_is_none_is_refused(recorded, tmp_path):
    refuse(changed(recorded[0], tmp_path, video=b"#EXTM3U\nhttp://127.0.0.1/\n"), "video ends after 0 of 113 frames")


def test_whatever_is_damaged_is_told_in_words(recorded, tmp_path):
    """Bytes turned at random: the file is read as it was, or refused; nothing else happens."""
    whole, rng, told = bytearray(recorded[0].read_bytes()), random.Random(0), 0
    path = tmp_path / "other.trace"
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(3):  # most of them near the end, where the directory and the index are
            data[-rng.randrange(1, 3000 if rng.random() < 0.7 else len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        try:
            for _ in read_trace(path):
                pass
        except TraceError as error:
            told += str(error).startswith("other.trace cannot be read: ")
    assert told > 30
