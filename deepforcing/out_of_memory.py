"""When memory runs out, at loading or in a run: tell it from other errors, say what to change, give back the rest."""

from __future__ import annotations

import gc

import torch

from .policies import Policy, settings_of

_LIGHTER = "the small decoder, the text encoder on the CPU, or weights in fp8 or offloaded"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed, on CUDA or on the CPU."""
    words = str(error).lower()
    failed = "not enough memory" in words or "can't allocate memory" in words or "out of memory" in words
    return isinstance(error, torch.OutOfMemoryError) or (isinstance(error, RuntimeError) and failed)


def explain_out_of_memory(policy: Policy, device: torch.device) -> str:
    """What to tell a person whose run ended so."""
    counted = {name: value for name, value in settings_of(policy).items() if name in ("window", "budget")}
    now = " and ".join(f"{name} of {value}" for name, value in counted.items())
    return (
        f"Out of memory on {_named(device)}, with a {now}. Take a smaller window or a smaller picture, {_LIGHTER}; "
        "then start again."
    )


def explain_no_room(model: object, device: torch.device) -> str:
    """What to tell a person whose model could not be loaded for want of memory."""
    return f"Out of memory on {_named(device)} while {model} was loaded. Take {_LIGHTER}."


def _named(device: torch.device) -> str:
    return "the CPU" if device.type == "cpu" else f"the GPU ({device})"


def release(device: torch.device) -> None:
    """Give back what is no longer referred to."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
