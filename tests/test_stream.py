"""The life of a stream: commands, back-pressure, failures, slow readers."""

import threading
import time

import numpy as np
import pytest
from conftest import small_pipeline, soon

from deepforcing.config import SettingsError
from deepforcing.events import Chunk, StreamEnded, StreamStarted
from deepforcing.pipeline import generate_long_video
from deepforcing.policies import DeepForcing
from deepforcing.prompt import PromptError
from deepforcing.stream import VideoStream

pytestmark = pytest.mark.timeout(120)  # a stop that does not stop fails
WAIT = 60  # seconds, far more than any of this takes


def test_a_run_ends_in_words_even_where_the_device_is_lost(monkeypatch):
    def lost(device):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr("deepforcing.steering.release", lost)
    stream = VideoStream(small_pipeline(), "a b", num_frames=9)
    stream.start()
    events = [stream.get(timeout=WAIT) for _ in range(3)]
    assert isinstance(events[-1], StreamEnded) and events[-1].reason == "error" and "CUDA error" in events[-1].error


def threads():
    return [t for t in threading.enumerate() if t.name.startswith("deepforcing")]


@pytest.fixture(autouse=True)
def nothing_is_left_running():
    yield
    deadline = time.monotonic() + WAIT
    while threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not threads()


@pytest.mark.parametrize("overlap", [False, True])
def test_a_finite_stream_starts_delivers_in_order_and_ends_once(overlap):
    with VideoStream(small_pipeline(), "a b", num_frames=50, overlap=overlap) as stream:
        events = list(stream)
    start = events[0]
    assert isinstance(start, StreamStarted) and start.settings["sink"] == 10 and len(start.weights) == 16
    assert (start.grid, start.chunk_frames, start.stride, start.layers, start.heads) == ((2, 3), 3, 4, 2, 2)
    assert [e.index for e in events[1:-1]] == [0, 1, 2, 3, 4]
    assert [len(e.frames) for e in events[1:-1]] == [9, 12, 12, 12, 5]
    assert [e.first_frame for e in events[1:-1]] == [0, 9, 21, 33, 45]
    assert events[-1] == StreamEnded("finished", 5)
    assert stream.get(0.01) is None


def test_overlapped_decoding_gives_the_same_video():
    videos = [
        np.concatenate([c.frames for c in generate_long_video(small_pipeline(), "a", num_frames=60, overlap=overlap)])
        for overlap in (False, True)
    ]
    assert np.array_equal(*videos)


def test_the_same_seed_gives_the_same_video_and_another_seed_another():
    def video(seed):
        return next(generate_long_video(small_pipeline(), "a", seed=seed)).frames

    assert np.array_equal(video(3), video(3)) and not np.array_equal(video(3), video(4))


def test_a_new_prompt_holds_from_the_next_chunk_on():
    with VideoStream(small_pipeline(), "old", num_frames=100) as stream:
        assert isinstance(stream.get(WAIT), StreamStarted) and stream.get(WAIT).prompt == "old"
        stream.pause()
        time.sleep(0.3)  # the chunk in flight finishes, then the stream holds
        stream.change_prompt("new")
        stream.resume()
        prompts = [event.prompt for event in stream if isinstance(event, Chunk)]
    begun_before = prompts.count("old")
    assert begun_before <= 3 and prompts == ["old"] * begun_before + ["new"] * (len(prompts) - begun_before)
    assert "new" in prompts


def test_pause_holds_and_resume_goes_on():
    with VideoStream(small_pipeline(), "a", num_frames=200) as stream:
        stream.get(WAIT), stream.get(WAIT)
        stream.pause()
        while stream.get(0.5) is not None:
            pass
        assert stream.paused and not stream._ended
        stream.resume()
        assert isinstance(stream.get(WAIT), Chunk)


def test_stop_ends_while_paused_and_may_come_twice():
    with VideoStream(small_pipeline(), "a") as stream:
        stream.pause()
        stream.stop(), stream.stop()
        events = list(stream)
    assert events[-1].reason == "stopped" and sum(isinstance(e, StreamEnded) for e in events) == 1


def test_a_slow_reader_slows_the_model_and_loses_nothing():
    with VideoStream(small_pipeline(), "a", max_queued=1) as stream:
        stream.get(WAIT)
        first = stream.get(WAIT)
        assert soon(lambda: len(stream._events) == 1)
        time.sleep(0.5)  # a machine that is not too slow would have made more
        waiting = len(stream._events)
        nexts = [stream.get(WAIT).index for _ in range(4)]
    assert first.index == 0 and waiting == 1 and nexts == [1, 2, 3, 4]


@pytest.mark.parametrize(("overlap", "begun"), [(False, 0), (True, 1)])
def test_with_no_queue_a_chunk_is_begun_for_a_reader_that_waits(overlap, begun):
    asked = []

    class Asked(VideoStream):
        def _next_prompt(self, index):
            prompt = super()._next_prompt(index)
            asked.append(index)
            return prompt

    with Asked(small_pipeline(), "old", max_queued=0, overlap=overlap) as stream:
        assert isinstance(stream.get(WAIT), StreamStarted) and stream.get(WAIT).prompt == "old"
        assert soon(lambda: len(asked) == 1 + begun)
        time.sleep(0.5)  # a machine that is not too slow would have begun more
        assert asked == list(range(1 + begun))
        stream.change_prompt("new")
        assert [stream.get(WAIT).prompt for _ in range(3)] == ["old"] * begun + ["new"] * (3 - begun)


def test_the_queue_may_grow_while_the_stream_runs():
    with VideoStream(small_pipeline(), "a", max_queued=0) as stream:
        stream.get(WAIT), stream.get(WAIT)
        stream.max_queued = 2
        deadline = time.monotonic() + WAIT
        while len(stream._events) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(stream._events) == 2 and stream.max_queued == 2


def test_a_vanished_reader_leaves_nothing_running_after_stop():
    stream = VideoStream(small_pipeline(), "a", max_queued=1).start()
    time.sleep(0.5)
    stream.stop()
    assert stream.join(WAIT)


@pytest.mark.parametrize("overlap", [False, True])
def test_an_error_reaches_the_reader_in_words(overlap):
    pipeline = small_pipeline()

    class Broken(type(pipeline.text)):
        def encode(self, prompts):
            if prompts == ["bad"]:
                raise MemoryError("no memory left for the prompt")
            return super().encode(prompts)

    object.__setattr__(pipeline, "text", Broken())
    with VideoStream(pipeline, "good", overlap=overlap) as stream:
        stream.get(WAIT), stream.get(WAIT)
        stream.change_prompt("bad")
        events = list(stream)
    assert events[-1].reason == "error" and events[-1].error == "no memory left for the prompt"


def test_two_streams_on_one_model_do_not_mix():
    pipeline = small_pipeline()
    alone = [c.frames for c in generate_long_video(pipeline, "a", num_frames=57, seed=1)]
    with VideoStream(pipeline, "a", seed=1, num_frames=57) as one:
        with VideoStream(pipeline, "b c", seed=2, num_frames=57) as two:
            together = [e.frames for e in one if isinstance(e, Chunk)]
            assert len([e for e in two if isinstance(e, Chunk)]) == 5
    for a, b in zip(alone, together, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("prompt", ["", "   ", "a" * 10_000], ids=["empty", "blank", "huge"])
def test_prompts_that_cannot_be_used_are_refused_at_once(prompt):
    with pytest.raises(PromptError, match="prompt"):
        VideoStream(small_pipeline(), prompt)
    with VideoStream(small_pipeline(), "fine") as stream, pytest.raises(PromptError):
        stream.change_prompt(prompt)


@pytest.mark.parametrize("seed", [-1, 2**70, "seven", 1.5, True])
def test_seeds_that_cannot_be_used_are_refused_at_once(seed):
    with pytest.raises(SettingsError, match="seed must be a whole number"):
        VideoStream(small_pipeline(), "a", seed=seed)


@pytest.mark.parametrize("num_frames", [0, -5, 2.5])
def test_lengths_that_cannot_be_used_are_refused_at_once(num_frames):
    with pytest.raises(SettingsError, match="num_frames"):
        VideoStream(small_pipeline(), "a", num_frames=num_frames)


def test_a_policy_that_does_not_fit_is_refused_at_once():
    with pytest.raises(SettingsError, match="shorter than the chunk"):
        VideoStream(small_pipeline(), "a", policy=DeepForcing(recent=2))
