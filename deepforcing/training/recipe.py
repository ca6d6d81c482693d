"""The whole recipe: codec, latents, transformer, distil, classifier; each stage reads what the one before left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch

from deepforcing.config import Sampling
from deepforcing.models.tiny_codec import TinyCodec
from deepforcing.models.tiny_text import TinyTextEncoder
from deepforcing.training import parallel
from deepforcing.training.bundle import (
    ASSETS,
    Bundle,
    ModelCard,
    load_bundle,
    new_transformer,
    save_bundle,
    save_module,
)
from deepforcing.training.classifier import train_classifier
from deepforcing.training.codec_stage import CodecTraining, train_codec
from deepforcing.training.data import caption_of, decode_clips, encode_clips, render_clips
from deepforcing.training.distil_stage import Distillation, Distiller, distil
from deepforcing.training.dit_stage import Batch, DitTraining, Stage, TinyModel, train_dit


@dataclass(frozen=True)
class Source:
    """A set of rendered clips: its first seed, how many, pixels, frames; of how many the classifier sees a round
    trip through the codec."""

    first_seed: int
    count: int
    size: int
    frames: int
    decoded: int = 0


SOURCES = MappingProxyType(
    {
        "codec": Source(10_000_000, 900, 96, 81),
        "stills64": Source(20_000_000, 24_000, 64, 1),
        "stills96": Source(30_000_000, 14_000, 96, 1, decoded=3_000),
        "first": Source(40_000_000, 5_000, 96, 9),
        "clips": Source(50_000_000, 2_000, 96, 81, decoded=150),
    }
)
LATENT_SOURCES = ("stills64", "stills96", "first", "clips")


@dataclass(frozen=True)
class Recipe:
    """Where to work, on what, for how long (minutes), and whether to begin with random weights."""

    folder: Path
    output: Path = ASSETS
    device: str = "cpu"
    workers: int = 2
    processes: int = 1
    fresh: bool = False
    sources: Mapping[str, Source] = field(default_factory=lambda: dict(SOURCES))  # picklable
    codec_minutes: float = 25.0
    transformer_minutes: float = 120.0
    distil_minutes: float = 60.0
    classifier_minutes: float = 14.0

    @property
    def start(self) -> Bundle:
        """What training begins with: the shipped weights, or random ones."""
        if not self.fresh:
            return load_bundle(ASSETS)
        codec, text = TinyCodec(), TinyTextEncoder()
        return Bundle(ModelCard(), new_transformer(text.config, codec.config), text, codec)

    def pixels(self, name: str) -> np.ndarray:
        """The rendered clips of a source, made when first asked for."""
        source = self.sources[name]
        self.folder.mkdir(parents=True, exist_ok=True)
        return render_clips(
            self.folder / f"{name}_pixels.npy",
            source.first_seed,
            source.count,
            source.size,
            source.frames,
            self.workers,
        )


def dit_stages(seconds: float, fresh: bool) -> tuple[Stage, ...]:
    """Stills, then first chunks, then clips with the others mixed in; shipped weights go straight to the clips.

    Stills first, and at 64 pixels first, because that is where subjects and colours are bound to words most cheaply.
    """
    stills64, stills96, first = Batch("stills64", 96, 0), Batch("stills96", 64, 0), Batch("first", 20, 1)
    clips = (Batch("clips", 2, 7, 0.3), Batch("clips", 3, 4, 0.15), Batch("clips", 7, 2, 0.1))
    mixed = Stage("clips", seconds, (*clips, replace(first, share=0.25), replace(stills96, share=0.2)), guidance=0.5)
    if not fresh:
        return (mixed,)
    return (
        Stage("stills64", 0.15 * seconds, (stills64,)),
        Stage("stills96", 0.4 * seconds, (replace(stills96, share=0.8), replace(first, share=0.2))),
        Stage("guided", 0.5 * seconds, (replace(stills96, share=0.65), replace(first, share=0.35)), guidance=0.5),
        mixed,
    )


def make_codec(recipe: Recipe) -> None:
    """The codec; from shipped weights only the decoder learns on, so that the latents stay as they are."""
    bundle = recipe.start
    config = CodecTraining(seconds=60 * recipe.codec_minutes, decoder_only=not recipe.fresh)
    codec = train_codec(
        bundle.codec.to(recipe.device), recipe.pixels("codec"), config, recipe.folder / "codec.ckpt", recipe.device
    )
    save_module(codec.cpu(), recipe.folder / "codec.safetensors", torch.float16)
    save_bundle(recipe.output, replace(bundle, codec=codec.cpu()))


def make_latents(recipe: Recipe) -> None:
    """Latents of every source, by the codec in the output folder."""
    codec = load_bundle(recipe.output).codec.to(recipe.device)
    for name in LATENT_SOURCES:
        clips = recipe.pixels(name)
        encode_clips(
            recipe.folder / f"{name}.npy",
            clips,
            codec,
            recipe.sources[name].first_seed,
            max(1, 64 // clips.shape[1]),
            recipe.device,
        )
        print(f"latents of {len(clips)} {name}", flush=True)


def make_transformer(recipe: Recipe) -> None:
    """The transformer and the text encoder, in as many processes as the recipe says."""
    _in_processes(train_transformer, recipe)


def make_distilled(recipe: Recipe) -> None:
    """The transformer distilled on its own history; what it was before is kept as its teacher."""
    _in_processes(distil_transformer, recipe)


def _in_processes(work: Callable[[Recipe], None], recipe: Recipe) -> None:
    if recipe.processes == 1:
        work(recipe)
    else:
        parallel.launch(work, (recipe,), recipe.processes)


def train_transformer(recipe: Recipe) -> None:
    """One process's part of it; the first writes the result."""
    bundle = replace(recipe.start, codec=load_bundle(recipe.output).codec)
    model = TinyModel(bundle.teacher or bundle.transformer, bundle.text)
    config = DitTraining(
        dit_stages(60 * recipe.transformer_minutes, recipe.fresh), decay_from=0.55 if recipe.fresh else 0.1
    )
    model = train_dit(model.to(recipe.device), config, recipe.folder, recipe.device).cpu()
    if parallel.rank() == 0:
        save_bundle(recipe.output, replace(bundle, transformer=model.transformer, text=model.text, teacher=None))


def distil_transformer(recipe: Recipe) -> None:
    """One process's part of it; the first writes the result. A model that was distilled already learns on."""
    bundle, config = load_bundle(recipe.output), Distillation(60 * recipe.distil_minutes)
    teacher, side = bundle.teacher or bundle.transformer, bundle.card.size // bundle.codec.spatial_factor
    sampling = Sampling(bundle.card.steps, bundle.card.shift, bundle.card.prediction)
    parts = (part.to(recipe.device) for part in (bundle.transformer, teacher, bundle.text))
    distiller = Distiller(*parts, sampling, config, (bundle.codec.channels, side, side))
    student = distil(distiller, recipe.folder)
    if parallel.rank() == 0:
        save_bundle(recipe.output, replace(bundle, transformer=student.cpu(), teacher=distiller.teacher.cpu()))


def make_classifier(recipe: Recipe) -> None:
    """The check's classifier, from rendered scenes only: as they are, and after a round trip through the codec."""
    codec = load_bundle(recipe.output).codec.to(recipe.device)
    sources = []
    for name, source in recipe.sources.items():
        if source.decoded:
            captions = [caption_of(source.first_seed + i) for i in range(source.count)]
            latents = np.load(recipe.folder / f"{name}.npy", mmap_mode="r")[: source.decoded]
            softened = decode_clips(recipe.folder / f"{name}_decoded.npy", latents, codec, device=recipe.device)
            sources += [(recipe.pixels(name), captions), (softened, captions[: source.decoded])]
    model = train_classifier(sources, 60 * recipe.classifier_minutes)
    save_module(model, recipe.output / "classifier.safetensors")


STAGES = {
    "codec": make_codec,
    "latents": make_latents,
    "transformer": make_transformer,
    "distil": make_distilled,
    "classifier": make_classifier,
}
