"""`python -m deepforcing`, with a small model on disk."""

import io
import json
import re
import subprocess
import sys
from functools import partial

import imageio_ffmpeg
import pytest
import torch
from small_wan import CHECKPOINT, save_lora, save_small_wan
from test_fetch import BIG, SOURCE, direct, hub  # noqa: F401  (fixtures)
from test_loading import folder  # noqa: F401  (a fixture)

from deepforcing import DriftMeter, VideoWriter, needs, read_trace
from deepforcing.__main__ import main
from deepforcing.bench import bench
from deepforcing.events import Chunk, StreamEnded
from deepforcing.memory import Room
from deepforcing.models.fetch import fetch
from deepforcing.pipeline import load_pipeline
from deepforcing.timeline import Timeline


def generate(folder, *more):  # noqa: F811
    return main(["generate", "a red balloon over the sea", "--model", str(folder), "--seconds", "2", *more])


def test_generate_writes_a_video_that_plays(folder, capsys):  # noqa: F811
    out = folder / "out.mp4"
    assert generate(folder, "-o", str(out), "--seed", "3", "--policy", "deep-sink", "--sink", "8") == 0
    reader = imageio_ffmpeg.read_frames(str(out))
    next(reader)
    assert sum(1 for _ in reader) == 32
    assert b"seed 3; deep-sink (window=21, sink=8" in out.read_bytes()
    assert b"on CPU; deepforcing" in out.read_bytes()
    assert "32 frames, 2.0 s of video" in capsys.readouterr().out


def test_every_setting_of_a_policy_can_be_set(folder):  # noqa: F811
    out = folder / "out.mp4"
    assert generate(folder, "-o", str(out), "--set", "score=inverted", "--set", "max_reuse=0") == 0
    assert b"max_reuse=0" in out.read_bytes() and b"score=inverted" in out.read_bytes()


def metadata(path, key):
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-f", "ffmetadata", "-"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    line = next(line for line in text.splitlines() if line.startswith(f"{key}="))
    return re.sub(r"\\(.)", r"\1", line.removeprefix(f"{key}="))


def test_prompts_with_times_are_made_and_written_into_the_file(folder):  # noqa: F811
    out, plain = folder / "out.mp4", folder / "plain.mp4"
    later = ["--at", "0:01", 'a "blue; #1=\\" kite']
    assert generate(folder, "-o", str(out), *later, "--switch", "reencode") == 0
    timeline = Timeline.from_data(json.loads(metadata(out, "prompts")))
    assert timeline.entries == ((0, "a red balloon over the sea"), (1, 'a "blue; #1=\\" kite'))
    assert metadata(out, "title") == "a red balloon over the sea" and metadata(out, "switch") == "reencode"
    assert generate(folder, "-o", str(plain)) == 0
    assert metadata(plain, "title") == "a red balloon over the sea" and b"reencode" not in plain.read_bytes()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--at", "soon", "b"], "a time is written as 10s, 1m30s or 0:10, not 'soon'"),
        (["--at", "1s", "b", "--at", "0.5s", "c"], "out of order: 0:00.5 comes after 0:01"),
        (["--at", "0s", "b"], "two prompts are at 0:00"),
        (["--at", "1s", " "], "At 0:01: The prompt is empty"),
        (["--at", "2s", "b"], "the prompt at 0:02 comes after the end, at 0:02"),
        (["--switch", "blend"], "switch must be one of keep, reencode, sink, not 'blend'"),
        (["--recent", "8"], "sink 10 + recent 8 leaves nothing of budget 16"),
        (["--policy", "self-forcing", "--sink", "3"], "self-forcing has no setting 'sink'"),
        (["--set", "score=best"], "score must be one of attention, inverted, softmax"),
        (["--set", "sink"], "a setting is written NAME=VALUE, not 'sink'"),
        (["--sink", "8", "--set", "sink=9"], "sink is given twice"),
        (["--policy", "magic"], "unknown policy 'magic'"),
        (["--seed", "-1"], "seed must be a whole number"),
        (["--seconds", "0"], "--seconds must be more than 0"),
        (["--seconds", "nan"], "--seconds must be more than 0"),
        (["--seconds", "1e308"], "--seconds must be at most 10000000"),
        (["--set", "name=x"], "deep-forcing has no setting 'name'"),
        (["--policy", "relax-forcing", "--set", "redundancy=inf"], "redundancy must be a number from 0 to 1000"),
        (["-o", "/nowhere/out.mp4"], "there is no folder"),
        (["-o", "clip"], "its name has to end in .mp4"),
        (["-o", "clip.webm"], "its name has to end in .mp4"),
        (["--trace", "/nowhere/run.trace"], "there is no folder"),
        (["-o", "a.mp4", "--trace", "./a.mp4"], "the video and the trace cannot both be a.mp4"),
        (["--model", "gigantic"], "unknown model 'gigantic'"),
        (["--model", "longlife"], "did you mean longlive?"),
        (["--model", "self-forcing", "--tier", "12"], "unknown tier '12': expected 80, 24, 16, 8"),
    ],
)
def test_a_refused_request_ends_with_status_2_and_one_line(folder, capsys, more, message):  # noqa: F811
    assert generate(folder, "-o", str(folder / "out.mp4"), *more) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1 and message in errors[0]


def test_a_published_layout_is_generated_at_a_chosen_size(tmp_path):
    model, out = save_small_wan(tmp_path / "wan"), tmp_path / "out.mp4"
    assert generate(model, "-o", str(out), "--seconds", "0.5", "--size", "32x48", "--text", "free") == 0
    width, height = next(imageio_ffmpeg.read_frames(str(out)))["size"]
    assert width / height == 48 / 32


def test_a_model_trained_frame_by_frame_is_generated_so(tmp_path):
    model, out, path = save_small_wan(tmp_path / "wan"), tmp_path / "out.mp4", tmp_path / "run.trace"
    files = ["-o", str(out), "--trace", str(path)]
    assert generate(model, *files, "--seconds", "0.8", "--size", "32x48", "--chunk", "1") == 0
    trace = read_trace(path)
    assert trace.started.chunk_frames == 1 and [chunk.frames for chunk in trace.index.chunks] == [1, 4, 4, 4]
    assert len(list(trace)) == 6


def test_a_model_is_generated_with_its_own_policy_unless_told_otherwise(tmp_path):
    model, out = save_small_wan(tmp_path / "wan"), tmp_path / "out.mp4"
    (model / CHECKPOINT).rename(model / "longlive_base.pt")
    save_lora(model / "lora.pt")
    short = ("-o", str(out), "--seconds", "0.5", "--size", "32x48")
    for more, policy in (
        ([], b"attention-sink (window=12, sink=3)"),
        (["--sink", "6"], b"attention-sink (window=12, sink=6)"),
        (["--policy", "self-forcing"], b"self-forcing (window=21)"),
    ):
        assert generate(model, *short, *more) == 0
        assert policy in out.read_bytes()


def test_what_does_not_fit_is_refused_before_it_is_loaded(tmp_path, monkeypatch, capsys):
    model = save_small_wan(tmp_path / "wan")
    monkeypatch.setattr(needs, "room", lambda device: Room(10**6, 10**6))
    monkeypatch.setattr("deepforcing.commands.load_pipeline", None)
    capsys.readouterr()
    assert generate(model, "-o", str(tmp_path / "out.mp4")) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1 and "wan takes " in errors[0] and "1.0 MB are free. Nothing" in errors[0]
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("command", [["generate", "a red balloon"], ["bench"]])
@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--model", "self-forcing"], "Self Forcing 1.3B, with 1,419 million transformer parameters, expects a GPU"),
        (["--model", "self-forcing", "--device", "cuda"], "--device cuda expects a GPU with CUDA; PyTorch"),
        (["--model", "tiny", "--device", "cuda"], "--device cuda expects a GPU with CUDA; PyTorch"),
    ],
)
def test_without_its_gpu_a_model_is_refused_before_it_is_looked_for(no_cuda, capsys, command, more, words):
    assert main([*command, *more]) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1 and errors[0].startswith(f"deepforcing: {words}") and "--device cpu" in errors[0]


def test_on_the_cpu_a_large_model_runs_if_asked_and_its_speed_is_said(tmp_path, no_cuda, monkeypatch, capsys):
    model = save_small_wan(tmp_path / "wan")
    monkeypatch.setattr(needs, "LARGE", 0)
    short = ("-o", str(tmp_path / "out.mp4"), "--seconds", "0.1", "--size", "32x48")
    assert generate(model, *short) == 2 and not (tmp_path / "out.mp4").exists()
    assert generate(model, *short, "--device", "cpu") == 0
    assert "on the CPU, a second of a large model's video takes many minutes" in capsys.readouterr().err


def test_a_run_out_of_memory_ends_with_status_2_and_what_to_change(folder, monkeypatch, capsys):  # noqa: F811
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")

    monkeypatch.setattr("deepforcing.models.wan.CausalWan.remember", full)
    assert generate(folder, "-o", str(folder / "out.mp4")) == 2
    assert (
        "deepforcing: Out of memory on the CPU, with a window of 21 and budget of 16. Take" in capsys.readouterr().err
    )


def test_choices_that_a_tiny_model_does_not_have_are_refused(folder, capsys):  # noqa: F811
    assert generate(folder, "--decoder", "small") == 2
    assert "a tiny model leaves no choice of decoder" in capsys.readouterr().err


def test_generate_records_a_trace_of_what_the_page_would_show(folder, capsys):  # noqa: F811
    out, path = folder / "out.mp4", folder / "run.trace"
    more = ["--seed", "3", "--policy", "deep-sink", "--sink", "4"]
    assert generate(folder, "-o", str(out), "--trace", str(path), *more) == 0
    assert f"{path}: " in capsys.readouterr().out
    trace = read_trace(path)
    chunks = list(trace)[1:-1]
    assert trace.seconds == 2 and trace.started.seed == 3 and trace.started.settings["sink"] == 4
    assert all(chunk.attention is not None for chunk in chunks) and sum(len(chunk.frames) for chunk in chunks) == 32
    assert list(trace)[-1].reason == "finished" and trace.is_measured


@pytest.mark.parametrize("command", [["generate", "a"], ["race", "a", "--runner", "h2o", "--runner", "snapkv"]])
@pytest.mark.parametrize("more", [["-o", "clip"], ["-o", "/nowhere/out.mp4"], []])
def test_files_that_cannot_be_written_are_refused_before_a_model_is_loaded(
    tmp_path, monkeypatch, capsys, command, more
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("deepforcing.commands.load_pipeline", None)
    if not more:
        monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/nowhere/ffmpeg")
    assert main([*command, *more]) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1 and errors[0].startswith("deepforcing: ") and not list(tmp_path.iterdir())


def test_a_run_that_is_stopped_keeps_its_video_and_its_trace(folder, monkeypatch):  # noqa: F811
    def stop(self, chunk):
        if chunk.index == 2:
            raise KeyboardInterrupt
        return measure(self, chunk)

    measure = DriftMeter.add
    monkeypatch.setattr(DriftMeter, "add", stop)
    assert generate(folder, "-o", str(folder / "out.mp4"), "--trace", str(folder / "run.trace")) == 130
    trace = read_trace(folder / "run.trace")
    assert trace.index.ended == StreamEnded("stopped", 2) and len(list(trace)) == 4


def test_a_trace_never_holds_more_than_its_video(folder, monkeypatch):  # noqa: F811
    def stop(self, frames, write=VideoWriter.write):
        written.append(len(frames))
        if len(written) == 3:
            raise KeyboardInterrupt
        write(self, frames)

    written = []
    monkeypatch.setattr(VideoWriter, "write", stop)
    assert generate(folder, "-o", str(folder / "out.mp4"), "--trace", str(folder / "run.trace")) == 130
    chunks = [event for event in read_trace(folder / "run.trace") if isinstance(event, Chunk)]
    assert [len(chunk.frames) for chunk in chunks] == written[:2]


def test_a_prompt_of_broken_letters_is_made_and_written(tmp_path):
    model, out, path = save_small_wan(tmp_path / "wan"), tmp_path / "out.mp4", tmp_path / "run.trace"
    broken = b"caf\xe9 \xf0\x9f".decode("utf-8", "surrogateescape")  # as Python reads a command line
    short = ["--seconds", "0.1", "--size", "32x48", "-o", str(out), "--trace", str(path)]
    assert main(["generate", broken, "--model", str(model), *short]) == 0
    assert read_trace(path).prompts == ((0.0, "caf� ��"),) and metadata(out, "title") == "caf� ��"


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_what_the_console_cannot_show_is_escaped(folder, monkeypatch, encoding):  # noqa: F811
    shown = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(sys, "stdout", shown)
    monkeypatch.setattr(sys, "stderr", shown)
    named = ["-o", str(folder / "飛龍.mp4"), "--trace", str(folder / "飛.trace")]
    assert generate(folder, *named, "--at", "1s", "red dragón") == 0
    assert (folder / "飛龍.mp4").exists() and generate(folder, "--at", "飛", "x") == 2
    shown.flush()
    text = shown.buffer.getvalue().decode(encoding)
    assert "\\u98db.trace: " in text and "\\u98db\\u9f8d.mp4: 32 frames" in text and "'\\u98db'" in text


def test_an_empty_prompt_is_refused(folder, capsys):  # noqa: F811
    assert main(["generate", "  ", "--model", str(folder), "-o", str(folder / "out.mp4")]) == 2
    assert "The prompt is empty" in capsys.readouterr().err and not (folder / "out.mp4").exists()


def test_unknown_words_are_named(folder, capsys):  # noqa: F811
    main(["generate", "a red dragon", "--model", str(folder), "--seconds", "0.5", "-o", str(folder / "out.mp4")])
    assert "has not seen: dragon" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["generate"], ["race", "--runner", "h2o", "--runner", "snapkv"]])
def test_where_a_prompt_is_cut_is_said(folder, capsys, command):  # noqa: F811
    long, out = " red" * 30 + " balloon", ["--seconds", "0.5", "-o", str(folder / "out.mp4")]
    assert main([*command, "a red balloon", "--at", "0:00.1", long, "--model", str(folder), *out]) == 0
    (note,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    assert (
        note
        == "note: the prompt is longer than this model can read: it is cut before “red red red red red red balloon”"
    )


def test_what_a_word_may_have_meant_is_said(folder, capsys):  # noqa: F811
    assert generate(folder, "-o", str(folder / "out.mp4"), "--seconds", "0.5", "--at", "0.2s", "a blue ballon") == 0
    assert "has not seen: ballon (did you mean balloon or ball?)" in capsys.readouterr().err


def test_a_prompt_of_which_nothing_is_known_is_made_only_if_asked_for_anyway(folder, capsys):  # noqa: F811
    out = folder / "out.mp4"
    asked = ["-o", str(out), "--seconds", "0.5", "--at", "0.2s", "un dragón verde"]
    assert generate(folder, *asked) == 2 and not out.exists()
    said = capsys.readouterr().err
    assert "knows no word of the prompt at 0:00.2" in said and "'a red balloon drifting" in said and "--anyway" in said
    assert generate(folder, *asked, "--anyway") == 0 and out.exists()


def race(folder, *more):  # noqa: F811
    out = ["-o", str(folder / "race.mp4"), "--seconds", "1"]
    return main(["race", "a red balloon", "--model", str(folder), *out, *more])


def test_a_race_is_a_video_of_all_runners_and_a_table(folder, capsys):  # noqa: F811
    runners = ["--runner", "deep-forcing", "--runner", "self-forcing", "--runner", "deep-forcing phase=none"]
    assert race(folder, *runners, "--seed", "3", "--at", "0:00.5", "a blue kite") == 0
    frames, seconds = imageio_ffmpeg.count_frames_and_secs(str(folder / "race.mp4"))
    assert frames == 16 and seconds == pytest.approx(1, abs=0.1)
    assert "deep-forcing phase=none: {" in metadata(folder / "race.mp4", "comment")
    assert [entry["seconds"] for entry in json.loads(metadata(folder / "race.mp4", "prompts"))] == [0, 0.5]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[2:5]] == ["deep-forcing", "self-forcing", "deep-forcing phase=none"]
    assert lines[5].startswith("Nobody is ahead yet")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "a race needs 2 to 4 runners, not 0"),
        (["--runner", "deep-sink"] * 2, "2 runners are called 'deep-sink'"),
        (["--runner", "deep-sink", "--runner", "deep-sink sink=x"], "sink must be a whole number"),
        (["--runner", "deep-sink", "--runner", "h2o", "--seconds", "0"], "--seconds must be more than 0"),
        (["--runner", "deep-sink", "--runner", "h2o", "--switch", "blend"], "switch must be one of"),
    ],
)
def test_a_race_that_cannot_be_ends_with_status_2_and_one_line(folder, capsys, more, message):  # noqa: F811
    assert race(folder, *more) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1 and message in errors[0] and not (folder / "race.mp4").exists()


def test_bench_measures_every_row_it_names(folder):  # noqa: F811
    rows = {row.name: row.value for row in bench(load_pipeline(folder), chunks=3, long_latents=60)}
    ratios = [name for name in rows if " / " in name]
    assert len(ratios) == 5 and all(float(rows[name].split()[0]) > 0 for name in ratios)
    assert rows["DiT only, probe on"].endswith("fps") and "min / median / max" in rows["DiT time of a chunk"]


@pytest.fixture
def published(hub, monkeypatch):  # noqa: F811
    """A small published model, on a hub of our own."""
    monkeypatch.setattr("deepforcing.commands.SOURCES", {"small": SOURCE})
    monkeypatch.setattr("deepforcing.commands.fetch", partial(fetch, endpoint=hub.endpoint))
    return hub


def test_fetch_says_what_it_fetches_under_which_licence_and_where_it_went(published, tmp_path, capsys):
    assert main(["fetch", "small", "--to", str(tmp_path), "--accept-licence"]) == 0
    out, bar = capsys.readouterr()
    assert "Small: 309 kB to fetch" in out and "CC BY-NC 4.0: https://example.org/by-nc" in out
    assert f"transformer    {tmp_path / 'checkpoints' / 'model.pt'}" in out and "309k/309k" in bar
    assert (tmp_path / "checkpoints" / "model.pt").read_bytes() == BIG


def test_fetch_of_named_parts_leaves_the_others(published, tmp_path, capsys):
    assert main(["fetch", "small", "--to", str(tmp_path), "--parts", "text_encoder"]) == 0, "it needs no agreement"
    assert not (tmp_path / "checkpoints").exists() and "text_encoder" in capsys.readouterr().out
    assert main(["fetch", "small", "--to", str(tmp_path), "--parts", "text_encoder,lora"]) == 2
    assert "Small has no part 'lora': expected some of text_encoder, transformer" in capsys.readouterr().err


def test_fetch_asks_at_a_terminal_and_goes_on_after_a_yes(published, tmp_path, monkeypatch):
    questions = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: questions.append(question) or "y")
    assert main(["fetch", "small", "--to", str(tmp_path)]) == 0
    assert questions == ["transformer: non-commercial use only. Do you agree? [y/N] "]
    assert main(["fetch", "small", "--to", str(tmp_path)]) == 0 and len(questions) == 1, "what is here is not asked for"


@pytest.mark.parametrize("answer", ["", "n", None])
def test_fetch_without_agreement_ends_with_status_2_and_one_line(published, tmp_path, monkeypatch, capsys, answer):
    monkeypatch.setattr("sys.stdin.isatty", lambda: answer is not None, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: answer)
    assert main(["fetch", "small", "--to", str(tmp_path)]) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1 and "non-commercial use only" in errors[0] and "--accept-licence" in errors[0]
    assert published.requests == []


def test_fetch_of_an_unknown_model_names_the_known_ones(capsys):
    assert main(["fetch", "tiny"]) == 2
    known = "self-forcing, longlive, or a LoRA, as owner/name/file.safetensors"
    assert capsys.readouterr().err.strip() == f"deepforcing: unknown model 'tiny': expected {known}"


def test_fetch_that_fails_ends_with_status_2_and_one_line_below_the_bar(published, tmp_path, capsys):
    del published.repos["someone/weights"]
    assert main(["fetch", "small", "--to", str(tmp_path), "--accept-licence"]) == 2
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("deepforcing: someone/weights was not found")
