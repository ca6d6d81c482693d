"""What is trained, where and how: all that the stages have to know."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch

from deepforcing.models.tiny_classifier import Classifier, load_classifier
from deepforcing.training.bundle import ASSETS, CLASSIFIER, Bundle, load_bundle, new_bundle
from deepforcing.training.dit_stage import Stage, TinyModel
from deepforcing.training.rendering import Source
from deepforcing.training.scale import CPU, Scale
from deepforcing.training.sizes import ModelSizes
from deepforcing.training.timetable import Timetable


@dataclass(frozen=True)
class Recipe:
    """Where to work, on what, with how many processes, and for how long.

    start: the folder of a model to go on from; None begins with random weights, and then `sizes` says how many.
    workers: processes that render; processes: that train, for CPUs.
    """

    folder: Path
    output: Path = ASSETS
    start: Path | None = ASSETS
    sizes: ModelSizes = field(default_factory=ModelSizes)
    scale: Scale = CPU
    device: torch.device = torch.device("cpu")
    workers: int = 2
    processes: int = 1
    times: Timetable = field(default_factory=Timetable)

    @property
    def fresh(self) -> bool:
        return self.start is None

    @property
    def beginning(self) -> Bundle:
        """What training begins with."""
        return new_bundle(self.sizes) if self.fresh else load_bundle(self.start)

    def learner(self, bundle: Bundle) -> TinyModel:
        """What the transformer's stage trains: it and the text encoder; or it alone where both are good already, as
        its student reads with the same encoder."""
        return TinyModel(bundle.teacher or bundle.transformer, bundle.text.requires_grad_(self.fresh))

    @property
    def classifier(self) -> Classifier:
        """What the classifier's training begins with."""
        known = None if self.fresh else self.start / CLASSIFIER
        return load_classifier(known).train().requires_grad_() if known and known.exists() else Classifier()

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The transformer's: all of them, or for one that was trained already the last."""
        return self.scale.stages if self.fresh else self.scale.stages[-1:]

    @cached_property
    def sources(self) -> dict[str, Source]:
        """All clips that there can be, at the model's size."""
        begin = self.beginning
        return self.scale.sources(begin.card.size, begin.codec.spatial_factor)

    @property
    def latent_sources(self) -> list[str]:
        """Those that the transformer learns from."""
        wanted = {batch.source for stage in self.stages for batch in stage.batches}
        return [name for name in self.sources if name in wanted]

    @property
    def needed(self) -> dict[str, Source]:
        """Those that the stages of the timetable look at, in the order in which they do."""
        decoded = [name for name, source in self.sources.items() if source.decoded]
        wanted = {"codec": ["shorts"], "latents": self.latent_sources, "classifier": decoded}
        names = [name for stage in self.times.stages for name in wanted.get(stage, ())]
        return {name: self.sources[name] for name in dict.fromkeys(names)}
