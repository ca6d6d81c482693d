"""What one step holds, and how many clips there are to learn from: small steps on a CPU, large ones on a GPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch

from deepforcing.models.tiny_codec import TIME_FACTOR
from deepforcing.training.dit_stage import Batch, Stage
from deepforcing.training.rendering import Source


@dataclass(frozen=True)
class Kind:
    """A kind of clips: the seed of the first, their frames, and their pixels where those are not the model's."""

    first_seed: int
    frames: int
    size: int | None = None


KINDS = MappingProxyType(
    {
        "shorts": Kind(10_000_000, 21),  # for the codec, and for first chunks
        "small-stills": Kind(20_000_000, 1, 64),
        "stills": Kind(30_000_000, 1),
        "clips": Kind(50_000_000, 81),
    }
)


@dataclass(frozen=True)
class Scale:
    """The sizes of everything but the model, for one kind of device.

    counts: clips of each kind; decoded: of how many of them the classifier sees what the codec makes of them
    codec: (clips, frames) of its batches, in turn
    stages: the transformer's; one that is trained already does the last only
    own: roll-outs of the student
    average, student_average, student_lr: what goes well with as many steps as there will be
    captions: that the student plays, drawn ahead
    critic_first: the critic's steps before the student's first
    """

    counts: Mapping[str, int]
    decoded: Mapping[str, int]
    codec: tuple[tuple[int, int], ...]
    stages: tuple[Stage, ...]
    own: tuple[Batch, ...]
    average: float
    student_average: float
    student_lr: float
    captions: int = 10_000
    critic_first: int = 30

    def sources(self, pixels: int, space: int) -> dict[str, Source]:
        """The clips to render, in the order in which they are needed; `space` pixels are a latent."""
        kinds = {name: KINDS[name] for name in self.counts}
        return {
            name: Source(
                kind.first_seed,
                self.counts[name],
                kind.frames,
                kind.size or pixels,
                space,
                TIME_FACTOR,
                self.decoded.get(name, 0),
            )
            for name, kind in kinds.items()
        }


CPU = Scale(
    counts={"shorts": 3_000, "small-stills": 24_000, "stills": 14_000, "clips": 2_000},
    decoded={"stills": 3_000, "clips": 150},
    codec=((8, 9), (8, 9), (4, 17)),
    stages=(  # stills first, and small ones before: there subjects and colours are bound to words most cheaply
        Stage("small stills", 0.15, (Batch("small-stills", 96, 0),)),
        Stage("stills", 0.4, (Batch("stills", 64, 0, 0.8), Batch("shorts", 20, 1, 0.2))),
        Stage("guided", 0.5, (Batch("stills", 64, 0, 0.65), Batch("shorts", 20, 1, 0.35)), guidance=0.5),
        Stage(
            "clips",
            1.0,
            (
                Batch("clips", 2, 7, 0.3),
                Batch("clips", 3, 4, 0.15),
                Batch("clips", 7, 2, 0.1),
                Batch("shorts", 20, 1, 0.25),
                Batch("stills", 64, 0, 0.2),
            ),
            guidance=0.5,
        ),
    ),
    own=(Batch("own", 10, 1, 0.2), Batch("own", 5, 3, 0.4), Batch("own", 2, 7, 0.4)),
    average=0.99,
    student_average=0.98,
    student_lr=4e-4,
)

CUDA = Scale(  # few shapes, because each is compiled
    counts={"shorts": 8_000, "stills": 30_000, "clips": 4_200},
    decoded={"stills": 3_000, "clips": 150},
    codec=((32, 9), (32, 9), (18, 17)),
    stages=(
        Stage("stills", 0.2, (Batch("stills", 512, 0),)),
        Stage("first chunks", 0.32, (Batch("stills", 512, 0, 0.4), Batch("shorts", 160, 1, 0.6))),
        Stage("guided", 0.46, (Batch("stills", 512, 0, 0.4), Batch("shorts", 160, 1, 0.6)), guidance=0.5),
        Stage(
            "clips",
            1.0,
            (Batch("stills", 512, 0, 0.2), Batch("shorts", 160, 1, 0.25), Batch("clips", 32, 7, 0.55)),
            guidance=0.5,
        ),
    ),
    own=(Batch("own", 160, 1, 0.5), Batch("own", 32, 7, 0.5)),
    average=0.995,
    student_average=0.97,
    student_lr=5e-4,
)


def scale_for(device: torch.device) -> Scale:
    return CUDA if device.type == "cuda" else CPU
