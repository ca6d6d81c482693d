"""The server is told to stop while a video is made."""

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import imageio_ffmpeg
import pytest
from conftest import small_pipeline

from deepforcing import DeepForcing, read_trace
from ui.hosting.sessions import STOPPING, Sessions
from ui.runs.run import VideoOrder

pytestmark = pytest.mark.timeout(120)  # a stop that does not stop fails
ROOT = Path(__file__).parents[1]
POLICY = DeepForcing(window=9, sink=3, budget=8, recent=4)
SERVE = """
import signal, threading, time
import gradio as gr
from ui.page.ending import serve_until_told
with gr.Blocks() as blocks:
    gr.HTML("a page")
blocks.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True)
def say():
    while signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:  # the last that is listened to
        time.sleep(0.01)
    print(blocks.local_url, flush=True)
threading.Thread(target=say).start()
serve_until_told(blocks, lambda: print("ended", flush=True))
"""


def test_runs_end_with_their_files_and_their_pages_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    sessions, pages = Sessions(small_pipeline()), {"a": [], "b": []}

    def watch(session, messages):
        for value, last, _ in sessions.packets(session, VideoOrder("a red", 7, POLICY)):
            messages += json.loads(value)["messages"]
            sessions.report(session, last["run"], 10**6, True, last["seq"])

    threads = [threading.Thread(target=watch, args=page, daemon=True) for page in pages.items()]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 60
    while not all(any(m["kind"] == "chunk" for m in page) for page in pages.values()) and time.monotonic() < until:
        time.sleep(0.01)
    folder = sessions.end_all(seconds=20)
    for thread in threads:
        thread.join(60)
    assert [page[-1]["note"] for page in pages.values()] == [STOPPING, STOPPING] and sessions.active == 0
    videos, traces = sorted(folder.glob("*.mp4")), sorted(folder.glob("*.trace"))
    assert len(videos) == len(traces) == 2
    for video, trace in zip(videos, traces, strict=True):
        assert imageio_ffmpeg.count_frames_and_secs(str(video))[0] >= 9 and read_trace(trace).started.seed == 7
    assert Sessions(small_pipeline()).end_all() is None


@pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_an_orderly_end(sign):
    server = subprocess.Popen(
        [sys.executable, "-c", SERVE],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        lines = iter(server.stdout)
        assert any(line.startswith("http://127.0.0.1") for line in lines)
        server.send_signal(sign)
        assert server.wait(60) == 0
        rest = list(lines)
        assert "ended\n" in rest and not any("Traceback" in line for line in rest)
    finally:
        server.kill()
