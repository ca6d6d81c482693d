"""A transformer on disk in each published layout: the same model comes out, and what does not fit is refused."""

import json
import os
from pathlib import Path

import pytest
import torch
from conftest import small_transformer
from diffusers import WanTransformer3DModel
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers
from parity import deviation, last_chunk, official_weights, read_recorded, roll_out
from safetensors.torch import save_file

from deepforcing.config import Sampling, SettingsError
from deepforcing.models.checkpoint import WEIGHTS, load_transformer
from deepforcing.models.components import ModelError
from deepforcing.models.loading import Loading
from deepforcing.models.wan import CausalWan
from deepforcing.options import read_lora

RECORDED, RUNS = read_recorded()
OFFICIAL = official_weights(RECORDED)
HEAD_DIM = 32
QUERY = "blocks.1.self_attn.q.weight"


def load(path: Path, dtype: torch.dtype = torch.float32, lora: Path | None = None, **options) -> WanTransformer3DModel:
    loras = [(lora, 1.0)] if lora else []
    return load_transformer(path, dtype, head_dim=HEAD_DIM, **{"loras": loras} | options)


def released(path: Path, weights: dict = OFFICIAL, key: str = "generator_ema", **other) -> Path:
    """The layout of Self Forcing's checkpoint."""
    torch.save({key: {f"model.{name}": tensor for name, tensor in weights.items()}, **other}, path)
    return path


def contiguous(weights: dict) -> dict:
    return {name: tensor.contiguous() for name, tensor in weights.items()}


def assert_same(transformer: WanTransformer3DModel, official: dict = OFFICIAL) -> None:
    expected = convert_wan_transformer_to_diffusers(dict(official))
    found = transformer.state_dict()
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


def lora_tensors(prefix: str = "base_model.model.", suffix: str = "weight", rank: int = 4) -> dict:
    torch.manual_seed(0)
    wide, ffn = OFFICIAL["blocks.0.ffn.0.weight"].shape[::-1]
    shapes = {"blocks.1.self_attn.q": (wide, wide), "blocks.0.ffn.0": (wide, ffn)}  # inputs, outputs
    halves = {}
    for module, (inputs, outputs) in shapes.items():
        halves[f"{prefix}{module}.lora_A.{suffix}"] = torch.randn(rank, inputs) / 8
        halves[f"{prefix}{module}.lora_B.{suffix}"] = torch.randn(outputs, rank) / 8
    return halves


def with_changes(halves: dict, scale: float = 1.0) -> dict:
    """The official weights with the changes of `lora_tensors` merged."""
    a, b = [t for n, t in halves.items() if "lora_A" in n], [t for n, t in halves.items() if "lora_B" in n]
    changed = dict(OFFICIAL)
    for name, down, up in zip((QUERY, "blocks.0.ffn.0.weight"), a, b, strict=True):
        changed[name] = OFFICIAL[name] + scale * up @ down
    return changed


@pytest.mark.parametrize("name", ["fifo9", "df_official"])
def test_a_released_checkpoint_equals_the_reference(tmp_path, name):
    denoiser = CausalWan(load(released(tmp_path / "self_forcing_dmd.pt")), Sampling())
    assert deviation(roll_out(denoiser, RECORDED, RUNS, name), last_chunk(RECORDED, RUNS, name)) < 1e-4


def test_bfloat16_stays_close_to_the_reference(tmp_path):
    denoiser = CausalWan(load(released(tmp_path / "self_forcing_dmd.pt"), torch.bfloat16), Sampling())
    assert deviation(roll_out(denoiser, RECORDED, RUNS, "fifo9"), last_chunk(RECORDED, RUNS, "fifo9")) < 0.05


def test_a_longlive_base_with_its_lora_equals_the_reference(tmp_path):
    halves = lora_tensors()
    base = with_changes(halves, scale=-1.0)  # so that base + LoRA is the reference's model
    torch.save({"generator_lora": halves, "critic_lora": {}}, tmp_path / "lora.pt")
    transformer = load(released(tmp_path / "longlive_base.pt", base, "generator"), lora=tmp_path / "lora.pt")
    rolled = roll_out(CausalWan(transformer, Sampling()), RECORDED, RUNS, "fifo9")
    assert deviation(rolled, last_chunk(RECORDED, RUNS, "fifo9")) < 1e-4


def test_on_the_meta_device_all_is_checked_and_nothing_loaded(tmp_path):
    torch.save({"generator_lora": lora_tensors()}, tmp_path / "lora.pt")
    base, meta = released(tmp_path / "base.pt"), torch.device("meta")
    for options in ({}, {"lora": tmp_path / "lora.pt"}):
        rehearsed = load(base, torch.bfloat16, device=meta, **options).state_dict()
        loaded = load(base, torch.bfloat16, **options).state_dict()
        assert all(tensor.is_meta for tensor in rehearsed.values())
        assert {n: (t.shape, t.dtype) for n, t in rehearsed.items()} == {
            n: (t.shape, t.dtype) for n, t in loaded.items()
        }
    with pytest.raises(ModelError, match="is of another model: expected"):
        load(released(tmp_path / "less.pt", {n: t for n, t in OFFICIAL.items() if n != QUERY}), device=meta)


def test_the_averaged_weights_are_preferred(tmp_path):
    other = {f"model.{name}": torch.zeros_like(tensor) for name, tensor in OFFICIAL.items()}
    assert_same(load(released(tmp_path / "both.pt", generator=other, step=7)))


@pytest.mark.parametrize("key", ["generator", "model", "state_dict"])
def test_other_keys_of_released_checkpoints_are_found(tmp_path, key):
    assert_same(load(released(tmp_path / "checkpoint", key=key)))


@pytest.mark.parametrize(
    "prefix", ["", "model.", "model._fsdp_wrapped_module.", "_orig_mod.model.", "model.diffusion_model."]
)
@pytest.mark.parametrize("save", [torch.save, save_file], ids=["pt", "safetensors"])
def test_flat_official_names_load_whatever_the_file_is_called(tmp_path, prefix, save):
    save({prefix + name: tensor for name, tensor in OFFICIAL.items()}, tmp_path / "weights.bin")
    assert_same(load(tmp_path / "weights.bin"))


def test_wrappers_inside_of_names_are_dropped(tmp_path):
    wrapped = {name.replace("blocks.1.", "blocks.1._fsdp_wrapped_module."): tensor for name, tensor in OFFICIAL.items()}
    assert_same(load(released(tmp_path / "wrapped.pt", wrapped)))


def test_diffusers_names_load_from_one_file(tmp_path):
    save_file(contiguous(convert_wan_transformer_to_diffusers(dict(OFFICIAL))), tmp_path / "one.safetensors")
    assert_same(load(tmp_path / "one.safetensors"))


@pytest.mark.parametrize("shard", ["10GB", "200KB"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_diffusers_folder_loads_as_diffusers_loads_it(tmp_path, shard, dtype):
    load(released(tmp_path / "released.pt")).save_pretrained(tmp_path / "transformer", max_shard_size=shard)
    assert (tmp_path / "transformer" / f"{WEIGHTS}.index.json").is_file() == (shard == "200KB")
    expected = WanTransformer3DModel.from_pretrained(
        tmp_path / "transformer", torch_dtype=dtype, use_safetensors=True, local_files_only=True
    )
    for folder in (tmp_path / "transformer", tmp_path):  # the pipeline's folder holds the transformer's
        found = load_transformer(folder, dtype)
        assert not found.training
        assert sizes(found) == sizes(expected)
        for (name, want), (also, got) in zip(everything(expected), everything(found), strict=True):
            assert (name, want.dtype) == (also, got.dtype)
            assert torch.equal(want, got), name


def sizes(transformer: WanTransformer3DModel) -> dict:
    return {name: value for name, value in transformer.config.items() if not name.startswith("_")}


def everything(module: torch.nn.Module) -> list[tuple[str, torch.Tensor]]:
    return [*module.named_parameters(), *module.named_buffers()]


def test_the_file_may_go_once_it_is_loaded(tmp_path):
    path = released(tmp_path / "self_forcing_dmd.pt")
    transformer = load(path)
    path.write_bytes(bytes(path.stat().st_size))
    assert_same(transformer)


@pytest.mark.parametrize("prefix", ["base_model.model.", "base_model.model.model._fsdp_wrapped_module.", ""])
@pytest.mark.parametrize("suffix", ["weight", "default.weight"])
def test_a_lora_is_merged_whatever_its_prefixes(tmp_path, prefix, suffix):
    halves = lora_tensors(prefix, suffix)
    save_file(halves, tmp_path / "lora.safetensors")
    transformer = load(released(tmp_path / "base.pt"), lora=tmp_path / "lora.safetensors")
    expected = with_changes(halves)
    for name, tensor in convert_wan_transformer_to_diffusers(expected).items():
        torch.testing.assert_close(transformer.state_dict()[name], tensor, rtol=0, atol=1e-6, msg=name)


def test_several_loras_add_up_each_with_its_strength(tmp_path):
    first, second = lora_tensors(), {name: tensor.flip(0) for name, tensor in lora_tensors().items()}
    loras = []
    for name, halves, strength in (("one", first, 0.5), ("other", second, -2.0)):
        save_file(contiguous(halves), tmp_path / f"{name}.safetensors")
        loras.append((tmp_path / f"{name}.safetensors", strength))
    loaded = load(released(tmp_path / "base.pt"), loras=loras).state_dict()
    names = convert_wan_transformer_to_diffusers(dict(OFFICIAL))
    one, other = (convert_wan_transformer_to_diffusers(with_changes(halves)) for halves in (first, second))
    changed = 0
    for name, weight in names.items():
        expected = weight + 0.5 * (one[name] - weight) - 2 * (other[name] - weight)
        torch.testing.assert_close(loaded[name], expected, rtol=0, atol=1e-5, msg=name)
        changed += not torch.equal(loaded[name], weight)
    assert changed == len(first) // 2


def test_what_is_added_as_it_is_has_a_strength_too(tmp_path):
    added = torch.randn(OFFICIAL[QUERY].shape)
    save_file({QUERY.replace("weight", "diff"): added}, tmp_path / "lora.safetensors")
    loaded = load(released(tmp_path / "base.pt"), loras=[(tmp_path / "lora.safetensors", 0.25)])
    torch.testing.assert_close(loaded.blocks[1].attn1.to_q.weight, OFFICIAL[QUERY] + 0.25 * added)


def test_a_lora_in_diffusers_own_names_is_merged(tmp_path):
    halves = lora_tensors("")
    names = {name: f"transformer.{_diffusers_lora(name)}" for name in halves}
    assert any("attn1.to_q.lora_A" in name for name in names.values())
    save_file({names[name]: tensor for name, tensor in halves.items()}, tmp_path / "lora.safetensors")
    transformer = load(released(tmp_path / "base.pt"), lora=tmp_path / "lora.safetensors")
    for name, tensor in convert_wan_transformer_to_diffusers(with_changes(halves)).items():
        torch.testing.assert_close(transformer.state_dict()[name], tensor, rtol=0, atol=1e-6, msg=name)


def _diffusers_lora(name: str) -> str:
    module, half, end = name.partition(".lora_")
    (whole,) = convert_wan_transformer_to_diffusers({f"{module}.weight": None})
    return whole.removesuffix(".weight") + half + end


def test_a_lora_is_merged_before_it_is_rounded(tmp_path):
    halves = lora_tensors()
    torch.save(halves, tmp_path / "lora.pt")
    transformer = load(released(tmp_path / "base.pt"), torch.bfloat16, lora=tmp_path / "lora.pt")
    expected = with_changes(halves)[QUERY]
    torch.testing.assert_close(transformer.blocks[1].attn1.to_q.weight.float(), expected, rtol=2**-8, atol=1e-6)


def test_a_lora_with_settings_beside_it_is_scaled_by_them(tmp_path):
    halves = lora_tensors(rank=4)
    save_file(halves, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps({"lora_alpha": 2, "r": 4, "use_dora": False}))
    transformer = load(released(tmp_path / "base.pt"), lora=tmp_path / "adapter_model.safetensors")
    found, expected = transformer.blocks[1].attn1.to_q.weight, with_changes(halves, scale=0.5)[QUERY]
    torch.testing.assert_close(found.detach(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lora_alpha": 2, "r": 4, "use_dora": True}, "use_dora"),
        ({"lora_alpha": 2}, "lora_alpha and r"),
        ({"lora_alpha": 2, "r": 0}, "lora_alpha and r"),
        ([], "JSON object"),
    ],
)
def test_settings_of_a_lora_that_cannot_be_followed_are_refused(tmp_path, settings, message):
    save_file(lora_tensors(), tmp_path / "lora.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps(settings))
    with pytest.raises(ModelError, match=message):
        load(released(tmp_path / "base.pt"), lora=tmp_path / "lora.safetensors")


def lora_of(**changes: torch.Tensor | None) -> dict:
    """A LoRA's tensors with some put in or, where None, taken out; `__` stands for a dot."""
    tensors = lora_tensors("")
    for name, tensor in changes.items():
        tensors[name.replace("__", ".")] = tensor
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (lora_of(blocks__9__ffn__0__lora_A__weight=torch.zeros(4, 8)), "lacks lora_B for blocks.9"),
        (lora_of(blocks__1__self_attn__q__lora_A__weight=None), "lacks lora_A for blocks.1.attn1.to_q"),
        (lora_of(blocks__1__self_attn__q__lora_A__weight=torch.zeros(4, 96)), r"\(128, 128\), found .*\(4, 96\)"),
        (lora_of(blocks__1__self_attn__q__lora_A__weight=torch.zeros(5, 128)), r"\(128, 4\) by A \(5, 128\)"),
        (lora_of(blocks__1__self_attn__q__lora_A__weight=torch.zeros(4)), r"by A \(4,\)"),
        (lora_of(blocks__0__ffn__0__lora_magnitude_vector=torch.zeros(4)), "lora_magnitude_vector"),
        (
            {f"blocks.7.ffn.0.lora_{half}.weight": torch.zeros(4, 4) for half in "AB"},
            "no blocks.7.ffn.net.0.proj.weight",
        ),
        (
            {f"face_adapter.fuser_blocks.0.linear1_kv.lora_{half}.weight": torch.zeros(4, 4) for half in "AB"},
            "no face_adapter",
        ),
        ({"unet.weight": torch.zeros(4)}, r"not a LoRA: .* found unet\.weight"),
        (OFFICIAL, "not a LoRA"),
    ],
)
def test_a_lora_that_does_not_fit_is_refused(tmp_path, tensors, message):
    save_file(tensors, tmp_path / "lora.safetensors")
    with pytest.raises(ModelError, match=message):
        load(released(tmp_path / "base.pt"), lora=tmp_path / "lora.safetensors")


def test_a_lora_alone_is_no_model(tmp_path):
    torch.save({"generator_lora": lora_tensors()}, tmp_path / "nested.pt")
    torch.save(lora_tensors(), tmp_path / "flat.pt")
    with pytest.raises(ModelError, match="generator_lora: expected tensors"):
        load(tmp_path / "nested.pt")
    with pytest.raises(ModelError, match="is a LoRA: expected a whole transformer"):
        load(tmp_path / "flat.pt")


def changed(**tensors: torch.Tensor | None) -> dict:
    """The official weights with some put in or, where None, taken out; `__` stands for a dot."""
    weights = {**OFFICIAL, **{name.replace("__", "."): tensor for name, tensor in tensors.items()}}
    return {name: tensor for name, tensor in weights.items() if tensor is not None}


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            changed(blocks__1__self_attn__q__weight=torch.zeros(128, 96)),
            r"expected blocks\.1\.self_attn\.q\.weight with shape \(128, 128\), found \(128, 96\)",
        ),
        (
            changed(blocks__2__ffn__2__bias=None),
            r"expected blocks\.2\.ffn\.net\.2\.bias with shape \(128,\), found none",
        ),
        (changed(extra=torch.zeros(3)), r"it also has extra with shape \(3,\)"),
        (changed(blocks__2__ffn__2__bias=torch.zeros(128, dtype=torch.int8)), "torch.int8, expected floating point"),
        (changed(patch_embedding__weight=None), "not a Wan transformer: expected patch_embedding.weight"),
        (changed(patch_embedding__weight=torch.zeros(128, 64)), r"5 dimensions, found shape \(128, 64\)"),
        (
            changed(patch_embedding__weight=torch.zeros(128, 36, 1, 2, 2)),
            r"36 channels in, 16 out\): expected text-to-video",
        ),
        (changed(img_emb__proj__0__weight=torch.zeros(4)), "image-to-video: expected text-to-video"),
        (changed(blocks__0__cross_attn__k_img__weight=torch.zeros(4)), "image-to-video: expected text-to-video"),
        (changed(vace_blocks__0__before_proj__weight=torch.zeros(4)), "VACE editing: expected text-to-video"),
        ({**OFFICIAL, "model.patch_embedding.bias": torch.zeros(128)}, "the same tensors twice"),
        ({"down_blocks.0.weight": torch.zeros(4)}, r"not a Wan transformer: .* found down_blocks\.0\.weight"),
    ],
)
def test_weights_that_do_not_fit_name_the_first_wrong_tensor(tmp_path, weights, message):
    save_file(weights, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match=message):
        load(tmp_path / "other.safetensors")


def test_heads_that_do_not_divide_the_width_are_refused(tmp_path):
    with pytest.raises(ModelError, match="128 channels are not a multiple of 48"):
        load_transformer(released(tmp_path / "base.pt"), torch.float32, head_dim=48)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"<!doctype html><title>404</title>" * 9, "is a web page: expected weights"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
        (b"\x80\x02}q\x00.", "a bare pickle"),
        (bytes(range(256)), "of an unknown kind"),
        (b"PK\x03\x04" + bytes(60), "damaged or incomplete"),
        (bytes(8) + b"{}", "damaged or not a safetensors file"),
    ],
)
def test_files_that_are_no_weights_are_described(tmp_path, content, message):
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(ModelError, match=message):
        load(tmp_path / "model.pt")


@pytest.mark.parametrize("kept", [0.2, 0.9, 0.999])
@pytest.mark.parametrize("layout", ["pt", "safetensors"])
def test_half_a_download_is_refused(tmp_path, layout, kept):
    path = released(tmp_path / "model")
    if layout == "safetensors":
        save_file(OFFICIAL, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(ModelError, match=r"damaged or (incomplete|not a safetensors file) .*Download it again"):
        load(path)


class Payload:
    """Unpickled, it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("where", ["model", "lora"])
def test_code_in_a_file_is_never_run(tmp_path, zipped, where):
    mark, bad = tmp_path / "mark", tmp_path / "bad.pt"
    weights = lora_tensors() if where == "lora" else OFFICIAL
    torch.save({"generator": weights, "x": Payload(mark)}, bad, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match="mkdir, and Python objects can run code" if zipped else "a bare pickle"):
        load(bad) if where == "model" else load(released(tmp_path / "base.pt"), lora=bad)
    assert not mark.exists()
    torch.load(bad, weights_only=False)
    assert mark.exists()  # the file would have run it


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([OFFICIAL], "holds a list: expected tensors by name"),
        ({"generator_ema": {}, "step": 7}, "expected tensors by name in generator_ema or generator"),
        ({"generator": {"step": 7}}, "holds a int at step"),
        ({}, "not a Wan transformer: .* found nothing"),
    ],
)
def test_a_pt_without_named_tensors_is_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(ModelError, match=message):
        load(tmp_path / "model.pt")


def test_missing_files_are_named(tmp_path):
    with pytest.raises(ModelError, match=r"none\.pt is missing"):
        load(tmp_path / "none.pt")
    with pytest.raises(ModelError, match=r"none\.pt is missing"):
        load(released(tmp_path / "base.pt"), lora=tmp_path / "none.pt")


@pytest.fixture
def folder(tmp_path) -> Path:
    small_transformer().save_pretrained(tmp_path, max_shard_size="20KB")
    return tmp_path


def reconfigure(folder: Path, **values) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))


def test_a_folder_without_config_says_what_to_give(folder):
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match=r"config\.json is missing: .* give the path of the file itself"):
        load_transformer(folder, torch.float32)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"_class_name": "FluxModel"}, "expected _class_name WanTransformer3DModel, found FluxModel"),
        ({"in_channels": 36}, r"36 channels in, 4 out\): expected text-to-video"),
        ({"image_dim": 8}, "image-to-video: expected text-to-video"),
        ({"added_kv_proj_dim": 8}, "image-to-video: expected text-to-video"),
        ({"num_layers": "two"}, "cannot be built"),
        ({"attention_head_dim": 13}, "cannot be built"),
        ({"shape_of_water": 1}, "cannot be built: .*shape_of_water"),
        ({"num_layers": 3}, r"expected blocks\.2\..* found none"),
        ({"ffn_dim": 48}, r"ffn\.net\.0\.proj\.weight with shape \(48, 24\), found \(32, 24\)"),
    ],
)
def test_a_folder_that_does_not_fit_its_config_is_refused(folder, values, message):
    reconfigure(folder, **values)
    with pytest.raises(ModelError, match=message):
        load_transformer(folder, torch.float32)


def test_missing_and_broken_shards_are_named(folder):
    shard = sorted(folder.glob("*.safetensors"))[1]
    shard.write_bytes(shard.read_bytes()[:-9])
    with pytest.raises(ModelError, match=f"{shard.name} is damaged"):
        load_transformer(folder, torch.float32)
    shard.unlink()
    with pytest.raises(ModelError, match=f"{shard.name} is missing"):
        load_transformer(folder, torch.float32)


def test_pickles_in_a_folder_are_not_opened(tmp_path):
    small_transformer().save_pretrained(tmp_path, safe_serialization=False)
    with pytest.raises(ModelError, match=r"diffusion_pytorch_model\.bin, a pickle, which is never opened"):
        load_transformer(tmp_path, torch.float32)


def test_an_empty_folder_of_weights_is_refused(folder):
    for file in folder.glob("*.safetensors*"):
        file.unlink()
    with pytest.raises(ModelError, match=f"{WEIGHTS} is missing"):
        load_transformer(folder, torch.float32)


@pytest.mark.parametrize(
    ("text", "read"),
    [("a.safetensors", ("a.safetensors", 1.0)), ("a.pt=0.8", ("a.pt", 0.8)), ("b=c/a.pt=-1", ("b=c/a.pt", -1.0))],
)
def test_a_lora_is_asked_for_with_its_strength(text, read):
    assert read_lora(text) == (Path(read[0]), read[1])


def test_a_lora_whose_name_has_an_equals_sign_is_found(tmp_path):
    (tmp_path / "rank=4").write_bytes(b"")
    assert read_lora(str(tmp_path / "rank=4")) == (tmp_path / "rank=4", 1.0)


@pytest.mark.parametrize("strength", ["strong", "", "1,5"])
def test_a_strength_that_is_a_word_is_refused(strength):
    with pytest.raises(SettingsError, match=r"such as style\.safetensors=0\.8, not 'a.pt="):
        read_lora(f"a.pt={strength}")


@pytest.mark.parametrize("strength", [float("nan"), 11, float("-inf"), True, "1"])
def test_a_strength_that_is_none_is_refused(strength):
    with pytest.raises(SettingsError, match="strength of a LoRA is a number from -10 to 10"):
        Loading(loras=((Path("a.pt"), strength),))
