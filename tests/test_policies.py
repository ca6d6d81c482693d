from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import small_pipeline

from deepforcing.config import Geometry, SettingsError
from deepforcing.pipeline import generate_long_video
from deepforcing.policies import (
    POLICIES,
    DeepForcing,
    choices_of,
    in_window_or_sink,
    make_policy,
    settings_of,
)
from deepforcing.policies.registry import find_policies
from deepforcing.policies.top_c import TopC

LATENTS = 45
FRAMES = 1 + 4 * (LATENTS - 1)


def run(policy, probe=False, seed=1):
    return list(
        generate_long_video(small_pipeline(), "a b c", num_frames=FRAMES, policy=policy, seed=seed, probe=probe)
    )


def test_the_four_known_policies_come_first():
    assert list(POLICIES)[:4] == ["self-forcing", "attention-sink", "deep-sink", "deep-forcing"]
    assert all(policy.name == name for name, policy in POLICIES.items())


def test_two_policies_of_one_name_are_refused(drop_policy):
    drop_policy("copied", "from .deep_sink import dataclass\n@dataclass\nclass A:\n    name = 'deep-sink'\n")
    with pytest.raises(ValueError, match=r"two policies are called 'deep-sink', in .*copied.*"):
        find_policies()


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_streams_past_its_window_within_bounds(name):
    policy = make_policy(name)
    for chunk in run(policy):
        state = chunk.cache
        assert state.tokens <= 2 * 6 * (policy.window - 3)
        assert state.kept.sum() >= state.tokens if policy.heads_apart else state.kept.sum() == state.tokens
        first = [frame for frame, role in zip(state.frames, state.roles, strict=True) if role == "sink"]
        assert first == list(range(min(policy.sink_frames, chunk.latent_frames[0])))
        assert state.kept[:, : len(first)].all()
        assert np.nanmax(state.time, initial=-1) < 0


@pytest.mark.parametrize("name", POLICIES)
def test_settings_rebuild_the_policy(name):
    policy = make_policy(name)
    assert make_policy(name, **settings_of(policy)) == policy


def test_deep_forcing_fires_every_second_chunk_and_keeps_the_budget():
    chunks = run(DeepForcing())
    fired = [chunk.index for chunk in chunks if chunk.compression]
    assert fired == [7, 9, 11, 13]
    for chunk in chunks[7:]:
        assert chunk.cache.tokens == 2 * 6 * (13 if chunk.compression else 16)


def test_what_compression_kept_is_what_scored_highest_and_is_in_the_cache():
    for chunk in run(DeepForcing()):
        if chunk.compression is None:
            continue
        c, state = chunk.compression, chunk.cache
        for layer in range(2):
            kept, lost = c.scores[layer][c.kept[layer]], c.scores[layer][c.candidate[layer] & ~c.kept[layer]]
            assert kept.min() >= lost.max() and len(kept) == 2 * 6
        held = state.kept[:, np.isin(state.frames, c.frames)]
        assert (held == c.kept[:, np.isin(c.frames, state.frames)]).all()


def test_layers_choose_for_themselves():
    assert any((c.compression.kept[0] != c.compression.kept[1]).any() for c in run(DeepForcing()) if c.compression)


def test_heads_kept_apart_hold_more_tokens_between_them():
    for shared, apart in zip(run(DeepForcing()), run(DeepForcing(heads="separate")), strict=True):
        assert apart.cache.tokens == shared.cache.tokens and apart.cache.bytes == shared.cache.bytes
        if shared.compression:
            assert apart.cache.kept.sum() > apart.cache.tokens
            held = apart.cache.kept[:, np.isin(apart.cache.frames, apart.compression.frames)]
            assert (held == apart.compression.kept[:, np.isin(apart.compression.frames, apart.cache.frames)]).all()


def test_random_scores_choose_other_tokens_with_the_same_noise():
    scored, drawn = run(DeepForcing()), run(DeepForcing(score="random"))
    assert np.array_equal(scored[6].frames, drawn[6].frames)
    assert (scored[7].compression.kept != drawn[7].compression.kept).any()


def test_inverted_keeps_what_scored_lowest_and_tells_the_scores_as_they_were():
    first, inverted = run(DeepForcing())[7].compression, run(DeepForcing(score="inverted"))[7].compression
    np.testing.assert_array_equal(first.scores[0], inverted.scores[0])
    for layer in range(2):
        kept, stood = inverted.kept[layer], inverted.candidate[layer]
        assert inverted.scores[layer][kept].max() <= inverted.scores[layer][stood & ~kept].min()
        assert kept.sum() == 2 * 6


@pytest.mark.parametrize(("score", "frames"), [("oldest", [10, 11]), ("newest", [18, 19])])
def test_oldest_and_newest_keep_whole_frames_at_the_end_they_name(score, frames):
    c = run(DeepForcing(score=score))[7].compression
    assert c.frames[[0, -1]].tolist() == [10, 19]
    assert (c.kept.all((0, 2, 3)) == np.isin(c.frames, frames)).all() and c.kept.sum() == 2 * 2 * 6


@pytest.mark.parametrize("score", ["attention", "inverted", "random"])
def test_frame_by_frame_keeps_whole_frames_by_their_summed_scores(score):
    policy = DeepForcing(unit="frame", score=score, max_reuse=2)
    for chunk in run(policy):
        if chunk.compression is None:
            continue
        c = chunk.compression
        for layer in range(2):
            whole = c.kept[layer].all((1, 2))
            assert whole.sum() == 2 and c.kept[layer].sum() == 2 * 6
            sums = c.scores[layer, :, 0, 0]
            np.testing.assert_array_equal(c.scores[layer], np.broadcast_to(sums[:, None, None], c.kept[layer].shape))
            if chunk.index == 7:
                sums = -sums if score == "inverted" else sums
                assert sums[whole].min() >= sums[~whole].max()


def test_a_frames_score_is_the_sum_of_its_tokens():
    tokens, frames = (run(DeepForcing(unit=unit))[7].compression.scores for unit in ("token", "frame"))
    np.testing.assert_allclose(frames[0, :, 0, 0], tokens[0].sum((1, 2)), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(("queries", "count"), [("both", 24), ("past", 6), ("current", 18)])
def test_softmax_spreads_one_unit_a_query_and_head_over_the_candidates(queries, count):
    for chunk in run(DeepForcing(score="softmax", queries=queries)):
        if chunk.compression is not None:
            c = chunk.compression
            assert np.nanmin(c.scores) > 0
            np.testing.assert_allclose(np.nansum(c.scores, (1, 2, 3)), 2 * count, rtol=1e-4)


def test_softmax_scores_come_from_the_same_queries_as_the_sums():
    """Where attention is flat, softmax is its products to first order: their ranks agree."""
    pipeline = small_pipeline()
    for block in pipeline.denoiser.transformer.blocks:
        block.attn1.norm_q.weight.data *= 0.01
    scores = {}
    for score in ("attention", "softmax"):
        chunks = generate_long_video(pipeline, "a b c", num_frames=100, policy=DeepForcing(score=score))
        scores[score] = next(c.compression for c in chunks if c.compression).scores[0].ravel()
    stood = ~np.isnan(scores["attention"])
    assert np.corrcoef(scores["attention"][stood], scores["softmax"][stood])[0, 1] > 0.9


def test_a_barred_token_leaves_its_place_to_the_next_oldest():
    kept = [c.compression for c in run(DeepForcing(score="oldest", max_reuse=1)) if c.compression]
    assert kept[0].frames[kept[0].kept.any((0, 2, 3))].tolist() == [10, 11]
    assert kept[1].frames[kept[1].kept.any((0, 2, 3))].tolist() == [20, 21]


class Latest(TopC):
    """The later a frame, the better."""

    name = "latest"

    def scores(self, view):
        return view.frames.float()


def test_a_row_with_too_few_real_candidates_keeps_those_and_says_what_is_padding():
    frames = torch.arange(10).expand(2, -1)
    valid = torch.ones_like(frames, dtype=bool)
    valid[1, [2, 3, 4, 6, 7, 8]] = False
    geometry = Geometry(1, 1, 3)
    view = SimpleNamespace(
        frames=frames, valid=valid, reused=torch.full_like(frames, 5), next_frame=10, fired_at=None, geometry=geometry
    )
    chosen = Latest(window=12, sink=2, budget=8, recent=4).choose(view)
    assert chosen.indices[0].tolist() == [0, 1, 7, 8, 9] and chosen.valid[0].all()
    assert chosen.indices[1, [0, 1, 2, 4]].tolist() == [0, 1, 5, 9]
    assert chosen.valid[1].tolist() == [True, True, True, False, True]
    assert [row.nonzero().flatten().tolist() for row in chosen.chosen] == [[7, 8], [5]]
    barred = Latest(window=12, sink=2, budget=8, recent=4, max_reuse=5).choose(view)
    assert barred.indices.tolist() == [[0, 1, 9]] * 2 and not barred.chosen.any()


@pytest.mark.parametrize("score", ["random", "oldest", "newest"])
def test_scores_that_look_at_no_query_do_not_ask_for_any(score):
    assert not DeepForcing(score=score).asks_queries and DeepForcing(score="inverted").asks_queries


def test_choices_are_those_that_the_policy_takes():
    choices = choices_of(DeepForcing, "score")
    assert choices == ("attention", "inverted", "softmax", "random", "oldest", "newest")
    assert all(DeepForcing(score=score).score == score for score in choices)
    assert choices_of(DeepForcing, "sink") == ()


@pytest.mark.parametrize("queries", ["past", "current"])
def test_whose_queries_count_changes_the_scores(queries):
    both, other = run(DeepForcing())[7].compression, run(DeepForcing(queries=queries))[7].compression
    assert not np.allclose(both.scores, other.scores, equal_nan=True)


def test_the_queries_of_past_and_current_add_up_to_both():
    scores = {q: run(DeepForcing(queries=q))[7].compression.scores[0] for q in ("both", "past", "current")}
    np.testing.assert_allclose(scores["past"] + scores["current"], scores["both"], rtol=1e-4, atol=1e-3)


def test_a_token_chosen_once_is_barred_when_reuse_is_one():
    chunks = [c for c in run(DeepForcing(max_reuse=1)) if c.compression]
    before, after = chunks[0].compression, chunks[1].compression
    for frame in np.intersect1d(before.frames, after.frames):
        again = before.kept[:, before.frames == frame] & after.kept[:, after.frames == frame]
        assert not again.any()


def test_phases_place_the_sink_as_documented():
    def sink_time(phase, name="deep-sink"):
        state = run(make_policy(name, phase=phase))[-1].cache
        return state.time[0, :10].tolist(), state.frames

    start = 42
    assert sink_time("none")[0] == [i - start for i in range(10)]
    assert sink_time("released")[0] == [i - 21 for i in range(10)]
    assert sink_time("contiguous")[0] == [i - 18 for i in range(10)]


def test_contiguous_deep_forcing_leaves_no_gap_in_time():
    for chunk in run(DeepForcing(phase="contiguous"))[7:]:
        frames = 13 if chunk.compression else 16
        times = np.unique(np.round(chunk.cache.time[0][~np.isnan(chunk.cache.time[0])], 3))
        assert times.min() == -frames and times.max() == -1 and np.diff(times).max() <= 1


def test_a_window_keeps_everything_once_while_it_is_short():
    frames = torch.arange(6)
    kept = in_window_or_sink(frames, next_frame=6, incoming=3, window=21, sink=10)
    assert kept.all()
    kept = in_window_or_sink(torch.arange(18), next_frame=18, incoming=3, window=12, sink=3)
    assert frames.new_tensor(range(18))[kept].tolist() == [0, 1, 2, 12, 13, 14, 15, 16, 17]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("deep-forcing", {"recent": 8, "budget": 16}, "sink 10 \\+ recent 8 leaves nothing of budget 16"),
        ("deep-forcing", {"budget": 30}, "budget 30 is larger than the window of 21"),
        ("deep-forcing", {"phase": "late"}, "phase must be one of"),
        ("deep-forcing", {"queries": "all"}, "queries must be one of"),
        ("deep-forcing", {"unit": "row"}, "unit must be one of token, frame"),
        ("deep-forcing", {"heads": "some"}, "heads must be one of shared, separate"),
        ("deep-forcing", {"score": "best"}, "score must be one of attention, inverted, softmax, random, "),
        ("deep-forcing", {"max_reuse": -1}, "max_reuse must be a whole number"),
        ("deep-sink", {"sink": 21}, "sink 21 fills the whole window"),
        ("attention-sink", {"sink": 1.5}, "sink must be a whole number"),
        ("self-forcing", {"sink": 3}, "self-forcing has no setting 'sink'"),
        ("fifo", {}, "unknown policy 'fifo'"),
    ],
)
def test_impossible_settings_are_refused_by_name(name, settings, message):
    with pytest.raises(SettingsError, match=message):
        make_policy(name, **settings)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (DeepForcing(recent=2), "recent 2 is shorter than the chunk"),
        (DeepForcing(recent=3, queries="past"), "no past frame"),
        (make_policy("deep-sink", sink=19), "exceed the window of 21"),
    ],
)
def test_settings_that_do_not_fit_the_chunk_are_refused(policy, message):
    with pytest.raises(SettingsError, match=message):
        policy.check(Geometry(2, 3))
