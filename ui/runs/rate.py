"""How fast this machine makes video, measured when a model is there: the page says it before anybody waits."""

from __future__ import annotations

import time

from deepforcing import Pipeline, generate_long_video

MOST_SECONDS = 2.0  # after which no further chunk is begun
PROMPT = "a red balloon"


def measured_rate(pipeline: Pipeline) -> float:
    """Frames a second, of the last chunk that was begun in time: the first ones are not what is to come."""
    began, rate = time.perf_counter(), 0.0
    chunks = generate_long_video(pipeline, PROMPT, probe=True, overlap=False)
    while time.perf_counter() - began < MOST_SECONDS:
        started = time.perf_counter()
        rate = len(next(chunks).frames) / (time.perf_counter() - started)
    chunks.close()
    return rate


def rate_words(rate: float) -> str:
    """For the head of the page, in few words, so that it stays one line; what they mean is said on the video."""
    return f"{rate:.0f} a second here" if rate >= 1 else f"{rate:.1f} a second here"
