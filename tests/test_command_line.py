"""`python -m deepforcing`, with a small model on disk."""

import imageio_ffmpeg
import pytest
from test_loading import folder  # noqa: F401  (a fixture)

from deepforcing.__main__ import main
from deepforcing.bench import bench
from deepforcing.pipeline import load_pipeline


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


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--recent", "8"], "sink 10 + recent 8 leaves nothing of budget 16"),
        (["--policy", "self-forcing", "--sink", "3"], "self-forcing has no setting 'sink'"),
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
