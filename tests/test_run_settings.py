"""Settings that are changed while a run goes on: what is told, what holds from then on, what has to wait."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from threading import Event
from time import sleep

import numpy as np
import pytest
from conftest import small_pipeline

from deepforcing.config import SettingsError
from deepforcing.events import Chunk, SettingsChanged, StreamEnded
from deepforcing.going_on import NONE, Past
from deepforcing.pipeline import generate_long_video, long_video
from deepforcing.policies import AttentionSink, DeepForcing, DeepSink, SlidingWindow
from deepforcing.policies.h2o import H2O
from deepforcing.policies.rolling_sink import RollingSink
from deepforcing.run_settings import RunSettings
from deepforcing.stream import VideoStream

pytestmark = pytest.mark.timeout(120)  # a stop that does not stop fails
SMALL = DeepForcing(window=9, sink=3, budget=8, recent=4)  # 3 frames a chunk: full after three chunks


def video(policy=SMALL, changes=None, chunks=10, prompt="a", switch="keep", probe=False):
    """A run; `changes`: what is changed before a chunk, by its number; what was refused of it is in words."""
    settings, refused = RunSettings(policy, probe, switch), {}

    def prompt_for(index):
        try:
            settings.change(**(changes or {}).get(index, {}))
        except SettingsError as error:
            refused[index] = str(error)
        return prompt if isinstance(prompt, str) else prompt(index)

    events = list(long_video(small_pipeline(), prompt_for, settings, 9 + 12 * (chunks - 1), 7, False, False, NONE))
    return [event for event in events if isinstance(event, Chunk)], events, refused


def same(one, other):
    return len(one) == len(other) and all(np.array_equal(a.frames, b.frames) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("to", [{"sink": 2}, {"recent": 3}, {"budget": 9, "score": "newest"}, {"phase": "contiguous"}])
def test_a_change_before_anything_was_dropped_is_as_if_it_had_been_so_from_the_start(to):
    changed, events, refused = video(changes={1: {"policy": replace(SMALL, **to)}}, chunks=7)
    assert not refused and same(changed, video(replace(SMALL, **to), chunks=7)[0])
    assert not same(changed, video(chunks=7)[0])
    assert events[1] == SettingsChanged(1, {name: getattr(SMALL, name) for name in to}, to)
    assert events[1].words.startswith(f"{next(iter(to))} ")


def test_what_is_the_same_is_no_change():
    _, events, _ = video(changes={2: {"policy": replace(SMALL), "probe": False, "switch": "keep"}}, chunks=4)
    assert all(isinstance(event, Chunk) for event in events)


def test_the_probe_comes_and_goes_and_changes_no_picture():
    chunks, events, _ = video(changes={2: {"probe": True}, 4: {"probe": False}}, chunks=6)
    assert [chunk.attention is not None for chunk in chunks] == [False, False, True, True, False, False]
    assert same(chunks, video(chunks=6)[0])
    assert [event.words for event in events if isinstance(event, SettingsChanged)] == [
        "probe off → on",
        "probe on → off",
    ]


def test_a_switch_is_that_of_the_prompts_after_it():
    def prompts(index):
        return "a" if index < 5 else "b"

    def turned(**options):
        return video(prompt=prompts, chunks=7, **options)[0]

    kept, cut = turned(), turned(switch="sink")
    assert not same(kept, cut)
    assert same(cut, turned(changes={5: {"switch": "sink"}}))
    assert same(kept, turned(changes={6: {"switch": "sink"}}))
    assert same(kept, turned(switch="reencode", changes={4: {"switch": "keep"}}))
    assert "has not kept: it is for the next run" in video(changes={3: {"switch": "reencode"}}, chunks=4)[2][3]


LARGE = DeepForcing(window=12, sink=3, budget=9, recent=4)
REFUSED = [
    (SMALL, DeepSink(window=9, sink=3), "another policy"),
    (SMALL, replace(SMALL, heads="separate"), "heads keep"),
    (SMALL, replace(SMALL, score="softmax"), "what this run has not kept"),
    (SMALL, replace(SMALL, window=12), "a window of 12 is too large for a cache of 9"),
    (SMALL, replace(SMALL, sink=4, recent=3), "of the first frames only 3 are still whole"),
    (replace(LARGE, budget=12), replace(LARGE, budget=12, recent=8), "keep frames that are gone"),
    (AttentionSink(window=12, sink=6), AttentionSink(window=12, sink=2), "keep frames that are gone"),
    (SMALL, replace(SMALL, recent=2), "shorter than the chunk"),
]


@pytest.mark.parametrize(("was", "now", "words"), REFUSED)
def test_what_the_cache_cannot_do_any_more_is_refused_in_words_and_changes_nothing(was, now, words):
    chunks, events, refused = video(was, {6: {"policy": now, "switch": "sink", "probe": True}}, chunks=8)
    assert same(chunks, video(was, chunks=8)[0]) and all(isinstance(event, Chunk) for event in events)
    assert words in refused[6]
    assert "for the next run" in refused[6] or "shorter" in words


def nothing_comes_back(chunks) -> bool:
    """Each chunk finds only what the one before it found or made."""
    for before, now in pairwise(chunks):
        was = {frame: before.cache.kept[:, i] for i, frame in enumerate(before.cache.frames)}
        for i, frame in enumerate(now.cache.frames):
            if frame < before.latent_frames[0] and (now.cache.kept[:, i] & ~was.get(frame, False)).any():
                return False
    return True


GOES_ON = [
    (SMALL, ({"sink": 0}, {"sink": 1, "recent": 3}, {"max_reuse": 1, "window": 8}, {"unit": "frame", "phase": "none"})),
    (replace(SMALL, phase="contiguous"), ({"sink": 1}, {"budget": 9, "recent": 3})),
    (replace(SMALL, score="softmax"), ({"score": "inverted"},)),
    (replace(SMALL, max_reuse=1, heads="separate"), ({"max_reuse": 0}, {"max_reuse": 0})),
    (LARGE, ({"budget": 11}, {"sink": 0, "recent": 8}, {"recent": 8, "sink": 0})),
    (H2O(window=9, budget=9, recent=5), ({"budget": 7}, {"recent": 4})),
    (AttentionSink(window=9, sink=3), ({"window": 7},)),
    (AttentionSink(window=12, sink=3), ({"window": 9}, {"sink": 2, "window": 9})),
    (RollingSink(window=12, sink=6), ({"window": 10, "sink": 4},)),
]


@pytest.mark.parametrize(("was", "all_of_them"), GOES_ON)
def test_what_is_taken_up_holds_from_then_on_whenever_it_comes(was, all_of_them):
    alone = video(was, chunks=7)[0]
    for number, to in enumerate(all_of_them):
        at, now = 4 + number, replace(was, **to)
        chunks, _, refused = video(was, {at: {"policy": now}}, chunks=9)
        held = chunks[-1].cache
        assert not refused and len(chunks) == 9 and same(chunks[:at], alone[:at])
        assert nothing_comes_back(chunks)
        heads = 2 if now.heads_apart else 1
        assert held.tokens <= 2 * 6 * heads * (now.window - 3)  # layers, tokens a frame
        assert to.get("sink") != 0 or "sink" not in held.roles


def test_a_smaller_budget_lets_no_token_stand_where_the_latest_frames_stand():
    was = replace(SMALL, phase="contiguous", window=15, budget=12)
    fired = [chunk.index for chunk in video(was)[0] if chunk.compression]
    at = fired[1] + 1
    assert at not in fired, "the first chunk with other settings does not choose anew"
    chunks = video(was, {at: {"policy": replace(was, budget=8, window=15)}}, chunks=at + 2)[0]
    assert not chunks[at].compression
    for cache in (chunk.cache for chunk in chunks[at:]):
        time, roles = np.nanmean(cache.time, 0), np.array(cache.roles)
        assert time[roles == "top-C"].max() < time[roles == "recent"].min() and time.max() < 0


def test_a_run_that_is_gone_on_with_changes_again_what_it_had_changed():
    now = replace(SMALL, sink=1, phase="none")
    _, whole, _ = video(changes={3: {"policy": now, "probe": True}, 6: {"switch": "sink"}}, chunks=9)
    past = Past.of(whole[:7])  # six chunks, and a change
    pipeline, frames = small_pipeline(), 9 + 12 * 8
    again = list(generate_long_video(pipeline, "a", policy=SMALL, seed=7, num_frames=frames, past=past))
    assert again[3] == whole[3] and isinstance(whole[3], SettingsChanged)
    kept = [event for event in whole if isinstance(event, Chunk)]
    assert same(kept, [event for event in again if isinstance(event, Chunk)])
    assert len(past.changes) == 1 and not Past.of(whole[:3]).changes


def test_a_stream_is_told_while_it_runs_and_says_from_when_on():
    with VideoStream(small_pipeline(), "a", policy=SMALL, max_queued=0) as stream:
        events = [stream.get(), stream.get(), stream.get()]
        assert stream.change(policy=replace(SMALL, sink=2), switch="sink") == (2, 21 / 16)
        with pytest.raises(SettingsError, match="another policy"):
            stream.change(policy=SlidingWindow())
        stream.pause()
        assert stream.change(probe=False)[0] == 2, "a run that stands still is told as well"
        stream.resume()
        events += [stream.get(), stream.get()]
    told = SettingsChanged(
        2, {"sink": 3, "probe": True, "switch": "keep"}, {"sink": 2, "probe": False, "switch": "sink"}
    )
    assert events[3] == told and events[4].index == 2 and events[4].attention is None
    with pytest.raises(SettingsError, match="this run is over: it is for the next one"):
        stream.change(probe=True)


def test_a_stream_with_overlap_is_told_too():
    with VideoStream(small_pipeline(), "a", policy=SMALL, num_frames=69, overlap=True) as stream:
        stream.get()
        index, _ = stream.change(switch="sink")
        kinds = [type(event).__name__ for event in stream]
    assert kinds[index] == "SettingsChanged" and kinds[-1] == "StreamEnded" and kinds.count("Chunk") == 6


def test_who_waits_for_a_boundary_is_told_when_there_will_be_none():
    pipeline = small_pipeline()
    stream = VideoStream(pipeline, "a", policy=SMALL, num_frames=9)
    with pytest.raises(SettingsError, match="over"):
        stream.change(probe=False)
    with stream:
        list(stream)
        with pytest.raises(SettingsError, match="over"):
            stream.change(probe=False)


def test_who_asks_during_the_last_chunk_is_told_that_there_is_no_other(monkeypatch):
    pipeline, at_work, go_on = small_pipeline(), Event(), Event()
    real = pipeline.denoiser.remember

    def remember(*given):
        at_work.set()
        go_on.wait(60)
        return real(*given)

    monkeypatch.setattr(pipeline.denoiser, "remember", remember)
    with VideoStream(pipeline, "a", policy=SMALL, num_frames=9) as stream, ThreadPoolExecutor(1) as pool:
        assert at_work.wait(60)
        asked = pool.submit(stream.change, switch="sink")
        while not stream._jobs:
            sleep(0.001)
        go_on.set()
        with pytest.raises(SettingsError, match="this run is over"):
            asked.result(60)


def test_a_change_is_no_chunk():
    with VideoStream(small_pipeline(), "a", policy=SMALL, num_frames=33, max_queued=0) as stream:
        stream.get(), stream.get(), stream.change(switch="sink")
        assert list(stream)[-1] == StreamEnded("finished", 3)
