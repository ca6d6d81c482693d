"""Compiled blocks equal eager ones, are whole graphs, and are compiled once; attention kernels are named."""

import os
import shutil
from dataclasses import replace

import pytest
import torch
from conftest import CHANNELS, WordHash, small_transformer
from diffusers.models.attention_dispatch import AttentionBackendName
from test_cudnn_attention import library, read_of  # noqa: F401  (a fixture)
from torch._dynamo.utils import counters

from deepforcing.attention import Prompt
from deepforcing.config import Sampling, SettingsError
from deepforcing.eight_bit import simulated
from deepforcing.models import speed
from deepforcing.models.cudnn_attention import CudnnAttention
from deepforcing.models.operation import as_operation
from deepforcing.models.placement import place_weights
from deepforcing.models.speed import attention_in_8_bits, attention_title, compile_blocks, restore_blocks, use_attention
from deepforcing.models.wan import CausalWan
from deepforcing.policies import DeepForcing, SlidingWindow, make_policy
from deepforcing.probe import AttentionProbe

SMALL = DeepForcing(window=12, sink=4, budget=9)
WITHOUT_SUMS = ("test_autograd_registration", "test_faketensor")  # the other checks sum inputs, also in 8 bits


@pytest.fixture(autouse=True)
def no_graphs_from_other_tests():
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def denoiser(layers: int = 2) -> CausalWan:
    return CausalWan(small_transformer(layers=layers), Sampling())


def flows(model: CausalWan, policy, chunks: int, probe: AttentionProbe | None = None, batch: int = 1):
    """Two denoising steps and the clean pass of each chunk: [chunks, 2, B, ...], and the graphs compiled after each."""
    cache, prompt = model.new_cache(policy, model.geometry(4, 6)), Prompt("", WordHash().encode(["a b"] * batch))
    generator, made, graphs = torch.Generator().manual_seed(3), [], []
    for index in range(chunks):
        x = torch.randn(batch, CHANNELS, 3, 4, 6, generator=generator)
        if probe:
            cache.probe = probe
        made.append(
            torch.stack([model.flow(x * s, 1000.0 * s, cache, prompt, step) for step, s in enumerate((1, 0.8))])
        )
        cache.probe = None
        model.remember(x, cache, prompt)
        graphs.append(counters["stats"]["unique_graphs"])
        if index == chunks - 2:
            prompt = Prompt("", WordHash().encode(["c"] * batch))
    return torch.stack(made), graphs, cache


@pytest.mark.parametrize(
    "policy",
    [
        SlidingWindow(12),
        SMALL,
        replace(SMALL, heads="separate", score="softmax"),
        make_policy("h2o", window=12, budget=12, recent=6),
        make_policy("rolling-sink", window=12, sink=6),
    ],
    ids=lambda policy: f"{policy.name}-{policy.heads_apart}",
)
def test_compiled_blocks_are_one_whole_graph_and_equal_eager_ones(policy):
    model = denoiser()
    eager, _, _ = flows(model, policy, 8)
    compile_blocks(model, backend="aot_eager")
    compiled, graphs, cache = flows(model, policy, 8)
    torch.testing.assert_close(compiled, eager, atol=1e-5, rtol=1e-5)
    assert cache.layers[0].tokens < 8 * 18, "nothing was evicted: nothing was tested"
    assert graphs == [0] + [1] * 7, "one graph for all layers and chunks, compiled in the second chunk"
    assert not counters["graph_break"]


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("kernel", [simulated, as_operation(simulated, "simulated_attention")])
@pytest.mark.parametrize("policy", [SlidingWindow(12), SMALL], ids=lambda policy: policy.name)
def test_attention_in_8_bits_is_the_same_in_a_compiled_block(policy, kernel, backend):
    model = denoiser()
    with attention_in_8_bits(model, simulated):
        eager, _, _ = flows(model, policy, 8)
    compile_blocks(model, backend=backend)
    exact, _, _ = flows(model, policy, 8)
    counters.clear()
    with attention_in_8_bits(model, kernel):
        compiled, graphs, _ = flows(model, policy, 8)
    assert torch.equal(compiled, eager) and not torch.equal(compiled, exact)
    assert graphs[2:] == [1] * 6 and not counters["graph_break"]


def test_cudnns_kernel_is_one_operation_of_a_compiled_block(library):  # noqa: F811
    model = denoiser()
    kernel = CudnnAttention(library, (9, 0))
    with attention_in_8_bits(model, kernel):
        eager, _, _ = flows(model, SMALL, 5)
        compile_blocks(model, backend="aot_eager")
        compiled, graphs, _ = flows(model, SMALL, 5)
    assert torch.equal(compiled, eager) and graphs[-1] == 1 and not counters["graph_break"]


def test_an_operation_says_truly_what_it_gives():
    queries, read = read_of()
    operation = as_operation(simulated, "simulated_attention")
    assert torch.equal(operation(queries, read.touched), simulated(queries, read.touched))
    torch.library.opcheck(
        torch.ops.deepforcing.simulated_attention.default, (queries, *read.touched), test_utils=WITHOUT_SUMS
    )


def test_a_clean_pass_by_itself_and_one_with_a_context_are_whole_graphs_too():
    model, policy = denoiser(), make_policy("id-forcing")
    eager, _, _ = flows(model, policy, 8)
    compile_blocks(model, backend="aot_eager")
    compiled, graphs, _ = flows(model, policy, 8)
    torch.testing.assert_close(compiled, eager, atol=1e-5, rtol=1e-5)
    assert graphs[0] == 0 and graphs[3:] == graphs[3:4] * 5 and graphs[-1] <= 3, "one for each way to attend"
    assert not counters["graph_break"]


def test_a_probe_costs_one_more_graph_and_changes_nothing():
    model = denoiser()
    compile_blocks(model, backend="aot_eager")
    bare, _, _ = flows(model, SMALL, 6)
    probe = AttentionProbe(step=1)
    probed, graphs, cache = flows(model, SMALL, 6, probe)
    assert torch.equal(bare, probed) and graphs[1:] == [2] * 5
    compiled = probe.collect(cache)
    restore_blocks(model)
    _, graphs, cache = flows(model, SMALL, 6, probe)
    eager = probe.collect(cache)
    assert graphs == [2] * 6, "restored blocks are eager"
    torch.testing.assert_close(torch.tensor(compiled.mass), torch.tensor(eager.mass), atol=1e-5, rtol=1e-5)


def test_a_padded_batch_compiles_whole_too():
    model, policy = denoiser(), DeepForcing(window=16, sink=4, budget=16, recent=4, max_reuse=2)
    eager, _, _ = flows(model, policy, 9, batch=3)
    compile_blocks(model, backend="aot_eager")
    compiled, graphs, cache = flows(model, policy, 9, batch=3)
    torch.testing.assert_close(compiled, eager, atol=1e-5, rtol=1e-5)
    assert cache.layers[0].valid is not None, "the rows came out equal: nothing was tested"
    assert graphs[-1] == 2 and not counters["graph_break"]


@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
@pytest.mark.skipif("DEEPFORCING_SLOW" not in os.environ, reason="takes half a minute: set DEEPFORCING_SLOW=1")
def test_inductor_takes_the_block():
    model = denoiser()
    eager, _, _ = flows(model, SlidingWindow(window=9), 4)
    compile_blocks(model)
    compiled, graphs, _ = flows(model, SlidingWindow(window=9), 4)
    torch.testing.assert_close(compiled, eager, atol=1e-5, rtol=1e-5)
    assert graphs[1:] == [1] * 3


def test_what_cannot_be_compiled_is_refused():
    with pytest.raises(SettingsError, match="compile mode must be one of"):
        compile_blocks(denoiser(), "reduce-overhead")
    for weights in ("offload", "fp8"):
        model = denoiser()
        place_weights(model, weights, torch.device("cpu"))
        with pytest.raises(SettingsError, match="offloaded or stored in fp8"):
            compile_blocks(model)


def test_attention_on_a_cpu_is_pytorchs_own():
    model = denoiser()
    assert use_attention(model) == use_attention(model, "native") == attention_title(model) == "PyTorch"
    with pytest.raises(SettingsError, match="SageAttention does not work here"):
        use_attention(model, "sage")
    with pytest.raises(SettingsError, match="unknown attention 'magic'; there are native, flash-3"):
        use_attention(model, "magic")


def test_a_kernel_for_one_kind_of_gpu_is_not_even_tried_on_a_later_one(monkeypatch):
    model, flash = denoiser(), replace(speed.KERNELS["flash-3"], installed=lambda: True)
    monkeypatch.setattr(speed, "KERNELS", {"flash-3": flash})
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (12, 0))
    monkeypatch.setattr(CausalWan, "device", torch.device("cuda"))
    monkeypatch.setattr(CausalWan, "dtype", torch.bfloat16)
    monkeypatch.setattr(speed, "dispatch_attention_fn", lambda *_, **__: torch.zeros(1))
    monkeypatch.setattr(torch, "zeros", lambda *_, **__: torch.empty(0))
    assert use_attention(model) == "PyTorch"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    assert use_attention(model) == "FlashAttention 3"


def test_the_best_exact_kernel_that_works_is_taken_and_used(monkeypatch):
    model = denoiser()
    before, _, _ = flows(model, SlidingWindow(), 2)
    monkeypatch.setitem(speed.KERNELS, "flash", speed.Kernel("Math", AttentionBackendName._NATIVE_MATH, lambda: True))
    monkeypatch.setattr(speed, "_works", lambda _, kernel: kernel.title in ("Math", "SageAttention"))
    assert use_attention(model) == "Math" == attention_title(model)
    asked = []
    real = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(
        torch.nn.functional,
        "scaled_dot_product_attention",
        lambda **inputs: asked.append(torch.backends.cuda.flash_sdp_enabled()) or real(**inputs),
    )
    after, _, _ = flows(model, SlidingWindow(), 2)
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-5)
    assert asked and not any(asked)  # the math kernel switches the others off
    assert use_attention(model, "sage") == "SageAttention"
