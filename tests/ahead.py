"""What the package `spaces` makes of the tiny model's blocks: `python -m tests.ahead`, on a CPU, within two minutes."""

from __future__ import annotations

import importlib.util
import sys
import types
from itertools import islice
from pathlib import Path

import numpy as np

from deepforcing import Pipeline, generate_long_video, load_pipeline
from ui.hosting.ahead import compile_ahead

CHUNKS = 3
PACKAGE = "spaces.zero.torch"


def without_cuda() -> types.ModuleType:
    """The package's part that expects CUDA, of which only what compiles is imported: to be put among the modules."""
    (folder,) = importlib.util.find_spec("spaces.zero").submodule_search_locations
    part = types.ModuleType(PACKAGE)
    part.__path__ = [str(Path(folder) / "torch")]
    return part


def main() -> None:
    """In float32, where the order of sums is all that differs."""
    sys.modules[PACKAGE] = without_cuda()
    pipeline = load_pipeline("tiny")
    pipeline.denoiser.transformer.float()
    plain = latents(pipeline)
    compile_ahead(pipeline)
    apart = np.linalg.norm(latents(pipeline) - plain) / np.linalg.norm(plain)
    print(f"latents of {CHUNKS} chunks: {apart:.1e} apart, of their own size")


def latents(pipeline: Pipeline) -> np.ndarray:
    """Of the first chunks."""
    return np.stack([chunk.latents for chunk in islice(generate_long_video(pipeline, "a red balloon"), CHUNKS)])


if __name__ == "__main__":
    main()
