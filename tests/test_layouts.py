"""Weights as other programs publish and save them: what can be read loads, and what cannot be says why."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers
from safetensors.torch import save_file
from test_checkpoint import HEAD_DIM, OFFICIAL, QUERY, assert_same, load, lora_tensors, released, with_changes

from deepforcing.models.checkpoint import WEIGHTS, load_transformer
from deepforcing.models.components import ModelError
from deepforcing.models.found import locate

HEADS = OFFICIAL[QUERY].shape[0] // HEAD_DIM


def original(folder: Path, **config) -> Path:
    """A folder as Wan's own code saves it."""
    folder.mkdir(exist_ok=True)
    save_file(OFFICIAL, folder / WEIGHTS)
    sizes = {"_class_name": "WanModel", "model_type": "t2v", "dim": HEADS * HEAD_DIM, "num_heads": HEADS}
    (folder / "config.json").write_text(json.dumps(sizes | config))
    return folder


@pytest.mark.parametrize("kind", ["WanModel", "CausalWanModel"])
def test_a_folder_in_wans_own_layout_loads(tmp_path, kind):
    transformer = load_transformer(original(tmp_path, _class_name=kind), torch.float32)
    assert_same(transformer)
    assert transformer.config.num_attention_heads == HEADS
    assert locate(tmp_path).own == {"transformer": tmp_path}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "i2v"}, "a Wan model for image-to-video: expected text-to-video"),
        ({"num_heads": 0}, "how wide a head is: expected dim and num_heads"),
        ({"dim": None}, "how wide a head is: expected dim and num_heads"),
        ({"dim": 1}, "cannot be cut into heads"),
        ({"_class_name": "FluxModel"}, "expected _class_name WanTransformer3DModel, found FluxModel"),
    ],
)
def test_a_folder_of_another_model_is_refused(tmp_path, config, message):
    with pytest.raises(ModelError, match=message):
        load_transformer(original(tmp_path, **config), torch.float32)


@pytest.mark.parametrize(
    "prefix",
    ["module.", "net.", "transformer.", "generator.", "module.generator._fsdp_wrapped_module.model.", "pipe.dit."],
)
def test_what_stands_before_a_name_does_not_matter(tmp_path, prefix):
    save_file({prefix + name: tensor for name, tensor in OFFICIAL.items()}, tmp_path / "weights.safetensors")
    assert_same(load(tmp_path / "weights.safetensors"))


@pytest.mark.parametrize("keys", [["module"], ["model_state_dict"], ["state_dict", "generator"], ["model", "module"]])
def test_a_dictionary_in_a_dictionary_is_found(tmp_path, keys):
    content = {f"model.{name}": tensor for name, tensor in OFFICIAL.items()}
    for key in reversed(keys):
        content = {"step": 3, key: content, "optimizer": {}}
    torch.save(content, tmp_path / "weights.pt")
    assert_same(load(tmp_path / "weights.pt"))


@pytest.mark.parametrize(
    ("own", "other"),
    [("generator.", "critic."), ("generator.model.", "fake_score.model."), ("model.diffusion_model.", "vae.")],
)
def test_other_networks_in_the_same_file_are_left_out(tmp_path, own, other):
    both = {own + name: tensor for name, tensor in OFFICIAL.items()} | {f"{other}{QUERY}": torch.zeros(3)}
    torch.save({"state_dict": both}, tmp_path / "weights.pt")
    assert_same(load(tmp_path / "weights.pt"))


@pytest.mark.parametrize(
    ("beside", "kind"),
    [
        ("scaled_fp8", "fp8 with scales"),
        ("blocks.0.self_attn.q.scale_weight", "fp8 with scales"),
        ("blocks.0.self_attn.q.weight_scale", "fp8 with scales"),
        ("blocks.0.self_attn.q.weight.absmax", "bitsandbytes"),
        ("blocks.0.self_attn.q.weight._data", "quanto"),
        ("blocks.0.self_attn.q.qweight", "GPTQ"),
    ],
)
@pytest.mark.parametrize("where", ["safetensors", "pt", "folder"])
def test_quantised_weights_are_told_apart_and_what_to_take_instead(tmp_path, beside, kind, where):
    weights = {**OFFICIAL, QUERY: OFFICIAL[QUERY].to(torch.float8_e4m3fn), beside: torch.ones(1)}
    path = tmp_path / f"model.{where}"
    if where == "folder":
        save_file(weights, original(path) / WEIGHTS)
    else:
        (torch.save if where == "pt" else save_file)(weights, path)
    with pytest.raises(ModelError, match=rf"quantised \({kind}.* Take the same model's weights in bfloat16"):
        load(path)


def test_fp8_without_scales_is_read(tmp_path):
    weights = {**OFFICIAL, QUERY: OFFICIAL[QUERY].to(torch.float8_e4m3fn)}
    save_file(weights, tmp_path / "fp8.safetensors")
    query = load(tmp_path / "fp8.safetensors").blocks[1].attn1.to_q.weight
    assert torch.equal(query, weights[QUERY].float())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"GGUF\x03\0\0\0" + bytes(60), "is quantised, in GGUF: .* Take the same model's weights in bfloat16"),
        (b"\n <!DOCTYPE html><html>", "is a web page: .* Download the file itself"),
        (b"\x80\x02}q\x00.", "a bare pickle, which could run code and is never opened: .* by torch.save$"),
    ],
)
@pytest.mark.parametrize("name", ["model.pt", "model.gguf"])
def test_other_files_are_named_for_what_they_are(tmp_path, content, message, name):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=message):
        load(tmp_path / name)


def test_a_pt_file_under_a_name_of_safetensors_is_named_for_what_it_is(tmp_path):
    torch.save(OFFICIAL, original(tmp_path) / WEIGHTS)
    with pytest.raises(ModelError, match=r"is a \.pt file by torch\.save: expected .* give its own path"):
        load(tmp_path)
    assert_same(load(tmp_path / WEIGHTS))


def test_a_pointer_in_place_of_a_folders_weights_is_named(tmp_path):
    (original(tmp_path) / WEIGHTS).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(ModelError, match=r"is a Git LFS pointer, not the weights: .* download it again"):
        load(tmp_path)


def test_numbers_of_numpy_beside_the_weights_do_no_harm(tmp_path):
    numbers = {"step": np.int64(7), "loss": np.float64(0.1), "lr": np.float32(1e-4)}
    torch.save(
        {"generator": {f"model.{name}": tensor for name, tensor in OFFICIAL.items()}, **numbers}, tmp_path / "a.pt"
    )
    assert_same(load(tmp_path / "a.pt"))


def test_what_numpy_could_hide_is_still_refused(tmp_path):
    torch.save({"generator": OFFICIAL, "x": np.array([object()])}, tmp_path / "a.pt")
    with pytest.raises(ModelError, match="expected nothing but tensors"):
        load(tmp_path / "a.pt")


def merged(tmp_path: Path, tensors: dict) -> dict:
    save_file(tensors, tmp_path / "lora.safetensors")
    return load(released(tmp_path / "base.pt"), lora=tmp_path / "lora.safetensors").state_dict()


def assert_merged(found: dict, official: dict) -> None:
    for name, tensor in convert_wan_transformer_to_diffusers(dict(official)).items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-6, msg=name)


NAMES = {  # of PEFT's -> as another trainer has them
    "kohya": lambda name: "lora_unet_" + name.partition(".lora")[0].replace(".", "_"),
    "kohya with dots": lambda name: "lora_unet_" + name.partition(".lora")[0].replace("blocks.", "blocks_"),
    "down and up": lambda name: "diffusion_model." + name.partition(".lora")[0],
    "diffusers": lambda name: "transformer." + name.partition(".lora")[0],
}


@pytest.mark.parametrize("trainer", NAMES)
@pytest.mark.parametrize("alpha", [None, 2.0, 8.0])
def test_a_lora_is_merged_under_the_names_of_other_trainers(tmp_path, trainer, alpha):
    halves, renamed = lora_tensors("", rank=4), {}
    for name, tensor in halves.items():
        module = NAMES[trainer](name)
        half = ("lora_A", "lora_B") if trainer == "diffusers" else ("lora_down", "lora_up")
        renamed[f"{module}.{half['lora_B' in name]}.weight"] = tensor
        if alpha is not None:
            renamed[f"{module}.alpha"] = torch.tensor(alpha)
    assert_merged(merged(tmp_path, renamed), with_changes(halves, 1 if alpha is None else alpha / 4))


def test_changes_that_are_added_as_they_are(tmp_path):
    tensors = lora_tensors("diffusion_model.")
    changed = with_changes(tensors)
    names = {"diff": "blocks.0.norm3.weight", "diff_b": "blocks.1.self_attn.q.bias", "diff_m": "blocks.0.modulation"}
    for what, name in names.items():
        added = torch.randn(OFFICIAL[name].shape)
        tensors[f"diffusion_model.{name.rpartition('.')[0]}.{what}"] = added
        changed[name] = OFFICIAL[name] + added
    assert_merged(merged(tmp_path, tensors), changed)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"blocks.0.ffn.0.hada_w1_a": torch.zeros(4, 4)}, "is a LoHa .*Merge it into the weights first"),
        ({"lora_unet_blocks_0_ffn_0.lokr_w1": torch.zeros(4, 4)}, "is a LoKr .*Merge it into the weights first"),
        (lora_tensors("") | {"blocks.0.ffn.0.dora_scale": torch.zeros(4)}, "is a DoRA .*Merge it"),
        ({"blocks.0.norm3.diff": torch.zeros(3)}, r"expected a change of blocks\.0\.norm2\.weight .* found \(3,\)"),
        ({"blocks.77.self_attn.q.diff_b": torch.zeros(3)}, r"there is no blocks\.77\.attn1\.to_q\.bias"),
        ({"lora_unet_blocks_0_ffn_0.lora_down.weight": torch.zeros(4, 4)}, "lacks lora_B for blocks.0.ffn.net.0.proj"),
    ],
)
def test_a_lora_that_cannot_be_merged_says_why(tmp_path, tensors, message):
    with pytest.raises(ModelError, match=message):
        merged(tmp_path, tensors)


def test_a_lora_of_any_trainer_is_no_model(tmp_path):
    save_file({"lora_unet_blocks_0_ffn_0.lora_down.weight": torch.zeros(4, 4)}, tmp_path / "lora.safetensors")
    with pytest.raises(ModelError, match="is a LoRA: expected a whole transformer"):
        load(tmp_path / "lora.safetensors")
