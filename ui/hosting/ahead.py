"""Compiling for ZeroGPU: a worker does not live long enough for it, so one of them compiles a block ahead of time, and
what it made serves every block of all later ones. By the package `spaces`, which only Spaces have."""

from __future__ import annotations

import logging
from importlib import import_module
from itertools import islice
from typing import IO

import numpy as np

from deepforcing import Pipeline, TensorBlock, export_block, generate_long_video, tensor_blocks

LOG = logging.getLogger("deepforcing.hosting")
SECONDS = 1200  # of GPU time that compiling asks for
TRIED = 3  # chunks: the first has no history, so it is not compiled
MOST_APART = 0.3  # of the latents' own size; rounding to half precision in another order makes up to a tenth by then


def compile_ahead(pipeline: Pipeline) -> None:
    """Have the pipeline's blocks compiled, in place; where that fails, or makes another video, the log says so, and
    they work as before. Raises SettingsError for weights that come in as a block runs."""
    spaces, blocks = import_module("spaces"), tensor_blocks(pipeline.denoiser)

    def work() -> IO[bytes]:
        return _compiled(spaces, pipeline, blocks)

    try:
        archive = spaces.GPU(duration=SECONDS)(work)()
    except Exception as error:  # whatever it was, videos are made without
        LOG.warning("blocks are not compiled: %s", error)
        archive = None
    _use(blocks, archive)


def _compiled(spaces, pipeline: Pipeline, blocks: list[TensorBlock]) -> IO[bytes]:
    """In the worker: compiled, tried, and compared."""
    plain = _latents(pipeline)
    with spaces.aoti_capture(blocks[0]) as call:
        _latents(pipeline)
    archive = spaces.aoti_compile(export_block(blocks[0], call.args)).archive_file
    _use(blocks, archive)
    apart = np.linalg.norm(_latents(pipeline) - plain) / np.linalg.norm(plain)
    if apart > MOST_APART:
        raise RuntimeError(f"they would make another video, {apart:.0%} apart")
    return archive


def _use(blocks: list[TensorBlock], archive: IO[bytes] | None) -> None:
    """`spaces.aoti_apply` would take the weights away, which passes that are not compiled need."""
    package = import_module("spaces.zero.torch.aoti")
    for block in blocks:
        vars(block).pop("forward", None)
        if archive is not None:
            block.forward = package.ZeroGPUCompiledModel(archive, package.ZeroGPUWeights(block.weights))


def _latents(pipeline: Pipeline) -> np.ndarray:
    return np.stack([chunk.latents for chunk in islice(generate_long_video(pipeline, "a red balloon"), TRIED)])
