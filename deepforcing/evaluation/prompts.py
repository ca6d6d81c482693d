"""Prompts of the tiny model's world that cover its words evenly."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..captions import TABLES, Caption

LEAVING = ("drifting", "rising", "falling")  # motions that end beyond the edge, and begin anew at the other
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


def leaving_prompts(count: int) -> tuple[Caption, ...]:
    """Still captions whose subject has a hue, and moves out of the frame and in again."""
    coloured = [caption for caption in still_prompts(2 * count + BLOCK) if caption.colour != "white"]
    return tuple(replace(caption, motion=LEAVING[i % len(LEAVING)]) for i, caption in enumerate(coloured[:count]))


@dataclass(frozen=True)
class Turn:
    """A change of prompt in which subject, colour, place and time of day all change, and the camera stands still."""

    before: Caption
    after: Caption


def turns(count: int) -> tuple[Turn, ...]:
    """The first `count` still captions, and for each the next one that shows nothing of it."""
    captions = still_prompts(count + BLOCK)
    return tuple(
        Turn(caption, next(other for other in captions[number + 1 :] if _all_differ(caption, other)))
        for number, caption in enumerate(captions[:count])
    )


def _all_differ(one: Caption, other: Caption) -> bool:
    return all(getattr(one, name) != getattr(other, name) for name in ("subject", "colour", "place", "time"))


def _block(number: int) -> list[Caption]:
    rng, columns = np.random.default_rng(number), {}
    for name, table in TABLES.items():
        rounds = [rng.permutation(len(table)) for _ in range(-(-BLOCK // len(table)))]
        columns[name] = [tuple(table)[i] for i in np.concatenate(rounds)[:BLOCK]]
    return [Caption(**{name: column[i] for name, column in columns.items()}) for i in range(BLOCK)]
