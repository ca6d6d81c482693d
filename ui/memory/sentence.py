"""What the model remembers while it makes a chunk, in plain words."""

from __future__ import annotations

import numpy as np

from deepforcing import CacheState, Chunk

WORDS = "no one two three four five six seven eight nine ten eleven twelve".split()


def told(chunk: Chunk) -> str:
    """Such as: `It looks back over 59 frames and keeps 16 of them: the first ten for ever, two frames' worth of the
    middle, the last four.` Of a video whose cache was emptied, it is the scene since then that is told of. What the
    layers hold of the middle is their mean; what was thrown away for this chunk follows."""
    origin = chunk.cache.origin
    made, scene = chunk.latent_frames[0] - origin, " of this scene" if origin else ""
    if not made:
        return f"These are the first frames{scene}: there is nothing to look back at yet."
    worth = _worth(chunk.cache)
    kept = sum(worth.values())
    over = f"It looks back over {made} frame{'s' if made > 1 else ''}{scene} and keeps"
    if kept == made:
        return f"{over} {'them all' if made > 1 else 'it'}."
    parts = [_part(role, frames, "the scene’s" if origin else "the") for role, frames in worth.items() if frames]
    forgets = "" if worth["sink"] else " What is older is forgotten."
    return f"{over} {kept} of them: {', '.join(parts)}.{_let_go(chunk)}{forgets}"


def _worth(cache: CacheState) -> dict[str, int]:
    """Role -> how many whole frames its tokens would fill, in the mean of the layers; oldest role first."""
    roles, shares = np.array(cache.roles), cache.kept.mean((0, 2, 3))
    return {role: round(float(shares[roles == role].sum())) for role in ("sink", "top-C", "recent")}


def _part(role: str, frames: int, whose: str) -> str:
    if role == "top-C":
        return f"{_count(frames)} frame{'s’' if frames > 1 else '’s'} worth of the middle"
    return f"{whose} first {_count(frames)} for ever" if role == "sink" else f"the last {_count(frames)}"


def _let_go(chunk: Chunk) -> str:
    """The frames' worth that compression threw away for this chunk, and how it chose."""
    fired = chunk.compression
    if fired is None:
        return ""
    lost = (fired.candidate & ~fired.kept).sum((1, 2, 3)).mean() / fired.kept[0, 0].size
    return f" It has just let go of {_count(max(1, round(float(lost))))} frames’ worth."


def _count(number: int) -> str:
    return WORDS[number] if number < len(WORDS) else str(number)
