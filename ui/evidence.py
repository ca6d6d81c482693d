"""What was measured of each policy, and which the page opens with; see assets/evidence/report.md."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path

from deepforcing import DeepForcing, Policy, make_policy, settings_of

from .words import note

SUMMARY = Path(__file__).parents[1] / "assets" / "evidence" / "summary.json"


def measured(policy: str, path: Path = SUMMARY) -> str:
    """One line such as `Measured at 60 s: scenery kept 0.55, subject right in 98 %, colour drift 0.016.`; empty where
    nothing was. Of the scenery 1 is all."""
    summary = _summary(path)
    found = summary and summary["policies"].get(policy)
    if not found:
        return ""
    scenery = "" if found.get("scenery") is None else f"scenery kept {found['scenery']:.2f}, "
    return (
        f"Measured at {summary['seconds']} s: {scenery}subject right in {100 * found['subject']:.0f} %, "
        f"colour drift {found['colour_drift']:.3f}."
    )


def opening_policy(path: Path = SUMMARY) -> Policy:
    """The variant of Deep Forcing that is best on the evidence; the paper's own where there is none."""
    summary = _summary(path)
    if summary is None:
        return DeepForcing()
    return make_policy(summary["opens_with"]["policy"], **summary["opens_with"]["settings"])


def opening_note(policy: Policy) -> str:
    """HTML that says what the page opens with, where that is not the paper's own Deep Forcing; else empty."""
    if not isinstance(policy, DeepForcing) or policy == DeepForcing():
        return ""
    paper = settings_of(DeepForcing())
    changed = ", ".join(f"{name} {value}" for name, value in settings_of(policy).items() if value != paper[name])
    return note(
        f"The page opens with <b>{escape(changed)}</b>, unlike the paper: of all settings tried on this model, colours "
        "drift least with it. See “What the app opens with” in assets/evidence/report.md.",
        "hint",
    )


def _summary(path: Path) -> dict | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        return None
