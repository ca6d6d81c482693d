"""Every policy by its name, found in this folder."""

from __future__ import annotations

import pkgutil
from dataclasses import fields, is_dataclass
from importlib import import_module
from typing import Any

from ..config import SettingsError
from .base import Policy

FIRST = ("self-forcing", "attention-sink", "deep-sink", "deep-forcing")  # each adds one idea to the one before


def find_policies() -> dict[str, type[Policy]]:
    """The policies of all files in this folder, by name: FIRST, then the others by file.

    A policy is a dataclass with a `name` of its own. Raises ValueError when two have the same name; a file that
    cannot be imported raises what it raises.
    """
    found: dict[str, type[Policy]] = {}
    package = import_module(__package__)
    for file in pkgutil.iter_modules(package.__path__):
        for policy in _policies_in(f"{__package__}.{file.name}"):
            if policy.name in found:
                other = found[policy.name].__module__
                raise ValueError(f"two policies are called {policy.name!r}, in {other} and in {policy.__module__}")
            found[policy.name] = policy
    return {name: found[name] for name in (*FIRST, *(name for name in found if name not in FIRST))}


def _policies_in(module: str) -> list[type[Policy]]:
    own = (thing for thing in vars(import_module(module)).values() if getattr(thing, "__module__", None) == module)
    found: list[Any] = [each for each in own if isinstance(each, type) and is_dataclass(each) and "name" in vars(each)]
    return found


POLICIES: dict[str, type[Policy]] = find_policies()


def make_policy(name: str, /, **settings) -> Policy:
    """Build a policy by its name; `settings` are its dataclass fields.

    Raises SettingsError for an unknown policy, a setting it does not have, or a combination that cannot work.
    """
    if name not in POLICIES:
        raise SettingsError(f"unknown policy {name!r}; there are {', '.join(POLICIES)}")
    known = [f.name for f in fields(POLICIES[name])]
    for setting in settings:
        if setting not in known:
            raise SettingsError(f"{name} has no setting {setting!r}; it has {', '.join(known)}")
    return POLICIES[name](**settings)
