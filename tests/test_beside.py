"""Decoding beside the next chunk: the same frames on every way, recorded where that is asked for, and, on CUDA, in a
stream of its own from which frames come by themselves."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from conftest import CHANNELS, small_pipeline
from tape import Tapes
from test_graphs import on_cuda, on_gpu
from test_wan_decoder import small_vae

from deepforcing.beside import Beside
from deepforcing.models.decoding import Decoding
from deepforcing.models.graphs import Recorder
from deepforcing.models.speed import use_graphs
from deepforcing.models.tiny_codec import CodecConfig, TinyCodec
from deepforcing.models.wan_decoder import WanDecoder
from deepforcing.pipeline import Pipeline, generate_long_video

CPU = torch.device("cpu")


def codec(recorder: Recorder | None = None) -> TinyCodec:
    torch.manual_seed(0)
    made = TinyCodec(CodecConfig(latent_channels=CHANNELS, encoder_widths=(8, 8, 8), decoder_widths=(12, 8, 8, 8)))
    made.recorder = recorder
    return made.eval().requires_grad_(False)


def video(chunks: int = 8, seed: int = 0, height: int = 4) -> list[torch.Tensor]:
    latents = torch.randn(1, 3 * chunks, CHANNELS, height, 6, generator=torch.Generator().manual_seed(seed))
    return list(latents.split(3, 1))


def decoded(decoder, chunks: list[torch.Tensor]) -> list[torch.Tensor]:
    decoding = Decoding(decoder)
    return [decoding.frames(chunk).clone() for chunk in chunks]


def equal(made: list, expected: list) -> bool:
    return all(torch.equal(a, b) for a, b in zip(made, expected, strict=True))


def test_a_recorded_decoder_makes_the_same_frames():
    tapes = Tapes()
    assert equal(decoded(codec(Recorder(tapes)), video()), decoded(codec(), video()))
    assert (tapes.recorded, tapes.replayed) == (1, 6)  # of eight: the clip begins, and a chunk comes a second time


def test_what_a_recorded_decoder_remembers_stays_where_it_is():
    decoding = Decoding(codec(Recorder(Tapes())))
    kept = []
    for chunk in video():
        decoding.frames(chunk)
        kept.append([(m.data_ptr(), m.sum().item()) for m in decoding._state.memory])
    places, values = zip(*((tuple(p for p, _ in k), tuple(v for _, v in k)) for k in kept), strict=True)
    assert len(set(places)) == 1 and len(set(values)) == len(kept)


def test_runs_that_take_turns_do_not_mix():
    decoder, clips = codec(Recorder(Tapes())), [video(seed=seed) for seed in range(2)]
    runs = [Decoding(decoder) for _ in clips]
    made = [[run.frames(chunk) for run, chunk in zip(runs, chunks, strict=True)] for chunks in zip(*clips, strict=True)]
    for parts, clip in zip(zip(*made, strict=True), clips, strict=True):
        assert equal(parts, decoded(codec(), clip))


def test_a_recording_is_taken_anew_for_other_sizes_and_weights_elsewhere():
    tapes = Tapes()
    decoder = codec(Recorder(tapes))
    decoding, plain = Decoding(decoder), Decoding(codec())
    chunks = [*video(4), *video(4, seed=1)]
    for index, chunk in enumerate(chunks):
        if index == 4:
            for p in decoder.parameters():
                p.data = p.data.clone()
        assert torch.equal(decoding.frames(chunk), plain.frames(chunk))
    assert tapes.recorded == 2
    uneven = [part for chunk in chunks for part in chunk.split((2, 1), 1)]
    assert equal(decoded(decoder, uneven), decoded(codec(), uneven)) and tapes.recorded == 4
    assert equal(decoded(decoder, video(4, height=2)), decoded(codec(), video(4, height=2)))
    assert tapes.recorded == 5


def looks_at_a_value(module, inputs) -> None:
    inputs[0].sum().item()


def test_where_recording_fails_decoding_goes_on_without_and_that_is_said(caplog):
    pipeline, tapes = small_pipeline(), Tapes()
    pipeline.decoder.recorder = Recorder(tapes)
    pipeline.decoder.decoder[1].register_forward_pre_hook(looks_at_a_value)
    made = list(islice(generate_long_video(pipeline, "a b", seed=1), 5))
    why = "operation not permitted when stream is capturing"
    assert pipeline.attention == f"PyTorch, no CUDA graph of the decoder: {why}"
    assert tapes.recorded == 0 and len(caplog.records) == 1
    for chunk, expected in zip(made, generate_long_video(small_pipeline(), "a b", seed=1), strict=False):
        assert np.array_equal(chunk.frames, expected.frames)


def test_on_a_cpu_work_is_done_at_once():
    done = []

    def work(x: torch.Tensor) -> tuple[torch.Tensor]:
        done.append(x)
        return (x + 1,)

    ready = Beside(CPU).begin(work, torch.ones(2))
    assert len(done) == 1 and ready()[0].tolist() == [2, 2] and len(done) == 1


@pytest.mark.parametrize("overlap", [False, True])
def test_a_video_is_its_decoders_frames_and_is_told_with_its_latents(overlap):
    pipeline = replace(small_pipeline(), decoder=codec(Recorder(Tapes())))
    chunks = list(islice(generate_long_video(pipeline, "a b", seed=1, overlap=overlap), 5))
    latents = [torch.from_numpy(np.ascontiguousarray(chunk.latents))[None] for chunk in chunks]
    for chunk, frames in zip(chunks, decoded(codec(), latents), strict=True):
        expected = (frames[0].clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
        assert np.array_equal(chunk.frames, expected) and chunk.latents.dtype == np.float32


def on_gpu_with(decoder) -> Pipeline:
    return replace(on_gpu(), decoder=decoder)


@on_cuda
def test_on_cuda_a_graph_of_the_decoder_equals_the_eager_one():
    decoder = codec().cuda()
    expected = decoded(decoder, [chunk.cuda() for chunk in video(12)])
    use_graphs(on_gpu().denoiser, decoder)
    torch.testing.assert_close(decoded(decoder, [chunk.cuda() for chunk in video(12)]), expected, atol=1e-3, rtol=1e-3)
    assert decoder.recorder.trouble is None


@on_cuda
def test_on_cuda_work_begins_without_being_waited_for_and_arrives_whole():
    device = torch.device("cuda")
    beside, here = Beside(device), torch.cuda.current_stream()

    def slow(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        torch.cuda._sleep(500_000_000)  # cycles, a quarter of a second
        return x + 1, x.t()

    x = torch.arange(6.0, device=device).view(2, 3)
    beside.begin(slow, x)()
    ready = beside.begin(slow, x)
    here.synchronize()
    assert not beside._stream.query(), "the current stream waited for what is beside it, or the caller did"
    x = torch.full((2, 3), 9.0, device=device)  # not in the memory of what is still being read
    more, turned = ready()
    assert more.tolist() == [[1, 2, 3], [4, 5, 6]] and turned.tolist() == [[0, 3], [1, 4], [2, 5]]
    assert not more.is_pinned() and x.sum() == 54


@on_cuda
@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("kind", ["small", "full"])
def test_on_cuda_runs_side_by_side_make_what_they_make_alone(kind, overlap):
    made = codec().cuda() if kind == "small" else WanDecoder(small_vae(z_dim=CHANNELS, **no_scale()).cuda())
    pipeline = on_gpu_with(made)
    use_graphs(pipeline.denoiser, pipeline.decoder)

    def run(seed: int):
        return generate_long_video(pipeline, "a b", seed=seed, num_frames=150, overlap=overlap)

    alone = [[chunk.frames for chunk in run(seed)] for seed in range(2)]
    together = [[chunk.frames for chunk in run] for run in zip(*zip(run(0), run(1), strict=True), strict=True)]
    for parts, expected in zip(together, alone, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(parts, expected, strict=True))


def no_scale() -> dict:
    return {"latents_mean": [0.0] * CHANNELS, "latents_std": [1.0] * CHANNELS}


@on_cuda
def test_on_cuda_runs_come_and_go_without_leaving_memory_behind():
    pipeline, held = on_gpu(), []
    use_graphs(pipeline.denoiser, pipeline.decoder)
    for seed in range(5):
        assert sum(len(c.frames) for c in generate_long_video(pipeline, "a b", num_frames=150, seed=seed)) == 150
        torch.cuda.synchronize()
        held.append(torch.cuda.memory_allocated())
    assert held[-1] <= held[2]
