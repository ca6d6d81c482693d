"""Processes that share gradients, for real: two of them, over gloo."""

import os
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest

SCRIPT = """
import os, pathlib, sys, time
import torch
from deepforcing.training import parallel

def work(folder, seconds):
    tensors = [torch.full((2,), float(parallel.rank() + 1)), torch.ones(3)]
    parallel.sum_over_processes(tensors)
    rank = parallel.from_first(float(parallel.rank()))
    line = f"{os.getpid()} {[t.tolist() for t in tensors]} {rank}"
    pathlib.Path(folder, f"{parallel.rank()}.part").write_text(line)
    pathlib.Path(folder, f"{parallel.rank()}.part").rename(pathlib.Path(folder, str(parallel.rank())))
    time.sleep(seconds)

if __name__ == "__main__":
    parallel.launch(work, (sys.argv[1], float(sys.argv[2])), 2, port=int(sys.argv[3]))
"""


def start(folder, seconds: float, port: int) -> subprocess.Popen:
    (folder / "script.py").write_text(SCRIPT)
    arguments = [sys.executable, "script.py", str(folder), str(seconds), str(port)]
    return subprocess.Popen(arguments, cwd=folder, env=os.environ | {"PYTHONPATH": os.getcwd()})


def wait_for(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.05)


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_sums_are_shared_and_the_first_decides(tmp_path, port):
    assert start(tmp_path, 0, port).wait(timeout=120) == 0
    for rank in "01":
        assert (tmp_path / rank).read_text().endswith(" [[3.0, 3.0], [2.0, 2.0, 2.0]] 0.0")


@pytest.mark.skipif(os.name == "nt", reason="signals differ on Windows")
def test_no_process_outlives_the_launcher(tmp_path, port):
    launcher = start(tmp_path, 600, port)
    wait_for(lambda: all((tmp_path / rank).exists() for rank in "01"), 120)
    workers = [int((tmp_path / rank).read_text().split()[0]) for rank in "01"]
    launcher.send_signal(signal.SIGTERM)
    launcher.wait(timeout=60)
    wait_for(lambda: not any(psutil.pid_exists(pid) for pid in workers))
