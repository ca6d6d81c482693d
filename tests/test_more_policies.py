"""What makes each of the further policies itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import WordHash, small_pipeline, small_transformer
from test_kv_cache import last_flow, videos
from test_policies import run
from torch.nn.functional import cosine_similarity

from deepforcing.attention import Prompt
from deepforcing.config import Geometry, Sampling, SettingsError
from deepforcing.models.wan import CLEAN, CausalWan
from deepforcing.pipeline import generate_long_video
from deepforcing.policies import make_policy

TOKENS = 6  # a frame


def read_by(policy, chunks, layer=0):
    """(latent frame, time) of each frame that the chunk after `chunks - 1` others reads."""
    _, cache = last_flow(policy, videos(1, chunks=chunks), ["a b"])
    reading = cache.layers[layer].reading
    n = reading.time.shape[1]
    return reading.frames[0, :n:TOKENS].tolist(), reading.time[0, ::TOKENS].tolist()


def contest(policy, chunks):
    """The cache in the middle of a chunk that compresses, and layer 0's (positions before, selection)."""
    _, cache = last_flow(policy, videos(1, chunks=chunks), ["a b"])
    return cache, *cache.layers[0].dropped


def test_streaming_llm_places_the_sink_within_the_cache():
    for a, b in zip(
        run(make_policy("streaming-llm", sink=3)),
        run(make_policy("deep-sink", sink=3, phase="contiguous")),
        strict=True,
    ):
        assert np.array_equal(a.frames, b.frames)
    assert read_by(make_policy("streaming-llm"), 12) == ([0, *range(16, 33)], list(range(-18, 0)))
    assert read_by(make_policy("attention-sink", sink=1), 12)[1][0] == -33


def turning(policy):
    """Cache states of a video whose prompt changes at chunk 8."""
    chunks = generate_long_video(
        small_pipeline(), lambda index: "a b" if index < 8 else "c d", num_frames=141, policy=policy
    )
    return [chunk.cache for chunk in chunks]


def test_infinity_rope_flushes_at_a_new_prompt_and_then_goes_on():
    states = turning(make_policy("infinity-rope"))
    assert states[7].frames.tolist() == [0, *range(4, 21)]
    assert states[8].frames.tolist() == [0, 23] and states[8].time[0].tolist() == [-2, -1]
    assert states[9].frames.tolist() == [0, *range(23, 27)] and states[9].time[0].tolist() == [-5, -4, -3, -2, -1]
    assert len(turning(make_policy("streaming-llm"))[8].frames) == 18


def test_infinity_rope_without_a_new_prompt_is_streaming_llm():
    for a, b in zip(run(make_policy("infinity-rope")), run(make_policy("streaming-llm")), strict=True):
        assert np.array_equal(a.frames, b.frames)


@pytest.mark.parametrize(
    ("chunks", "shown"),
    [
        (6, list(range(15))),  # the window is not full
        (7, list(range(18))),
        (8, [*range(3, 15), 14, 13, 12, 18, 19, 20]),
        (11, [*range(12, 15), *range(14, 2, -1), 27, 28, 29]),
        (12, [*range(14, -1, -1), 30, 31, 32]),
        (13, [*range(11, -1, -1), 0, 1, 2, 33, 34, 35]),
    ],
)
def test_a_rolling_sink_plays_the_first_frames_to_and_fro(chunks, shown):
    assert read_by(make_policy("rolling-sink"), chunks) == (shown, list(range(-len(shown), 0)))


def test_a_rolling_sink_turns_what_it_shows_to_the_time_it_stands_for():
    _, cache = last_flow(make_policy("rolling-sink"), videos(1, chunks=13), ["a b"])
    layer = cache.layers[0]
    twice = layer.reading.frames[0, : 18 * TOKENS] == 0  # at times -7 and -6
    first, again = layer.reading.keys[0, : 18 * TOKENS][twice].split(TOKENS)
    values = layer.reading.values[0, : 18 * TOKENS][twice].split(TOKENS)
    assert not torch.allclose(first, again) and torch.equal(*values)


def like(frame, others):
    return cosine_similarity(frame, others.mean(0), dim=0)


def test_relax_forcing_reads_a_frame_like_the_first_and_unlike_the_last():
    policy = make_policy("relax-forcing")
    _, cache = last_flow(policy, videos(1, chunks=12), ["a b"])
    picked = set()
    for layer in cache.layers.values():
        read = layer.reading.frames[0, : 4 * TOKENS : TOKENS].tolist()
        assert read[:2] == [0, 1] and read[3] == 32 and layer.reading.time[0, ::TOKENS].tolist() == [-4, -3, -2, -1]
        frames = layer.keys[0].unflatten(0, (18, TOKENS)).mean((1, 2))
        scores = {
            layer.positions[0, slot * TOKENS, 0].item(): like(frames[slot], frames[:2])
            - 2 * like(frames[slot], frames[-1:])
            for slot in (9, 11, 13, 15)
        }
        assert read[2] == max(scores, key=scores.get)
        picked.add(read[2])
    assert layer.tokens == 18 * TOKENS and picked <= {24, 26, 28, 30}


def test_relax_forcing_reads_everything_while_there_is_little():
    assert read_by(make_policy("relax-forcing"), 4) == (list(range(9)), list(range(-9, 0)))
    assert len(read_by(make_policy("relax-forcing"), 5)[0]) == 4


def test_heavy_hitters_have_received_the_most_attention():
    _, positions, selection = contest(make_policy("h2o"), 8)
    for head in range(2):
        scores, stood, chosen = selection.scores[head], selection.candidates[head], selection.chosen[head]
        assert positions[head, stood, 0].unique().tolist() == list(range(12)) and chosen.sum() == 9 * TOKENS
        assert scores[chosen].min() >= scores[stood & ~chosen].max()
    assert not torch.equal(*selection.chosen)
    assert [chunk.index for chunk in run(make_policy("h2o")) if chunk.compression] == list(range(7, 15))


def test_attention_received_is_the_softmax_of_every_clean_pass():
    denoiser = CausalWan(small_transformer(), Sampling())
    cache = denoiser.new_cache(make_policy("h2o", heads="shared"), denoiser.geometry(4, 6))
    prompt, expected = Prompt("", WordHash().encode(["a"])), torch.zeros(9 * TOKENS)

    class CleanAttention:
        """A probe that adds up layer 1's softmax over all queries and heads of the clean pass."""

        def sample(self, step, tokens):
            return torch.arange(tokens) if step == CLEAN else None

        def observe(self, layer, queries, reading):
            if layer == 1:
                share = torch.einsum("qhd,nhd->hqn", queries[0], reading.keys[0]).mul(12**-0.5).softmax(-1)
                expected[: share.shape[-1]] += share.sum((0, 1))

    for clean in videos(1, chunks=3):
        with cache.probed(CleanAttention()):
            denoiser.flow(clean, 800.0, cache, prompt)  # noisy passes do not count
            denoiser.remember(clean, cache, prompt)
    torch.testing.assert_close(cache.layers[1].received[0], expected, atol=1e-5, rtol=1e-4)
    assert expected.sum().item() == pytest.approx(3 * 18 * 2, rel=1e-4)


def test_attention_received_follows_its_tokens_through_a_compression():
    cache, _, selection = contest(make_policy("h2o"), 8)
    layer = cache.layers[0]
    assert torch.equal(layer.received, selection.scores.gather(1, selection.indices))
    assert layer.received.shape[1] == layer.tokens == 18 * TOKENS


def test_snapkv_asks_the_last_clean_chunk_and_pools_over_neighbours():
    plain, pooled = (contest(make_policy("snapkv", kernel=kernel), 8)[2].scores for kernel in (1, 3))
    torch.testing.assert_close(plain.sum(1), torch.full((2,), 18.0), rtol=1e-4, atol=0)  # queries, for each head
    torch.testing.assert_close(pooled[:, 1:-1], (plain[:, :-2] + plain[:, 1:-1] + plain[:, 2:]) / 3)
    assert not make_policy("snapkv").asks_queries


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("snapkv", {"kernel": 4}, "kernel must be odd"),
        ("snapkv", {"recent": 3}, "recent must be more than 3"),
        ("rolling-sink", {"sink": 16}, "sink 16 must leave room in a window of 21"),
        ("rolling-sink", {"sink": 0}, "at least 1"),
        ("relax-forcing", {"window": 12}, "need a window of 14, not 12"),
        ("relax-forcing", {"redundancy": -1}, "redundancy must be a number"),
        ("relax-forcing", {"tail": 0}, "tail must be a whole number of at least 1"),
    ],
)
def test_settings_that_cannot_work_are_refused(name, settings, message):
    with pytest.raises(SettingsError, match=message):
        make_policy(name, **settings).check(Geometry(2, 3))
