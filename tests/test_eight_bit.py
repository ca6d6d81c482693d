"""Attention in 8 bits, simulated: near exact attention, rounded once a chunk, and measured on a whole model."""

import pytest
import torch
from conftest import small_pipeline
from parity import deviation, last_chunk, read_recorded, roll_out
from tape import Tapes
from test_graphs import latents
from test_parity import denoiser_of
from torch.nn.functional import scaled_dot_product_attention

from deepforcing.attention_error import attention_error
from deepforcing.bench import compare_attention
from deepforcing.eight_bit import LARGEST, EightBits, scale_of, simulated, to_e4m3
from deepforcing.models.graphs import Recorder
from deepforcing.models.speed import attention_in_8_bits
from deepforcing.policies import POLICIES, DeepForcing, SlidingWindow

OWN = 8  # of 40 keys


def tensors(shared: float = 0.0):
    """q [2, 9, 3, 16] and k, v [2, 40, 3, 16]; `shared` is added to every key."""
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, n, 3, 16, generator=generator) for n in (9, 40, 40))
    return q, k + shared * torch.randn(16, generator=generator), v


def exact(q, k, v):
    return scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v))).transpose(1, 2)


def rounded(k, v) -> EightBits:
    read = EightBits(k, 64)
    read.begin(k, v, OWN)
    read.write(k[:, -OWN:], v[:, -OWN:])
    return read


def error(made, expected):
    return ((made - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("shared", [0.0, 30.0])
def test_it_is_near_exact_attention_whatever_all_keys_share(shared):
    q, k, v = tensors(shared)
    assert 1e-3 < error(simulated(q, rounded(k, v)), exact(q, k, v)) < 0.06


def test_rounding_keeps_four_significant_bits_and_cuts_what_is_too_large():
    x = torch.tensor([1.0, -0.3, 0.01, 448.0])
    kept = to_e4m3(x, scale_of(x)).float() * scale_of(x)
    assert ((kept - x).abs() <= x.abs() / 16).all() and kept[3] == 448
    assert to_e4m3(torch.tensor([1e6, -1e6]), torch.ones(())).float().tolist() == [LARGEST, -LARGEST]


def test_own_tokens_are_written_beside_a_history_that_stays_as_it_was_rounded():
    _, k, v = tensors()
    read = rounded(k, v)
    before = [t.clone() for t in read.touched]
    read.write(3 * k[:, -OWN:], 3 * v[:, -OWN:])
    for now, was in zip(read.touched[:2], before[:2], strict=True):
        now, was = now.float(), was.float()
        assert torch.equal(now[:, :-OWN], was[:, :-OWN]) and not torch.equal(now[:, -OWN:], was[:, -OWN:])
    assert all(torch.equal(now, was) for now, was in zip(read.touched[2:], before[2:], strict=True))


class Watching:
    """The simulated kernel; and what every call read of the history, as numbers and as addresses."""

    def __init__(self) -> None:
        self.histories: list[bytes] = []
        self.places: list[tuple] = []

    def __call__(self, queries, read):
        history = read.keys[:, : -queries.shape[1]]
        self.histories.append(history.float().numpy().tobytes())
        self.places.append(tuple(t.data_ptr() for t in read))
        return simulated(queries, read)


def test_a_chunks_passes_share_one_rounding_and_the_next_chunk_has_its_own(monkeypatch):
    pipeline, kernel, begun = small_pipeline(), Watching(), []
    real = EightBits.begin
    monkeypatch.setattr(EightBits, "begin", lambda *given: begun.append(1) or real(*given))
    pipeline.denoiser.eight_bits = kernel
    latents(pipeline, SlidingWindow(9), 6)
    layers, passes = pipeline.layers, len(pipeline.denoiser.steps) + 1
    assert len(begun) == 5 * layers  # once a chunk and layer; the first chunk has no history, and is exact
    assert len(kernel.histories) == 5 * passes * layers
    for layer in range(layers):
        seen = kernel.histories[layer::layers]
        chunks = [seen[i : i + passes] for i in range(0, len(seen), passes)]
        assert all(len(set(chunk)) == 1 for chunk in chunks) and len({chunk[0] for chunk in chunks}) == 5
        assert len(set(kernel.places[layer::layers])) == 1


def test_padded_rows_stay_exact():
    uneven = DeepForcing(window=16, sink=4, budget=16, recent=4, heads="separate", max_reuse=2)
    pipeline, kernel = small_pipeline(), Watching()
    pipeline.denoiser.eight_bits = kernel
    made = latents(pipeline, uneven, 20)
    assert len(kernel.histories) < 19 * 5 * pipeline.layers
    assert all(torch.isfinite(chunk.latents).all() for chunk in made)


@pytest.mark.parametrize("policy", [SlidingWindow(), DeepForcing()], ids=lambda policy: policy.name)
def test_recorded_passes_in_8_bits_compute_what_eager_ones_do(policy):
    recorded, eager, tapes = small_pipeline(), small_pipeline(), Tapes()
    recorded.denoiser.recorder = Recorder(tapes)
    for pipeline in (recorded, eager):
        pipeline.denoiser.eight_bits = simulated
    for made, expected in zip(latents(recorded, policy, 18), latents(eager, policy, 18), strict=True):
        assert torch.equal(made.latents, expected.latents)
    assert tapes.replayed >= 20


def test_on_the_recorded_numbers_it_stays_close():
    recorded, meta = read_recorded()
    for name in ("fifo9", "df_official"):
        denoiser = denoiser_of(recorded, meta["config"])
        with attention_in_8_bits(denoiser):
            off = deviation(roll_out(denoiser, recorded, meta, name), last_chunk(recorded, meta, name))
        assert 1e-4 < off < 0.01
        assert deviation(roll_out(denoiser, recorded, meta, name), last_chunk(recorded, meta, name)) < 1e-4


def test_what_it_changes_in_a_video_is_told():
    rows = {row.name: row.value for row in attention_error(small_pipeline(), seconds=9)}
    assert float(rows["latents of the first chunk, 8 bits against exact"].split()[0]) == 0  # it has no history
    assert 0 < float(rows["latents of the second chunk, 8 bits against exact"].split()[0]) < 0.05
    assert float(rows["choices of the first compression that flip"].split()[0]) < 50
    assert len(rows) == 9 and all(" / " in value for name, value in rows.items() if "after 9 s" in name)


def test_the_bench_compares_exact_attention_with_a_kernel_in_turn():
    pipeline, kernel = small_pipeline(), Watching()
    rows = {row.name: row.value for row in compare_attention(pipeline, kernel, 2, iter)}
    assert float(rows["fp8 / exact attention, DiT time, eager"]) > 0 and len(rows) == 3
    assert len(kernel.histories) == 9 * 5 * pipeline.layers  # of ten chunks; the exact runner never called it
    assert pipeline.denoiser.eight_bits is None


def test_a_clean_pass_that_attends_to_itself_stays_exact():
    pipeline, kernel = small_pipeline(), Watching()
    pipeline.denoiser.eight_bits = kernel
    latents(pipeline, POLICIES["id-forcing"](latest="self-cached"), 4)
    assert len(kernel.histories) == 3 * 4 * pipeline.layers  # four steps, and no clean pass
    latents(pipeline, POLICIES["id-forcing"](), 4)
    assert len(kernel.histories) == 3 * (4 + 5) * pipeline.layers  # but the one that reads a context
