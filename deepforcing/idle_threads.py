"""How long PyTorch's threads on a CPU wait for more work before they sleep: a tenth of a millisecond, or so.

An operation of a small model takes less time than it takes to wake a thread, so threads that sleep at once make a video
take twice as long. Threads that never sleep take the processor from everything else.
"""

from __future__ import annotations

import os
import sys

_GNU = {"OMP_WAIT_POLICY": "ACTIVE", "GOMP_SPINCOUNT": "10000"}  # also where several threads have threads of their own
_LLVM = {"KMP_BLOCKTIME": "1"}  # milliseconds; without it, "active" would mean for ever


def short_waits() -> dict[str, str]:
    """What to add to the environment before torch is imported; nothing where it says something already."""
    if (_GNU.keys() | _LLVM.keys()) & os.environ.keys():
        return {}
    return _GNU | _LLVM if sys.platform == "linux" else _LLVM
