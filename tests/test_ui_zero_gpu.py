"""Runs in another process, as on a Space with ZeroGPU."""

import importlib.machinery
import json
import multiprocessing
import pickle
import sys
import threading
import time
import types
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from unittest.mock import Mock, call

import gradio as gr
import imageio_ffmpeg
import numpy as np
import pytest
import torch
from conftest import soon

from deepforcing import (
    Chunk,
    DeepForcing,
    Past,
    PromptError,
    SettingsChanged,
    SettingsError,
    SlidingWindow,
    Timeline,
    generate_long_video,
    read_trace,
    settings_of,
)
from ui.hosting import lent
from ui.hosting import zero_gpu as lending
from ui.hosting.lent import GOES_ON, GONE, TIME_IS_UP, Gone, LentRun
from ui.hosting.sessions import Sessions
from ui.hosting.wishes import Wishes, WishFile
from ui.hosting.zero_gpu import MOST_SECONDS, lent_seconds, on_zero_gpu, run_maker
from ui.runs.run import Run, VideoOrder

pytestmark = pytest.mark.timeout(120)  # a stop that does not stop fails
POLICY = DeepForcing(window=9, sink=3, budget=8, recent=4)
FORK = multiprocessing.get_context("fork")
WAIT = 30  # seconds, far more than any of this takes


def order(prompt="a red balloon", frames=None) -> VideoOrder:
    return VideoOrder(prompt, 7, POLICY, frames)


class Worker:
    """What the real package does with a generator: runs it in a forked process, and pickles what goes in and out."""

    def __init__(self, task, duration):
        self.task, self.duration, self.seconds = task, duration, []

    def __call__(self, *args):
        self.seconds.append(self.duration(*args))
        mine, theirs = FORK.Pipe()
        process = FORK.Process(target=self._work, args=(pickle.dumps(args), theirs), daemon=True)
        process.start()
        theirs.close()
        try:
            while (kind_and_value := pickle.loads(mine.recv_bytes()))[0] == "item":
                yield kind_and_value[1]
            if kind_and_value[0] == "error":
                raise gr.Error(kind_and_value[1])
        finally:
            process.join(WAIT)
            assert not process.is_alive(), "the worker did not end"

    def _work(self, pickled, pipe):
        torch.set_num_threads(1)  # a forked process has none of its parent's threads
        try:
            for item in self.task(*pickle.loads(pickled)):
                pipe.send_bytes(pickle.dumps(("item", item)))
            pipe.send_bytes(pickle.dumps(("end", None)))
        except Exception as error:
            pipe.send_bytes(pickle.dumps(("error", str(error))))


@pytest.fixture
def zero_gpu(monkeypatch):
    """A Space with ZeroGPU; the list of functions that were decorated."""
    module, decorated = types.ModuleType("spaces"), []

    def gpu(duration):
        return lambda task: decorated.append(Worker(task, duration)) or decorated[-1]

    module.GPU = gpu
    module.__spec__ = importlib.machinery.ModuleSpec("spaces", None)
    monkeypatch.setitem(sys.modules, "spaces", module)
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    return decorated


def write_many(path, count):
    mailbox = WishFile(path)
    for beat in range(1, count + 1):
        mailbox.write(Wishes(prompts=("x" * 2000,) * (beat % 7), beats=beat))


def test_a_mailbox_is_read_whole_while_another_process_writes(tmp_path):
    path = tmp_path / "wishes.json"
    WishFile(path).write(Wishes())
    process = FORK.Process(target=write_many, args=(path, 300))
    process.start()
    seen, deadline = [0], time.monotonic() + WAIT
    while seen[-1] < 300 and time.monotonic() < deadline:
        wishes = WishFile(path).read()
        assert len(wishes.prompts) == wishes.beats % 7 and all(len(prompt) == 2000 for prompt in wishes.prompts)
        seen.append(wishes.beats)
    process.join(WAIT)
    assert seen == sorted(seen) and seen[-1] == 300


def test_a_mailbox_without_a_folder_means_that_nobody_wants_anything(tmp_path):
    mailbox = WishFile(tmp_path / "gone" / "wishes.json")
    mailbox.write(Wishes(paused=True))
    assert mailbox.read() is None


def test_each_wish_reaches_the_run_once(tmp_path):
    run, mailbox = Mock(), WishFile(tmp_path / "wishes.json")
    follow = lent.Follower(run, mailbox)
    settings = {"name": POLICY.name, "values": settings_of(POLICY), "switch": "cut", "steps": 2, "scenes": 1}
    wishes = Wishes(("a", "b"), paused=True, frame=3.0, playing=True, beats=1, quality=2, rate=5.0, hurry=True)
    for now in (
        wishes,
        replace(wishes, settings=settings),
        replace(wishes, settings=settings, stopping=True, note="so"),
    ):
        mailbox.write(now)
        follow()
    first = [call.change_prompt("a"), call.change_prompt("b"), call.report(3.0, True), call.hurry(), call.adapt(2, 5.0)]
    assert run.mock_calls == [
        *first,
        call.pause(True),
        call.change(POLICY, switch="cut", steps=2, anew=True),
        call.stop("so"),
    ]


def test_runs_stay_here_unless_it_is_zero_gpu(pipeline, monkeypatch, tmp_path, zero_gpu):
    assert on_zero_gpu() and isinstance(run_maker(pipeline)(order(), tmp_path, "r"), LentRun)
    monkeypatch.setenv("SPACES_ZERO_GPU", "false")
    assert not on_zero_gpu() and isinstance(run_maker(pipeline)(order(), tmp_path, "r"), Run)
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not on_zero_gpu()


def test_gpu_time_follows_the_length_asked_for():
    assert lent_seconds(order(), 16) == MOST_SECONDS and lent_seconds(order(frames=16 * 3600), 16) == MOST_SECONDS
    assert 10 < lent_seconds(order(frames=160), 16) < 60
    rest, again = order(frames=80), replace(order(frames=160), begun=5.0)
    assert lent_seconds(again, 16) == lent_seconds(rest, 16) + 3, "what is made again takes two of five passes"


def test_a_run_in_a_worker_hears_prompts_and_leaves_a_file(pipeline, zero_gpu, tmp_path):
    sessions, messages, kept, trace = Sessions(pipeline), [], tmp_path / "copy.mp4", tmp_path / "copy.trace"
    for message, files in sessions.play("a", order(frames=57)):
        messages.append(json.loads(json.dumps(message)))
        run = sessions.get("a")
        if message["kind"] == "chunk":
            if message["index"] == 0:
                run.change_prompt("a blue boat")
                with pytest.raises(PromptError):
                    run.change_prompt("  ")
            run.report(10**6, True)
        if files.video is not None:
            kept.write_bytes(files.video.read_bytes())
            trace.write_bytes(files.trace.read_bytes())
    assert messages[0]["kind"] == "started" and messages[-1]["reason"] == "finished"
    prompts = [m["prompt"] for m in messages if m["kind"] == "chunk"]
    assert prompts[0] == "a red balloon" and prompts[-1] == "a blue boat" and prompts == sorted(prompts, reverse=True)
    assert [m["prompt"] for m in messages if m["kind"] == "prompt"] == ["a blue boat"]
    assert imageio_ffmpeg.count_frames_and_secs(str(kept))[0] == 57
    assert [text for _, text in read_trace(trace).prompts] == ["a red balloon", "a blue boat"]
    assert zero_gpu[0].seconds == [lent_seconds(order(frames=57), 16)]
    assert soon(lambda: sessions.active == 0)


def test_pause_and_stop_reach_the_worker(pipeline, zero_gpu):
    sessions, held, went_on, ended = Sessions(pipeline), [], threading.Event(), {}

    def go_on(run):
        soon(lambda: sessions.get("a") is None or time.monotonic() - held[-1] > 1)  # it stands
        went_on.set()
        run.pause(False)

    for message, _ in sessions.play("a", order()):
        run, ended = sessions.get("a"), message
        if message["kind"] != "chunk":
            continue
        run.report(10**6, True)
        held.append(time.monotonic())
        if message["index"] == 1:
            run.pause(True)
            threading.Thread(target=go_on, args=[run]).start()
        elif went_on.is_set() or len(held) > 200:
            sessions.close("a")
    assert ended["kind"] == "ended" and ended["reason"] == "stopped"
    assert max(after - before for before, after in pairwise(held)) > 0.7, "it never paused"


def test_a_viewer_who_leaves_ends_the_worker(pipeline, zero_gpu):
    play = Sessions(pipeline).play("a", order())
    assert next(play)[0]["kind"] == "started"
    play.close()
    assert soon(lambda: not multiprocessing.active_children())


def test_a_run_that_goes_on_is_told_from_its_beginning(pipeline, zero_gpu):
    whole = list(generate_long_video(pipeline, "a red balloon", num_frames=57, policy=POLICY, seed=7))
    begun = replace(order(frames=57), past=Past.of(whole[:2]), begun=pipeline.starts(2))
    told = [message for message, _ in Sessions(pipeline).play("a", begun, hurry=True)]
    chunks = [message for message in told if message["kind"] == "chunk"]
    assert told[0]["kind"] == "started" and told[0]["begun"] == pipeline.starts(2)
    assert [message["first"] for message in chunks] == [chunk.first_frame for chunk in whole]
    assert [message["again"] for message in chunks] == [True, True] + [False] * (len(whole) - 2)


def short_lived(pipeline, end, orders):
    """Other sides that make four chunks each, and then end: by the clock, or without a word."""

    def lend(order, folder, name):
        orders.append(order)
        run, made = order.run(pipeline, Path(folder), name), 0
        run.carries = True
        run.hurry()
        for message in run.messages(lent.Follower(run, WishFile(Path(folder) / "wishes.json"))):
            new = message["kind"] == "chunk" and not message["again"]
            yield message, run.files
            made += new
            if made == 4 and new:
                if end is Gone:
                    raise Gone
                run.stop(end)

    return lend


@pytest.mark.parametrize("end", [TIME_IS_UP, Gone])
def test_a_video_goes_on_in_another_worker_as_if_it_were_one(pipeline, tmp_path, end):
    frames, orders, messages = 9 + 12 * 10, [], []
    lend = short_lived(pipeline, end, orders)
    run = LentRun(pipeline, lend, WishFile(tmp_path / "wishes.json"), order(frames=frames), tmp_path, "r")
    for message in run.messages(lambda: False):
        messages.append(message)
        if message.get("index") == 2:
            run.change_prompt("a blue boat")
    assert messages[-1]["reason"] == "finished"
    told = GOES_ON[TIME_IS_UP if end is TIME_IS_UP else GONE]
    assert [m["text"] for m in messages if m["kind"] == "notice"] == [told] * (len(orders) - 1) and len(orders) > 1
    chunks = [m for m in messages if m["kind"] == "chunk"]
    assert [m["index"] for m in chunks] == list(range(11)) and sum(len(m["frames"]) for m in chunks) == frames
    assert sum(m["kind"] == "started" for m in messages) == 1
    assert not any("made" in m for m in messages)
    assert [o.begun for o in orders] == sorted({o.begun for o in orders})
    recorded = list(read_trace(run.files.trace))[1:-1]
    heard = [chunk.prompt for chunk in recorded].index("a blue boat")
    story = Timeline(((0.0, "a red balloon"), (pipeline.starts(heard), "a blue boat")))
    whole = generate_long_video(pipeline, story, num_frames=frames, policy=POLICY, seed=7)
    assert all(np.array_equal(a.latents, b.latents) for a, b in zip(recorded, whole, strict=True))


@pytest.mark.parametrize("asked", [2, 3])  # before the other side's last chunk, and when it has none to make any more
def test_a_new_scene_is_one_in_the_next_worker_too(pipeline, tmp_path, asked):
    orders, messages, other = [], [], SlidingWindow(window=9)
    lend, box = short_lived(pipeline, TIME_IS_UP, orders), WishFile(tmp_path / "wishes.json")
    run = LentRun(pipeline, lend, box, order(frames=9 + 12 * 5), tmp_path, "r")
    with pytest.raises(SettingsError, match="for the next run"):
        run.change(other)
    with pytest.raises(SettingsError, match="steps must be"):
        run.change(steps=5)
    with pytest.raises(SettingsError, match="shorter than the chunk"):
        run.change(replace(POLICY, recent=2), anew=True)
    for message in run.messages(lambda: False):
        messages.append(message)
        if message.get("index") == asked:
            run.change(other, anew=True, steps=4)
    run.change(replace(other, window=8))  # from now on of that policy
    (changed,) = (m for m in messages if m["kind"] == "changed" and m["scene"])
    chunks = [m for m in messages if m["kind"] == "chunk"]
    begins = changed["chunk"]
    assert len(orders) == 2 and [m["origin"] for m in chunks] == [0] * begins + [3 * begins] * (6 - begins)
    read = [event for event in read_trace(run.files.trace) if isinstance(event, Chunk)]
    assert [chunk.cache.origin for chunk in read] == [m["origin"] for m in chunks]
    past = replace(Past.of(read[:-1]), changes=(SettingsChanged(begins, {"scene": 0}, {"scene": 1}),))
    whole = generate_long_video(pipeline, "a red balloon", num_frames=69, policy=other, seed=7, past=past)
    assert np.array_equal(read[-1].latents, list(whole)[-1].latents)


def test_a_video_that_its_viewer_stopped_does_not_go_on(pipeline, tmp_path):
    orders, messages = [], []
    lend = short_lived(pipeline, TIME_IS_UP, orders)
    run = LentRun(pipeline, lend, WishFile(tmp_path / "wishes.json"), order(), tmp_path, "r")
    for message in run.messages(lambda: False):
        messages.append(message)
        if message.get("index") == 3:
            run.stop()  # as the time is up
    assert messages[-1]["reason"] == "stopped" and len(orders) == 1


def test_what_cannot_go_on_ends_before_the_time_is_up(pipeline, zero_gpu, monkeypatch):
    monkeypatch.setattr(lending, "MOST_SECONDS", 10)
    monkeypatch.setattr(lent, "LEAVE_SECONDS", 10)
    last = [message for message, _ in Sessions(pipeline).play("a", order())][-1]
    assert last["reason"] == "stopped" and last["note"] == TIME_IS_UP


def test_somebody_who_waits_gets_a_turn(pipeline, zero_gpu, tmp_path):
    run, last = run_maker(pipeline)(order(), tmp_path, "r"), None
    for message in run.messages(lambda: True):
        last = message
        run.report(0, True)
    assert last["reason"] == "stopped" and "waiting" in last["note"]


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("No GPU is <b>free</b> &amp; well.<br>Later.", "No GPU is free & well. Later."),
        (
            'You have exceeded your GPU quota (60s requested vs. 56s left). <a style="white-space: nowrap" '
            'href="https://huggingface.co/join">Create a free account</a> to get more usage quota.',
            "You have exceeded your GPU quota (60s requested vs. 56s left). Create a free account "
            "(https://huggingface.co/join) to get more usage quota. The allowance is by the day: come back tomorrow, "
            "or ask for a shorter video now.",
        ),
        (
            "Your <i>quota</i> is used up, retry in 0:09:48",
            "Your quota is used up, retry in 0:09:48 Come back in about 10 min.",
        ),
        ("Quota: 23:40:00 left", "Quota: 23:40:00 left Come back in about 24 hours."),
        ("quota: 0:00:05", "quota: 0:00:05 Come back in about 1 min."),
    ],
)
def test_a_gpu_that_cannot_be_had_is_told_in_plain_words(pipeline, zero_gpu, tmp_path, message, told):
    def refused(*_):
        raise gr.Error(message)
        yield

    run = LentRun(pipeline, refused, WishFile(tmp_path / "wishes.json"), order(), tmp_path, "r")
    assert [m["error"] for m in run.messages(lambda: False)] == [told]


def test_orders_that_cannot_work_are_refused_on_this_side(pipeline, zero_gpu, tmp_path):
    with pytest.raises(PromptError, match="empty"):
        run_maker(pipeline)(order(" "), tmp_path, "r")
    with pytest.raises(SettingsError, match="shorter than the chunk"):
        run_maker(pipeline)(VideoOrder("a", 7, DeepForcing(recent=2)), tmp_path, "r")
    assert not zero_gpu[0].seconds, "no GPU time was asked for"
