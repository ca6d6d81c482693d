"""Prompts of the tiny model's world that cover its words evenly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..captions import TABLES, Caption

BLOCK = 24  # prompts among which words are spread evenly


def even_prompts(count: int) -> tuple[Caption, ...]:
    """`count` captions; in each 24 of them a word of a table comes up as often as the others, give or take one.

    A prompt's number always means the same prompt, however many there are.
    """
    blocks = [caption for block in range(-(-count // BLOCK)) for caption in _block(block)]
    return tuple(blocks[:count])


def still_prompts(count: int) -> tuple[Caption, ...]:
    """The same captions with a camera that stands still."""
    return tuple(replace(caption, camera="still") for caption in even_prompts(count))


def _block(number: int) -> list[Caption]:
    rng, columns = np.random.default_rng(number), {}
    for name, table in TABLES.items():
        rounds = [rng.permutation(len(table)) for _ in range(-(-BLOCK // len(table)))]
        columns[name] = [tuple(table)[i] for i in np.concatenate(rounds)[:BLOCK]]
    return [Caption(**{name: column[i] for name, column in columns.items()}) for i in range(BLOCK)]
