"""Prompts of the tiny model's world that cover its words evenly."""

from __future__ import annotations

import numpy as np

from ..captions import TABLES, Caption


def even_prompts(count: int, seed: int = 0) -> tuple[Caption, ...]:
    """`count` captions in which each word of a table comes up as often as the others, give or take one.

    A prompt's number always means the same prompt, however many there are.
    """
    columns = {}
    for index, (name, table) in enumerate(TABLES.items()):
        rng = np.random.default_rng((seed, index))
        rounds = [rng.permutation(len(table)) for _ in range(-(-count // len(table)))]
        columns[name] = [tuple(table)[i] for i in np.concatenate(rounds)[:count]]
    return tuple(Caption(**{name: column[i] for name, column in columns.items()}) for i in range(count))
