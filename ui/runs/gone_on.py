"""An order that goes on where another run is: its past passes through the model again, then the video goes on with what
the page asks for now."""

from __future__ import annotations

from dataclasses import replace

from deepforcing import SettingsError, Timeline, Trace
from deepforcing.begun import Begun

from .run import VideoOrder


def gone_on(order: VideoOrder, trace: Trace, seconds: float, fps: int) -> VideoOrder:
    """The order, begun with the run's chunks that end within `seconds` of video. Its first prompt holds from there on,
    its later ones from their own times, and its length counts from there.

    Raises SettingsError where nothing of the run can be gone on with.
    """
    if trace.started.fps != fps:
        raise SettingsError("this run cannot be gone on with: another model, or another size, made it")
    begun = Begun(trace, seconds)
    past = replace(begun.past, changes=())  # what holds now is asked for anew
    frames = order.num_frames and order.num_frames + round(begun.seconds * fps)
    prompt = _story(Timeline.of(order.prompt), begun)
    return replace(order, prompt=prompt, past=past, begun=begun.seconds, num_frames=frames)


def _story(story: Timeline, begun: Begun) -> Timeline:
    """The prompts that the run had, then those of the story."""
    now = begun.seconds
    before = [(at, prompt) for at, prompt in begun.trace.prompts if at < now]
    later = [(entry, melts) for entry, melts in zip(story.entries, story.melts, strict=True) if entry[0] > now]
    entries = (*before, (now, story.entries[0][1]), *(entry for entry, _ in later))
    return Timeline(entries, (0.0,) * (len(before) + 1) + tuple(melts for _, melts in later), story.way)
