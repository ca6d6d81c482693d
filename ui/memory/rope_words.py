"""Where RoPE puts the cached frames, in a sentence or two."""

from __future__ import annotations

import numpy as np

from deepforcing import CacheState

from .packing import mean_time

MOVED = 0.25  # latent frames between the place where a frame was made and the one it is put at, and it counts as moved


def placement_words(cache: CacheState, first: int) -> str:
    """What stands where for the chunk whose first latent frame is `first`."""
    if not len(cache.frames):
        return "Nothing is cached yet: the chunk looks only at itself."
    made, put = cache.frames - first, mean_time(cache)
    moved = np.abs(put - made) >= MOVED
    if not moved.any():
        oldest = _frames(-made[0])
        return f"Nothing is moved: every frame stands where it was made, the oldest {oldest} before the chunk."
    role = np.array(cache.roles)
    sink, top_c = role == "sink", role == "top-C"
    if not moved[sink].any():
        return "Frames are moved, but not the sink."
    words = f"The sink is moved by {_frames(round(float(np.mean((put - made)[sink]))))}"
    if top_c.any():
        words += "; so are the top-C" if moved[top_c].any() else "; the top-C stand where they were made"
    return f"{words}. {_joint(float(put[sink].max()), put[~sink])}"


def _joint(end: float, others: np.ndarray) -> str:
    """How the sink's last frame, at `end`, meets the other cached frames, or the chunk itself at 0."""
    if earlier := int((others <= end).sum()):
        return f"{_frames(earlier)} that came later stand beside or behind it."
    gap = round(min([0.0, *others.tolist()]) - end - 1)
    return f"{_frames(gap)} lie empty between it and the next." if gap > 0 else "The next frame joins without a gap."


def _frames(count: int) -> str:
    return f"{count} frame{'' if count == 1 else 's'}"
