"""Which model a name or a path is, and where its parts are."""

import shutil

import pytest
import torch
from small_wan import CHANGED, CHECKPOINT, save_lora, save_small_wan, small_transformer

from deepforcing import AttentionSink, DeepForcing, Loading, ModelError, load_pipeline, own_policy
from deepforcing.models import found as finding
from deepforcing.models.found import find, locate
from deepforcing.models.sources import SELF_FORCING

CPU = torch.device("cpu")
SMALL = Loading(height=32, width=48)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return save_small_wan(tmp_path_factory.mktemp("wan"))


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "model")


@pytest.fixture
def cached(monkeypatch):
    """What the hub's cache holds, by the name of the part; to be filled by a test."""
    held, on_disk = {}, finding.present

    def present(source, parts=None, folder=None):
        if folder:
            return on_disk(source, parts=parts, folder=folder)
        return {part.name: held[part.name] for part in source.choose(parts) if part.name in held}

    monkeypatch.setattr(finding, "present", present)
    return held


def test_a_folder_holds_all_parts_of_its_own(folder, cached):
    found = find(folder)
    assert found.own["transformer"] == folder / CHECKPOINT and found.own["vae"] == folder / "vae"
    assert found.title == found.name == "model" and found.source is SELF_FORCING and not found.shared


def test_a_transformer_alone_takes_the_other_parts_from_the_cache(folder, cached):
    cached |= {name: folder / name for name in ("vae", "text_encoder", "tokenizer", "transformer")}
    found = find(folder / CHECKPOINT)
    assert found.name == "self_forcing_dmd" and found.own == {"transformer": folder / CHECKPOINT}
    assert found.shared["vae"] == folder / "vae" and len(found.parts) == 4
    assert load_pipeline(folder / CHECKPOINT, CPU, SMALL).shape.width == 48


def test_a_diffusers_folder_is_a_transformer_alone_and_named_in_full(folder, cached):
    own = folder / "wan2.1-mine"
    small_transformer().save_pretrained(own)
    found = locate(own)
    assert found.name == "wan2.1-mine" and found.own == {"transformer": own}
    assert [part.name for part in found.missing] == ["vae", "text_encoder", "tokenizer"]


def test_what_is_not_on_this_machine_says_how_to_get_it(folder, cached):
    with pytest.raises(ModelError, match=r"Self Forcing 1.3B is not .* text_encoder.*fetch self-forcing`"):
        load_pipeline("self-forcing", CPU)
    with pytest.raises(ModelError, match=r"lacks vae, text_encoder, tokenizer\. .*--parts vae,text_encoder,tokenizer`"):
        load_pipeline(folder / CHECKPOINT, CPU)
    with pytest.raises(ModelError, match=r"taehv.*fetch longlive --parts .*taehv`"):
        load_pipeline("longlive", CPU, Loading("small"))


def test_a_folder_without_the_small_decoder_takes_the_published_one(folder, cached):
    (missing,) = locate(folder, Loading("small")).missing
    assert missing.name == "taehv"
    cached["taehv"] = folder / "taew2_1.safetensors"
    assert find(folder, Loading("small")).shared == cached


def test_a_folder_with_longlives_parts_is_longlive(folder, cached):
    (folder / CHECKPOINT).rename(folder / "longlive_base.pt")
    with pytest.raises(ModelError, match=r"lacks models/lora.pt, which LongLive 1.3B needs"):
        find(folder)
    save_lora(folder / "lora.pt")
    found = find(folder)
    assert found.source.name == "longlive" and found.parts["lora"] == folder / "lora.pt"
    assert own_policy(folder) == AttentionSink(window=12, sink=3)
    merged = load_pipeline(folder, CPU, SMALL).denoiser.transformer.state_dict()
    assert not torch.equal(merged[CHANGED], small_transformer().state_dict()[CHANGED])


def test_the_window_of_five_seconds_is_for_deep_forcing(saved):
    assert own_policy(saved) == own_policy("self-forcing") == DeepForcing()
    assert own_policy("longlive") == AttentionSink(window=12, sink=3)


def test_unknown_models_name_the_known_ones_and_the_nearest():
    with pytest.raises(ModelError, match=r"'wann': expected tiny, self-forcing, longlive, or a path that exists$"):
        find("wann")
    with pytest.raises(ModelError, match=r"; did you mean self-forcing\?$"):
        find("self_forcing")


def test_a_folder_that_lacks_parts_lists_them(folder):
    shutil.rmtree(folder / "vae")
    (folder / CHECKPOINT).unlink()
    with pytest.raises(ModelError, match=r"lacks .*vae/config.json.*self_forcing_dmd.pt"):
        load_pipeline(folder, CPU)


def test_a_folder_without_any_part_says_what_was_expected(tmp_path):
    with pytest.raises(ModelError, match=r"holds no model: expected .*config\.json.*model\.json"):
        locate(tmp_path)
