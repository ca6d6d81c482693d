"""A Wan transformer from any of the layouts in which its weights are published, told apart by their content:

- a diffusers folder: config.json of WanTransformer3DModel, and safetensors, in one file or in shards;
- a folder of Wan's own layout: config.json of WanModel, and safetensors;
- a released checkpoint: a .pt file with a dictionary `generator_ema` or `generator`, names as Wan's after `model.`;
- a file of Wan's own names, or of diffusers', in .pt or safetensors;
- any of these with a LoRA, which is merged.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import WanTransformer3DModel
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers
from torch import Tensor

from .components import ModelError
from .lora import Lora, is_lora, load_lora
from .model_folder import read_config, read_json, read_weights
from .weight_files import check_tensors, read_tensors

KEYS = ("generator_ema", "generator", "model", "module", "model_state_dict", "state_dict")  # the first there wins
PREFIXES = ("model.", "diffusion_model.", "module.", "net.", "transformer.", "generator.", "dit.", "pipe.")
OTHERS = ("critic.", "fake_score.", "real_score.", "text_encoders.", "text_encoder.", "vae.", "first_stage_model.")
ORIGINAL = ("WanModel", "CausalWanModel")  # in the config.json of Wan's own code, and of Self Forcing's
WRAPPERS = ("_fsdp_wrapped_module.", "_checkpoint_wrapped_module.", "_orig_mod.")
DIFFUSERS = (".attn1.", ".attn2.", ".ffn.net.", ".norm2.", "condition_embedder.")  # in no name of Wan's own
WEIGHTS = "diffusion_pytorch_model.safetensors"
OTHER_TASKS = {  # in the names of tensors that a text-to-video Wan does not have
    "img_emb": "image-to-video",
    "image_embedder": "image-to-video",
    "k_img": "image-to-video",
    "add_k_proj": "image-to-video",
    "vace": "VACE editing",
    "motion_encoder": "animation",
    "face_adapter": "animation",
}
OTHER_TYPES = {"i2v": "image-to-video", "flf2v": "first and last frame to video", "vace": "VACE editing"}


@torch.no_grad()
def load_transformer(
    path: Path,
    dtype: torch.dtype,
    *,
    loras: Sequence[tuple[Path, float]] = (),
    head_dim: int = 128,
    device: torch.device = torch.device("cpu"),
) -> WanTransformer3DModel:
    """The transformer in `path`, in `dtype` save for what diffusers keeps in float32, ready for inference.

    loras: files of changes to merge, each with its strength. head_dim: channels of a head, which weights do not tell; a
    folder's config does.
    device: on "meta" everything is checked and nothing is loaded. Memory peaks at the loaded model and one tensor.
    Nothing in the files is ever executed.
    Raises ModelError that names the file and the first tensor that is missing, unexpected or wrongly shaped.
    """
    transformer, weights = _from_folder(path) if path.is_dir() else _from_file(path, head_dim)
    changes = [load_lora(file, _diffusers_name, strength) for file, strength in loras]
    for change in changes:
        change.check(weights)
    loaded = {
        name: _copied(_changed(name, tensor.to(device), changes), _dtype_of(name, dtype))
        for name, tensor in weights.items()
    }
    transformer.load_state_dict(loaded, assign=True)
    return transformer.eval()


@torch.no_grad()
def changed_weights(path: Path, loras: Sequence[tuple[Path, float]], head_dim: int = 128) -> dict[str, Tensor]:
    """Those weights of the transformer in `path` that LoRAs change, by name, with all changes merged, in float32.

    Raises ModelError as `load_transformer` does.
    """
    _, weights = _from_folder(path) if path.is_dir() else _from_file(path, head_dim)
    changes = [load_lora(file, _diffusers_name, strength) for file, strength in loras]
    for change in changes:
        change.check(weights)
    names = {name: None for change in changes for name in (*change.products, *change.sums)}
    return {name: _changed(name, weights[name], changes) for name in names}


def _changed(name: str, weight: Tensor, changes: Sequence[Lora]) -> Tensor:
    """With all changes added, one after another, in float32."""
    for change in changes:
        weight = change.merged(name, weight)
    return weight


def _from_folder(folder: Path) -> tuple[WanTransformer3DModel, dict[str, Tensor]]:
    if (folder / "transformer" / "config.json").is_file():  # a whole diffusers pipeline
        folder = folder / "transformer"
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{folder / 'config.json'} is missing: expected a diffusers folder. "
            "For a checkpoint that is one file, give the path of the file itself"
        )
    if read_json(folder / "config.json", "a transformer's sizes").get("_class_name") in ORIGINAL:
        return _from_original(folder)
    config = read_config(folder, "_class_name", "WanTransformer3DModel")
    transformer = _empty({name: value for name, value in config.items() if not name.startswith("_")}, folder)
    pickles = sorted(file.name for file in folder.glob("*.bin"))
    if pickles and not any(folder.glob("*.safetensors")):
        raise ModelError(f"{folder} has {pickles[0]}, a pickle, which is never opened: expected {WEIGHTS}")
    weights = read_weights(folder, WEIGHTS)
    check_tensors(transformer.state_dict(), weights, folder)
    return transformer, weights


def _from_original(folder: Path) -> tuple[WanTransformer3DModel, dict[str, Tensor]]:
    config = read_json(folder / "config.json", "a transformer's sizes")
    if (task := config.get("model_type", "t2v")) != "t2v":
        raise _other_task(folder, OTHER_TYPES.get(task, str(task)))
    try:
        head_dim = config["dim"] // config["num_heads"]
    except (KeyError, TypeError, ZeroDivisionError):
        raise ModelError(
            f"{folder / 'config.json'} does not say how wide a head is: expected dim and num_heads"
        ) from None
    return _from_tensors(read_weights(folder, WEIGHTS), head_dim, folder)


def _from_file(path: Path, head_dim: int) -> tuple[WanTransformer3DModel, dict[str, Tensor]]:
    return _from_tensors(read_tensors(path, KEYS), head_dim, path)


def _from_tensors(
    found: dict[str, Tensor], head_dim: int, path: Path
) -> tuple[WanTransformer3DModel, dict[str, Tensor]]:
    """By Wan's names or diffusers', whatever stands before them; other networks in the same file are left out."""
    found = {name: tensor for name, tensor in found.items() if not name.startswith(OTHERS)}
    if is_lora(found):
        raise ModelError(
            f"{path} is a LoRA: expected a whole transformer. Give the base model, and this file as its LoRA"
        )
    for name, task in OTHER_TASKS.items():
        if any(name in known for known in found):
            raise _other_task(path, task)
    names = {_diffusers_name(name): name for name in found}
    if len(names) < len(found):
        raise ModelError(f"{path} holds the same tensors twice, under different prefixes: expected one transformer")
    weights = {name: found[own] for name, own in names.items()}
    transformer = _empty(_inferred_config(weights, head_dim, path), path)
    check_tensors({names.get(name, name): tensor for name, tensor in transformer.state_dict().items()}, found, path)
    return transformer, weights


def _other_task(where: Path, task: str) -> ModelError:
    return ModelError(f"{where} is a Wan model for {task}: expected text-to-video. Take its text-to-video sibling")


def _unwrapped(name: str) -> str:
    for wrapper in WRAPPERS:
        name = name.replace(wrapper, "")
    while name.startswith(PREFIXES):
        name = name.partition(".")[2]
    return name


def _diffusers_name(name: str) -> str:
    """Wan's name for a weight -> diffusers'; diffusers' own are kept."""
    name = _unwrapped(name)
    if any(part in name for part in (*DIFFUSERS, *OTHER_TASKS)):
        return name
    return next(iter(convert_wan_transformer_to_diffusers({name: None})))


def _inferred_config(weights: dict[str, Tensor], head_dim: int, path: Path) -> dict:
    """What the shapes tell about the model; whether all of them agree is for the strict check to say."""
    dim, in_channels, *patch = _shape(weights, "patch_embedding.weight", 5, path)
    text_dim = _shape(weights, "condition_embedder.text_embedder.linear_1.weight", 2, path)[1]
    freq_dim = _shape(weights, "condition_embedder.time_embedder.linear_1.weight", 2, path)[1]
    ffn_dim = _shape(weights, "blocks.0.ffn.net.0.proj.weight", 2, path)[0]
    out_channels = _shape(weights, "proj_out.weight", 2, path)[0] // max(1, torch.Size(patch).numel())
    if not head_dim or dim % head_dim:
        raise ModelError(f"{path} cannot be cut into heads: its {dim} channels are not a multiple of {head_dim}")
    return {
        "patch_size": tuple(patch),
        "num_attention_heads": dim // head_dim,
        "attention_head_dim": head_dim,
        "in_channels": in_channels,
        "out_channels": out_channels,
        "text_dim": text_dim,
        "freq_dim": freq_dim,
        "ffn_dim": ffn_dim,
        "num_layers": len({name.split(".")[1] for name in weights if name.startswith("blocks.")}),
    }


def _shape(weights: dict[str, Tensor], name: str, dims: int, path: Path) -> tuple[int, ...]:
    if name not in weights:
        raise ModelError(f"{path} is not a Wan transformer: expected {name}, found {next(iter(weights), 'nothing')}")
    if weights[name].ndim != dims:
        raise ModelError(f"{path}: expected {name} with {dims} dimensions, found shape {tuple(weights[name].shape)}")
    return tuple(weights[name].shape)


def _empty(config: dict, where: Path) -> WanTransformer3DModel:
    """A transformer of these sizes that takes no memory yet, but for the rotary tables, which no file holds."""
    try:
        with torch.device("meta"):
            transformer = WanTransformer3DModel(**config)
        sizes = transformer.config
        transformer.rope = type(transformer.rope)(sizes.attention_head_dim, sizes.patch_size, sizes.rope_max_seq_len)
    except (TypeError, ValueError, RuntimeError, AssertionError, ZeroDivisionError) as error:
        raise ModelError(f"{where} describes a transformer that cannot be built: {error}") from None
    if sizes.out_channels not in (None, sizes.in_channels):
        task = f"image-to-video or control ({sizes.in_channels} channels in, {sizes.out_channels} out)"
        raise _other_task(where, task)
    if sizes.image_dim or sizes.added_kv_proj_dim:
        raise _other_task(where, "image-to-video")
    return transformer


def _dtype_of(name: str, dtype: torch.dtype) -> torch.dtype:
    exact = set(WanTransformer3DModel._keep_in_fp32_modules)
    return torch.float32 if exact & set(name.split(".")) else dtype


def _copied(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """In memory of its own: weights that stayed in the file would fail when it changes."""
    return tensor.to(dtype, copy=True, memory_format=torch.contiguous_format)
