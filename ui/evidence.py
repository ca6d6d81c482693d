"""What was measured of each policy, for the list of policies; see assets/evidence/report.md."""

from __future__ import annotations

import json
from pathlib import Path

SUMMARY = Path(__file__).parents[1] / "assets" / "evidence" / "summary.json"


def measured(policy: str, path: Path = SUMMARY) -> str:
    """One line such as `Measured at 60 s: subject right in 98 %, colour drift 0.016.`; empty where nothing was."""
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        return ""
    found = summary["policies"].get(policy)
    if found is None:
        return ""
    return (
        f"Measured at {summary['seconds']} s: subject right in {100 * found['subject']:.0f} %, "
        f"colour drift {found['colour_drift']:.3f}."
    )
