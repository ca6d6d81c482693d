"""What a run does unlike the paper's Deep Forcing, in words; needs the run's first event only.

Not counted: what the paper or the authors' code does too, such as either phase, and any sink from 10 to 15 frames.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deepforcing import StreamStarted

STALE = "the model is not told of a new prompt"


@dataclass(frozen=True)
class Break:
    """A setting that breaks something at some values. words: of such a value; paper: the paper's."""

    setting: str
    paper: int | str
    words: Callable[[int | str], str | None]  # None where nothing is broken


def _sink(frames: int) -> str | None:
    if 10 <= frames <= 15:
        return None
    if not frames:
        return "no frame is kept for ever"
    return f"a sink of {frames} frame{'s' if frames > 1 else ''} is too {'small' if frames < 10 else 'large'}"


def _other_than(paper: int, words: str) -> Callable[[int], str | None]:
    return lambda value: None if value == paper else words.format(value)


BREAKS = (
    Break("phase", "released", {"none": "the sink stays where it was in time"}.get),
    Break("sink", 10, _sink),
    Break("window", 21, _other_than(21, "attention reaches {} frames, not 21")),
    Break("budget", 16, _other_than(16, "a compression leaves {} frames, not 16")),
    Break("recent", 4, _other_than(4, "{} recent frames are safe, not 4")),
    Break(
        "score",
        "attention",
        {
            "inverted": "what is attended to least is kept",
            "random": "chance says what is kept",
            "oldest": "the oldest of the middle is kept",
            "newest": "the newest of the middle is kept",
            "softmax": "scores go through a softmax",
        }.get,
    ),
    Break("unit", "token", {"frame": "whole frames compete, not tokens"}.get),
    Break("heads", "shared", {"separate": "every head keeps its own tokens"}.get),
    Break(
        "queries",
        "both",
        {
            "current": "only the noisy frames choose what is kept",
            "past": "only the past frames choose what is kept",
        }.get,
    ),
)
METHOD = ("deep-sink", "deep-forcing")  # other policies are other methods, not broken ones


def broken(policy: str, settings: dict, stale_prompt: bool = False) -> list[str]:
    """What is broken, in words, each a clause. Values may come from a file: unknown ones are no break."""
    said = [b.words(settings[b.setting]) for b in _of(policy) if _is_known(b, settings)]
    return [words for words in (*said, STALE if stale_prompt else None) if words]


def mended(policy: str, settings: dict) -> dict:
    """The settings, of which all that could break something have the paper's value."""
    return settings | {b.setting: b.paper for b in _of(policy) if b.setting in settings}


def broken_line(started: StreamStarted) -> str:
    """For the page: `Unlike the paper: the sink stays where it was in time.`; of other methods nothing is said."""
    if found := broken(started.policy, started.settings, started.stale_prompt):
        return f"Unlike the paper: {'; '.join(found)}."
    return "Nothing is broken." if started.policy in METHOD else ""


def _of(policy: str) -> tuple[Break, ...]:
    return BREAKS if policy in METHOD else ()


def _is_known(b: Break, settings: dict) -> bool:
    value = settings.get(b.setting)
    return type(value) is type(b.paper)
