"""Every limit of a trace, each where nothing else would refuse: as it is opened, as it is read, as it is written."""

from dataclasses import replace
from zipfile import ZipFile

import numpy as np
import pytest
from conftest import small_pipeline
from safetensors.numpy import load

from deepforcing import DeepForcing, StreamEnded, TraceError, TraceWriter, VideoWriter, generate_long_video
from deepforcing.events import Compression
from deepforcing.pipeline import started_event
from deepforcing.trace import archive, arrays, writer
from deepforcing.trace.index import ChunkFacts

POLICY = DeepForcing(window=9, sink=3, budget=8, recent=4)


@pytest.fixture(scope="module")
def run():
    """What a trace is made of: the first event, and three chunks."""
    pipeline = small_pipeline()
    chunks = list(generate_long_video(pipeline, "a red", num_frames=33, policy=POLICY, seed=1))
    return started_event(pipeline, "a red", POLICY, 1), chunks, pipeline.shape


@pytest.fixture(scope="module")
def video(run, tmp_path_factory):
    _, chunks, shape = run
    path = tmp_path_factory.mktemp("video") / "run.mp4"
    with VideoWriter(path, shape) as file:
        for chunk in chunks:
            file.write(chunk.frames)
    return path


@pytest.fixture
def trace(run, video, tmp_path):
    started, chunks, _ = run
    with TraceWriter(tmp_path / "run.trace") as file:
        for event in (started, *chunks, StreamEnded("finished", len(chunks))):
            file.write(event)
        return file.finish(video)


def refused_when_opened(path, words):
    with pytest.raises(TraceError, match=words):
        with archive.opened(path):
            pytest.fail("it was opened")


def test_a_file_that_is_too_large_is_refused_before_it_is_read(trace, monkeypatch):
    monkeypatch.setattr(archive, "MOST_BYTES", 0)
    monkeypatch.setattr(archive, "MOST_INDEX_BYTES", trace.stat().st_size - 1)
    refused_when_opened(trace, r"cannot be read: it is larger than 0 MB")
    monkeypatch.setattr(archive, "MOST_INDEX_BYTES", trace.stat().st_size)
    refused_when_opened(trace, r"video\.mp4 is larger")


@pytest.mark.parametrize(
    ("limit", "name"),
    [("MOST_INDEX_BYTES", "trace.json"), ("MOST_CHUNK_BYTES", "chunks/000000.safetensors")],
)
def test_each_file_inside_has_a_limit_of_its_own(trace, monkeypatch, limit, name):
    with ZipFile(trace) as files:
        largest = max(info.file_size for info in files.infolist() if info.filename[:6] == name[:6])
    monkeypatch.setattr(archive, limit, largest)
    with archive.opened(trace):
        pass
    monkeypatch.setattr(archive, limit, 10)
    refused_when_opened(trace, f"its {name} is larger than 0 MB")


@pytest.mark.parametrize("names", [["trace.json"], ["video.mp4"], ["trace.json", "video.mp4"]])
def test_what_lacks_a_part_is_no_trace(tmp_path, names):
    with ZipFile(tmp_path / "run.trace", "w") as files:
        for name in names:
            files.writestr(name, "{}")
    refused_when_opened(tmp_path / "run.trace", "it is no trace, or lacks a part")


def test_what_is_encrypted_is_no_trace(trace):
    packed = bytearray(trace.read_bytes())
    packed[packed.index(b"PK\x01\x02") + 8] |= 1  # the flags of the first file that the directory lists
    trace.write_bytes(packed)
    refused_when_opened(trace, r"its chunks/000000\.safetensors is packed in a way that no trace is")


def test_what_is_read_ends_at_the_limit_whatever_was_declared(trace):
    with archive.opened(trace) as files:
        size = files.getinfo("trace.json").file_size
        assert len(archive.entry(files, "trace.json", size)) == size
        with pytest.raises(TraceError, match=r"its trace\.json is larger than 0 MB"):
            archive.entry(files, "trace.json", size - 1)


def test_scores_below_zero_come_back(run):
    started, (chunk, *_), _ = run
    stood = np.ones((started.layers, 1, *started.grid), bool)
    scores = -1000 * (1 + np.arange(stood.size, dtype=np.float32).reshape(stood.shape))
    chunk = replace(chunk, compression=Compression(np.array([0]), stood, stood, scores))
    facts = replace(ChunkFacts.of(chunk), latent_frames=(3, 6))
    back = arrays.unpack(arrays.pack(chunk), started, facts)["compression"]
    np.testing.assert_allclose(back.scores, scores, rtol=1e-3)


def test_latents_are_kept_where_they_are_small(run, monkeypatch):
    _, (chunk, *_), _ = run
    monkeypatch.setattr(arrays, "MOST_LATENT_BYTES", chunk.latents.nbytes)
    assert "latents" in load(arrays.pack(chunk))
    monkeypatch.setattr(arrays, "MOST_LATENT_BYTES", chunk.latents.nbytes - 1)
    assert "latents" not in load(arrays.pack(chunk))


def test_a_chunk_that_no_reader_would_take_is_not_written(run, tmp_path, monkeypatch):
    started, chunks, _ = run
    monkeypatch.setattr(writer, "MOST_CHUNK_BYTES", 10)
    with TraceWriter(tmp_path / "run.trace") as file:
        file.write(started)
        with pytest.raises(TraceError, match="more than the 0 chunks"):
            file.write(chunks[0])


def test_all_chunks_together_have_a_limit(run, tmp_path, monkeypatch):
    started, chunks, _ = run
    with TraceWriter(tmp_path / "run.trace") as file:
        file.write(started)
        file.write(chunks[0])
        monkeypatch.setattr(writer, "_MOST_RECORDED", file._bytes)
        with pytest.raises(TraceError, match="more than the 1 chunk"):
            file.write(chunks[1])


def test_a_video_that_leaves_no_room_is_refused(run, video, tmp_path, monkeypatch):
    started, chunks, _ = run
    with TraceWriter(tmp_path / "run.trace") as file:
        file.write(started)
        file.write(chunks[0])
        monkeypatch.setattr(writer, "_MOST_RECORDED", file._bytes + video.stat().st_size - 1)
        with pytest.raises(TraceError, match="the video is too large for a trace"):
            file.finish(video)
    assert not list(tmp_path.glob("*.trace"))
