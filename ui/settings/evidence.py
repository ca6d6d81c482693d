"""What was measured of each policy; see assets/evidence/report.md."""

from __future__ import annotations

import json
from pathlib import Path

SUMMARY = Path(__file__).parents[2] / "assets" / "evidence" / "summary.json"


def measured(policy: str, path: Path = SUMMARY) -> str:
    """One line such as `Measured at 60 s: scenery kept 0.55, colour drift 0.016.`; empty where nothing was. Of scenery
    1 is all."""
    summary = _summary(path)
    found = summary and summary["policies"].get(policy)
    if not found:
        return ""
    said = ("scenery", "scenery kept {:.2f}"), ("colour_drift", "colour drift {:.3f}")
    told = ", ".join(words.format(found[name]) for name, words in said if found.get(name) is not None)
    return f"Measured at {summary['seconds']} s: {told}." if told else ""


def _summary(path: Path) -> dict | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        return None
