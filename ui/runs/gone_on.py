"""An order that goes on where another run is: its past passes through the model again, then the video goes on with what
the page asks for now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

import numpy as np

from deepforcing import Chunk, Past, Pipeline, SettingsError, Timeline, Trace

from .run import VideoOrder


def gone_on(order: VideoOrder, trace: Trace, seconds: float, pipeline: Pipeline, encode: bool = True) -> VideoOrder:
    """The order, begun with the run's chunks that end within `seconds` of video. Its first prompt holds from there on,
    its later ones from their own times, and its length counts from there. Its scenes stay, its other settings do not.

    encode: where latents were not kept, they are made of the pictures, if the model comes with an encoder. Raises
    SettingsError where nothing of the run can be gone on with.
    """
    fps = pipeline.shape.fps
    if (trace.started.fps, trace.started.height, trace.started.width) != (
        fps,
        pipeline.shape.height,
        pipeline.shape.width,
    ):
        raise SettingsError("this run cannot be gone on with: another model, or another size, made it")
    chunks = list(takewhile(lambda chunk: chunk.first_frame + len(chunk.frames) <= seconds * fps, _chunks(trace)))
    if not chunks:
        raise SettingsError(f"this run cannot be gone on with at {seconds:.1f} s: its first chunk ends later")
    now = (chunks[-1].first_frame + len(chunks[-1].frames)) / fps
    frames = order.num_frames and order.num_frames + round(now * fps)
    past = _drawn(chunks, pipeline) if chunks[0].latents is None and encode else Past.of(chunks)
    past = replace(past, changes=tuple(change for change in trace.changes if change.chunk < len(chunks))).keeping(
        "scene"
    )
    prompt = _story(Timeline.of(order.prompt), [(at, text) for at, text in trace.prompts if at < now], now)
    return replace(order, prompt=prompt, past=past, begun=now, num_frames=frames, start=None)


def _chunks(trace: Trace):
    return (event for event in trace if isinstance(event, Chunk))


def _drawn(chunks: Sequence[Chunk], pipeline: Pipeline) -> Past:
    """From pictures alone: nearly what was made."""
    if not pipeline.decoder.encodes:
        return Past.of(chunks)  # which says what is missing
    latents = pipeline.latents(np.concatenate([chunk.frames for chunk in chunks]))
    return Past(tuple(chunk.prompt for chunk in chunks), tuple(np.split(latents, len(chunks))))


def _story(story: Timeline, before: list[tuple[float, str]], now: float) -> Timeline:
    """The prompts that the run had, then those of the story."""
    later = [(entry, melts) for entry, melts in zip(story.entries, story.melts, strict=True) if entry[0] > now]
    entries = (*before, (now, story.entries[0][1]), *(entry for entry, _ in later))
    return Timeline(entries, (0.0,) * (len(before) + 1) + tuple(melts for _, melts in later), story.way)
