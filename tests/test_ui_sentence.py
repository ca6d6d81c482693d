"""What a chunk remembers, in plain words."""

from dataclasses import replace

import numpy as np
import pytest

from deepforcing import CacheState, Chunk, Compression, Timings
from ui.memory.sentence import told

LAYERS, GRID = 2, (2, 3)


def chunk(roles: dict[str, int], first: int, middle: float = 1.0, lost: int | None = None) -> Chunk:
    """roles: frames of each; middle: share of the top-C frames' tokens; lost: frames that a compression threw away."""
    names = tuple(role for role, count in roles.items() for _ in range(count))
    kept = np.ones((LAYERS, len(names), *GRID), bool)
    for i, role in enumerate(names):
        kept[:, i].reshape(LAYERS, -1)[:, round(middle * 6) :] &= role != "top-C"
    cache = CacheState(np.arange(len(names)), kept, names, np.zeros(kept.shape[:2], np.float32), int(kept.sum()), 1)
    fired = None
    if lost is not None:
        candidate = np.ones((LAYERS, lost + 1, *GRID), bool)
        won = candidate & (np.arange(lost + 1) == lost)[:, None, None]
        fired = Compression(np.arange(lost + 1), candidate, won, candidate.astype(np.float32))
    frames = np.zeros((12, 8, 8, 3), np.uint8)
    return Chunk(5, 57, (first, first + 3), frames, "p", Timings(1.0, 1.0), cache, fired)


@pytest.mark.parametrize(
    ("roles", "first", "words"),
    [
        ({}, 0, "These are the first frames: there is nothing to look back at yet."),
        ({"recent": 6}, 6, "It looks back over 6 frames and keeps them all."),
        ({"recent": 1}, 1, "It looks back over 1 frame and keeps it."),
        (
            {"recent": 18},
            60,
            "It looks back over 60 frames and keeps 18 of them: the last 18. What is older is forgotten.",
        ),
        (
            {"sink": 3, "recent": 12},
            60,
            "It looks back over 60 frames and keeps 15 of them: the first three for ever, the last twelve.",
        ),
    ],
)
def test_what_is_kept_is_told(roles, first, words):
    assert told(chunk(roles, first)) == words


def test_of_the_middle_it_tells_how_many_frames_the_tokens_would_fill():
    some = chunk({"sink": 10, "top-C": 4, "recent": 4}, 59, middle=0.5)
    kept = "keeps 16 of them: the first ten for ever, two frames’ worth of the middle, the last four."
    assert told(some) == f"It looks back over 59 frames and {kept}"
    assert "one frame’s worth" in told(chunk({"sink": 10, "top-C": 2, "recent": 4}, 59, middle=0.5))


def test_what_was_just_let_go_is_told():
    assert told(chunk({"sink": 10, "recent": 1}, 59, lost=6)).endswith("It has just let go of six frames’ worth.")


def test_of_a_video_whose_cache_was_emptied_the_scene_is_told():
    later = chunk({"sink": 3, "recent": 12}, first=60)
    later = replace(later, cache=replace(later.cache, origin=40))
    assert told(later) == (
        "It looks back over 20 frames of this scene and keeps 15 of them: the scene’s first three for ever, "
        "the last twelve."
    )
    begun = replace(later, latent_frames=(40, 43))
    assert told(begun) == "These are the first frames of this scene: there is nothing to look back at yet."
