"""Does the video show what the prompt says?  `python -m deepforcing.training.check`

A classifier that was trained on rendered scenes reads generated video; the ceiling is what it reads from real clips
that went through the codec and back.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
import torch

from deepforcing.captions import Caption, sample_caption
from deepforcing.models.tiny_classifier import ATTRIBUTES, Classifier, load_classifier
from deepforcing.pipeline import Pipeline, generate_long_video, load_pipeline
from deepforcing.policies import SlidingWindow
from deepforcing.training.bank import to_video
from deepforcing.training.world import render

FRAMES = slice(40, 81)
UNSEEN_SEED = 900_000_000  # far from every seed that was trained on


def unseen_prompts(count: int) -> list[tuple[Caption, str, int]]:
    """Captions, a phrase for each, and seeds that no training clip has."""
    rng = np.random.default_rng(UNSEEN_SEED)
    captions = [sample_caption(rng) for _ in range(count)]
    return [(caption, caption.phrase(rng), UNSEEN_SEED + i) for i, caption in enumerate(captions)]


def generated(pipeline: Pipeline, prompts) -> Iterator[tuple[Caption, torch.Tensor]]:
    """Frames 40 to 80 that the model makes of each prompt, [41, 3, H, W]."""
    for caption, phrase, seed in prompts:
        chunks = generate_long_video(pipeline, phrase, num_frames=FRAMES.stop, policy=SlidingWindow(), seed=seed)
        yield caption, to_video(torch.from_numpy(np.concatenate([chunk.frames for chunk in chunks])[FRAMES]))


def real(pipeline: Pipeline, prompts) -> Iterator[tuple[Caption, torch.Tensor]]:
    """The same frames of rendered clips, encoded and decoded."""
    for caption, _, seed in prompts:
        clip = to_video(torch.from_numpy(render(caption, seed, pipeline.shape.height)))[None]
        with torch.no_grad():
            yield caption, pipeline.decoder.decode(pipeline.decoder.encode(clip))[0][0, FRAMES]


def accuracy(classifier: Classifier, clips: Iterator[tuple[Caption, torch.Tensor]]) -> dict[str, float]:
    """Share of clips in which each attribute is read as the caption says."""
    right = []
    for caption, video in clips:
        seen = classifier.read(video)
        right.append([seen[name] == getattr(caption, name) for name in ATTRIBUTES])
    return dict(zip(ATTRIBUTES, np.mean(right, 0), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deepforcing.training.check", description=__doc__)
    parser.add_argument("--model", default="tiny", help="'tiny' or a folder in its layout")
    parser.add_argument("--prompts", type=int, default=64)
    options = parser.parse_args()
    pipeline, prompts = load_pipeline(options.model), unseen_prompts(options.prompts)
    classifier = load_classifier()
    print(
        f"{options.prompts} unseen prompts, frames {FRAMES.start} to {FRAMES.stop - 1}: share read as the prompt says"
    )
    for name, clips in (("generated", generated(pipeline, prompts)), ("codec of real clips", real(pipeline, prompts))):
        scores = accuracy(classifier, clips)
        print(f"{name:20s}" + "  ".join(f"{attribute} {score:.3f}" for attribute, score in scores.items()), flush=True)


if __name__ == "__main__":
    main()
