"""The window as a picture: one box a latent frame, coloured by what the policy would keep there."""

from __future__ import annotations

from html import escape

from deepforcing import Geometry, Policy, settings_of

from ..look.theme import ROLE_MEANING


def window_parts(policy: Policy, geometry: Geometry) -> list[tuple[str, int]]:
    """(role, latent frames) from oldest to newest, as the window stands when the policy has just made room.

    The last part, `free`, fills up before room is made again.
    """
    settings = settings_of(policy)
    window, chunk, sink = policy.window, geometry.chunk_frames, policy.sink_frames
    budget = settings.get("budget", window)
    recent = settings.get("recent", window - sink)
    parts = [
        ("sink", sink),
        ("top-C", budget - sink - recent),
        ("recent", recent - chunk),
        ("current", chunk),
        ("free", window - budget),
    ]
    return [(role, frames) for role, frames in parts if frames > 0]


def window_strip(policy: Policy, geometry: Geometry) -> str:
    """HTML of the strip with a line of words below it."""
    parts = window_parts(policy, geometry)
    boxes = "".join(_box(role) * frames for role, frames in parts)
    words = " + ".join(f"<b data-role='{role}'>{frames} {role}</b>" for role, frames in parts)
    return (
        f"<div class='strip' role='img' aria-label='{escape(_spoken(parts))}'>{boxes}</div>"
        f"<p class='strip-words'>{words} = window of {policy.window} latent frames</p>"
    )


def _box(role: str) -> str:
    title = ROLE_MEANING.get(role, "fills up before the next compression")
    return f"<i data-role='{role}' title='{escape(role)}: {escape(title)}'></i>"


def _spoken(parts: list[tuple[str, int]]) -> str:
    return "The window, oldest first: " + ", ".join(f"{frames} {role}" for role, frames in parts)
