"""What a model needs before it is loaded, and getting it ready: from a hub of our own, and from files on disk."""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from documents import TEXT
from fake_hub import FakeHub
from small_wan import CHANNELS, CHECKPOINT, TEXT_DIM, save_small_wan, small_transformer
from test_fetch import direct  # noqa: F401  (a fixture)

from deepforcing import (
    Loading,
    ModelError,
    SlidingWindow,
    generate_long_video,
    get_ready,
    load_pipeline,
    needs,
    needs_of,
)
from deepforcing.memory import Room
from deepforcing.models import found as finding
from deepforcing.models import shapes
from deepforcing.models.components import device_for
from deepforcing.models.fetch import fetch
from deepforcing.models.sources import SELF_FORCING, SOURCES

SMALL = Loading(height=32, width=48)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return save_small_wan(tmp_path_factory.mktemp("wan"))


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "model")


@pytest.fixture
def hub(saved, tmp_path, monkeypatch, direct):  # noqa: F811
    """A hub with the small model's parts where Wan's are, and an empty cache."""
    small = replace(shapes.SHAPES["small"], text_dim=TEXT_DIM)
    monkeypatch.setitem(shapes.SHAPES, "on the hub", small)
    monkeypatch.setattr(finding, "SELF_FORCING", replace(SELF_FORCING, size="on the hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    files = {path.relative_to(saved).as_posix(): path.read_bytes() for path in saved.rglob("*") if path.is_file()}
    with FakeHub({SELF_FORCING.parts[0].repo: files}) as server:
        monkeypatch.setattr(needs, "fetch", partial(fetch, endpoint=server.endpoint))
        yield server


def test_a_transformer_alone_gets_the_other_parts_from_the_hub(hub, folder, tmp_path):
    checkpoint = shutil.copy(folder / CHECKPOINT, tmp_path / "mine.pt")
    before = needs_of(checkpoint, SMALL)
    assert [part.name for part in before.missing] == ["vae", "text_encoder", "tokenizer"] and not before.bound
    assert before.found.title == "mine" and hub.requests == []
    steps = []
    pipeline = get_ready(checkpoint, SMALL, accept_non_commercial=False, progress=steps.append)
    assert {step.part for step in steps} == {"vae", "text_encoder", "tokenizer"}
    assert steps[-1].done_bytes == steps[-1].total_bytes
    assert len(next(generate_long_video(pipeline, "a lighthouse")).frames) == 9
    after = needs_of(checkpoint, SMALL)
    assert not after.missing and after.takes.text != before.takes.text, "what came is counted as it is"


def test_a_path_is_counted_as_it_is(folder):
    found = needs_of(folder, SMALL)
    pipeline = get_ready(folder, SMALL, accept_non_commercial=False)
    element = found.plan.dtype.itemsize
    assert not found.missing and found.fits
    assert found.takes.weights == element * sum(p.numel() for p in pipeline.denoiser.transformer.parameters())
    assert found.takes.text == element * pipeline.text.parameters
    vae = pipeline.decoder.vae
    assert found.takes.decoder == element * sum(p.numel() for p in vae.parameters())
    assert (found.plan.height, found.plan.width, found.plan.policy.window) == (32, 48, 21)


def test_of_a_diffusers_folder_config_and_weights_are_counted(hub, tmp_path):
    small_transformer().save_pretrained(tmp_path / "mine")
    wide = type(small_transformer())(**{**small_transformer().config, "num_layers": 3, "freq_dim": 32})
    wide.save_pretrained(tmp_path / "deeper")
    small, deeper = (needs_of(tmp_path / name, SMALL).takes for name in ("mine", "deeper"))
    assert deeper.weights > small.weights and deeper.cache == 1.5 * small.cache


def test_a_policy_may_be_given(folder):
    assert needs_of(folder, SMALL, SlidingWindow(9)).takes.cache < needs_of(folder, SMALL).takes.cache


def test_too_little_memory_names_what_would_fit(folder, monkeypatch):
    takes, large = needs_of(folder, SMALL).takes, Loading(height=480, width=832)
    monkeypatch.setattr(needs, "room", lambda device: Room(takes.device, takes.host))
    needs_of(folder, SMALL).check_memory()
    takes = replace(needs_of(folder, large).takes, cache=0)
    with pytest.raises(ModelError, match=r"^model takes .* of memory, of which .* free\. It would with: .* \(--size"):
        needs_of(folder, large).check_memory()
    takes = replace(takes, activations=0, decoding=0, turned=0, weights=0)
    with pytest.raises(ModelError, match="Nothing that can be set would change that"):
        needs_of(folder, large).check_memory()


def test_a_large_model_runs_without_cuda_only_where_that_is_asked_for(folder, no_cuda, monkeypatch):
    parameters = sum(p.numel() for p in small_transformer().parameters())
    monkeypatch.setattr(needs, "LARGE", parameters)
    assert needs_of(folder, SMALL).device.type == "cpu"
    monkeypatch.setattr(needs, "LARGE", parameters - 1)
    words = r"^model, with \d million transformer parameters, expects a GPU with CUDA; PyTorch .* found none\. Take "
    with pytest.raises(ModelError, match=words + "--model tiny, or --device cpu"):
        needs_of(folder, SMALL)
    assert needs_of(folder, replace(SMALL, device="cpu")).device.type == "cpu"


@pytest.mark.parametrize("name", SOURCES)
def test_the_published_models_are_large(name, no_cuda):
    with pytest.raises(ModelError, match="with 1,419 million transformer parameters, expects a GPU with CUDA"):
        needs_of(name)
    assert f"more than {needs.LARGE // 10**6} million parameters" in TEXT


def test_cuda_that_is_not_there_is_refused_whatever_the_model(folder, no_cuda):
    on_cuda, words = Loading(device="cuda"), r"^--device cuda expects .* found none\. Take --device cpu"
    with pytest.raises(ModelError, match=words):
        needs_of(folder, on_cuda)
    for model in (folder, "tiny"):
        with pytest.raises(ModelError, match=words):
            load_pipeline(model, loading=on_cuda)


def test_the_cpu_can_be_asked_for_where_there_is_cuda(folder, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert needs_of(folder, replace(SMALL, device="cpu")).device.type == "cpu"
    for model in (folder, "tiny"):
        assert load_pipeline(model, loading=Loading(device="cpu")).denoiser.device.type == "cpu"
    assert device_for("auto").type == device_for("cuda").type == "cuda"


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("name", [str(CHECKPOINT), "vae/diffusion_pytorch_model.safetensors"])
def test_half_a_file_is_told_before_anything_is_loaded(folder, name):
    half(folder / name)
    with pytest.raises(ModelError, match=f"{name} is damaged"):
        needs_of(folder, SMALL)


def test_another_models_file_is_told_before_the_hub_is_asked(hub, tmp_path):
    torch.save({"generator": {"layers.0.weight": torch.zeros(2)}}, tmp_path / "other.pt")
    with pytest.raises(ModelError, match=r"other\.pt is not a Wan transformer: expected patch_embedding.weight"):
        needs_of(tmp_path / "other.pt", SMALL)
    torch.manual_seed(0)
    config = {**small_transformer().config, "text_dim": 2 * TEXT_DIM}
    type(small_transformer())(**config).save_pretrained(tmp_path / "other")
    with pytest.raises(ModelError, match=f"rows of {TEXT_DIM}, the transformer expects {2 * TEXT_DIM}"):
        needs_of(tmp_path / "other", SMALL)
    config = {**small_transformer().config, "in_channels": 2 * CHANNELS, "out_channels": 2 * CHANNELS}
    type(small_transformer())(**config).save_pretrained(tmp_path / "wide")
    with pytest.raises(ModelError, match=f"latents of {CHANNELS} channels, the transformer makes {2 * CHANNELS}"):
        needs_of(tmp_path / "wide", SMALL)
    assert hub.requests == []
