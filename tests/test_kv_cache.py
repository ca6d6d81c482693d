"""The cache below the pipeline: batches, unequal rows, read-only history."""

import pytest
import torch
from conftest import CHANNELS, WordHash, small_transformer

from deepforcing.attention import Prompt
from deepforcing.config import Sampling
from deepforcing.models.wan import CausalWan
from deepforcing.policies import DeepForcing, SlidingWindow


def videos(count, chunks=11):
    shape = (chunks, count, CHANNELS, 3, 4, 6)
    return torch.randn(shape, generator=torch.Generator().manual_seed(5))


def last_flow(policy, clean, prompts):
    """The flow of one more chunk after `clean` [chunks, B, ...] has gone through the cache, and the cache."""
    denoiser = CausalWan(small_transformer(), Sampling())
    cache = denoiser.new_cache(policy, denoiser.geometry(4, 6))
    prompt = Prompt("", WordHash().encode(prompts))
    for chunk in clean[:-1]:
        denoiser.flow(chunk * 0.7, 1000.0, cache, prompt)
        denoiser.remember(chunk, cache, prompt)
    return denoiser.flow(clean[-1], 1000.0, cache, prompt), cache


def test_a_batch_equals_its_videos_one_by_one():
    clean = videos(2)
    together, _ = last_flow(DeepForcing(), clean, ["a b", "c d e"])
    for row, prompt in enumerate(["a b", "c d e"]):
        alone, _ = last_flow(DeepForcing(), clean[:, row : row + 1], [prompt])
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("chunks", [8, 9, 12])
def test_unequal_rows_of_a_batch_do_not_attend_to_padding(chunks):
    policy = DeepForcing(window=16, sink=4, budget=16, recent=4, max_reuse=2)
    clean = videos(3, chunks=14)[:chunks]
    prompts = ["a", "b", "c d e f"]
    together, cache = last_flow(policy, clean, prompts)
    assert any(layer.valid is not None for layer in cache.layers.values()), (
        "the rows came out equal: nothing was tested"
    )
    for row, prompt in enumerate(prompts):
        alone, _ = last_flow(policy, clean[:, row : row + 1], [prompt])
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=1e-5)


def test_history_is_read_only_while_a_chunk_is_denoised():
    denoiser = CausalWan(small_transformer(), Sampling())
    cache = denoiser.new_cache(SlidingWindow(), denoiser.geometry(4, 6))
    prompt, clean = Prompt("", WordHash().encode(["a"])), videos(1, 3)
    denoiser.remember(clean[0], cache, prompt)
    before = cache.layers[0].keys.clone(), cache.next_frame
    first = denoiser.flow(clean[1], 800.0, cache, prompt)
    again = denoiser.flow(clean[1], 800.0, cache, prompt)
    assert torch.equal(first, again) and torch.equal(cache.layers[0].keys, before[0]) and cache.next_frame == before[1]
    denoiser.remember(clean[1], cache, prompt)
    assert cache.layers[0].tokens == 2 * before[0].shape[1]


def test_cached_keys_are_unrotated_and_do_not_drift():
    denoiser = CausalWan(small_transformer(layers=1), Sampling())
    policy = DeepForcing(phase="contiguous")
    cache = denoiser.new_cache(policy, denoiser.geometry(4, 6))
    prompt, clean = Prompt("", WordHash().encode(["a"])), videos(1, 30)
    denoiser.flow(clean[0], 1000.0, cache, prompt)
    denoiser.remember(clean[0], cache, prompt)
    first = cache.layers[0].keys[:, :6].clone()
    for chunk in clean[1:]:
        denoiser.flow(chunk, 1000.0, cache, prompt)
        denoiser.remember(chunk, cache, prompt)
    assert torch.equal(cache.layers[0].keys[:, :6], first)
    assert cache.layers[0].positions[0, 0].tolist() == [0, 0, 0]
