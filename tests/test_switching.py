"""What becomes of the cache at a new prompt: the same tokens, or fewer, and what their keys and values carry."""

import functools
from copy import copy

import numpy as np
import pytest
import torch
from conftest import CHANNELS, small_pipeline

from deepforcing.attention import Prompt
from deepforcing.config import SettingsError
from deepforcing.pipeline import generate_long_video
from deepforcing.policies import POLICIES, DeepForcing, DeepSink, SlidingWindow, make_policy
from deepforcing.stream import VideoStream
from deepforcing.switching import SWITCHES, Reencode, new_switch
from deepforcing.timeline import Timeline

TURN_CHUNK, TURN_FRAME = 9, 12 * 9 - 3  # by then every policy has dropped tokens
TURN = Timeline(((0, "a b"), (TURN_FRAME / 16, "c d e")))


@functools.cache
def run(switch, policy=None, prompt=TURN, frames=TURN_FRAME + 36):
    return list(generate_long_video(small_pipeline(), prompt, num_frames=frames, policy=policy, switch=switch))


def video(chunks):
    return np.concatenate([chunk.frames for chunk in chunks])


def history(policy, chunks, switch="reencode"):
    """A cache after so many chunks of a video with the prompt 'a', with its switch told of each."""
    pipeline = small_pipeline()
    denoiser = pipeline.denoiser
    cache = denoiser.new_cache(policy, pipeline.geometry)
    at_switch, prompt = new_switch(switch, denoiser, cache), pipeline.encode("a")
    clean = torch.randn(chunks, 1, CHANNELS, 3, *pipeline.latent_shape[1:], generator=torch.Generator().manual_seed(3))
    for x in clean:
        denoiser.flow(x * 0.7, 1000.0, cache, prompt)
        denoiser.remember(x, cache, prompt)
        at_switch.made(x)
    return pipeline, cache, at_switch, clean


def held(cache):
    return [
        (layer.positions.clone(), layer.reused.clone(), copy(layer.received), layer.fired_at)
        for layer in cache.layers.values()
    ]


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("switch", SWITCHES)
def test_a_switch_changes_nothing_before_the_prompt_does(name, switch):
    policy = make_policy(name)
    kept, other = run("keep", policy), run(switch, policy)
    before = video(kept)[:TURN_FRAME]
    assert np.array_equal(before, video(other)[:TURN_FRAME])
    assert np.array_equal(video(kept), video(other)) == (switch == "keep")
    assert np.array_equal(video(run(switch, policy, "a b", TURN_FRAME)), before)


@pytest.mark.parametrize("policy", [DeepForcing(), DeepForcing(heads="separate"), make_policy("h2o")], ids=str)
def test_reencoding_leaves_the_choice_of_tokens_as_it_was(policy):
    pipeline, cache, at_switch, _ = history(policy, 14)
    before = held(cache)
    at_switch.turn(pipeline.encode("c d e"))
    for (positions, reused, received, fired_at), layer in zip(before, cache.layers.values(), strict=True):
        assert torch.equal(layer.positions, positions) and torch.equal(layer.reused, reused)
        assert layer.fired_at == fired_at and reused.any()
        assert received is layer.received is None or torch.equal(layer.received, received)


@pytest.mark.parametrize("policy", [DeepForcing(), DeepForcing(heads="separate")], ids=str)
def test_reencoding_makes_every_token_from_its_own_latents(policy):
    """The first layer's keys come before any look at the prompt: they tell which latents a token was made from."""
    pipeline, cache, at_switch, _ = history(policy, 14)
    first, second = (layer.keys.clone() for layer in cache.layers.values())
    at_switch.turn(pipeline.encode("c d e"))
    torch.testing.assert_close(cache.layers[0].keys, first)
    assert ((cache.layers[1].keys - second).abs().amax((2, 3)) > 1e-4).all(), "a token still has its old key"


def test_reencoding_with_the_same_prompt_gives_what_was_there_while_nothing_has_been_dropped():
    pipeline, cache, at_switch, _ = history(DeepForcing(), 6)
    keys = [(layer.keys.clone(), layer.values.clone()) for layer in cache.layers.values()]
    at_switch.turn(pipeline.encode("a"))
    for (old_keys, old_values), layer in zip(keys, cache.layers.values(), strict=True):
        torch.testing.assert_close(layer.keys, old_keys)
        torch.testing.assert_close(layer.values, old_values)


def test_reencoding_leaves_no_trace_of_the_old_prompt():
    """The cache is as if the window had been passed with the new prompt from the first."""
    pipeline, cache, at_switch, clean = history(SlidingWindow(), 12)
    new = pipeline.encode("c d e")
    at_switch.turn(new)
    by_hand = pipeline.denoiser.new_cache(SlidingWindow(), pipeline.geometry)
    by_hand.next_frame = 3 * (12 - 7)
    for x in clean[-7:]:
        pipeline.denoiser.remember(x, by_hand, new)
    for ours, theirs in zip(cache.layers.values(), by_hand.layers.values(), strict=True):
        torch.testing.assert_close(ours.keys, theirs.keys)
        torch.testing.assert_close(ours.values, theirs.values)
        torch.testing.assert_close(ours.past.sums(15, 36), theirs.past.sums(15, 36))


@pytest.mark.parametrize("switch", ["reencode", "sink"])
def test_a_batch_with_unequal_rows_turns_as_its_videos_one_by_one(switch):
    policy = DeepForcing(window=16, sink=4, budget=16, recent=4, max_reuse=2)
    old, new = ["a", "b", "c d e f"], ["x", "y z", "x y z"]
    clean = torch.randn(10, 3, CHANNELS, 3, 4, 6, generator=torch.Generator().manual_seed(5))

    def flow(rows):
        """The flow of the first chunk with the new prompts."""
        pipeline = small_pipeline()
        denoiser, cache = pipeline.denoiser, pipeline.denoiser.new_cache(policy, pipeline.geometry)
        at_switch, prompt = new_switch(switch, denoiser, cache), Prompt("", pipeline.text.encode(old[rows]))
        for x in clean[:-1, rows]:
            denoiser.flow(x * 0.7, 1000.0, cache, prompt)
            denoiser.remember(x, cache, prompt)
            at_switch.made(x)
        padded = any(layer.valid is not None for layer in cache.layers.values())
        prompt = Prompt("", pipeline.text.encode(new[rows]))
        at_switch.turn(prompt)
        return denoiser.flow(clean[-1, rows], 1000.0, cache, prompt), padded

    together, padded = flow(slice(0, 3))
    assert padded, "the rows came out equal: nothing was tested"
    for row in range(3):
        torch.testing.assert_close(together[row : row + 1], flow(slice(row, row + 1))[0], atol=1e-5, rtol=1e-5)


def test_the_run_goes_on_after_reencoding_as_the_policy_wants():
    chunks = run("reencode", frames=TURN_FRAME + 120)
    fired = [chunk.index for chunk in chunks if chunk.compression]
    assert fired == list(range(7, chunks[-1].index + 1, 2))
    assert all(chunk.cache.tokens == 2 * 6 * (13 if chunk.compression else 16) for chunk in chunks[7:])


def test_only_latents_that_are_needed_are_kept():
    _, cache, at_switch, _ = history(DeepForcing(max_reuse=2), 40)
    assert isinstance(at_switch, Reencode)
    frames = torch.cat([layer.positions[0, :, 0] for layer in cache.layers.values()]).unique()
    assert {made.first for made in at_switch._past} == set((frames // 3 * 3).tolist())
    assert len(at_switch._past) < 14


@pytest.mark.parametrize(("policy", "sinks"), [(DeepForcing(), 10), (DeepSink(sink=4), 4), (SlidingWindow(), 0)])
def test_a_cut_leaves_the_sink_and_nothing_else(policy, sinks):
    chunks = run("sink", policy)
    first, second = chunks[TURN_CHUNK].cache, chunks[TURN_CHUNK + 1].cache
    assert first.frames.tolist() == list(range(sinks)) and set(first.roles) <= {"sink"}
    assert first.kept.all() and first.tokens == 2 * 6 * sinks
    assert second.frames.tolist() == [*range(sinks), *range(3 * TURN_CHUNK, 3 * TURN_CHUNK + 3)]


def test_a_cut_moves_the_sink_along():
    def time(phase):
        return run("sink", DeepForcing(phase=phase))[TURN_CHUNK].cache.time[0].tolist()

    assert time("released") == [frame - 16 for frame in range(10)]
    assert time("contiguous") == [frame - 13 for frame in range(10)]


def test_a_cut_before_anything_but_the_sink_was_made_drops_nothing():
    early = Timeline(((0, "a b"), (21 / 16, "c d e")))
    kept, cut = run("keep", prompt=early, frames=69), run("sink", prompt=early, frames=69)
    assert np.array_equal(video(kept), video(cut))


def test_streams_take_a_switch_and_tell_it():
    with VideoStream(small_pipeline(), TURN, switch="sink", num_frames=9) as stream:
        assert stream.get(60).switch == "sink"


def test_an_unknown_switch_is_refused_at_once():
    with pytest.raises(SettingsError, match="switch must be one of keep, reencode, sink, not 'blend'"):
        generate_long_video(small_pipeline(), "a", switch="blend")
