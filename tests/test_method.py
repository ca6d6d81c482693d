"""The method on plain tensors is what the pipeline does."""

from itertools import islice

import numpy as np
import pytest
import torch
from conftest import small_pipeline
from test_kv_cache import last_flow, videos

import deepforcing.pipeline
from deepforcing import (
    PromptError,
    SettingsError,
    dynamic_temporal_rope,
    generate_long_video,
    participative_compression,
    sliding_window_with_sinks,
)
from deepforcing.policies import DeepForcing, DeepSink
from deepforcing.rope import rotate


def numbers(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("leading", [(), (2,), (3, 2)])
def test_a_window_is_half_sinks_and_half_the_latest(leading):
    cache = numbers(*leading, 300, 8)
    kept = sliding_window_with_sinks(cache)
    assert torch.equal(kept, torch.cat((cache[..., :128, :], cache[..., -128:, :]), -2))
    keys, values = sliding_window_with_sinks((cache, cache[..., :4]), window_size=10, sink_ratio=0.3)
    assert torch.equal(keys, torch.cat((cache[..., :3, :], cache[..., -7:, :]), -2)) and values.shape[-1] == 4


@pytest.mark.parametrize(("n", "first", "latest"), [(6, 6, 0), (10, 10, 0), (11, 5, 5)])
def test_a_short_cache_stays_whole_and_sinks_do_not_come_twice(n, first, latest):
    places = torch.arange(n)[:, None]
    assert sliding_window_with_sinks(places, 10)[:, 0].tolist() == [*range(first), *range(n - latest, n)]


def test_the_window_is_that_of_deep_sink():
    _, cache = last_flow(DeepSink(), videos(1, chunks=12), ["a"])
    frames = cache.layers[0].positions[0, :, 0].unique()
    of_all = torch.arange(33)[:, None]
    assert torch.equal(sliding_window_with_sinks(of_all, 18, sink_ratio=10 / 18)[:, 0], frames)


def test_keys_turn_as_deep_sink_turns_them():
    _, cache = last_flow(DeepSink(), videos(1, chunks=12), ["a"])
    layer, dims = cache.layers[0], cache.dims
    frames = layer.positions[..., 0]
    cos, sin = dynamic_temporal_rope(frames, cache.next_frame, 21, sink=10, channels=dims.time)
    turned = rotate(layer.keys[..., : dims.time], (cos[..., None, :], sin[..., None, :]))
    assert torch.equal(turned, layer.reading.keys[:, : layer.tokens, :, : dims.time])
    assert cos.shape == (1, layer.tokens, dims.time // 2) and (frames < 10).any() and (frames > 20).any()


def test_no_angle_is_beyond_those_of_training():
    now, held = 1000, torch.cat((torch.arange(10), torch.arange(989, 1000)))
    cos, sin = dynamic_temporal_rope(held, now, 21)
    angle = torch.atan2(sin[:, 1:], cos[:, 1:]) / 10000.0 ** (-torch.arange(2, 44, 2) / 44)
    slow = angle[:, 5:]  # that do not come round within 21 frames
    expected = torch.arange(-21.0, 0)[:, None]
    torch.testing.assert_close(slow, expected.expand_as(slow), atol=1e-4, rtol=1e-4)


def test_compression_keeps_what_queries_attend_to_in_temporal_order():
    keys, values, query = numbers(20, 8), numbers(20, 3), numbers(5, 8)
    kept, beside = participative_compression(query, (keys, values), sparsity=0.75, sink=2, recent=2)
    best = (query @ keys.T).sum(0)[2:18].topk(4).indices.sort().values + 2
    index = torch.cat((torch.arange(2), best, torch.arange(18, 20)))
    assert torch.equal(kept, keys[index]) and torch.equal(beside, values[index])
    assert len(participative_compression(query, keys)) == 4


def test_compression_is_that_of_deep_forcing():
    policy = DeepForcing(max_reuse=0, queries="past")
    _, cache = last_flow(policy, videos(1, chunks=7), ["a"])
    layer = cache.layers[0]  # with all of 18 frames, before the chunk that compresses
    view = cache.view(layer, None)
    keys, query = view.keys(slice(None), policy.place(view)), view.queries("past", 4)
    plain = participative_compression(
        query[:, :, None], (keys.transpose(1, 2), layer.keys.transpose(1, 2)), 1 - 2 / 7, sink=60, recent=6
    )[1]
    assert plain.shape[2] == 13 * 6
    chosen = policy.choose(view)
    assert torch.equal(plain.transpose(1, 2)[0], layer.keys[0, chosen.indices[0]])


def test_heads_of_a_video_keep_the_same_and_videos_do_not():
    keys, query = numbers(2, 3, 16, 8), numbers(2, 3, 4, 8)
    kept = participative_compression(query, keys, 0.5)
    for video in range(2):
        scores = torch.einsum("hqd,hnd->n", query[video], keys[video])
        best = scores.topk(8).indices.sort().values
        assert torch.equal(kept[video], keys[video][:, best])
    assert torch.equal(participative_compression(query[0], keys[0], 0.5), kept[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sliding_window_with_sinks(numbers(4, 2), 0), "window_size must be a whole number of at least 1"),
        (lambda: sliding_window_with_sinks(numbers(4, 2), sink_ratio=2), "sink_ratio must be a number from 0 to 1"),
        (lambda: sliding_window_with_sinks([1, 2]), "a cache is a tensor"),
        (lambda: sliding_window_with_sinks((numbers(4, 2), numbers(5, 2))), "are not of the same tokens"),
        (lambda: dynamic_temporal_rope(torch.arange(3), 3, 0), "training_length must be"),
        (lambda: dynamic_temporal_rope(torch.arange(3), 3, 21, channels=7), "channels turn in pairs"),
        (lambda: participative_compression(numbers(2, 3), numbers(9, 4)), "alike in all but the tokens"),
        (lambda: participative_compression(numbers(2, 4), numbers(9, 4), sink=6, recent=6), "more than the 9 tokens"),
        (lambda: participative_compression(numbers(2, 4), numbers(9, 4), "most"), "sparsity must be a number"),
    ],
)
def test_what_cannot_be_is_refused_in_words(call, message):
    with pytest.raises(SettingsError, match=message):
        call()


def test_a_prompt_alone_is_for_the_embedded_model(monkeypatch):
    monkeypatch.setattr(deepforcing.pipeline, "load_pipeline", small_pipeline)
    alone = list(generate_long_video("a red balloon", num_frames=33))
    given = list(generate_long_video(small_pipeline(), "a red balloon", num_frames=33))
    assert sum(len(chunk.frames) for chunk in alone) == 33
    assert all(np.array_equal(a.frames, b.frames) for a, b in zip(alone, given, strict=True))


def test_without_a_prompt_or_without_a_pipeline_it_says_what_is_missing():
    with pytest.raises(PromptError, match="The prompt is missing"):
        generate_long_video(small_pipeline())
    with pytest.raises(SettingsError, match="a pipeline is what load_pipeline gives, not 'tiny'"):
        generate_long_video("tiny", "a red balloon")
    with pytest.raises(PromptError, match="A prompt is text, not int"):
        next(islice(generate_long_video(7), 1))
