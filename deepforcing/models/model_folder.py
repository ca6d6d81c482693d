"""Read a folder as diffusers and transformers save a model: config.json, and safetensors in one file or in shards."""

from __future__ import annotations

import json
from pathlib import Path

from torch import Tensor

from .components import ModelError
from .weight_files import read_safetensors


def read_config(folder: Path, field: str, kind: str) -> dict:
    """The folder's config.json, whose `field` must say `kind`. Raises ModelError."""
    path = folder / "config.json"
    config = read_json(path, f"the folder of {kind}, as its save_pretrained writes it")
    if config.get(field) != kind:
        raise ModelError(f"{path} is of another model: expected {field} {kind}, found {config.get(field)}")
    return config


def read_weights(folder: Path, name: str) -> dict[str, Tensor]:
    """Every tensor of the folder's file `name`, or of its shards, mapped from disk. Raises ModelError."""
    index = folder / f"{name}.index.json"
    if not index.is_file():
        return read_safetensors(folder / name)
    shards = read_json(index, "the list of a model's shards").get("weight_map")
    if not isinstance(shards, dict) or not all(isinstance(file, str) for file in shards.values()):
        raise ModelError(f"{index} does not list the model's shards: expected a weight_map from tensors to files")
    files = sorted({Path(file).name for file in shards.values()})
    return {tensor: value for file in files for tensor, value in read_safetensors(folder / file).items()}


def read_json(path: Path, expected: str) -> dict:
    """A JSON object. Raises ModelError that says what was expected."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path} is missing: expected {expected}") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise ModelError(f"{path} does not hold a JSON object: expected {expected}")
    return content
