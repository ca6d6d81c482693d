"""The recipe at sizes of which every stage takes a second or less."""

from itertools import count
from types import SimpleNamespace

import pytest

from deepforcing.models.tiny_codec import CodecConfig
from deepforcing.models.tiny_text import TinyTextConfig
from deepforcing.training.dit_stage import Batch, Stage
from deepforcing.training.scale import Scale
from deepforcing.training.sizes import ModelSizes

SIZES = ModelSizes(
    pixels=32,
    heads=1,
    head_dim=12,
    layers=1,
    codec=CodecConfig(latent_channels=4, encoder_widths=(20, 20, 20), decoder_widths=(20, 20, 20, 20)),
    text=TinyTextConfig(width=16, heads=2, layers=1),
)
SCALE = Scale(
    counts={"shorts": 3, "small-stills": 3, "stills": 3, "clips": 2},
    decoded={"stills": 2, "clips": 1},
    codec=((2, 9), (2, 5)),
    stages=(
        Stage("small stills", 0.3, (Batch("small-stills", 2, 0),)),
        Stage("all", 1.0, (Batch("stills", 2, 0), Batch("shorts", 2, 1), Batch("clips", 2, 3)), guidance=0.5),
    ),
    own=(Batch("own", 2, 1), Batch("own", 1, 2)),
    average=0.9,
    student_average=0.9,
    student_lr=1e-3,
    captions=9,
    critic_first=2,
)


def every_step_takes(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clocks of training go on by so much a step, so that its time is a number of steps on any machine."""
    asked = count()  # a step asks twice: for the clock, and for the report
    clock = SimpleNamespace(monotonic=lambda: 0.5 * seconds * next(asked))
    monkeypatch.setattr("deepforcing.training.progress.time", clock)
