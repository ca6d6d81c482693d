"""The stages of the recipe: codec, latents, transformer, distil, classifier; each reads what the one before left."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from deepforcing.config import Sampling
from deepforcing.training import parallel
from deepforcing.training.bank import Bank
from deepforcing.training.bundle import CLASSIFIER, load_bundle, save_bundle, save_module
from deepforcing.training.classifier import Shown, train_classifier, truth_of
from deepforcing.training.codec_stage import CodecTraining, train_codec
from deepforcing.training.data import decode_clips, encode_clips
from deepforcing.training.distil_stage import Distillation, Distiller, distil
from deepforcing.training.dit_stage import DitTraining, train_dit
from deepforcing.training.precision import prepare
from deepforcing.training.recipe import Recipe
from deepforcing.training.rendering import FolderError, Rendering
from deepforcing.training.warm import compiled_ahead

RENDERED = 10  # clips that the classifier sees as they are, for each that went through the codec


def follow(recipe: Recipe) -> None:
    """Run the stages of the recipe's timetable, with what can be done beside them."""
    prepare(recipe.device)
    _begin(recipe)
    with Rendering(recipe.folder, recipe.needed, recipe.workers) as rendering:
        with compiled_ahead(recipe):
            for name in recipe.times.stages:
                print(f"-- {name}", flush=True)
                STAGES[name](recipe, rendering)
    for checkpoint in recipe.folder.glob("*.ckpt"):
        checkpoint.unlink()  # all of it is in the output: who comes again goes on from there


def _begin(recipe: Recipe) -> None:
    """Say in the folder what training begins with. Raises FolderError where unfinished work began otherwise."""
    began = "random weights" if recipe.start is None else str(recipe.start.resolve())
    mark = recipe.folder / "began-with.txt"
    if any(recipe.folder.glob("*.ckpt")) and mark.exists() and mark.read_text("utf-8") != began:
        raise FolderError(
            f"{recipe.folder} holds unfinished training that began with {mark.read_text('utf-8')}: finish that, delete "
            "its *.ckpt, or give another --folder"
        )
    recipe.folder.mkdir(parents=True, exist_ok=True)
    mark.write_text(began, "utf-8")


def make_codec(recipe: Recipe, rendering: Rendering) -> None:
    """The codec; where it was trained already only the decoder learns on, so that latents stay as they are."""
    bundle, clips = recipe.beginning, rendering.wait("shorts", rendering.clips["shorts"].enough)
    training = CodecTraining if recipe.fresh else CodecTraining.of_decoder
    codec = train_codec(
        bundle.codec.to(recipe.device),
        Bank(clips.pixels, recipe.device, lambda: clips.ready),
        training(recipe.times.seconds("codec"), recipe.scale.codec),
        recipe.folder / "codec.ckpt",
        recipe.device,
    )
    save_bundle(recipe.output, replace(bundle, codec=codec.cpu()))


def make_latents(recipe: Recipe, rendering: Rendering) -> None:
    """Latents of every source, by the codec in the output folder; in a hurry, of as many clips as there are by now."""
    codec, seconds = load_bundle(recipe.output).codec.to(recipe.device), recipe.times.seconds("latents")
    for name in recipe.latent_sources:
        clips = rendering.clips[name]
        rendering.wait(name, clips.enough if recipe.times.hurried else len(clips))
        path = recipe.folder / f"{name}_latents.npy"
        count = encode_clips(path, clips, codec, recipe.device, seconds / len(recipe.latent_sources))
        print(f"latents of {count} {name}", flush=True)


def make_transformer(recipe: Recipe, rendering: Rendering) -> None:
    """The transformer and the text encoder, in as many processes as the recipe says. Where both are good already the
    transformer alone learns on, and its student is carried along."""
    _in_processes(train_transformer, recipe)


def make_distilled(recipe: Recipe, rendering: Rendering) -> None:
    """The transformer distilled on its own history; what it was before is kept as its teacher."""
    _in_processes(distil_transformer, recipe)


def _in_processes(work: Callable[[Recipe], None], recipe: Recipe) -> None:
    if recipe.processes == 1:
        work(recipe)
    else:
        parallel.launch(work, (recipe,), recipe.processes)


def train_transformer(recipe: Recipe) -> None:
    """One process's part of it; the first writes the result."""
    bundle, scale = replace(recipe.beginning, codec=load_bundle(recipe.output).codec), recipe.scale
    model, before = recipe.learner(bundle), deepcopy(bundle.teacher)
    config = DitTraining(
        parallel.from_first(recipe.times.seconds("transformer")),
        recipe.stages,
        average=scale.average,
        decay_from=0.6 if recipe.fresh else 0.1,
    )
    model = train_dit(model.to(recipe.device), config, recipe.folder, recipe.device).cpu()
    if parallel.rank() == 0:
        parts = {"transformer": model.transformer, "text": model.text}
        if before:
            moved = carried(bundle.transformer, before, model.transformer)
            parts = {"transformer": moved, "teacher": model.transformer}
        save_bundle(recipe.output, replace(bundle, **parts))


@torch.no_grad()
def carried(student: nn.Module, before: nn.Module, after: nn.Module) -> nn.Module:
    """The student, moved by what its teacher learnt: differences of weights add up (arXiv 2212.04089), and what is left
    to distil is small."""
    for moved, old, new in zip(student.parameters(), before.parameters(), after.parameters(), strict=True):
        moved += new - old
    return student


def distil_transformer(recipe: Recipe) -> None:
    """One process's part of it; the first writes the result. A model that was distilled already learns on."""
    bundle, scale = load_bundle(recipe.output), recipe.scale
    teacher, side = bundle.teacher or bundle.transformer, bundle.card.size // bundle.codec.spatial_factor
    sampling = Sampling(bundle.card.steps, bundle.card.shift, bundle.card.prediction)
    parts = (part.to(recipe.device) for part in (bundle.transformer, teacher, bundle.text))
    config = Distillation(
        parallel.from_first(recipe.times.seconds("distil")),
        scale.own,
        muon_lr=scale.student_lr,
        adam_lr=scale.student_lr / 2,
        average=scale.student_average,
        captions=scale.captions,
        warmup_steps=scale.critic_first,
    )
    distiller = Distiller(*parts, sampling, config, (bundle.codec.channels, side, side))
    student = distil(distiller, recipe.folder)
    if parallel.rank() == 0:
        parts = {"transformer": student, "teacher": distiller.teacher, "text": distiller.text}
        save_bundle(recipe.output, replace(bundle, **{name: part.cpu() for name, part in parts.items()}))


def make_classifier(recipe: Recipe, rendering: Rendering) -> None:
    """The check's classifier, from rendered scenes only: as they are, and after a round trip through the codec. One
    that was trained already learns on."""
    codec, device, sources = load_bundle(recipe.output).codec.to(recipe.device), recipe.device, []
    for name, source in recipe.sources.items():
        if source.decoded:
            clips = rendering.wait(name, rendering.clips[name].enough)
            truth = truth_of(clips.captions, device)
            latents = np.load(recipe.folder / f"{name}_latents.npy", mmap_mode="r")[: source.decoded]
            seconds = 0.15 * recipe.times.seconds("classifier") if recipe.times.hurried else float("inf")
            softened = decode_clips(recipe.folder / f"{name}_decoded.npy", latents, codec, device, seconds)
            sharp = clips.pixels[: min(clips.ready, RENDERED * source.decoded)]
            sources += [Shown(Bank(sharp, device), truth), Shown(Bank(softened, device), truth)]
    model = train_classifier(sources, recipe.times.seconds("classifier"), recipe.classifier.to(device))
    save_module(model.cpu(), recipe.output / CLASSIFIER)


STAGES = {
    "codec": make_codec,
    "latents": make_latents,
    "transformer": make_transformer,
    "distil": make_distilled,
    "classifier": make_classifier,
}
