"""The folder in which a tiny model ships: model.json, transformer/, its teacher/, codec, text, classifier weights."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import load_file, save_file
from torch import nn

from deepforcing.models.tiny import TINY_FOLDER
from deepforcing.models.tiny_codec import CodecConfig, TinyCodec
from deepforcing.models.tiny_text import TinyTextConfig, TinyTextEncoder
from deepforcing.training.sizes import ModelSizes

ASSETS = TINY_FOLDER
CLASSIFIER = "classifier.safetensors"
SHARD = 15_000_000  # bytes of tensors in one file of a transformer


@dataclass(frozen=True)
class ModelCard:
    """How the weights are to be sampled; the timesteps are those before the shift."""

    size: int  # pixels
    prediction: str = "x0"
    steps: tuple[int, ...] = (1000, 750, 500, 250)
    shift: float = 5.0
    chunk_frames: int = 3  # latent
    fps: int = 16
    train_frames: int = 21  # latent
    version: int = 1


def new_transformer(sizes: ModelSizes) -> WanTransformer3DModel:
    """A `WanTransformer3DModel` with random weights, in evaluation mode as loaded ones are: there is no dropout."""
    model = WanTransformer3DModel(
        num_attention_heads=sizes.heads,
        attention_head_dim=sizes.head_dim,
        ffn_dim=4 * sizes.width,
        num_layers=sizes.layers,
        freq_dim=256,
        text_dim=sizes.text.width,
        in_channels=sizes.codec.latent_channels,
        out_channels=sizes.codec.latent_channels,
    )
    for block in model.blocks:  # begin near the identity
        nn.init.zeros_(block.attn2.to_out[0].weight)
    nn.init.zeros_(model.proj_out.weight)
    return model.eval()


def save_module(module: nn.Module, path: Path, dtype: torch.dtype = torch.bfloat16) -> None:
    """One safetensors file; vectors stay in float32, everything larger takes `dtype`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {n: (t.to(dtype) if t.ndim > 1 else t.float()).contiguous() for n, t in module.state_dict().items()}
    partial = _partial(path)
    save_file(tensors, partial)
    partial.replace(path)


def in_half_precision(transformer: WanTransformer3DModel) -> WanTransformer3DModel:
    """A copy in bfloat16, save for what diffusers keeps in float32."""
    sizes = {name: value for name, value in transformer.config.items() if not name.startswith("_")}  # no paths
    copy = WanTransformer3DModel.from_config(sizes)
    copy.load_state_dict(transformer.state_dict())
    exact = set(copy._keep_in_fp32_modules)
    for name, parameter in copy.named_parameters():
        if not exact & set(name.split(".")):
            parameter.data = parameter.data.to(torch.bfloat16)
    return copy


@dataclass(frozen=True)
class Bundle:
    """All that a folder holds. teacher: what the transformer was distilled from; None where it was not."""

    card: ModelCard
    transformer: WanTransformer3DModel
    text: TinyTextEncoder
    codec: TinyCodec
    teacher: WanTransformer3DModel | None = None


def new_bundle(sizes: ModelSizes) -> Bundle:
    """All parts of a model, with random weights."""
    text, codec = TinyTextEncoder(sizes.text), TinyCodec(sizes.codec)
    return Bundle(ModelCard(sizes.pixels), new_transformer(sizes), text, codec)


def save_bundle(folder: Path, bundle: Bundle) -> None:
    """Write the folder in the layout that the loader reads; matrices in half precision, large files in shards. What was
    there is replaced once everything is written."""
    folder.mkdir(parents=True, exist_ok=True)
    transformers = {"transformer": bundle.transformer, "teacher": bundle.teacher}
    for name, transformer in transformers.items():
        shutil.rmtree(_partial(folder / name), ignore_errors=True)
        if transformer is not None:
            in_half_precision(transformer).save_pretrained(_partial(folder / name), max_shard_size=SHARD)
    save_module(bundle.text, folder / "text.safetensors")
    save_module(bundle.codec, folder / "codec.safetensors", torch.float16)
    values = asdict(bundle.card) | {"codec": asdict(bundle.codec.config), "text": asdict(bundle.text.config)}
    (folder / "model.json").write_text(json.dumps(values, indent=2) + "\n")
    for name, transformer in transformers.items():
        shutil.rmtree(folder / name, ignore_errors=True)  # other shards, or a teacher that is none any more
        if transformer is not None:
            _partial(folder / name).rename(folder / name)


def _partial(path: Path) -> Path:
    return path.with_name(f"{path.name}.partial")


def load_bundle(folder: Path = ASSETS) -> Bundle:
    """The parts of a folder in float32, for training on."""
    values = json.loads((folder / "model.json").read_text("utf-8"))
    codec = TinyCodec(CodecConfig(**_tuples(values.pop("codec"))))
    text = TinyTextEncoder(TinyTextConfig(**_tuples(values.pop("text"))))
    codec.load_state_dict(load_file(folder / "codec.safetensors"))
    text.load_state_dict(load_file(folder / "text.safetensors"))
    teacher = _transformer(folder / "teacher") if (folder / "teacher").is_dir() else None
    return Bundle(ModelCard(**_tuples(values)), _transformer(folder / "transformer"), text, codec, teacher)


def _transformer(folder: Path) -> WanTransformer3DModel:
    return WanTransformer3DModel.from_pretrained(folder, torch_dtype=torch.float32)


def _tuples(values: dict) -> dict:
    return {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
