"""The sentence under the timeline, for real placements of every phase."""

from itertools import islice

import numpy as np
import pytest

from deepforcing import AttentionSink, DeepForcing, DeepSink, SlidingWindow, generate_long_video
from ui.memory.rope_words import placement_words

SMALL = {"window": 9, "sink": 3}


def said(pipeline, policy) -> list[str]:
    chunks = islice(generate_long_video(pipeline, "a boat", policy=policy), 8)
    return [placement_words(chunk.cache, chunk.latent_frames[0]) for chunk in chunks]


def test_before_the_window_is_full_nothing_is_moved(pipeline):
    words = said(pipeline, DeepForcing(**SMALL, budget=8, recent=4))
    assert words[0].startswith("Nothing is cached yet")
    assert words[2] == "Nothing is moved: every frame stands where it was made, the oldest 6 frames before the chunk."


@pytest.mark.parametrize("policy", [SlidingWindow(9), AttentionSink(**SMALL), DeepSink(**SMALL, phase="none")])
def test_policies_that_move_nothing(pipeline, policy):
    assert all(words.startswith("Nothing is ") for words in said(pipeline, policy))


def test_released_and_contiguous_differ_by_the_gap_behind_the_sink(pipeline):
    # The sink, made 21 frames before this chunk, starts 9 or 6 before it; 3 recent frames begin at -3.
    assert said(pipeline, DeepSink(**SMALL, phase="released"))[-1] == (
        "The sink is moved by 12 frames. 3 frames lie empty between it and the next."
    )
    assert said(pipeline, DeepSink(**SMALL, phase="contiguous"))[-1] == (
        "The sink is moved by 15 frames. The next frame joins without a gap."
    )


def test_the_top_c_are_moved_in_one_phase_only(pipeline):
    policy = {**SMALL, "budget": 8, "recent": 4}
    released, contiguous = (said(pipeline, DeepForcing(**policy, phase=p))[-1] for p in ("released", "contiguous"))
    assert "; the top-C stand where they were made. " in released
    assert contiguous.endswith("; so are the top-C. The next frame joins without a gap.")


def test_words_are_about_what_was_measured(pipeline):
    chunk = list(islice(generate_long_video(pipeline, "a boat", policy=DeepSink(**SMALL)), 8))[-1]
    still = np.tile(chunk.cache.frames - chunk.latent_frames[0], (2, 1)).astype(np.float32)
    object.__setattr__(chunk.cache, "time", still)
    assert placement_words(chunk.cache, chunk.latent_frames[0]).startswith("Nothing is moved")
