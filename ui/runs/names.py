"""Names of runs, live and recorded."""

from __future__ import annotations

import time
import uuid


def run_name() -> str:
    """Sorts by time, so that a page can tell a late message of a run that it left from one of a run that is new."""
    return f"{time.time_ns():020d}-{uuid.uuid4().hex[:6]}"
