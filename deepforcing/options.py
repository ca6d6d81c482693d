"""How a model is to be loaded, as asked on a command line: the same words for the app, `generate` and `bench`."""

from __future__ import annotations

import argparse
from pathlib import Path

from .config import SettingsError
from .models.loading import Loading
from .models.sources import SOURCES
from .tiers import TIERS, loading_for


def add_loading(parser: argparse.ArgumentParser) -> None:
    """The options that `loading_from` reads, and `--model`."""
    known = f"tiny, the embedded one (default); tiny-teacher; {' or '.join(SOURCES)}, published; or a path"
    parser.add_argument("--model", default="tiny", help=known)
    parser.add_argument("--device", metavar="cuda|cpu", help="where it runs (default: cuda; small models also cpu)")
    parser.add_argument("--tier", metavar="|".join(TIERS), help="settings for a GPU of so many GB; other options win")
    parser.add_argument("--decoder", help="full; or small: faster, a little softer")
    parser.add_argument("--text", help="the text encoder's place: device, move, cpu or free")
    parser.add_argument("--weights", help="the transformer's: resident, fp8 or offload")
    parser.add_argument("--chunk", type=int, help="latent frames made together, as the model was trained (default: 3)")
    parser.add_argument(
        "--lora", action="append", default=[], metavar="FILE[=STRENGTH]", help="changes to merge, as many as wanted"
    )
    parser.add_argument("--graphs", action="store_true", help="whole passes as CUDA graphs; not tried on a GPU yet")
    parser.add_argument("--attention", help="exact (default); or fp8: in 8 bits, for CUDA; not tried on a GPU yet")
    parser.add_argument("--size", metavar="HEIGHTxWIDTH", help="pixels of the video, such as 320x576")


def loading_from(options: argparse.Namespace, compiled: bool = False) -> Loading:
    """Raises SettingsError for a choice that there is not."""
    height, width = (None, None) if options.size is None else _sides(options.size)
    given = {name: getattr(options, name) for name in ("device", "decoder", "text", "weights", "chunk", "attention")}
    speed = {"compiled": compiled, "graphs": options.graphs}
    loras = tuple(map(read_lora, options.lora)) or None
    return loading_for(options.tier, **given, height=height, width=width, loras=loras, **speed)


def read_lora(text: str) -> tuple[Path, float]:
    """`style.safetensors=0.8` -> its path and strength; 1 without one. Raises SettingsError."""
    path, equals, strength = text.rpartition("=")
    if not equals or Path(text).exists():
        return Path(text), 1.0
    try:
        return Path(path), float(strength)
    except ValueError:
        raise SettingsError(f"a LoRA is FILE or FILE=STRENGTH, such as style.safetensors=0.8, not {text!r}") from None


def _sides(size: str) -> tuple[int, int]:
    sides = size.lower().split("x")
    if len(sides) != 2 or not all(side.isascii() and side.isdigit() for side in sides):
        raise SettingsError(f"--size must be HEIGHTxWIDTH, such as 480x832, not {size!r}")
    return int(sides[0]), int(sides[1])
