"""A policy's settings: its dataclass fields, numbers or words."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import get_args, get_type_hints

from ..config import SettingsError
from .base import Policy


def whole(name: str, value: int, least: int) -> None:
    """Raise SettingsError unless the value is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SettingsError(f"{name} must be a whole number of at least {least}, not {value!r}")


def number(name: str, value: float, least: float, most: float) -> None:
    """Raise SettingsError unless the value is a number in this range."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise SettingsError(f"{name} must be a number from {least} to {most}, not {value!r}")


def one_of(policy: Policy, name: str) -> None:
    """Raise SettingsError unless the setting is one of the words that its type lists."""
    value, allowed = getattr(policy, name), choices_of(type(policy), name)
    if value not in allowed:
        raise SettingsError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")


def choices_of(policy: type[Policy], setting: str) -> tuple[str, ...]:
    """The words that a setting may be; empty for a number. Raises KeyError for a setting that the policy lacks."""
    return get_args(get_type_hints(policy)[setting])


def settings_of(policy: Policy) -> dict:
    """The policy's settings as plain values, for titles, files and `make_policy`."""
    return asdict(policy)


def read_words(text: str) -> tuple[str, dict]:
    """'deep-forcing phase=none' -> ('deep-forcing', {'phase': 'none'}); both may be wrong. Raises SettingsError."""
    name, *words = text.split() or [""]
    given = [read_setting(word) for word in words]
    for setting, count in Counter(setting for setting, _ in given).items():
        if count > 1:
            raise SettingsError(f"{setting} is given twice in {text!r}")
    return name, dict(given)


def read_setting(text: str) -> tuple[str, int | float | str]:
    """'max_reuse=0' -> ('max_reuse', 0). What is allowed is the policy's to say. Raises SettingsError without a '='."""
    name, equals, value = text.partition("=")
    if not equals:
        raise SettingsError(f"a setting is written NAME=VALUE, not {text!r}")
    for number in (int, float):
        try:
            return name, number(value)
        except ValueError:
            continue
    return name, value
