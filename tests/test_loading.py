"""A tiny model on disk: loaded, damaged, foreign."""

import json
from dataclasses import asdict

import pytest
import torch
from conftest import TEXT_DIM, small_transformer
from safetensors.torch import save_file

from deepforcing import ModelError, generate_long_video, load_pipeline
from deepforcing.models.checkpoint import WEIGHTS
from deepforcing.models.components import fastest_dtype
from deepforcing.models.tiny_codec import CodecConfig, TinyCodec
from deepforcing.models.tiny_text import TinyTextConfig, TinyTextEncoder


@pytest.fixture
def folder(tmp_path):
    codec = TinyCodec(CodecConfig(latent_channels=4, encoder_widths=(8, 8, 8), decoder_widths=(8, 8, 8, 8)))
    text = TinyTextEncoder(TinyTextConfig(width=TEXT_DIM, layers=1, heads=2))
    small_transformer().save_pretrained(tmp_path / "transformer")
    save_file({k: v.contiguous() for k, v in codec.state_dict().items()}, tmp_path / "codec.safetensors")
    save_file(text.state_dict(), tmp_path / "text.safetensors")
    card = {"prediction": "x0", "steps": [1000, 500], "shift": 3.0, "chunk_frames": 3, "size": 32, "fps": 16}
    card |= {"codec": asdict(codec.config), "text": asdict(text.config)}
    (tmp_path / "model.json").write_text(json.dumps(card))
    return tmp_path


def test_a_folder_loads_and_streams(folder):
    pipeline = load_pipeline(folder)
    assert pipeline.denoiser.dtype == fastest_dtype(pipeline.denoiser.device)
    assert pipeline.denoiser.sampling.steps == (1000, 500)
    chunk = next(generate_long_video(pipeline, "a red balloon"))
    assert chunk.frames.shape == (9, 32, 32, 3)
    assert pipeline.unknown_words("a red dragon") == ["dragon"]


def test_an_unknown_model_is_named():
    with pytest.raises(ModelError, match="unknown model 'gigantic'"):
        load_pipeline("gigantic")


def test_an_empty_folder_says_what_was_expected(tmp_path):
    with pytest.raises(ModelError, match=r"holds no model: expected .*model\.json"):
        load_pipeline(tmp_path)


@pytest.mark.parametrize("text", ["not json", "[]", '{"size": 32}'])
def test_a_broken_description_is_refused(folder, text):
    (folder / "model.json").write_text(text)
    with pytest.raises(ModelError, match=r"model\.json"):
        load_pipeline(folder)


@pytest.mark.parametrize("name", [f"transformer/{WEIGHTS}", "codec.safetensors", "text.safetensors"])
def test_missing_truncated_and_foreign_weights_are_named(folder, name):
    path = folder / name
    whole = path.read_bytes()
    path.unlink()
    with pytest.raises(ModelError, match="missing"):
        load_pipeline(folder)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="damaged"):
        load_pipeline(folder)
    save_file({"other": torch.zeros(2)}, path)
    with pytest.raises(ModelError, match="of another model: expected "):
        load_pipeline(folder)


def test_a_pickle_is_never_opened(folder):
    torch.save({"weights": torch.zeros(2)}, folder / "codec.safetensors")
    with pytest.raises(ModelError, match=r"is a .pt file by torch.save: expected weights in safetensors"):
        load_pipeline(folder)
