"""How well a teacher foresees clips that it never saw: `python -m deepforcing.training.held_out [folder ...]`

The loss of its training, on clean history, for birds, which are the hardest to draw, and for all other subjects.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count as count_up
from pathlib import Path

import numpy as np
import torch

from deepforcing.captions import Caption, sample_caption
from deepforcing.models.tiny_codec import TIME_FACTOR
from deepforcing.training.bank import to_video
from deepforcing.training.bundle import ASSETS, Bundle, load_bundle
from deepforcing.training.check import UNSEEN_SEED
from deepforcing.training.dit_stage import CHUNK, DitTraining, Lesson, NoiseLevels, TinyModel, training_loss
from deepforcing.training.phrases import OFTEN, Phrases
from deepforcing.training.world import render, subject_region

CHUNKS = 4  # of a clip
BATCH = 6
CPU = torch.device("cpu")


def captions_of(hard: bool, count: int) -> list[Caption]:
    """Unseen ones: of the hard subjects only, or of all others."""
    rng = np.random.default_rng((UNSEEN_SEED, hard))
    drawn = (sample_caption(rng) for _ in count_up())
    if hard:
        return [replace(next(drawn), subject=str(rng.choice(sorted(OFTEN)))) for _ in range(count)]
    easy = (caption for caption in drawn if caption.subject not in OFTEN)
    return [next(easy) for _ in range(count)]


def lessons(bundle: Bundle, captions: Sequence[Caption]) -> Iterator[Lesson]:
    """What one step would learn from, batch by batch."""
    frames, side = 1 + TIME_FACTOR * (CHUNK * CHUNKS - 1), bundle.card.size // bundle.codec.spatial_factor
    phrases = Phrases(bundle.text, captions, np.random.default_rng(0), CPU)
    for start in range(0, len(captions), BATCH):
        span = range(start, min(len(captions), start + BATCH))
        clips = np.stack([render(captions[i], UNSEEN_SEED + i, bundle.card.size, frames) for i in span])
        regions = np.stack([subject_region(captions[i], UNSEEN_SEED + i, side, frames)[::TIME_FACTOR] for i in span])
        clean = bundle.codec.encode(to_video(torch.from_numpy(clips))).transpose(1, 2).contiguous()
        yield Lesson(clean, torch.from_numpy(regions).float(), *phrases.sample(torch.tensor(span)))


@torch.no_grad()
def losses(bundle: Bundle, count: int = 24) -> dict[str, float]:
    """The teacher's mean loss over `count` clips of the hard subjects, and of the others; the same noise for any."""
    model, config = TinyModel(bundle.teacher or bundle.transformer, bundle.text), DitTraining(1, (), history_noise=0.0)
    found, levels = {}, NoiseLevels(config, CPU)
    for name, hard in ((" and ".join(OFTEN), True), ("others", False)):
        torch.manual_seed(0)
        batches = lessons(bundle, captions_of(hard, count))
        found[name] = float(np.mean([training_loss(model, one, levels, config, CHUNKS).item() for one in batches]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deepforcing.training.held_out", description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path, default=[ASSETS], help="of models; by default the shipped one")
    for folder in parser.parse_args().folders:
        told = "  ".join(f"{name} {loss:.4f}" for name, loss in losses(load_bundle(folder)).items())
        print(f"{folder.name}: {told}", flush=True)


if __name__ == "__main__":
    main()
