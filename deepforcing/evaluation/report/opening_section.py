"""The report's part on what the app opens with."""

from __future__ import annotations

from ..best import PAPER, RULE, best, variants
from ..experiments import label
from ..quantities import QUANTITIES
from .evidence import Evidence
from .markdown import table


def opening_section(evidence: Evidence) -> str:
    """The rule, what it picks, and what it picked among."""
    found = variants(evidence.readings, evidence.seconds)
    if not found:
        return ""
    drift, subject = QUANTITIES["colour_drift"], QUANTITIES["subject"]
    rows = [
        (
            label(variant.policy),
            drift.write_difference(variant.less_drift),
            subject.write_difference(variant.more_subject),
            str(variant.less_drift.prompts),
        )
        for variant in found
    ]
    heads = ("variant", f"colour drift of {label(PAPER)} minus its own", "subject retention, its own minus", "prompts")
    picked = label(best(evidence.readings, evidence.seconds))
    return f"{RULE} Here that is **{picked}**.\n\n{table(heads, rows)}"
