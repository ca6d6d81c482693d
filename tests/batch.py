"""Whether chunks of two videos could go through the model as one batch: `python -m tests.batch`, the tiny model, here.

What a batch makes of a video would have to be what the video is alone, bit by bit; and it would have to be faster.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator
from statistics import median

import torch
from torch import Tensor

from deepforcing import DeepForcing, Pipeline, load_pipeline
from deepforcing.attention import Prompt

PROMPTS = ("a red balloon over the city", "a blue boat on the lake")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--chunks", type=int, default=12)
    parser.add_argument("--float32", action="store_true")
    asked = parser.parse_args()
    pipeline = load_pipeline(asked.model)
    if asked.float32:
        pipeline.denoiser.transformer.float()
    made, work = side_by_side(pipeline, ([0], [1], [0, 1]), asked.chunks)
    alone, both = torch.cat(made[:2], 1), made[2]
    apart = (both - alone).flatten(1).norm(dim=1) / alone.flatten(1).norm(dim=1)
    print(f"{pipeline.denoiser.dtype} on {pipeline.device}, {asked.chunks} chunks of two videos")
    print(f"as one batch and alone: {'bit-equal' if torch.equal(both, alone) else 'not bit-equal'}")
    print(f"apart, of their own size: {apart[0]:.1e} in the first chunk, {apart[-1]:.1e} in the last")
    print(f"a chunk of both as one batch: {work[2] / (work[0] + work[1]):.2f} of the work of two")


def side_by_side(pipeline: Pipeline, groups: Iterable[list[int]], chunks: int) -> tuple[list[Tensor], list[float]]:
    """Latents [chunks, videos, ...] of each group of videos, which is one batch, and the median seconds that a chunk
    had the processor: what else the machine does counts less so."""
    going = [(rolled(pipeline, numbers), [], []) for numbers in groups]
    for _ in range(chunks):
        for roll, made, took in going:
            began = time.process_time()
            made.append(next(roll).cpu())
            took.append(time.process_time() - began)
    return [torch.stack(made) for _, made, _ in going], [median(took) for _, _, took in going]


@torch.no_grad()
def rolled(pipeline: Pipeline, numbers: list[int]) -> Iterator[Tensor]:
    """Clean latents of these videos, chunk after chunk; each has its own noise and its own prompt."""
    denoiser, height, width = pipeline.denoiser, *pipeline.latent_shape[1:]
    prompts = [pipeline.encode(PROMPTS[number]).embeds for number in numbers]
    cache, prompt = denoiser.new_cache(DeepForcing(), pipeline.geometry), Prompt("", torch.cat(prompts))
    sources = [torch.Generator().manual_seed(number) for number in numbers]

    def noise() -> Tensor:
        shape = (1, denoiser.channels, pipeline.chunk_frames, height, width)
        return torch.cat([torch.randn(shape, generator=source) for source in sources]).to(denoiser.device)

    while True:
        x = noise()
        for step in denoiser.steps:
            x = denoiser.denoise(x, noise(), step, cache, prompt)
        denoiser.remember(x, cache, prompt)
        yield x


if __name__ == "__main__":
    main()
