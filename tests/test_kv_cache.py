"""The cache below the pipeline: batches, unequal rows, read-only history."""

from dataclasses import dataclass, replace

import pytest
import torch
from conftest import CHANNELS, WordHash, small_transformer

from deepforcing.attention import Prompt
from deepforcing.config import Sampling
from deepforcing.models.wan import CausalWan
from deepforcing.policies import POLICIES, DeepForcing, SlidingWindow


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


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize(
    "policy",
    [*(make() for make in POLICIES.values()), DeepForcing(window=16, sink=4, budget=16, recent=4, max_reuse=2)],
    ids=lambda policy: f"{policy.name}-{policy.window}",
)
def test_what_a_pass_touches_stays_where_it_is(policy, rows):
    denoiser = CausalWan(small_transformer(), Sampling())
    cache = denoiser.new_cache(policy, denoiser.geometry(4, 6))
    prompt, places = Prompt("", WordHash().encode(["a", "b", "c d e f"][:rows])), {}
    for chunk in videos(rows, 16):
        denoiser.flow(chunk, 1000.0, cache, prompt)
        for number, layer in cache.layers.items():
            length = number, layer.reading.index is None, layer.reading.keys.shape[1], layer.slots.shape[1]
            found = [None if t is None else (t.data_ptr(), t.stride()) for t in layer.touched]
            assert all(a == b for a, b in zip(places.setdefault(length, found), found, strict=True) if a and b)
        denoiser.remember(chunk, cache, prompt)


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


@dataclass(frozen=True)
class ReadsTheLast(SlidingWindow):
    """Holds a window, and reads the last `frames` of it, or all, as if it had to pick each token."""

    frames: int | None = None

    def read(self, view):
        n = view.frames.shape[1]
        read = n if self.frames is None else min(n, self.frames * view.geometry.tokens_per_frame)
        return torch.arange(n - read, n).expand(len(view.frames), -1)

    def place(self, view):
        return super().place(view).gather(1, self.read(view))


@pytest.mark.parametrize(("frames", "window"), [(None, 21), (6, 9)])
def test_what_is_held_and_not_read_is_as_if_it_were_not_there(frames, window):
    held, cache = last_flow(ReadsTheLast(frames=frames), videos(2), ["a b", "c d"])
    dropped, _ = last_flow(SlidingWindow(window), videos(2), ["a b", "c d"])
    assert torch.equal(held, dropped)
    assert cache.layers[0].tokens == 18 * 6 and cache.layers[0].reading.time.shape[1] == (window - 3) * 6


APART = DeepForcing(heads="separate")


def test_heads_kept_apart_that_choose_alike_compute_what_shared_ones_do():
    clean = videos(2)
    shared, _ = last_flow(DeepForcing(score="oldest"), clean, ["a b", "c d e"])
    apart, cache = last_flow(replace(APART, score="oldest"), clean, ["a b", "c d e"])
    torch.testing.assert_close(apart, shared, atol=1e-5, rtol=1e-5)
    assert cache.layers[0].keys.shape[0] == 2 * 2 and cache.layers[0].keys.shape[2] == 1


def test_heads_kept_apart_choose_for_themselves_and_their_scores_add_up():
    clean = videos(1, chunks=8)
    _, shared = last_flow(DeepForcing(), clean, ["a b"])
    _, apart = last_flow(APART, clean, ["a b"])
    one, two = apart.layers[0].positions
    assert one.shape == shared.layers[0].positions[0].shape and not torch.equal(one, two)
    scores = [cache.layers[0].dropped[1].scores for cache in (apart, shared)]
    torch.testing.assert_close(scores[0].sum(0), scores[1][0], atol=1e-3, rtol=1e-4)


def test_a_batch_with_heads_kept_apart_equals_its_videos_one_by_one():
    clean, policy = videos(2), replace(APART, max_reuse=1)
    together, _ = last_flow(policy, clean, ["a b", "c d e"])
    for row, prompt in enumerate(["a b", "c d e"]):
        alone, _ = last_flow(policy, clean[:, row : row + 1], [prompt])
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=1e-5)
