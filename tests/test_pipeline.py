"""What a prompt change does to a video."""

import numpy as np
import pytest
from conftest import small_pipeline

from deepforcing.pipeline import generate_long_video
from deepforcing.stream import VideoStream

FRAMES = 33  # 3 chunks
WAIT = 60  # seconds


def turn(index):
    """A prompt that changes at the second chunk, and again at the third."""
    return ("a b", "c d", "e f")[index]


def video(prompt, **options):
    return list(generate_long_video(small_pipeline(), prompt, num_frames=FRAMES, **options))


def test_a_new_prompt_changes_what_is_made_from_its_chunk_on():
    same, turned = video("a b"), video(turn)
    assert np.array_equal(same[0].frames, turned[0].frames)
    assert not np.array_equal(same[1].frames, turned[1].frames)


def test_a_stale_prompt_is_shown_for_ever():
    same, stale = video("a b"), video(turn, stale_prompt=True)
    assert [chunk.prompt for chunk in stale] == ["a b", "c d", "e f"]
    assert all(np.array_equal(one.frames, other.frames) for one, other in zip(same, stale, strict=True))


@pytest.mark.parametrize("stale", [False, True])
def test_a_stream_passes_on_whether_prompts_go_stale(stale):
    stream = VideoStream(small_pipeline(), "a b", num_frames=FRAMES, max_queued=0, stale_prompt=stale)
    with stream:
        started = stream.get(WAIT)
        assert started.prompt == "a b" and started.stale_prompt == stale
        chunks = [stream.get(WAIT)]
        stream.change_prompt("c d")
        chunks += [stream.get(WAIT), stream.get(WAIT)]
    same = video("a b")
    assert chunks[-1].prompt == "c d"
    assert np.array_equal(chunks[-1].frames, same[-1].frames) == stale
