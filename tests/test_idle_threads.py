"""How long PyTorch's idle threads spin: a little, on any system, unless the environment says otherwise."""

import os
import subprocess
import sys

import pytest

from deepforcing.idle_threads import short_waits

SAID = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


@pytest.fixture(autouse=True)
def unsaid(monkeypatch):
    for name in SAID:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("platform", "expected"),
    [
        ("linux", {"OMP_WAIT_POLICY": "ACTIVE", "GOMP_SPINCOUNT": "10000", "KMP_BLOCKTIME": "1"}),
        ("darwin", {"KMP_BLOCKTIME": "1"}),
    ],
)
def test_idle_threads_wait_for_a_moment(platform, expected, monkeypatch):
    monkeypatch.setattr(sys, "platform", platform)
    assert short_waits() == expected


@pytest.mark.parametrize("name", SAID)
def test_what_the_environment_says_stays(name, monkeypatch):
    monkeypatch.setenv(name, "PASSIVE")
    assert short_waits() == {}


def test_a_command_says_it_before_torch_comes():
    script = (
        "import os, sys\n"
        "from deepforcing.__main__ import main\n"
        "try: main(['replay', '--help'])\n"
        "except SystemExit: pass\n"
        f"print('torch' in sys.modules, *sorted(set(os.environ) & set({SAID})))"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True, env={**os.environ}
    )
    assert said.stdout.splitlines()[-1].split() == ["False", *sorted(short_waits())]
