"""Read what people type and choose: every mistake becomes one clear sentence."""

from __future__ import annotations

from dataclasses import fields

from deepforcing import POLICIES, Geometry, Policy, SettingsError, make_policy

LENGTHS = {"endless": None, "10 seconds": 10, "30 seconds": 30, "1 minute": 60, "5 minutes": 300}
LARGEST_SEED = 2**63 - 1


def read_seed(text: str | float | None) -> int:
    """The seed as a number. Raises SettingsError for anything that is not a whole number from 0 to 2^63 - 1."""
    shown = str("" if text is None else text).strip()
    if not shown:
        raise SettingsError("The seed is empty: give a whole number, such as 7.")
    if not shown.lstrip("+-").isascii() or not shown.lstrip("+-").isdigit():
        raise SettingsError(f"The seed must be a whole number, not {_short(shown)!r}.")
    if shown.startswith("-"):
        raise SettingsError(f"The seed must not be negative: {_short(shown)}.")
    if len(shown) > 20 or int(shown) > LARGEST_SEED:
        raise SettingsError(f"The seed {_short(shown)} is too large: at most {LARGEST_SEED} (2^63 - 1) can be used.")
    return int(shown)


def read_policy(name: str, settings: dict, geometry: Geometry) -> Policy:
    """The policy with those of the settings that it has. Raises SettingsError for what cannot work."""
    policy = make_policy(name, **{key: value for key, value in settings.items() if key in setting_names(name)})
    policy.check(geometry)
    return policy


def setting_names(policy: str) -> tuple[str, ...]:
    """Which settings this policy has."""
    return tuple(field.name for field in fields(POLICIES[policy]))


def read_length(choice: str, fps: int) -> int | None:
    """Video frames of a length choice; None for endless."""
    seconds = LENGTHS[choice]
    return None if seconds is None else seconds * fps


def _short(text: str) -> str:
    return text if len(text) <= 24 else f"{text[:21]}..."
