"""A model that makes numbers which are none ends its run, and says so; what it made before that is kept."""

import math

import pytest
from conftest import small_pipeline
from test_loading import folder  # noqa: F401  (a fixture)

from deepforcing import ModelError, RaceStream, VideoStream, read_runner, read_trace
from deepforcing.__main__ import main
from deepforcing.events import Chunk, StreamEnded
from deepforcing.models.wan import CausalWan
from deepforcing.pipeline import generate_long_video


def breaking(pipeline, part, number=math.nan, at=2):
    """A prompt; when the chunk `at` asks for it, a weight of the part becomes such a number."""

    def prompt(index):
        if index == at:
            broken = pipeline.denoiser.transformer.proj_out if part == "transformer" else pipeline.decoder.decoder
            list(broken.parameters())[-1].data.view(-1)[0] = number
        return "a red balloon"

    return prompt


@pytest.mark.parametrize(
    ("part", "number", "overlap"),
    [
        ("transformer", math.nan, False),
        ("transformer", math.nan, True),
        ("transformer", math.inf, False),
        ("decoder", math.nan, False),
    ],
)
def test_a_run_ends_at_the_first_chunk_that_is_not_finite(part, number, overlap):
    pipeline, chunks = small_pipeline(), []
    with pytest.raises(ModelError, match=f"the {part} made no finite numbers for chunk 2.* broken .* precision"):
        prompt = breaking(pipeline, part, number)
        for chunk in generate_long_video(pipeline, prompt, num_frames=60, overlap=overlap):
            chunks.append(chunk.index)
    assert chunks == [0, 1]


def test_a_stream_tells_it_as_its_end():
    pipeline = small_pipeline()
    pipeline.denoiser.transformer.proj_out.bias.data.fill_(math.nan)
    with VideoStream(pipeline, "a red balloon", num_frames=60) as stream:
        *rest, ended = list(stream)
    assert not any(isinstance(event, Chunk) for event in rest)
    assert isinstance(ended, StreamEnded) and ended.reason == "error" and "no finite numbers for chunk 0" in ended.error


def test_a_race_tells_it_as_its_end():
    pipeline = small_pipeline()
    pipeline.denoiser.transformer.proj_out.bias.data.fill_(math.nan)
    runners = [read_runner("deep-sink"), read_runner("self-forcing")]
    with RaceStream(pipeline, "a red balloon", runners, num_frames=60) as stream:
        ended = list(stream)[-1]
    assert ended.reason == "error" and "no finite numbers" in ended.error


@pytest.fixture
def breaks(monkeypatch):
    """Every model's weights break once two chunks are made."""
    whole = CausalWan.remember

    def remember(self, clean, cache, prompt):
        out = whole(self, clean, cache, prompt)
        if cache.next_frame == 6:
            self.transformer.proj_out.bias.data.fill_(math.nan)
        return out

    monkeypatch.setattr(CausalWan, "remember", remember)


def test_the_video_and_the_trace_up_to_there_are_kept(folder, breaks, capsys):  # noqa: F811
    out, path = folder / "out.mp4", folder / "run.trace"
    files = ["-o", str(out), "--trace", str(path)]
    assert main(["generate", "a red balloon", "--model", str(folder), "--seconds", "4", *files]) == 2
    assert "deepforcing: the transformer made no finite numbers for chunk 2" in capsys.readouterr().err
    *_, last, ended = list(read_trace(path))
    assert last.index == 1 and ended.reason == "error" and "no finite numbers" in ended.error
    assert out.exists()


def test_a_broken_model_leaves_no_file(folder, capsys, monkeypatch):  # noqa: F811
    monkeypatch.setattr(CausalWan, "denoise", lambda self, x, *_, **__: x * math.nan)
    files = ["-o", str(folder / "out.mp4"), "--trace", str(folder / "run.trace")]
    assert main(["generate", "a red balloon", "--model", str(folder), *files]) == 2
    assert not list(folder.glob("*.mp4")) and not list(folder.glob("*.trace"))
