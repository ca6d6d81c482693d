import numpy as np
import pytest
import torch
from conftest import CHANNELS, WordHash, small_pipeline, small_transformer

from deepforcing.attention import Prompt
from deepforcing.config import Sampling
from deepforcing.models.wan import CausalWan
from deepforcing.pipeline import generate_long_video
from deepforcing.policies import DeepForcing, SlidingWindow
from deepforcing.probe import AttentionProbe


def test_outputs_are_bit_equal_with_and_without_a_probe():
    seen, unseen = (
        list(generate_long_video(small_pipeline(), "a", num_frames=130, seed=2, probe=probe)) for probe in (True, False)
    )
    for a, b in zip(seen, unseen, strict=True):
        assert np.array_equal(a.frames, b.frames) and a.attention is not None and b.attention is None


def test_mass_sums_to_one_and_names_roles():
    for chunk in generate_long_video(small_pipeline(), "a", num_frames=150, policy=DeepForcing(), probe=True):
        attention = chunk.attention
        np.testing.assert_allclose(attention.mass.sum(-1), 1, atol=1e-5)
        assert attention.mass.shape == (2, 2, len(attention.frames))
        assert attention.roles[-3:] == ("current",) * 3
        assert attention.frames[-3:].tolist() == list(range(*chunk.latent_frames))
    assert 0 < attention.sink < 1


def test_mass_of_heads_kept_apart_is_told_head_by_head():
    shared, apart = (
        list(generate_long_video(small_pipeline(), "a", num_frames=85, policy=DeepForcing(heads=heads), probe=True))
        for heads in ("shared", "separate")
    )
    np.testing.assert_allclose(apart[6].attention.mass, shared[6].attention.mass, atol=1e-6)
    chosen = apart[7]
    assert chosen.compression is not None and chosen.attention.mass.shape[:2] == (2, 2)
    np.testing.assert_allclose(chosen.attention.mass.sum(-1), 1, atol=1e-5)


def test_mass_equals_a_full_softmax_when_every_query_is_sampled():
    denoiser = CausalWan(small_transformer(layers=1), Sampling())
    cache = denoiser.new_cache(SlidingWindow(), denoiser.geometry(4, 6))
    prompt = Prompt("", WordHash().encode(["a"]))
    clean = torch.randn(2, 1, CHANNELS, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    denoiser.remember(clean[0], cache, prompt)
    taken = []

    class Taking(AttentionProbe):
        def observe(self, layer, queries, reading):
            super().observe(layer, queries, reading)
            taken.append((queries[0].clone(), reading.keys[0].clone()))

    with cache.probed(Taking(step=0, samples=18)) as probe:
        denoiser.flow(clean[1], 1000.0, cache, prompt, step=0)
    queries, keys = taken[0]
    full = torch.einsum("qhd,khd->hqk", queries, keys).mul(12**-0.5).softmax(-1).mean(1)  # [heads, 36]
    mass = probe.collect(cache).mass[0]
    np.testing.assert_allclose(mass, full.unflatten(1, (6, 6)).sum(-1).numpy(), atol=1e-6)


def test_a_probe_detaches_after_an_error_and_only_one_fits():
    denoiser = CausalWan(small_transformer(), Sampling())
    cache = denoiser.new_cache(SlidingWindow(), denoiser.geometry(4, 6))
    with pytest.raises(KeyError), cache.probed(AttentionProbe(step=0)):
        raise KeyError
    with cache.probed(AttentionProbe(step=0)), pytest.raises(RuntimeError, match="attached already"):
        with cache.probed(AttentionProbe(step=0)):
            pass
