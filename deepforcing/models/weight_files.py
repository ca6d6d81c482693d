"""Open files of weights without running anything in them; they stay on disk (mmap) until a tensor is read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.serialization import safe_globals

from .components import ModelError
from .quantised import INSTEAD, check_not_quantised

_SCALAR = np._core.multiarray.scalar  # type: ignore[attr-defined]
NUMBERS: list[Any] = [  # numpy's, which trainers leave beside the weights; there is nothing in them to run
    _SCALAR,
    (_SCALAR, "numpy.core.multiarray.scalar"),
    np.dtype,
    *{type(np.dtype(kind)) for kind in "?bhilqBHILQefd"},
]
GGUF = b"GGUF"
ZIP = b"PK\x03\x04"  # how a file of torch.save begins
PICKLE = b"\x80\x02"  # how a file of torch.save began before version 1.6
WEB_PAGES = (b"<!doctype html", b"<html")  # what a hub sends for the address of a page about a file
LFS = b"version https://git-lfs"  # a pointer that git leaves in place of a large file


def read_tensors(path: Path, keys: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """Every tensor of a safetensors file, or of a .pt file, by name; the file's kind is told by its first bytes.

    A .pt file may hold the tensors in a dictionary under one of `keys`, in another such dictionary too: the first that
    is there wins. Raises ModelError for a missing, damaged or half-downloaded file, for one with anything but tensors
    in it, and for weights that are quantised.
    """
    head = _head(path)
    if head[8:9] == b"{":  # eight bytes of length, then a JSON header
        return read_safetensors(path)
    if head.startswith(ZIP):
        return check_not_quantised(_tensors(_unpickle(path), keys, path), path)
    raise _foreign(path, head)


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Every tensor of a safetensors file, by name. Raises ModelError for a missing or damaged file, or another kind."""
    head = _head(path)
    if head.startswith((GGUF, ZIP, PICKLE, LFS)):
        raise _foreign(path, head, "expected weights in safetensors, whatever the file is called")
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is damaged or not a safetensors file ({error}). Download it again") from None
    return check_not_quantised(tensors, path)


def check_tensors(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], where: Path) -> None:
    """Raise ModelError unless `found` has exactly the expected names and shapes; it names the first that differs."""
    for name, tensor in expected.items():
        if name not in found:
            raise ModelError(f"{where} is of another model: expected {name} with shape {_shape(tensor)}, found none")
        if found[name].shape != tensor.shape:
            raise ModelError(
                f"{where} is of another model: expected {name} with shape {_shape(tensor)}, found {_shape(found[name])}"
            )
        if not found[name].is_floating_point():
            raise ModelError(
                f"{where} cannot be used: {name} holds {found[name].dtype}, expected floating point numbers. {INSTEAD}"
            )
    for name in (name for name in found if name not in expected):
        raise ModelError(f"{where} is of another model: it also has {name} with shape {_shape(found[name])}")


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(64)
    except FileNotFoundError:
        raise ModelError(f"{path} is missing") from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error}") from None


EITHER = "expected weights in safetensors, or a .pt file by torch.save"


def _foreign(path: Path, head: bytes, expected: str = EITHER) -> ModelError:
    """What a file is, by its first bytes, and what to do."""
    if head.startswith(GGUF):
        return ModelError(f"{path} is quantised, in GGUF: {expected}. {INSTEAD}")
    if head.startswith(ZIP):
        return ModelError(f"{path} is a .pt file by torch.save: {expected}. If it is a transformer, give its own path")
    if head.startswith(PICKLE):
        return ModelError(f"{path} is a bare pickle, which could run code and is never opened: {expected}")
    if head.lstrip().lower().startswith(WEB_PAGES):
        return ModelError(f"{path} is a web page: {expected}. Download the file itself, not the page about it")
    return ModelError(f"{path} is {_kind(head)}: {expected}. If it was downloaded, download it again")


def _kind(head: bytes) -> str:
    if not head:
        return "empty"
    if head.startswith(LFS):
        return "a Git LFS pointer, not the weights"
    return "text" if head.isascii() and b"\0" not in head else "of an unknown kind"


def _unpickle(path: Path) -> object:
    try:
        with safe_globals(NUMBERS), path.open("rb") as file:
            misnamed = path.suffix == ".safetensors"  # torch would go by the name, so it is not shown it
            source, mapped = (file, False) if misnamed else (path, True)
            return torch.load(source, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # a damaged pickle may fail in any way
        foreign = re.search(r"GLOBAL (\S+)", str(error))
        if foreign:
            raise ModelError(
                f"{path} was not opened: expected nothing but tensors, found {foreign[1]}, and Python objects can run "
                "code. Take the published weights, or have their owner save them as safetensors"
            ) from None
        reason = str(error).partition("\n")[0]
        raise ModelError(f"{path} is damaged or incomplete ({reason}). Download it again") from None


def _tensors(content: object, keys: tuple[str, ...], path: Path) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        raise ModelError(f"{path} holds a {type(content).__name__}: expected tensors by name")
    inner = next((content[key] for key in keys if isinstance(content.get(key), Mapping) and content[key]), None)
    if inner is not None:
        return _tensors(inner, keys, path)
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            places = " or ".join(keys) or "its top level"
            raise ModelError(f"{path} holds a {type(value).__name__} at {name}: expected tensors by name in {places}")
    return dict(content)


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)
