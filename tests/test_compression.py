import pytest
import torch

from deepforcing.compression import attention_mass, by_frame, choose_top_c, importance


def candidates(*rows):
    return torch.tensor(rows, dtype=torch.bool)


def test_importance_is_the_sum_over_queries_and_heads():
    g = torch.Generator().manual_seed(0)
    keys, queries = torch.randn(2, 7, 3, 4, generator=g), torch.randn(2, 5, 3, 4, generator=g)
    expected = torch.einsum("bnhd,bqhd->bn", keys, queries)
    torch.testing.assert_close(importance(keys, queries.sum(1)), expected)


def test_highest_scores_win_and_stay_in_temporal_order():
    scores = torch.tensor([[9.0, 1.0, 5.0, 3.0, 7.0, 8.0]])
    top = choose_top_c(scores, candidates([0, 1, 1, 1, 1, 0]), 2)
    assert top.indices.tolist() == [[2, 4]] and top.valid is None


def test_sinks_and_recent_tokens_never_compete():
    scores = torch.arange(6.0).flip(0)[None]
    top = choose_top_c(scores, candidates([0, 0, 1, 1, 0, 0]), 2)
    assert top.indices.tolist() == [[2, 3]]


@pytest.mark.parametrize("at_once", [2, 100])
def test_attention_mass_is_the_softmax_summed_over_queries(at_once):
    g = torch.Generator().manual_seed(0)
    keys, queries = torch.randn(2, 7, 3, 4, generator=g), torch.randn(2, 5, 3, 4, generator=g)
    mask = candidates([1, 1, 1, 1, 1, 1, 1], [0, 1, 1, 0, 1, 1, 1])
    mass = attention_mass(keys, queries, mask, at_once=at_once)
    logits = torch.einsum("bqhd,bnhd->bhqn", queries, keys) / 2
    expected = logits.where(mask[:, None, None], torch.tensor(-torch.inf)).softmax(-1).sum(2)
    torch.testing.assert_close(mass, expected)
    torch.testing.assert_close(mass.sum(-1), torch.full((2, 3), 5.0))


def test_a_frame_scores_the_sum_of_its_candidates():
    frames = torch.tensor([[3, 3, 3, 5, 5, 8]])
    scores = torch.tensor([[1.0, 2.0, 4.0, -8.0, 16.0, 32.0]])
    got = by_frame(scores, frames, candidates([1, 1, 0, 1, 1, 0]))
    assert got.tolist() == [[3, 3, 0, 8, 8, 0]]


def test_barred_tokens_leave_rows_unequal():
    scores = torch.tensor([[4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0]])
    barred = candidates([1, 1, 1, 0], [0, 0, 0, 1])
    top = choose_top_c(scores, candidates([1, 1, 1, 1], [1, 1, 1, 1]), 3, barred=barred)
    assert top.indices[1].tolist() == [0, 1, 2]
    assert top.indices[0, 0] == 3 and top.valid.tolist() == [[True, False, False], [True, True, True]]


def test_a_single_row_is_never_padded():
    barred = candidates([1, 1, 1, 0])
    top = choose_top_c(torch.ones(1, 4), candidates([1, 1, 1, 1]), 3, barred=barred)
    assert top.indices.tolist() == [[3]] and top.valid is None


def test_a_negative_count_is_refused():
    with pytest.raises(ValueError, match="negative"):
        choose_top_c(torch.ones(1, 4), candidates([1, 1, 1, 1]), -1)
