"""Replicas of the small model, in processes of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from conftest import small_pipeline

from ui.hosting.replicas import Replicas, Size

PATHS = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
ENVIRONMENT = {  # of Ray's processes
    "PYTHONPATH": PATHS,
    "OMP_NUM_THREADS": "1",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_enable_worker_prestart": "0",  # on a small machine those that are needed are enough
    "RAY_worker_niceness": "0",  # they come last otherwise, where a machine has other work
    "RAY_worker_register_timeout_seconds": "180",
    "RAY_SERVE_QUEUE_LENGTH_RESPONSE_DEADLINE_S": "2",
}


@contextmanager
def small_replicas() -> Iterator[Replicas]:
    """One, and a second while it is needed."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        replicas = Replicas(small_pipeline, Size(1, 2, cpus=0.5))
    yield replicas
    replicas.close()


def processes() -> list[psutil.Process]:
    """Of the replicas that there are, one of each."""
    mine = psutil.Process().children(recursive=True)
    return [process for process in mine if "ServeReplica" in " ".join(process.cmdline())]
