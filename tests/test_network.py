"""The way through the network, with all that is kept and reused, computes bit for bit what the plain one does."""

from collections import Counter
from dataclasses import replace
from itertools import islice

import pytest
import torch
from conftest import CHANNELS, WordHash, small_pipeline, small_transformer
from plain_wan import PlainWan
from torch.utils._python_dispatch import TorchDispatchMode

from deepforcing.attention import Prompt
from deepforcing.config import Sampling
from deepforcing.models.speed import join_projections
from deepforcing.models.wan import CausalWan
from deepforcing.pipeline import denoise
from deepforcing.policies import POLICIES, DeepForcing
from deepforcing.run_settings import RunSettings

UNEVEN = DeepForcing(window=16, sink=4, budget=16, recent=4, max_reuse=2)  # rows of a batch get padding
ALL = [
    *(make() for make in POLICIES.values()),
    DeepForcing(heads="separate"),
    DeepForcing(score="softmax"),
    UNEVEN,
    replace(UNEVEN, heads="separate"),
]
pytestmark = pytest.mark.usefixtures("pytorchs_attention")
NAMES = [f"{p.name}-{p.window}-{getattr(p, 'heads', '')}-{getattr(p, 'score', '')}" for p in ALL]


def plain(pipeline):
    sampling = pipeline.denoiser.sampling
    return replace(pipeline, denoiser=PlainWan(small_transformer(), sampling))


def latents(pipeline, policy, switch="keep", probe=False, chunks=14):
    """Of a stream whose prompt changes when the cache has long been full."""
    stream = denoise(pipeline, lambda index: "a b" if index < 10 else "c d e", RunSettings(policy, probe, switch), 2)
    return [(chunk.latents, chunk.attention) for chunk in islice(stream, chunks)]


@pytest.mark.parametrize("policy", ALL, ids=NAMES)
def test_a_stream_is_the_plain_one_bit_for_bit(policy):
    fast = small_pipeline(prediction="x0")
    join_projections(fast.denoiser)
    for (made, _), (expected, _) in zip(latents(fast, policy), latents(plain(fast), policy), strict=True):
        assert torch.equal(made, expected)


@pytest.mark.parametrize("switch", ["reencode", "sink"])
@pytest.mark.parametrize("policy", [DeepForcing(), UNEVEN, POLICIES["self-forcing"](), POLICIES["rolling-sink"]()])
def test_so_it_is_with_a_new_prompt_and_a_probe(policy, switch):
    fast = small_pipeline()
    join_projections(fast.denoiser)
    runs = latents(fast, policy, switch, probe=True), latents(plain(fast), policy, switch, probe=True)
    for (made, seen), (expected, plainly_seen) in zip(*runs, strict=True):
        assert torch.equal(made, expected) and (seen.mass == plainly_seen.mass).all()


@pytest.mark.parametrize("policy", ALL, ids=NAMES)
def test_so_it_is_for_several_videos_at_once(policy):
    def rolled(denoiser):
        cache, prompt = denoiser.new_cache(policy, denoiser.geometry(4, 6)), Prompt("", WordHash().encode(words))
        generator = torch.Generator().manual_seed(5)
        for _ in range(12):
            x = torch.randn(rows, CHANNELS, 3, 4, 6, generator=generator)
            yield denoiser.flow(x, 1000.0, cache, prompt)
            padded.append(any(layer.valid is not None for layer in cache.layers.values()))
            yield denoiser.remember(x, cache, prompt)

    rows, padded = 3 if policy in ALL[-2:] else 2, []
    words = ["a", "b", "c d e f"][:rows]
    ways = rolled(CausalWan(small_transformer(), Sampling())), rolled(PlainWan(small_transformer(), Sampling()))
    for made, expected in zip(*ways, strict=True):
        assert torch.equal(made, expected)
    assert any(padded) or rows == 2, "the rows came out equal: no padding was tested"


def test_so_it_is_in_bfloat16():
    def rolled(kind):
        denoiser = kind(small_transformer().to(torch.bfloat16), Sampling())
        if kind is CausalWan:
            join_projections(denoiser)
        pipeline = replace(small_pipeline(), denoiser=denoiser)
        return [made for made, _ in latents(pipeline, DeepForcing(), chunks=10)]

    assert all(torch.equal(a, b) for a, b in zip(rolled(CausalWan), rolled(PlainWan), strict=True))


class Copies(TorchDispatchMode):
    """Counts operations that only move numbers, or only change their type."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        name = operation.name().removeprefix("aten::").split(".")[0]
        if name in ("clone", "copy_", "cat", "stack", "contiguous", "_to_copy"):
            self.seen[name] += 1
        return operation(*args, **(kwargs or {}))


def copies_of_a_pass(layers: int, dtype: torch.dtype) -> Counter[str]:
    """In the steady state, not a chunk's first pass."""
    denoiser = CausalWan(small_transformer(layers=layers).to(dtype), Sampling())
    join_projections(denoiser)
    cache = denoiser.new_cache(POLICIES["self-forcing"](window=9), denoiser.geometry(4, 6))
    prompt = Prompt("", WordHash().encode(["a b"]).to(dtype))
    x = torch.randn(1, CHANNELS, 3, 4, 6, generator=torch.Generator().manual_seed(1))
    for _ in range(4):
        denoiser.flow(x, 1000.0, cache, prompt)
        denoiser.remember(x, cache, prompt)
    denoiser.flow(x, 1000.0, cache, prompt)
    with Copies() as copies:
        denoiser.flow(x, 1000.0, cache, prompt)
    return copies.seen


@pytest.mark.parametrize(("dtype", "casts"), [(torch.float32, 0), (torch.bfloat16, 17)])
def test_a_layer_moves_no_numbers_but_into_the_cache(dtype, casts):
    """Three writes: keys before RoPE, values, sums of queries; keys with RoPE are computed in their place."""
    two, three = (copies_of_a_pass(layers, dtype) for layers in (2, 3))
    layer = three - two
    assert layer.pop("_to_copy", 0) == casts and layer == {"copy_": 3}
    assert two["clone"] == 2 and two["cat"] == two["stack"] == 0  # into tokens, and into pixels


def test_a_run_sees_weights_that_changed_since_the_last_one():
    """Training changes them in place between roll-outs."""
    pipeline = small_pipeline()
    before = latents(pipeline, DeepForcing(), chunks=1)[0][0]
    with torch.no_grad():
        pipeline.denoiser.transformer.condition_embedder.time_proj.bias += 1
    after = latents(pipeline, DeepForcing(), chunks=1)[0][0]
    assert not torch.equal(before, after)
