"""`python -m deepforcing`, with a small model on disk."""

import json
import re
import subprocess
from functools import partial

import imageio_ffmpeg
import pytest
from small_wan import save_small_wan
from test_fetch import BIG, SOURCE, direct, hub  # noqa: F401  (fixtures)
from test_loading import folder  # noqa: F401  (a fixture)

from deepforcing.__main__ import main
from deepforcing.bench import bench
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
    assert "32 frames, 2.0 s of video" in capsys.readouterr().out


def test_every_setting_of_a_policy_can_be_set(folder):  # noqa: F811
    out = folder / "out.mp4"
    assert generate(folder, "-o", str(out), "--set", "score=inverted", "--set", "max_reuse=0") == 0
    assert b"score=inverted, max_reuse=0" in out.read_bytes()


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
        (["--set", "score=best"], "score must be one of attention, inverted"),
        (["--set", "sink"], "--set needs NAME=VALUE, not 'sink'"),
        (["--sink", "8", "--set", "sink=9"], "sink is given twice"),
        (["--policy", "magic"], "unknown policy 'magic'"),
        (["--seed", "-1"], "seed must be a whole number"),
        (["--seconds", "0"], "--seconds must be more than 0"),
        (["--seconds", "nan"], "--seconds must be more than 0"),
        (["-o", "/nowhere/out.mp4"], "there is no folder"),
        (["--model", "gigantic"], "unknown model 'gigantic'"),
    ],
)
def test_a_refused_request_ends_with_status_2_and_one_line(folder, capsys, more, message):  # noqa: F811
    assert generate(folder, "-o", str(folder / "out.mp4"), *more) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1 and message in errors[0]


def test_a_published_layout_is_generated_at_a_chosen_size(tmp_path):
    model, out = save_small_wan(tmp_path / "wan"), tmp_path / "out.mp4"
    assert generate(model, "-o", str(out), "--seconds", "0.5", "--height", "32", "--width", "48", "--text", "free") == 0
    width, height = next(imageio_ffmpeg.read_frames(str(out)))["size"]
    assert width / height == 48 / 32


def test_choices_that_a_tiny_model_does_not_have_are_refused(folder, capsys):  # noqa: F811
    assert generate(folder, "--decoder", "small") == 2
    assert "a tiny model leaves no choice of decoder" in capsys.readouterr().err


def test_an_empty_prompt_is_refused(folder, capsys):  # noqa: F811
    assert main(["generate", "  ", "--model", str(folder), "-o", str(folder / "out.mp4")]) == 2
    assert "The prompt is empty" in capsys.readouterr().err and not (folder / "out.mp4").exists()


def test_unknown_words_are_named(folder, capsys):  # noqa: F811
    main(["generate", "a red dragon", "--model", str(folder), "--seconds", "0.5", "-o", str(folder / "out.mp4")])
    assert "has not seen: dragon" in capsys.readouterr().err


def test_bench_measures_every_row_it_names(folder):  # noqa: F811
    rows = {row.name: row.value for row in bench(load_pipeline(folder), chunks=3, long_latents=60)}
    ratios = [name for name in rows if " / " in name]
    assert len(ratios) == 4 and all(float(rows[name].split()[0]) > 0 for name in ratios)
    assert rows["DiT only, probe on"].endswith("fps") and "min / median / max" in rows["DiT time of a chunk"]


@pytest.fixture
def published(hub, monkeypatch):  # noqa: F811
    """A small published model, on a hub of our own."""
    monkeypatch.setattr("deepforcing.__main__.SOURCES", {"small": SOURCE})
    monkeypatch.setattr("deepforcing.__main__.fetch", partial(fetch, endpoint=hub.endpoint))
    return hub


def test_fetch_says_what_it_fetches_under_which_licence_and_where_it_went(published, tmp_path, capsys):
    assert main(["fetch", "small", "--to", str(tmp_path), "--accept-licence"]) == 0
    out, bar = capsys.readouterr()
    assert "Small: 309 kB to fetch" in out and "CC BY-NC 4.0: https://example.org/by-nc" in out
    assert f"transformer    {tmp_path / 'checkpoints' / 'model.pt'}" in out and "309k/309k" in bar
    assert (tmp_path / "checkpoints" / "model.pt").read_bytes() == BIG


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
    assert capsys.readouterr().err.strip() == "deepforcing: unknown model 'tiny': expected self-forcing or longlive"


def test_fetch_that_fails_ends_with_status_2_and_one_line_below_the_bar(published, tmp_path, capsys):
    del published.repos["someone/weights"]
    assert main(["fetch", "small", "--to", str(tmp_path), "--accept-licence"]) == 2
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("deepforcing: someone/weights was not found")
