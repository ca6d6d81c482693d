"""A compression as the page gets it."""

import json

import numpy as np
import pytest
from test_ui_packing import MOST_BYTES, REAL, TINY, attention, cache, few

from deepforcing import Compression, Geometry
from ui.memory.packing import Sample, pack_attention, pack_cache
from ui.memory.ranking import pack_contest, room_beside

ROOM = 48_000


def fired(layers: int, geometry: Geometry, frames: int, stood: float = 0.8, places: int = 50) -> Compression:
    """Each layer has candidates of its own, and keeps those `places` of them with the highest scores."""
    rng = np.random.default_rng(3)
    candidate = rng.random((layers, frames, geometry.rows, geometry.columns)) < stood
    scores = np.where(candidate, rng.normal(0, 1000, candidate.shape), np.nan).astype(np.float32)
    least = np.sort(np.nan_to_num(scores, nan=-np.inf).reshape(layers, -1))[:, -places]
    return Compression(5 + np.arange(frames), candidate, scores >= least[:, None, None, None], scores)


def test_a_small_model_gets_every_rank_and_score():
    sample, event = Sample.of(TINY, 6, 4), fired(6, TINY, 20)
    sent = pack_contest(event, sample, 6, ROOM)
    assert sent["frames"] == event.frames.tolist() and sent["left"] == 0
    stood = event.candidate.sum((1, 2, 3))
    assert sent["stood"] == [round(stood.mean()), *stood] and sent["places"] == [50] * 7
    ranks = few(sent["ranks"], 7, 20, 6, 6)
    for layer in range(6):
        mine, scores = event.candidate[layer], event.scores[layer]
        expected = [1 + int((scores[mine] > score).sum()) for score in scores[mine]]
        assert np.rint(ranks[1 + layer][mine] * stood[layer]).astype(int).tolist() == expected
        assert (ranks[1 + layer][~mine] == 0).all()
        assert (np.rint(ranks[1 + layer] * stood[layer])[event.kept[layer]] <= 50).all()
        low, high = sent["range"][layer]
        again = low + few(sent["scores"], 6, 20, 6, 6)[layer] * (high - low)
        assert np.allclose(again[mine], scores[mine], atol=(high - low) / 65535)
    stands = (ranks[1:] > 0).sum(0)
    assert np.allclose(ranks[0], ranks[1:].sum(0) / np.maximum(1, stands), atol=2e-5)
    assert (ranks[0][stands == 0] == 0).all()


def test_equal_scores_share_the_better_rank():
    scores = np.array([3.0, 1.0, 3.0, 2.0], np.float32).reshape(1, 1, 2, 2)
    stood = np.ones(scores.shape, bool)
    sent = pack_contest(Compression(np.array([4]), stood, scores > 2, scores), Sample((0,), (0,), 1), 1, ROOM)
    assert np.rint(4 * few(sent["ranks"], 2, 4)[1]).tolist() == [1, 4, 1, 3] and sent["places"] == [2, 2]


def test_of_a_large_model_the_mean_of_the_frames_that_fit():
    sample, event = Sample.of(REAL, 30, 12), fired(30, REAL, 40)
    event.candidate[:, :25], event.scores[:, :25] = False, np.nan  # frames with fewer candidates come later or not
    event.candidate[:, :25, 0, 0], event.scores[:, :25, 0, 0] = True, 1.0
    sent = pack_contest(event, sample, 30, ROOM)
    assert len(sent["frames"]) == 14 and set(sent["frames"]) < set(range(30, 45)) and sent["left"] == 26
    assert len(sent["stood"]) == len(sent["places"]) == 1 and sent["scores"]["mask"] == "" and sent["range"] == []
    ranks = few(sent["ranks"], 1, 14, 30, 52)[0]
    stood = event.candidate.sum((1, 2, 3))
    at = int(event.frames.tolist().index(sent["frames"][1]))
    token = [event.candidate[layer, at, 4, 7] for layer in range(30)]
    higher = [1 + (event.scores[layer] > event.scores[layer, at, 4, 7]).sum() for layer in range(30)]
    expected = np.mean([rank / n for rank, n, stands in zip(higher, stood, token, strict=True) if stands])
    assert ranks[1, 4, 7] == pytest.approx(expected, abs=2e-5)


def test_layers_that_did_not_fire_leave_only_the_mean():
    sent = pack_contest(fired(4, TINY, 20), Sample.of(TINY, 6, 4), 6, ROOM)
    assert len(sent["stood"]) == 1 and len(sent["frames"]) == 20


@pytest.mark.parametrize("thinned", [12, 40, 400])
@pytest.mark.parametrize(("layers", "heads"), [(30, 12), (40, 40)])
def test_panels_of_the_real_size_stay_small_with_a_contest(layers, heads, thinned):
    sample = Sample.of(REAL, layers, heads)
    panels = (
        pack_cache(cache(layers, REAL, 10, thinned, 6), sample),
        pack_attention(attention(layers, heads, thinned + 19), sample),
    )
    contest = pack_contest(fired(layers, REAL, thinned + 9, 0.2), sample, layers, room_beside(*panels))
    assert len(json.dumps([*panels, contest])) <= MOST_BYTES
    assert len(contest["frames"]) + contest["left"] == thinned + 9
    assert len(contest["frames"]) >= (12 if thinned < 400 else 0)


def test_no_contest_without_a_compression():
    assert pack_contest(None, Sample.of(TINY, 6, 4), 6, ROOM) is None
