"""Processes that share gradients, for real: two of them, over gloo."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from conftest import free_port

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


def start(folder, seconds: float) -> subprocess.Popen:
    (folder / "script.py").write_text(SCRIPT)
    arguments = [sys.executable, "script.py", str(folder), str(seconds), str(free_port())]
    return subprocess.Popen(arguments, cwd=folder, env=os.environ | {"PYTHONPATH": os.getcwd()})


def wait_for(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.05)


def test_sums_are_shared_and_the_first_decides(tmp_path):
    assert start(tmp_path, 0).wait(timeout=300) == 0
    for rank in "01":
        assert (tmp_path / rank).read_text().endswith(" [[3.0, 3.0], [2.0, 2.0, 2.0]] 0.0")


@pytest.mark.skipif(os.name == "nt", reason="signals differ on Windows")
def test_no_process_outlives_the_launcher(tmp_path):
    launcher = start(tmp_path, 600)
    wait_for(lambda: all((tmp_path / rank).exists() for rank in "01"), 300)
    workers = [int((tmp_path / rank).read_text().split()[0]) for rank in "01"]
    launcher.send_signal(signal.SIGTERM)
    launcher.wait(timeout=60)
    wait_for(lambda: not any(psutil.pid_exists(pid) for pid in workers))
