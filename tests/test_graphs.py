"""Recorded passes stand for eager ones, are few, and are taken anew when something changes; here on tapes, and on CUDA
as graphs."""

from itertools import islice

import numpy as np
import pytest
import torch
from conftest import small_pipeline
from tape import Tapes

from deepforcing.config import SettingsError
from deepforcing.models.graphs import MOST, Recorder, Recordings
from deepforcing.models.loading import Loading
from deepforcing.models.speed import compile_blocks, use_graphs
from deepforcing.pipeline import Pipeline, denoise, generate_long_video, load_pipeline
from deepforcing.policies import POLICIES, DeepForcing, SlidingWindow
from deepforcing.run_settings import RunSettings

UNEVEN = DeepForcing(window=16, sink=4, budget=16, recent=4, heads="separate", max_reuse=2)  # heads get padding
on_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU with CUDA")


def taped() -> tuple[Pipeline, Tapes]:
    pipeline, tapes = small_pipeline(), Tapes()
    pipeline.denoiser.recorder = Recorder(tapes)
    return pipeline, tapes


def latents(pipeline, policy, chunks=20, turn=99, switch="keep", probe=False):
    stream = denoise(pipeline, lambda index: "a b" if index < turn else "c d e", RunSettings(policy, probe, switch), 2)
    return list(islice(stream, chunks))


@pytest.mark.parametrize(
    "policy", [*(make() for make in POLICIES.values()), UNEVEN], ids=lambda policy: f"{policy.name}-{policy.window}"
)
def test_recorded_passes_compute_what_eager_ones_do(policy):
    pipeline, tapes = taped()
    for made, expected in zip(latents(pipeline, policy), latents(small_pipeline(), policy), strict=True):
        assert torch.equal(made.latents, expected.latents)
    assert tapes.replayed >= 25, "hardly anything was recorded: hardly anything was tested"


@pytest.mark.parametrize(
    ("policy", "lengths", "chunks"), [(SlidingWindow(), 1, 17), (DeepForcing(queries="past"), 2, 15)]
)
def test_each_step_has_one_recording_for_each_length(policy, lengths, chunks):
    """A chunk of 24 is replayed once its length came before: 7 with a full window, or 7 and 8 of two lengths."""
    pipeline, tapes = taped()
    latents(pipeline, policy, 24)
    assert tapes.recorded == 5 * lengths and tapes.replayed == 5 * chunks  # four steps and the clean pass


def test_a_second_clean_pass_has_one_too():
    """The context has one length; a chunk of 24 is replayed once its window of 12 was full before."""
    pipeline, tapes = taped()
    latents(pipeline, POLICIES["id-forcing"](), 24)
    assert tapes.recorded == 6 and tapes.replayed == 6 * 20


@pytest.mark.parametrize("switch", ["keep", "reencode", "sink"])
def test_a_new_prompt_has_recordings_of_its_own(switch):
    pipeline, tapes = taped()
    run = {"chunks": 19, "turn": 11, "switch": switch}
    for made, expected in zip(
        latents(pipeline, SlidingWindow(9), **run), latents(small_pipeline(), SlidingWindow(9), **run), strict=True
    ):
        assert torch.equal(made.latents, expected.latents)
    assert tapes.recorded == 10


def test_a_probe_sees_recorded_passes():
    pipeline, tapes = taped()
    probed = latents(pipeline, DeepForcing(), 16, probe=True)
    for made, expected in zip(probed, latents(small_pipeline(), DeepForcing(), 16, probe=True), strict=True):
        assert torch.equal(made.latents, expected.latents)
        assert np.array_equal(made.attention.mass, expected.attention.mass)
    assert tapes.replayed


def looks_at_a_value(module, inputs) -> None:
    inputs[0].sum().item()


def test_a_pass_that_cannot_be_recorded_goes_on_without_and_that_is_said(caplog):
    pipeline, tapes = taped()
    pipeline.denoiser.transformer.proj_out.register_forward_pre_hook(looks_at_a_value)
    made = latents(pipeline, SlidingWindow(), 12)
    assert tapes.recorded == 0 and len(caplog.records) == 1
    why = "operation not permitted when stream is capturing"
    assert pipeline.attention == f"PyTorch, no CUDA graphs: {why}" and caplog.records[0].getMessage().endswith(why)
    for chunk, expected in zip(made, latents(small_pipeline(), SlidingWindow(), 12), strict=True):
        assert torch.equal(chunk.latents, expected.latents)


def test_no_more_recordings_are_kept_than_can_be_of_use():
    recordings = Recordings(Recorder(lambda work, inputs: work))
    for variant in [*range(MOST + 5), 3]:
        recordings.run("scene", variant, lambda x: x, (torch.zeros(1),))
    assert len(recordings.passes) == MOST and 5 not in recordings.passes and recordings.passes[3] is None


def test_graphs_are_refused_off_cuda_and_for_weights_on_the_move():
    with pytest.raises(SettingsError, match="CUDA graphs are for CUDA"):
        use_graphs(small_pipeline().denoiser)
    with pytest.raises(SettingsError, match=r"offloaded cannot be in a CUDA graph"):
        Loading(weights="offload", graphs=True)
    with pytest.raises(SettingsError, match="leave --graphs away"):
        load_pipeline("tiny", torch.device("cpu"), Loading(graphs=True))


def on_gpu(*made_faster) -> Pipeline:
    pipeline = small_pipeline()
    for part in (pipeline.denoiser.transformer, pipeline.decoder):
        part.to("cuda")
    for way in made_faster:
        way(pipeline.denoiser)
    return pipeline


@on_cuda
@pytest.mark.parametrize("ways", [(use_graphs,), (compile_blocks,), (compile_blocks, use_graphs)])
@pytest.mark.parametrize("policy", [SlidingWindow(), DeepForcing()], ids=lambda policy: policy.name)
def test_graphs_and_compiled_blocks_equal_eager_ones_on_cuda(policy, ways):
    run = {"chunks": 18, "turn": 12, "probe": True}
    fast = on_gpu(*ways)
    for made, expected in zip(latents(fast, policy, **run), latents(on_gpu(), policy, **run), strict=True):
        torch.testing.assert_close(made.latents, expected.latents, atol=1e-3, rtol=1e-3)
    assert fast.denoiser.recorder is None or fast.denoiser.recorder.trouble is None


@on_cuda
def test_streams_come_and_go_on_cuda_without_leaving_memory_behind():
    pipeline, held = on_gpu(use_graphs), []
    for seed in range(4):
        frames = sum(len(c.frames) for c in generate_long_video(pipeline, "a b", num_frames=150, seed=seed, probe=True))
        torch.cuda.synchronize()
        held.append(torch.cuda.memory_allocated())
        assert frames == 150
    assert held[-1] <= held[1]
    first, second = (generate_long_video(pipeline, "a b", seed=1) for _ in range(2))
    for a, b in islice(zip(first, second, strict=True), 12):  # in turns, each with graphs of its own
        assert np.array_equal(a.frames, b.frames)
