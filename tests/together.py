"""Several videos of one model, made in turns, as viewers would watch them at the same time."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import numpy as np

from deepforcing import Chunk, Pipeline, Policy, StreamEnded, Turns, VideoStream, generate_long_video

PROMPT = "a red balloon"


def together(
    pipeline: Pipeline, policy: Policy, seeds: Iterable[int], num_frames: int
) -> tuple[dict[int, list[Chunk]], list[int]]:
    """Each seed's chunks, and whose chunk was there when; a viewer counts as ahead by the chunks that it has."""
    turns, made, order = Turns(), {seed: [] for seed in seeds}, []
    threads = [
        threading.Thread(target=_watch, args=(pipeline, policy, turns, s, num_frames, made, order)) for s in made
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return made, order


def _watch(pipeline, policy, turns, seed, num_frames, made, order) -> None:
    stream = VideoStream(pipeline, PROMPT, policy=policy, seed=seed, num_frames=num_frames, max_queued=0)
    turn = turns.turn(lambda: float(len(made[seed])))
    stream.share(turn)
    with stream:
        for event in stream:
            if isinstance(event, Chunk):
                made[seed].append(event)
                order.append(seed)
            elif isinstance(event, StreamEnded):
                assert event.reason == "finished"
    turn.close()


def alone(pipeline: Pipeline, policy: Policy, seed: int, num_frames: int) -> np.ndarray:
    """The same video's frames, without the others."""
    return frames_of(generate_long_video(pipeline, PROMPT, num_frames=num_frames, policy=policy, seed=seed))


def frames_of(chunks: Iterable[Chunk]) -> np.ndarray:
    return np.concatenate([chunk.frames for chunk in chunks])


def most_ahead(order: list[int], seeds: Iterable[int], length: int) -> int:
    """Chunks that one was ahead of another, at most, while all had begun and none of `length` chunks had ended."""
    counts, gap = dict.fromkeys(seeds, 0), 0
    for seed in order:
        counts[seed] += 1
        if min(counts.values()) and max(counts.values()) < length:
            gap = max(gap, max(counts.values()) - min(counts.values()))
    return gap
