"""A compression for the panels: which tokens stood, where each ranked, and how many places there were."""

from __future__ import annotations

import json

import numpy as np

from deepforcing import Compression

from .packing import Sample, pack_few, strongest

PANEL_BYTES = 146_000  # of all panels of a chunk, with its contest; a few sentences come on top
CONTEST_BYTES = 48_000  # of a contest, before base64
_FEW = 2 + 1 / 8  # bytes that a share takes at most, with its bit


def room_beside(*packed: dict | None) -> int:
    """Bytes before base64 that are left for a contest beside what else a chunk's panels are sent."""
    return min(CONTEST_BYTES, (PANEL_BYTES - len(json.dumps(packed))) * 3 // 4)


def pack_contest(fired: Compression | None, sample: Sample, layers: int, room: int) -> dict | None:
    """None where compression did not fire. layers: how many the model has; room: bytes, see `room_beside`.

    Rows are the mean over all layers, then the sampled ones. Where that is too much, it is the mean of those frames
    that fit and had the most candidates.

    frames   latent frames; left: how many more had candidates
    ranks    few shares [rows, F, tokens]: by score, 1 / n for the highest of n candidates; 0 where a token is none
    stood    how many candidates [rows]; places: how many were kept
    scores   few shares [rows - 1, F, tokens] from the lowest to the highest of each layer; range: these [rows - 1, 2]
    """
    if fired is None:
        return None
    shown = list(sample.layers)
    if len(fired.scores) != layers or _bytes(fired.candidate, shown) > room:
        shown = []
    most = fired.frames.size if shown else max(0, int(room // (_FEW * fired.candidate[0, 0].size)))
    held = strongest(fired.candidate.mean((0, 2, 3)), most)
    ranks = rank_shares(fired)
    stood, places = (mask.sum((1, 2, 3)) for mask in (fired.candidate, fired.kept))
    scores, reach = score_shares(fired.scores[shown])
    return {
        "frames": fired.frames[held].tolist(),
        "left": len(fired.frames) - len(held),
        "ranks": pack_few(np.concatenate((mean_rank(ranks[:, held])[None], ranks[np.ix_(shown, held)]))),
        "stood": np.rint([stood.mean(), *stood[shown]]).astype(int).tolist(),
        "places": np.rint([places.mean(), *places[shown]]).astype(int).tolist(),
        "scores": pack_few(scores[:, held]),
        "range": reach,
    }


def _bytes(candidate: np.ndarray, shown: list[int]) -> int:
    """What ranks and scores of these layers take at most, with the mean's; candidate [layers, F, rows, columns]."""
    rows = 1 + 2 * len(shown)
    shares = candidate.any(0).sum() + 2 * candidate[shown].sum()
    return int(2 * shares + rows * candidate[0].size / 8 + 2)


def rank_shares(fired: Compression) -> np.ndarray:
    """float32 [layers, F, rows, columns]: rank by score over the number of candidates, 0 without; equals rank alike."""
    out = np.zeros(fired.scores.shape, np.float32)
    for ranks, scores, candidate in zip(out, fired.scores, fired.candidate, strict=True):
        own = scores[candidate]
        higher = own.size - np.searchsorted(np.sort(own), own, side="right")
        ranks[candidate] = (1 + higher) / own.size
    return out


def mean_rank(ranks: np.ndarray) -> np.ndarray:
    """Mean over those layers in which a token stood, 0 where it stood in none."""
    return ranks.sum(0) / np.maximum(1, (ranks > 0).sum(0))


def score_shares(scores: np.ndarray) -> tuple[np.ndarray, list[list[float]]]:
    """Scores [rows, ...] as shares from the lowest to the highest of their row, and these two of each row."""
    reach = [[float(np.nanmin(row)), float(np.nanmax(row))] for row in scores]
    shares = [(row - low) / max(high - low, 1e-9) for row, (low, high) in zip(scores, reach, strict=True)]
    return np.nan_to_num(np.array(shares).reshape(scores.shape)), reach
