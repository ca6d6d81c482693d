"""Compiles ahead, on CUDA: a process of its own works through every shape that training will have, while the codec
trains; training then finds the graphs in the compiler's cache on disk."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from deepforcing.config import Sampling
from deepforcing.training.distil_stage import Distillation, Distiller
from deepforcing.training.dit_stage import (
    CHUNK,
    Batch,
    DitTraining,
    Lesson,
    NoiseLevels,
    Stage,
    TinyModel,
    training_loss,
)
from deepforcing.training.precision import prepare
from deepforcing.training.recipe import Recipe
from deepforcing.training.roll_out import RollOut


@contextmanager
def compiled_ahead(recipe: Recipe) -> Iterator[None]:
    """Compile beside what is done in the `with`; nothing where nothing is compiled."""
    if recipe.device.type != "cuda" or not {"transformer", "distil"} & set(recipe.times.stages):
        yield
        return
    process = multiprocessing.get_context("spawn").Process(target=warm, args=(recipe,))
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


def warm(recipe: Recipe) -> None:
    """One step of each kind on made-up data, in the order in which training comes to them."""
    prepare(recipe.device)
    bundle = recipe.beginning
    model = recipe.learner(bundle).to(recipe.device)
    side = bundle.card.size // bundle.codec.spatial_factor
    shape = (bundle.codec.channels, side, side)
    if "transformer" in recipe.times.stages:
        for batch, guidance in _kinds(recipe.stages):
            _teach(model, shape, batch, guidance)
    if "distil" in recipe.times.stages:
        sampling = Sampling(bundle.card.steps, bundle.card.shift, bundle.card.prediction)
        config = Distillation(1.0, recipe.scale.own, captions=1)
        both = Distiller(model.transformer, model.transformer, model.text, sampling, config, shape)
        for batch in config.batches:
            _distil(both, shape, batch)


def _kinds(stages: tuple[Stage, ...]) -> list[tuple[Batch, float]]:
    """Every different step, once."""
    steps = [(batch, stage.guidance) for stage in stages for batch in stage.batches]
    return list({(batch.count, batch.chunks, guidance): (batch, guidance) for batch, guidance in steps}.values())


def _teach(model: TinyModel, shape: tuple[int, int, int], batch: Batch, guidance: float) -> None:
    device, config, (channels, *side) = model.transformer.device, DitTraining(1.0, ()), shape
    clean = torch.randn(batch.count, channels, max(1, CHUNK * batch.chunks), *side, device=device)
    tokens = torch.zeros(batch.count, model.text.config.rows, dtype=torch.long, device=device)
    lesson = Lesson(clean, torch.zeros_like(clean[:, 0]), tokens, tokens == 0)
    training_loss(model, lesson, NoiseLevels(config, device), config, batch.chunks, guidance).backward()


def _distil(both: Distiller, shape: tuple[int, int, int], batch: Batch) -> None:
    channels, *side = shape
    clean = torch.randn(batch.count, channels, CHUNK * batch.chunks, *side, device=both.device)
    sigma = torch.rand(batch.count, batch.chunks, device=both.device)
    seen = RollOut(clean, torch.randn_like(clean), sigma, both.text.encode([""] * batch.count))
    loss, made = both.student_loss(seen)
    loss.backward()
    both.critic_loss(seen, made).backward()
