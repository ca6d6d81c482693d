"""The real model's layouts at a small size: found, loaded, checked against each other, streamed."""

import shutil

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from safetensors.torch import save_file
from small_wan import CHECKPOINT, save_small_wan, save_text, save_transformer, small_transformer
from transformers import UMT5Config, UMT5EncoderModel

from deepforcing import (
    DeepForcing,
    Loading,
    ModelError,
    Pipeline,
    SettingsError,
    SlidingWindow,
    VideoStream,
    load_pipeline,
    needs_of,
)
from deepforcing.events import Chunk, StreamEnded
from deepforcing.models.found import Found, find, locate
from deepforcing.models.released import load_released, rehearse
from deepforcing.models.sources import SELF_FORCING
from deepforcing.pipeline import generate_long_video

CPU = torch.device("cpu")
SMALL = Loading(height=32, width=48)
PROMPT = "A lighthouse keeper climbs a spiral stair while waves break far below, seen from the landing above."


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_small_wan(tmp_path_factory.mktemp("wan"))


@pytest.fixture(scope="module")
def pipeline(folder) -> Pipeline:
    return load_pipeline(folder, CPU, loading=SMALL)


@pytest.fixture
def copied(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "model")


def test_a_folder_in_the_published_layout_loads(pipeline):
    assert (pipeline.shape.height, pipeline.shape.width, pipeline.shape.space, pipeline.shape.fps) == (32, 48, 8, 16)
    assert pipeline.denoiser.sampling.steps == (1000, 750, 500, 250) and pipeline.denoiser.sampling.shift == 5
    assert pipeline.geometry.tokens_per_frame == 2 * 3 and pipeline.layers == 2
    assert pipeline.encode(PROMPT).embeds.shape == (1, 512, 32)


def test_the_transformer_in_it_is_the_one_that_was_saved(folder):
    loaded = load_released(folder, CPU, torch.float32, SMALL).denoiser.transformer
    torch.testing.assert_close(loaded.state_dict(), small_transformer().state_dict())


def test_two_chunks_stream(pipeline):
    with VideoStream(pipeline, PROMPT, policy=DeepForcing(), seed=3, num_frames=21) as stream:
        events = list(stream)
    chunks = [event for event in events if isinstance(event, Chunk)]
    assert [len(chunk.frames) for chunk in chunks] == [9, 12]
    assert all(chunk.frames.shape[1:] == (32, 48, 3) and chunk.frames.std() > 0 for chunk in chunks)
    assert isinstance(events[-1], StreamEnded) and events[-1].error is None


def test_interleaved_videos_do_not_mix(pipeline):
    def frames(seed: int):
        return (c.frames for c in generate_long_video(pipeline, PROMPT, num_frames=33, seed=seed))

    alone = [list(frames(seed)) for seed in (0, 1)]
    together = list(zip(frames(0), frames(1), strict=True))
    for seed in (0, 1):
        assert all(np.array_equal(a, b[seed]) for a, b in zip(alone[seed], together, strict=True))


def test_parts_of_other_families_are_refused(copied):
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_heads": 2, "num_layers": 1, "vocab_size": 300}
    UMT5EncoderModel(UMT5Config(**sizes)).save_pretrained(copied / "text_encoder")
    with pytest.raises(ModelError, match="text encoder gives rows of 16, the transformer expects 32"):
        load_pipeline(copied, CPU)
    save_text(copied)
    AutoencoderKLWan(
        base_dim=8, z_dim=4, num_res_blocks=1, latents_mean=[0.0] * 4, latents_std=[1.0] * 4
    ).save_pretrained(copied / "vae")
    with pytest.raises(ModelError, match="latents of 4 channels, the transformer makes 16"):
        load_pipeline(copied, CPU)


def test_a_rehearsal_checks_every_part_and_loads_none(folder, pipeline):
    here = rehearse(locate(folder), SMALL)
    tensors = [*here.denoiser.transformer.parameters(), *here.decoder.vae.parameters()]
    assert all(tensor.is_meta for tensor in tensors)
    for name, tensor in pipeline.denoiser.transformer.state_dict().items():
        assert here.denoiser.transformer.state_dict()[name].shape == tensor.shape
    encoder = UMT5EncoderModel.from_pretrained(folder / "text_encoder", local_files_only=True)
    assert here.text.parameters == sum(p.numel() for p in encoder.parameters())
    assert here.shape == pipeline.shape


@pytest.mark.parametrize(
    "name", [str(CHECKPOINT), "vae/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"]
)
def test_a_rehearsal_finds_half_a_file(copied, name):
    whole = (copied / name).read_bytes()
    (copied / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=rf"{name} is damaged.*Download it again"):
        rehearse(locate(copied), SMALL)


def test_a_rehearsal_knows_what_the_published_parts_would_refuse(folder):
    found = Found("mine", SELF_FORCING, {"transformer": folder / CHECKPOINT}, {}, ())
    with pytest.raises(ModelError, match="text encoder gives rows of 4096, the transformer expects 32"):
        rehearse(found, Loading())


@pytest.mark.parametrize(
    ("height", "width", "nearest"),
    [
        (100, 100, "--size 96x96 or 112x112"),
        (104, 104, "--size 96x96 or 112x112"),
        (96, 104, "--size 96x96 or 96x112"),
        (4, 48, "--size 16x48"),
    ],
)
def test_sizes_that_cannot_be_made_name_the_nearest(folder, height, width, nearest):
    told = rf"{height}x{width} pixels \(height x width\) cannot be made: .* multiples of 16\. The nearest: {nearest}$"
    loading = Loading(height=height, width=width)
    for load in (lambda: load_pipeline(folder, CPU, loading=loading), lambda: rehearse(locate(folder), loading)):
        with pytest.raises(SettingsError, match=told):
            load()


def test_a_size_that_is_not_even_fetched_yet_is_checked():
    nothing = Found("mine", SELF_FORCING, {}, {}, ())
    with pytest.raises(SettingsError, match=r"multiples of 16\. The nearest: --size 480x832 or 496x832$"):
        rehearse(nothing, Loading(height=488, width=832))


def test_sides_that_differ_are_named_apart(tmp_path):
    path = save_small_wan(tmp_path / "wan")
    sizes = {name: value for name, value in small_transformer().config.items() if not name.startswith("_")}
    save_transformer(path, WanTransformer3DModel(**sizes | {"patch_size": (1, 1, 4)}))
    with pytest.raises(SettingsError, match=r"multiples of 8 and 32\. The nearest: --size 40x32 or 40x64$"):
        load_pipeline(path, CPU, loading=Loading(height=40, width=48))


@pytest.mark.parametrize("chunk", [1, 2, 6])
def test_the_length_of_a_chunk_is_a_choice(folder, chunk):
    pipeline = load_pipeline(folder, CPU, loading=Loading(height=32, width=48, chunk=chunk))
    assert pipeline.geometry.chunk_frames == chunk and needs_of(folder, Loading(chunk=chunk)).plan.chunk_frames == chunk
    first, second = generate_long_video(pipeline, PROMPT, num_frames=1 + 4 * (2 * chunk - 1), policy=SlidingWindow())
    assert (len(first.frames), len(second.frames)) == (1 + 4 * (chunk - 1), 4 * chunk)
    assert second.latent_frames == (chunk, 2 * chunk) and second.cache.tokens == 2 * chunk * 6


def test_a_chunk_that_no_window_holds_is_refused(folder):
    pipeline = load_pipeline(folder, CPU, loading=Loading(height=32, width=48, chunk=9))
    with pytest.raises(SettingsError):
        generate_long_video(pipeline, PROMPT, policy=SlidingWindow(window=8))


@pytest.mark.parametrize(
    "options", [{"decoder": "tiny"}, {"text": "disk"}, {"weights": "int4"}, {"height": 0}, {"chunk": 0}, {"chunk": 22}]
)
def test_choices_that_cannot_be_are_refused(options):
    with pytest.raises(SettingsError, match="must be"):
        Loading(**options)


def test_loras_are_merged_as_the_model_is_loaded_and_refused_before(folder, tmp_path):
    width = 2 * 128
    halves = {"A": torch.randn(3, width) / 8, "B": torch.randn(width, 3) / 8}
    names = {f"blocks.1.self_attn.q.lora_{half}.weight": tensor for half, tensor in halves.items()}
    save_file(names, tmp_path / "style.safetensors")
    plain, styled = (
        load_pipeline(folder, CPU, Loading(loras=loras)) for loras in ((), ((tmp_path / "style.safetensors", 0.5),))
    )
    was, now = (each.denoiser.transformer.blocks[1].attn1.to_q.weight.float() for each in (plain, styled))
    torch.testing.assert_close(now - was, 0.5 * halves["B"] @ halves["A"], atol=1e-2, rtol=1e-2)
    assert plain.weights != styled.weights
    save_file({name.replace("blocks.1", "blocks.7"): t for name, t in names.items()}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="is a LoRA for another model"):
        rehearse(find(folder), Loading(loras=((tmp_path / "other.safetensors", 1.0),)))
