"""Several prompts with times: what a video is to show, and from when on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Any

from .blend import WAYS, Blend, Way
from .config import SettingsError
from .prompt import PromptError, check_prompt

_CLOCK = re.compile(r"(?:([0-9]{1,5}):)?([0-9]{1,5}):([0-9]{1,2}(?:\.[0-9]{1,6})?)")  # 0:10, 1:02:03.5
_UNITS = re.compile(r"(?:([0-9]{1,5})h)?(?:([0-9]{1,5})m)?(?:([0-9]{1,7}(?:\.[0-9]{1,6})?)s?)?")  # 10, 10s, 1m30s
_MELTING = {"melts", "way"}
_WHOLE = 0.9999  # shares are told in hundredths of a per cent


@dataclass(frozen=True)
class Timeline:
    """Prompts over the seconds of a video. entries: (seconds, prompt), the first at 0, each later than the one before.

    melts: for how many seconds the one before melts into each, 0 for a cut; empty where all are cuts. A chunk that
    begins meanwhile is made with a blend of both, by its time, along `way`, see `blend`.

    A prompt holds from the first chunk on that begins at or after its time, because a chunk is denoised whole, with one
    prompt: at 16 fps chunks begin at 0, 0.56, 1.31, 2.06 s ... Raises SettingsError for times that cannot be, and
    PromptError, which names the time, for a prompt that cannot be used.
    """

    entries: tuple[tuple[float, str], ...]
    melts: tuple[float, ...] = ()
    way: Way = "linear"

    def __post_init__(self) -> None:
        if not self.entries:
            raise SettingsError("a timeline needs at least one prompt, at 0 seconds")
        entries = tuple((_check_time(seconds), prompt) for seconds, prompt in self.entries)
        _check_order([seconds for seconds, _ in entries])
        object.__setattr__(self, "entries", tuple((seconds, _check_prompt(seconds, text)) for seconds, text in entries))
        object.__setattr__(self, "melts", _check_melts(self.melts or (0,) * len(entries), entries))
        if self.way not in WAYS:
            raise SettingsError(f"prompts melt along one of {', '.join(WAYS)}, not {self.way!r}")

    @classmethod
    def of(cls, prompt: str | Timeline) -> Timeline:
        """A timeline as it is; a single prompt as one. Raises PromptError."""
        return prompt if isinstance(prompt, Timeline) else cls(((0.0, check_prompt(prompt)),))

    @classmethod
    def from_data(cls, data: Any) -> Timeline:
        """What `as_data` gave, perhaps by way of JSON. Raises SettingsError for anything else, PromptError."""
        wrong = SettingsError('a timeline is a list of {"seconds": number, "prompt": text}')
        if not isinstance(data, list) or not all(isinstance(entry, dict) for entry in data):
            raise wrong
        if any(set(entry) - _MELTING != {"seconds", "prompt"} for entry in data):
            raise wrong
        if not all(isinstance(entry["prompt"], str) for entry in data):
            raise wrong
        ways = {entry["way"] for entry in data if "way" in entry} or {"linear"}
        if len(ways) > 1:
            raise SettingsError("all prompts of a timeline melt along the same way")
        entries = tuple((entry["seconds"], entry["prompt"]) for entry in data)
        return cls(entries, tuple(entry.get("melts", 0) for entry in data), ways.pop())

    def as_data(self) -> list[dict]:
        """Plain values that JSON can hold."""
        return [
            {"seconds": seconds, "prompt": prompt} | ({"melts": melts, "way": self.way} if melts else {})
            for (seconds, prompt), melts in zip(self.entries, self.melts, strict=True)
        ]

    @property
    def prompts(self) -> tuple[str, ...]:
        return tuple(prompt for _, prompt in self.entries)

    def at(self, seconds: float) -> str:
        """The prompt of a chunk that begins at this time, 0 or later; a blend while one melts into the next."""
        number = max(number for number, (start, _) in enumerate(self.entries) if start <= seconds)
        (start, prompt), melts = self.entries[number], self.melts[number]
        share = (seconds - start) / melts if melts else 1.0
        if share >= _WHOLE:
            return prompt
        before = self.entries[number - 1][1]
        return Blend.between(before, prompt, share, self.way).text if share > 1 - _WHOLE else before

    def interrupted(self, seconds: float, prompt: str) -> Timeline:
        """Another prompt from this time on, until the next entry. Raises PromptError, SettingsError."""
        melting = list(zip(self.entries, self.melts, strict=True))
        before = [(entry, melts) for entry, melts in melting if entry[0] < seconds]
        after = [(entry, melts) for entry, melts in melting if entry[0] > seconds]
        entries, melts = zip(*before, ((seconds, prompt), 0.0), *after, strict=True)
        return Timeline(entries, melts, self.way)


def read_span(text: str) -> tuple[float, float]:
    """Where a prompt begins, and for how long it melts in: `10s` -> (10, 0), `10s..14s` -> (10, 4). SettingsError."""
    begins, dots, ends = text.partition("..")
    start = read_time(begins)
    melts = read_time(ends) - start if dots else 0.0
    if dots and melts <= 0:
        raise SettingsError(f"a prompt melts in from a time to a later one, such as 10s..14s, not {text[:40]!r}")
    return start, melts


def read_time(text: str) -> float:
    """Seconds of `10`, `10s`, `1m30s`, `0:10` or `1:02:03`. Raises SettingsError for anything else."""
    shown = text.strip().lower()
    found = _CLOCK.fullmatch(shown) or _UNITS.fullmatch(shown)
    if not shown or not found:
        raise SettingsError(f"a time is written as 10s, 1m30s or 0:10, not {text[:40]!r}")
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    if ":" in shown and (seconds >= 60 or (found[1] and minutes >= 60)):
        raise SettingsError(f"there is no time {text[:40]!r}: a minute has 60 seconds, an hour 60 minutes")
    return 3600 * hours + 60 * minutes + seconds


def show_time(seconds: float) -> str:
    """Such as `0:10` or `1:02.5`; `read_time` reads it."""
    minutes, rest = divmod(round(seconds, 3), 60)
    whole = f"{rest:06.3f}".rstrip("0").rstrip(".")
    return f"{int(minutes)}:{whole}"


def _check_time(seconds: float) -> float:
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not isfinite(seconds) or seconds < 0:
        raise SettingsError(f"the time of a prompt must be a number of seconds, 0 or more, not {seconds!r}")
    return float(seconds)


def _check_melts(melts: tuple[float, ...], entries: tuple[tuple[float, str], ...]) -> tuple[float, ...]:
    if len(melts) != len(entries):
        raise SettingsError(
            f"{len(entries)} prompts need {len(entries)} times for which they melt in, not {len(melts)}"
        )
    if _check_time(melts[0]) > 0:
        raise SettingsError("the first prompt cannot melt in: there is none before it")
    return tuple(map(_check_time, melts))


def _check_order(times: list[float]) -> None:
    if times[0] != 0:
        raise SettingsError(f"the first prompt must be at 0 seconds, not at {show_time(times[0])}")
    for before, after in pairwise(times):
        if after == before:
            raise SettingsError(f"two prompts are at {show_time(after)}: give each a time of its own")
        if after < before:
            raise SettingsError(f"the prompts are out of order: {show_time(after)} comes after {show_time(before)}")


def _check_prompt(seconds: float, text: str) -> str:
    try:
        return check_prompt(text)
    except PromptError as error:
        raise PromptError(f"At {show_time(seconds)}: {error}" if seconds else str(error)) from None
