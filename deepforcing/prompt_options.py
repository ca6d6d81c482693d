"""Prompts as asked for on a command line: the same words for every command that makes a video."""

from __future__ import annotations

import argparse
import json
import sys

from .config import SettingsError
from .models.components import TextEncoder
from .prompt import told_unread
from .switching import SWITCHES
from .timeline import Timeline, read_time, show_time


def add_prompts(parser: argparse.ArgumentParser) -> None:
    """The options that `timeline_from` reads, and `--switch`."""
    parser.add_argument("prompt", help="what the video shows")
    parser.add_argument(
        "--at",
        nargs=2,
        action="append",
        default=[],
        metavar=("TIME", "PROMPT"),
        help="another prompt from a time on, such as 10s, 1m30s or 0:10; as often as wanted, in order",
    )
    parser.add_argument(
        "--switch", default="keep", help=f"the cache at a new prompt: {', '.join(SWITCHES)} (default: %(default)s)"
    )


def timeline_from(options: argparse.Namespace) -> Timeline:
    """All prompts. Raises SettingsError, PromptError; SettingsError also for a prompt after the video's end."""
    entries = [(0.0, options.prompt), *((read_time(time), prompt) for time, prompt in options.at)]
    timeline = Timeline(tuple(entries))
    last = timeline.entries[-1][0]
    if last >= options.seconds:
        raise SettingsError(f"the prompt at {show_time(last)} comes after the end, at {show_time(options.seconds)}")
    return timeline


def print_notes(text: TextEncoder, timeline: Timeline) -> None:
    """What the model will not follow of the prompts, on standard error."""
    if unknown := text.unknown_words(" ".join(timeline.prompts)):
        print(f"note: this model has not seen: {', '.join(unknown)}", file=sys.stderr)
    for rest in filter(None, map(text.unread, timeline.prompts)):
        print(f"note: {told_unread(rest)}", file=sys.stderr)


def prompt_metadata(timeline: Timeline, switch: str) -> dict[str, str]:
    """For a video's file: its title, and, where there are several prompts, all of them as JSON and the switch."""
    first = {"title": timeline.at(0)}
    if len(timeline.entries) == 1:
        return first
    return first | {"prompts": json.dumps(timeline.as_data(), ensure_ascii=False), "switch": switch}
