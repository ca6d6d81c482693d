"""A new scene empties the cache of a run on purpose; and the number of denoising steps changes while it goes on."""

import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import small_pipeline
from test_going_on import made, same, small
from test_loading import folder  # noqa: F401  (a fixture)
from test_run_settings import SMALL, video
from test_trace import with_index

from deepforcing import (
    Chunk,
    Past,
    SettingsChanged,
    SettingsError,
    TraceError,
    TraceWriter,
    VideoStream,
    VideoWriter,
    generate_long_video,
    read_trace,
    settings_of,
)
from deepforcing.__main__ import main
from deepforcing.config import Sampling
from deepforcing.models.schedule import steps_of
from deepforcing.pipeline import denoise, denoise_chunk, long_video, started_event
from deepforcing.policies import POLICIES, DeepForcing, SlidingWindow
from deepforcing.run_settings import RunSettings

pytestmark = pytest.mark.timeout(120)  # a stop that does not stop fails
SCENE = {"policy": small("h2o"), "anew": True}


def test_what_chance_says_in_a_scene_is_of_the_runs_seed():
    chance = replace(SMALL, score="random")
    chunks = video(changes={2: {"policy": chance, "anew": True}}, chunks=8)[0]
    for chunk, latents in zip(chunks[2:], by_hand(chance, before=2 * 5, chunks=6), strict=True):
        assert np.array_equal(chunk.latents, latents)


def by_hand(policy, before, chunks, steps=4):
    """Latents of a scene: its cache is new, its noise what comes after that of the chunks before it."""
    pipeline, generator = small_pipeline(), torch.Generator().manual_seed(7)
    for _ in range(before):
        torch.randn(1, 4, 3, 4, 6, generator=generator)
    cache, prompt = pipeline.denoiser.new_cache(policy, pipeline.geometry, 7), pipeline.encode("a")
    for _ in range(chunks):
        x = denoise_chunk(pipeline, cache, prompt, generator, pipeline.denoiser.steps[-steps:])
        pipeline.denoiser.remember(x, cache, prompt)
        yield x[0].transpose(0, 1).numpy()


@pytest.mark.parametrize("name", POLICIES)
def test_a_new_scene_is_made_as_if_nothing_had_been_before(name):
    policy = small(name)
    chunks, events, refused = video(changes={2: {"policy": policy, "anew": True}}, chunks=7)
    assert not refused and same(chunks[:2], video(chunks=2)[0])
    for chunk, latents in zip(chunks[2:], by_hand(policy, before=2 * 5, chunks=5), strict=True):
        assert np.array_equal(chunk.latents, latents)
    assert [type(event) for event in events].index(SettingsChanged) == 2


def test_events_count_in_frames_of_the_video():
    oldest = replace(SMALL, score="oldest")  # which tokens stay is the same whatever the noise
    chunks, _, _ = video(oldest, {6: {"anew": True}}, chunks=12, probe=True)
    assert [chunk.latent_frames for chunk in chunks] == [(3 * i, 3 * i + 3) for i in range(12)]
    assert [chunk.cache.origin for chunk in chunks] == [0] * 6 + [18] * 6
    assert not len(chunks[6].cache.frames) and list(chunks[6].attention.frames) == [18, 19, 20]
    for was, now in zip(chunks[:6], chunks[6:], strict=True):  # of the same policy, and as old a scene
        assert np.array_equal(was.cache.frames + 18, now.cache.frames)
        assert was.cache.roles == now.cache.roles
        assert np.array_equal(was.attention.frames + 18, now.attention.frames)
        assert was.attention.roles == now.attention.roles
        assert bool(was.compression) == bool(now.compression)
        if now.compression:
            assert np.array_equal(was.compression.frames + 18, now.compression.frames)
    assert list(chunks[-1].cache.frames[:3]) == [18, 19, 20] and chunks[-1].cache.roles[:3] == ("sink",) * 3
    assert chunks[-1].compression or chunks[-2].compression


def test_what_is_told_of_a_new_scene():
    _, events, refused = video(changes={2: {"anew": True}, 3: SCENE | {"switch": "reencode"}}, chunks=4)
    first, second = (event for event in events if isinstance(event, SettingsChanged))
    assert not refused, "a new scene has what re-encoding needs"
    assert first == SettingsChanged(2, {"scene": 0}, {"scene": 1}) and first.words == "new scene"
    now = SCENE["policy"]
    both = {name: value for name, value in settings_of(SMALL).items() if name in settings_of(now)}
    assert second.after == {"scene": 2, "policy": "h2o", **settings_of(now), "switch": "reencode"}
    assert second.before == {"scene": 1, "policy": "deep-forcing", **both, "switch": "keep"}
    assert second.words.startswith("new scene, policy deep-forcing → h2o, ")
    assert f"sink {SMALL.sink} →" not in second.words or now.sink != SMALL.sink
    kind = SettingsChanged(0, {"policy": "a", "window": 9}, {"policy": "b", "window": 9, "memory": 2})
    assert kind.words == "policy a → b, memory 2"


def test_what_is_empty_already_is_no_scene():
    _, events, _ = video(changes={0: {"anew": True}, 3: {"anew": True}}, chunks=4)
    assert [event.chunk for event in events if isinstance(event, SettingsChanged)] == [3]
    _, events, _ = video(changes={0: SCENE}, chunks=2)
    assert "scene" not in events[0].after and events[0].after["policy"] == "h2o"


def test_another_policy_without_a_new_scene_is_for_the_next_run_and_one_that_cannot_be_is_refused():
    _, events, refused = video(changes={2: {"policy": SCENE["policy"]}}, chunks=4)
    assert "for the next run" in refused[2] and all(isinstance(event, Chunk) for event in events)
    wrong = {"policy": replace(SMALL, recent=2), "anew": True, "switch": "sink"}
    chunks, events, refused = video(changes={2: wrong}, chunks=4)
    assert "shorter than the chunk" in refused[2] and same(chunks, video(chunks=4)[0])
    assert all(isinstance(event, Chunk) for event in events)


def test_the_old_cache_is_dropped():
    settings, old = RunSettings(SMALL), []

    def prompt_for(index):
        if index == 3:
            old.append(weakref.ref(settings.cache))
            settings.change(anew=True)
        return "a"

    stream = denoise(small_pipeline(), prompt_for, settings, 7)
    for _ in range(5):  # four chunks, and a change
        next(stream)
    assert old[0]() is None
    stream.close()


CHANGES = {
    2: {"steps": 2},
    4: SCENE,
    6: {"steps": 3, "probe": True},
    7: {"policy": DeepForcing(window=9, sink=3, budget=8, recent=4, score="random"), "anew": True, "switch": "sink"},
}


def recorded(events, place, steps=None):
    """A trace of events that a small pipeline told."""
    pipeline = small_pipeline()
    with VideoWriter(place / "run.mp4", pipeline.shape) as movie, TraceWriter(place / "run.trace") as trace:
        trace.write(started_event(pipeline, "a", SMALL, 7, steps=steps))
        for event in events:
            trace.write(event)
            if isinstance(event, Chunk):
                movie.write(event.frames)
        movie.close()
        return trace.finish(place / "run.mp4")


@pytest.mark.parametrize("begun", [3, 5, 9])
def test_a_trace_of_scenes_and_steps_goes_on_bit_for_bit(begun, tmp_path):
    whole, events, refused = video(changes=CHANGES, chunks=11)
    assert not refused
    cut = events.index(whole[begun])
    read = list(read_trace(recorded(events[:cut], tmp_path)))[1:-1]
    assert [event for event in read if isinstance(event, SettingsChanged)] == [
        event for event in events[:cut] if isinstance(event, SettingsChanged)
    ]
    origins = [event.cache.origin for event in read if isinstance(event, Chunk)]
    assert origins == [chunk.cache.origin for chunk in whole[:begun]]
    later = {at: change for at, change in CHANGES.items() if at >= begun}
    settings = RunSettings(SMALL)

    def prompt_for(index):
        settings.change(**later.get(index, {}))
        return "a"

    past = Past.of(read)
    again = list(long_video(small_pipeline(), prompt_for, settings, 9 + 12 * 10, 7, False, False, past))
    chunks = [event for event in again if isinstance(event, Chunk)]
    assert same(chunks, whole) and [chunk.cache.origin for chunk in chunks] == [0] * 4 + [12] * 3 + [21] * 4
    assert [event for event in again if isinstance(event, SettingsChanged)] == [
        event for event in events if isinstance(event, SettingsChanged)
    ]


@pytest.mark.parametrize("changes", [{0: SCENE}, {2: {"anew": True}}])
def test_another_policy_from_the_start_and_a_scene_of_the_same_one_are_made_again(changes):
    whole, events, _ = video(changes=changes, chunks=8)
    past = Past.of(events[:7])
    again = list(long_video(small_pipeline(), lambda index: "a", RunSettings(SMALL), 93, 7, False, False, past))
    assert same([event for event in again if isinstance(event, Chunk)], whole)


def test_only_some_changes_of_a_past_may_be_kept():
    past = Past.of(video(changes=CHANGES, chunks=8)[1])
    assert [change.after for change in past.keeping("scene").changes] == [{"scene": 1}, {"scene": 2}]
    kept = past.without("steps").changes
    assert [change.chunk for change in kept] == [4, 6, 7] and kept[1].after == {"probe": True}
    assert kept[0] == past.changes[1] and kept[1].before == {"probe": False}


def test_steps_are_thinned_evenly_with_the_first_and_the_last():
    full = steps_of(Sampling())
    for count, kept in ((1, (0,)), (2, (0, 3)), (3, (0, 2, 3)), (4, (0, 1, 2, 3))):
        steps = steps_of(Sampling().thinned(count))
        assert [(step.timestep, step.sigma) for step in steps] == [(full[i].timestep, full[i].sigma) for i in kept]
        assert steps[-1].next_sigma == 0 and [step.number for step in steps] == list(range(count))
    seven = Sampling(steps=(1000, 900, 800, 700, 600, 500, 400))
    assert seven.thinned(4).steps == (1000, 800, 600, 400)


WRONG = (0, 5, -1, 2.0, True, "two")


@pytest.mark.parametrize("steps", WRONG)
def test_steps_that_cannot_be_are_refused_in_words(steps, capsys):
    words = "steps must be a whole number from 1 to 4"
    assert words in video(changes={2: {"steps": steps}}, chunks=3)[2][2]
    with pytest.raises(SettingsError, match=words):
        generate_long_video(small_pipeline(), "a", steps=steps, num_frames=9)
    with pytest.raises(SettingsError, match=words):
        VideoStream(small_pipeline(), "a", steps=steps)


def test_fewer_steps_hold_from_their_chunk_on():
    changed, events, _ = video(changes={0: {"steps": 2}, 3: {"steps": 4}}, chunks=5, probe=True)
    assert [event.words for event in events if isinstance(event, SettingsChanged)] == ["steps 4 → 2", "steps 2 → 4"]
    assert all(chunk.attention is not None for chunk in changed), "the probe looks at the last step there is"
    frames = 9 + 12 * 2
    fewer = list(generate_long_video(small_pipeline(), "a", policy=SMALL, seed=7, num_frames=frames, steps=2))
    assert same(changed[:3], fewer) and not same(fewer, video(chunks=3)[0])
    first = next(by_hand(SMALL, before=3 * 3, chunks=1))
    alone = video(changes={0: {"steps": 2}, 3: {"steps": 4, "anew": True}}, chunks=4)[0]
    assert np.array_equal(alone[3].latents, first), "two steps draw three times"


def test_a_stream_says_its_steps_and_takes_a_new_scene():
    with VideoStream(small_pipeline(), "a", policy=SMALL, max_queued=0, steps=3) as stream:
        started, _ = stream.get(), stream.get()
        assert stream.change(policy=SlidingWindow(window=9), anew=True, steps=1) == (1, 9 / 16)
        changed, chunk = stream.get(), stream.get()
    assert started.steps == 3 and changed.before["steps"] == 3 and changed.after["steps"] == 1
    assert changed.after["policy"] == "self-forcing" and chunk.cache.origin == 3


@pytest.fixture(scope="module")
def two_scenes(tmp_path_factory):
    _, events, _ = video(changes={2: SCENE}, chunks=4)
    return recorded(events, tmp_path_factory.mktemp("scenes"), steps=3), events


def test_a_trace_keeps_steps_and_scenes_and_the_ones_before_had_neither(two_scenes, tmp_path):
    assert read_trace(two_scenes[0]).started.steps == 3

    def older(index):
        del index["started"]["steps"]
        index["changes"] = []
        for chunk in index["chunks"]:
            del chunk["origin"]

    read = read_trace(with_index(two_scenes, tmp_path, older))
    assert read.started.steps == 0 and {facts.origin for facts in read.index.chunks} == {0}


def test_a_policy_that_is_not_here_can_be_read_of_but_not_gone_on_with(two_scenes, tmp_path):
    def named(index):
        index["changes"][0]["after"]["policy"] = "another's"

    path = with_index(two_scenes, tmp_path, named)
    events = list(read_trace(path))
    assert next(event for event in events if isinstance(event, SettingsChanged)).after["policy"] == "another's"
    with pytest.raises(SettingsError, match="unknown policy"):
        made(small_pipeline(), SMALL, 5, past=Past.of(events[1:-1]))


def spoilt_origin(index):
    index["chunks"][2]["origin"] = 7


def spoilt_steps(index):
    index["started"]["steps"] = 1001


def spoilt_settings(index):
    del index["changes"][0]["before"]["policy"]


def spoilt_before(index):
    index["changes"][0]["before"]["other"] = 1


@pytest.mark.parametrize("spoil", [spoilt_origin, spoilt_steps, spoilt_settings, spoilt_before])
def test_what_a_trace_would_not_say_of_scenes_is_refused(two_scenes, tmp_path, spoil):
    with pytest.raises(TraceError, match=r"origin|steps|after"):
        read_trace(with_index(two_scenes, tmp_path, spoil))


def test_a_command_makes_fewer_steps_and_goes_on_with_them(folder, tmp_path, capsys):  # noqa: F811
    def generate(name, *more):
        video, trace = tmp_path / f"{name}.mp4", tmp_path / f"{name}.trace"
        made = ["generate", "a red balloon", "--model", str(folder), "-o", str(video), "--trace", str(trace)]
        return main([*made, *more]), trace

    assert generate("none", "--steps", "0", "--seconds", "1")[0] == 2
    assert "steps must be a whole number from 1 to 2" in capsys.readouterr().err
    done, whole = generate("whole", "--steps", "1", "--seconds", "2", "--window", "9", "--sink", "3", "--budget", "8")
    begun = generate("begun", "--steps", "1", "--seconds", "1", "--window", "9", "--sink", "3", "--budget", "8")
    on, gone_on = generate("on", "--from", str(begun[1]), "--after", "0.6s", "--seconds", "2")
    assert (done, begun[0], on) == (0, 0, 0)
    was, now = (list(read_trace(path)) for path in (whole, gone_on))
    assert now[0].steps == was[0].steps == 1
    assert all(np.array_equal(a.latents, b.latents) for a, b in zip(was[1:-1], now[1:-1], strict=True))
