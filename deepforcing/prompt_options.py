"""Prompts as asked for on a command line: the same words for every command that makes a video."""

from __future__ import annotations

import argparse
import json
import sys
from itertools import pairwise

from .blend import WAYS, prompts_in
from .captions import SUGGESTED
from .config import SettingsError
from .models.components import TextEncoder
from .prompt import PromptError, told_unread
from .switching import SWITCHES
from .timeline import Timeline, read_span, show_time
from .wording import knows_nothing, nearest_words

MOST_SECONDS = 10_000_000  # four months


def add_prompts(parser: argparse.ArgumentParser) -> None:
    """The options that `timeline_from` and `check_words` read, and `--switch`."""
    parser.add_argument("prompt", help="what the video shows")
    parser.add_argument(
        "--at",
        nargs=2,
        action="append",
        default=[],
        metavar=("TIME", "PROMPT"),
        help="another prompt from a time on, such as 10s, 1m30s or 0:10, or melting in, from 10s..14s; as often as "
        "wanted, in order",
    )
    parser.add_argument(
        "--melt", default="linear", help=f"the way that prompts melt: {', '.join(WAYS)} (default: %(default)s)"
    )
    parser.add_argument(
        "--switch", default="keep", help=f"the cache at a new prompt: {', '.join(SWITCHES)} (default: keep)"
    )
    parser.add_argument("--anyway", action="store_true", help="also where the model knows no word of a prompt")


def check_seconds(seconds: float) -> None:
    """Raises SettingsError for a length that no video can have."""
    if not seconds > 0:
        raise SettingsError(f"--seconds must be more than 0, not {seconds}")
    if seconds > MOST_SECONDS:
        raise SettingsError(f"--seconds must be at most {MOST_SECONDS}, not {seconds}")


def timeline_from(options: argparse.Namespace) -> Timeline:
    """All prompts. Raises SettingsError, PromptError; SettingsError also for a prompt after the video's end."""
    timeline = timeline_of([(0.0, options.prompt)], options)
    last = timeline.entries[-1][0]
    if last >= options.seconds:
        raise SettingsError(f"the prompt at {show_time(last)} comes after the end, at {show_time(options.seconds)}")
    return timeline


def timeline_of(first: list[tuple[float, str]], options: argparse.Namespace) -> Timeline:
    """Some prompts, and those that are asked for by --at. Raises SettingsError, PromptError."""
    spans = [read_span(time) for time, _ in options.at]
    for (start, melts), (later, _) in pairwise(spans):
        if start + melts > later >= start:
            raise SettingsError(
                f"a prompt melts in until {show_time(start + melts)}, past the next at {show_time(later)}"
            )
    entries = (*first, *((start, prompt) for (start, _), (_, prompt) in zip(spans, options.at, strict=True)))
    return Timeline(entries, (0.0,) * len(first) + tuple(melts for _, melts in spans), options.melt)


def check_words(text: TextEncoder, timeline: Timeline, options: argparse.Namespace) -> None:
    """Print what the model will not follow of the prompts, on standard error.

    Raises PromptError for one of which it knows nothing, unless asked for anyway.
    """
    prompts = [(seconds, prompt) for seconds, shown in timeline.entries for prompt in prompts_in(shown)]
    for seconds, prompt in prompts:
        if knows_nothing(text, prompt) and not options.anyway:
            instead = " or ".join(repr(caption.phrase()) for caption in SUGGESTED)
            raise PromptError(
                f"this model knows no word of the prompt at {show_time(seconds)}, so its video would show nothing "
                f"of it: try {instead}, or add --anyway"
            )
    if unknown := text.unknown_words(" ".join(prompt for _, prompt in prompts)):
        print(f"note: this model has not seen: {', '.join(_meant(text, word) for word in unknown)}", file=sys.stderr)
    for rest in filter(None, map(text.unread, (prompt for _, prompt in prompts))):
        print(f"note: {told_unread(rest)}", file=sys.stderr)


def _meant(text: TextEncoder, word: str) -> str:
    near = nearest_words(text, word)
    return f"{word} (did you mean {' or '.join(near)}?)" if near else word


def prompt_metadata(timeline: Timeline, switch: str) -> dict[str, str]:
    """For a video's file: its title, and, where there are several prompts, all of them as JSON and the switch."""
    first = {"title": timeline.at(0)}
    if len(timeline.entries) == 1:
        return first
    return first | {"prompts": json.dumps(timeline.as_data(), ensure_ascii=False), "switch": switch}
