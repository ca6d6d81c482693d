"""What makes each of the policies that came after Deep Forcing itself."""

from __future__ import annotations

from itertools import islice, pairwise, product

import numpy as np
import pytest
import torch
from conftest import WordHash, small_pipeline, small_transformer
from test_kv_cache import last_flow, videos
from test_policies import run

from deepforcing.attention import Prompt
from deepforcing.config import Sampling, SettingsError
from deepforcing.models.wan import CausalWan
from deepforcing.pipeline import denoise
from deepforcing.policies import make_policy
from deepforcing.policies.merging import Tokens, merged, most_alike
from deepforcing.rope import rotate
from deepforcing.run_settings import RunSettings

TOKENS = 6  # a frame


def first_layer(policy, chunks):
    """What layer 0 holds while the chunk after `chunks - 1` others is made. Its keys and values are of what is in a
    frame alone, whatever the policy keeps."""
    return last_flow(policy, videos(1, chunks=chunks), ["a"])[1].layers[0]


def frames_of(layer):
    """The frame that each entry of a cache of whole frames is named by."""
    return layer.positions[0, ::TOKENS, 0].tolist()


def by_frame(x):
    """[1, n, heads, head_dim] -> [frames, tokens, heads, head_dim]."""
    return x[0].unflatten(0, (-1, TOKENS))


def everything(chunks):
    return first_layer(make_policy("self-forcing", window=300), chunks)


def spans(layer, now):
    """How many frames each entry stands for."""
    return [end - begin for begin, end in pairwise([*frames_of(layer), now])]


def test_memory_fades_by_a_power_of_the_distance():
    lengths = spans(first_layer(make_policy("fade-mem"), 40), 117)
    assert len(lengths) == 18 and sum(lengths) == 117, "nothing is forgotten"
    assert lengths[-6:] == [1] * 6 and lengths[0] > 12 and lengths[5] > lengths[11]
    even = spans(first_layer(make_policy("fade-mem", power=0.0), 40), 117)
    assert max(even[:-6]) < lengths[0] and max(even[:-7]) <= 2 * min(even[:-7])


def test_an_entry_is_the_mean_of_its_frames():
    layer, whole = first_layer(make_policy("fade-mem"), 20), everything(20)
    for kept, made in ((layer.keys, whole.keys), (layer.values, whole.values)):
        for number, (begin, end) in enumerate(pairwise([*frames_of(layer), 57])):
            torch.testing.assert_close(by_frame(kept)[number], by_frame(made)[begin:end].mean(0), atol=1e-5, rtol=1e-5)
    assert max(spans(layer, 57)) == 8


def test_what_is_merged_stands_between_its_frames_within_the_window():
    early, late = (first_layer(make_policy("fade-mem"), chunks) for chunks in (6, 60))
    assert early.reading.time[0, ::TOKENS].tolist() == list(range(-15, 0))
    time = late.reading.time[0, ::TOKENS]
    assert time[-6:].tolist() == list(range(-6, 0)) and time[0].item() == pytest.approx(-18)
    assert (time.diff() > 0).all() and (time % 1 != 0).any()


def test_a_predictions_changes_are_the_score():
    """Summed over steps, of each token's own patch, in all layers alike."""
    denoiser, policy = CausalWan(small_transformer(), Sampling()), make_policy("decoprune")
    cache, twin = (denoiser.new_cache(policy, denoiser.geometry(4, 6)) for _ in range(2))
    prompt, (x, *noises) = Prompt("", WordHash().encode(["a"])), videos(1, chunks=5)
    predictions = []
    for step, noise in zip(denoiser.steps, noises, strict=True):
        predictions.append(x - step.sigma * denoiser.flow(x, step.timestep, twin, prompt))
        x = denoiser.denoise(x, noise, step, cache, prompt)
    denoiser.remember(x, cache, prompt)
    expected = torch.zeros(18)
    for before, after in pairwise(predictions):
        changed = (after - before)[0].square().mean(0)
        for number, (frame, row, column) in enumerate(product(range(3), range(2), range(3))):
            expected[number] += changed[frame, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].mean()
    assert len(predictions) == 4
    for layer in cache.layers.values():
        torch.testing.assert_close(layer.changed[0], expected, rtol=1e-4, atol=1e-5)


def test_what_changed_most_stays():
    fired = [chunk.compression for chunk in run(make_policy("decoprune")) if chunk.compression]
    assert len(fired) > 2 and not make_policy("decoprune").asks_queries
    for c in fired:
        kept, lost = c.scores[c.kept], c.scores[c.candidate & ~c.kept]
        assert kept.min() >= lost.max() > 0
        assert np.array_equal(c.scores[0], c.scores[1], equal_nan=True)


def test_the_future_is_asked_by_what_queries_have_in_common():
    policy = make_policy("future-forcing", horizon=4)
    _, cache = last_flow(policy, videos(1, chunks=7), ["a"])
    view = cache.view(cache.layers[1], None)
    keys, mean = view.keys(slice(None), policy.place(view)), view.unturned_queries(6)[0].mean(0)
    scores = torch.zeros(keys.shape[1])
    for place in product(range(4), range(2), range(3)):
        query = rotate(mean[None], view.rotations(*(torch.tensor([each]) for each in place)))[0]
        scores += torch.einsum("nhd,hd->n", keys[0], query) / 24
    torch.testing.assert_close(policy.scores(view)[0], scores, rtol=1e-4, atol=1e-5)


def test_a_merged_token_is_to_the_query_what_its_parts_were():
    torch.manual_seed(0)
    keys, values, query = torch.randn(2, 9, 3, 8), torch.randn(2, 9, 3, 8), torch.randn(2, 1, 3, 8)
    tokens = Tokens(keys, values, (keys * query).sum(-1))
    joins = torch.tensor([[1, 1, 0, 1], [1, 0, 1, 1]], dtype=torch.bool)
    into = torch.tensor([[0, 0, 1, 4], [2, 2, 2, 3]])
    asked = query.expand(-1, 5, -1, -1)
    made = merged(tokens.part(slice(0, 5)), tokens.part(slice(5, 9)), into, joins, asked, 0.5)

    def attention(keys, values, there):
        logits = (0.5 * (keys * query).sum(-1)).masked_fill(~there[..., None], -torch.inf)
        return torch.einsum("bnh,bnhd->bhd", logits.softmax(1), values)

    there = torch.cat((torch.ones(2, 5, dtype=torch.bool), joins), 1)
    torch.testing.assert_close(attention(*made, there[:, :5]), attention(keys, values, there))
    alone = torch.tensor([[1, 2, 3], [0, 1, 4]])  # nothing has joined these
    for new, old in zip(made, (keys, values), strict=True):
        index = alone[..., None, None].expand(-1, -1, 3, 8)
        torch.testing.assert_close(new.gather(1, index), old.gather(1, index), rtol=0, atol=0)


def test_the_most_alike_of_those_that_count_is_found_however_many_there_are():
    torch.manual_seed(0)
    others = torch.randn(2, 3, 2, 4)
    keys = 3 * others[:, torch.arange(1100) % 3]
    cosine, which = most_alike(keys, others)
    torch.testing.assert_close(cosine, torch.ones(2, 1100))
    assert torch.equal(which, (torch.arange(1100) % 3).expand(2, -1))
    valid = torch.tensor([[True, True, False], [True, True, True]])
    assert set(most_alike(keys, others, valid)[1][0].tolist()) == {0, 1}


def test_what_goes_is_merged_for_the_query_of_the_future():
    """All of the middle, taken together, is to it what it was; sink and recent frames are as they were."""
    policy = make_policy("future-forcing", horizon=4, alike=0)
    _, cache = last_flow(policy, videos(1, chunks=7), ["a"])
    view = cache.view(cache.layers[1], None)
    stood, selection, mean = policy.place(view), policy.choose(view), view.unturned_queries(6)[0].mean(0)
    places = product(range(4), range(2), range(3))
    turns = [rotate(mean[None], view.rotations(*(torch.tensor([at]) for at in place)))[0] for place in places]
    query = torch.stack(turns).mean(0)

    def together(keys, values, tokens):
        """The sum of exponentials and the attention of the query."""
        row, column = view.cells[:, tokens].unbind(-1)
        logits = (rotate(keys, view.rotations(stood[:, tokens], row, column)) * query).sum(-1) * keys.shape[-1] ** -0.5
        return logits.logsumexp(1), torch.einsum("bnh,bnhd->bhd", logits.softmax(1), values)

    candidates, chosen = selection.candidates[0], selection.chosen[0]
    before = together(view.unturned[:, candidates], view.values[:, candidates], candidates)
    stays = chosen[selection.indices[0]]
    after = together(*(x[:, stays] for x in selection.contents), chosen)
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    for new, old in zip(selection.contents, (view.unturned, view.values), strict=True):
        assert torch.equal(new[:, ~stays], old[:, selection.indices[0][~stays]])
        assert not torch.equal(new[:, stays], old[:, selection.indices[0][stays]])
    assert make_policy("future-forcing", alike=1).choose(view).contents is None


def test_unturned_queries_are_those_before_rope():
    policy = make_policy("future-forcing")
    _, cache = last_flow(policy, videos(1, chunks=7), ["a"])
    view, grid = cache.view(cache.layers[1], None), cache._grid
    turned = rotate(view.unturned_queries(6), view.rotations(grid[:, 0] - 3, grid[:, 1], grid[:, 2]))
    torch.testing.assert_close(turned, view.single_queries("past", 6), rtol=1e-4, atol=1e-5)
    assert not policy.asks_queries and turned.shape[1] == 18


def test_a_tethered_memory_is_between_sink_and_recent_and_goes_far_back():
    layer = first_layer(make_policy("tether-cache"), 20)
    frames = frames_of(layer)
    assert frames[:3] == [0, 1, 2] and frames[9:] == list(range(48, 57)) and 3 <= frames[3] < frames[8] < 48
    assert layer.reading.time[0, ::TOKENS].tolist() == list(range(-18, 0))
    assert frames[3] < 30, "a window of 21 would have lost it"


def test_the_gate_weighs_attention_against_distance():
    def gaps(gate):
        frames = frames_of(first_layer(make_policy("tether-cache", gate=gate), 30))[3:9]
        return np.diff(frames)

    assert gaps(0.0).min() >= 3 > gaps(1.0).min()


def statistics(x):
    """Mean and deviation of each channel of each head over tokens."""
    tokens = x.flatten(0, 1)
    return tokens.mean(0), tokens.std(0, unbiased=False)


def test_what_enters_a_tethered_memory_is_pulled_to_what_is_trusted():
    pulled, plain = (first_layer(make_policy("tether-cache", pull=pull, gate=0.0), 8) for pull in (1.0, 0.0))
    whole = everything(8)
    assert frames_of(pulled) == frames_of(plain)
    held = frames_of(plain)
    assert torch.equal(by_frame(plain.keys), by_frame(whole.keys)[held])
    for kept, made in ((pulled.keys, whole.keys), (pulled.values, whole.values)):
        entries, sink = by_frame(kept), by_frame(made)[:3]
        untouched = [0, 1, 2, *range(9, 18)]
        assert torch.equal(entries[untouched], by_frame(made)[[held[number] for number in untouched]])
        for entered in entries[3:9]:
            for own, trusted in zip(statistics(entered[None]), statistics(sink), strict=True):
                torch.testing.assert_close(own, trusted, rtol=1e-3, atol=1e-4)


def test_an_admitted_frame_is_edited_once():
    before, after = (first_layer(make_policy("tether-cache", gate=0.0), chunks) for chunks in (9, 10))
    stayed = [frame for frame in frames_of(after)[3:9] if frame in frames_of(before)[3:9]]
    assert stayed
    for frame in stayed:
        was, now = (by_frame(layer.values)[frames_of(layer).index(frame)] for layer in (before, after))
        assert torch.equal(was, now)


def latest_chunks(policy, clean):
    """Layer 1's keys and values of the two latest chunks, while one more is made after all but the last of these."""
    layer = last_flow(policy, clean, ["a"])[1].layers[1]
    return [x[0, -6 * TOKENS :].clone().unflatten(0, (2, -1)) for x in (layer.keys, layer.values)]


def other_past(clean, latest):
    """The same video but for what is before its `latest` chunks."""
    other = videos(2, chunks=len(clean))[:, 1:]
    other[-latest:] = clean[-latest:]
    return other


@pytest.mark.parametrize(("latest", "alone"), [("self-cached", [0, 1]), ("re-encoded", [0])])
def test_a_chunk_is_remembered_by_itself(latest, alone):
    policy, clean = make_policy("id-forcing", latest=latest), videos(1, chunks=8)
    made, other = (latest_chunks(policy, each) for each in (clean, other_past(clean, 3)))
    for one, two, first, second in zip(made, other, *(_alone(clean[number]) for number in (-3, -2)), strict=True):
        torch.testing.assert_close(one[alone], two[alone], atol=1e-6, rtol=0)
        torch.testing.assert_close(one[alone], torch.stack((first, second))[alone], atol=1e-6, rtol=0)
    elsewhere = make_policy("streaming-llm", window=12, sink=3)
    made, other = (latest_chunks(elsewhere, each)[0] for each in (clean, other_past(clean, 3)))
    assert not torch.allclose(made, other, atol=1e-3)


def _alone(chunk):
    """Layer 1's keys and values of a chunk that is a video's first."""
    layer = last_flow(make_policy("self-forcing"), [chunk, chunk], ["a"])[1].layers[1]
    return layer.keys[0].clone(), layer.values[0].clone()


def test_the_latest_is_encoded_anew_with_the_one_before_and_no_other():
    policy, clean = make_policy("id-forcing"), videos(1, chunks=8)
    made, same, two = (
        latest_chunks(policy, clean),
        latest_chunks(policy, other_past(clean, 3)),
        latest_chunks(make_policy("self-forcing"), clean[-3:]),  # as a video of two chunks has it
    )
    for one, other, expected in zip(made, same, two, strict=True):
        torch.testing.assert_close(one[1], other[1], atol=1e-6, rtol=0)
        torch.testing.assert_close(one[1], expected[1], atol=1e-5, rtol=0)
    assert not torch.allclose(made[0][1], latest_chunks(policy, other_past(clean, 2))[0][1], atol=1e-3)
    assert not torch.allclose(made[0][1], _alone(clean[-2])[0], atol=1e-3)


def test_it_is_read_once_and_then_remembered_by_itself_again():
    denoiser, prompt = CausalWan(small_transformer(), Sampling()), Prompt("", WordHash().encode(["a"]))
    policy = make_policy("id-forcing")
    cache, clean, passes = denoiser.new_cache(policy, denoiser.geometry(4, 6)), videos(1, chunks=6), []
    denoiser.transformer.register_forward_hook(lambda *_: passes.append(len(passes)))
    latest = slice(-3 * TOKENS, None)
    for number, chunk in enumerate(clean):
        before = len(passes)
        denoiser.remember(chunk, cache, prompt)
        assert len(passes) - before == (2 if number else 1), "a video's first chunk has no context"
        layer = cache.layers[1]
        if number:
            positions, keys, values = layer.aside
            assert torch.equal(positions, layer.positions[:, latest])
            torch.testing.assert_close(keys[0], _alone(chunk)[0], atol=1e-6, rtol=0)
            assert not torch.allclose(keys, layer.keys[:, latest], atol=1e-3)
            assert cache.bytes == 2 * sum(x.numel() * 4 for x in (layer.keys, layer.values, keys, values))
        denoiser.flow(chunk, 1000.0, cache, prompt)
        cache_latest = layer.slots[:, -6 * TOKENS : -3 * TOKENS]
        assert torch.equal(cache_latest, layer.keys[:, latest])


def test_what_is_put_aside_does_not_come_back_to_what_was_dropped():
    """A new prompt leaves only the sink: the chunk that was encoded anew is gone, both ways."""
    pipeline = small_pipeline()
    settings = RunSettings(make_policy("id-forcing"), switch="sink")
    stream = denoise(pipeline, lambda index: "a b" if index < 5 else "c d e", settings, 2)
    list(islice(stream, 5))
    sink = [layer.keys[:, : 3 * TOKENS].clone() for layer in settings.cache.layers.values()]
    next(stream)
    for layer, was in zip(settings.cache.layers.values(), sink, strict=True):
        assert frames_of(layer) == [0, 1, 2, 15, 16, 17] and torch.equal(layer.keys[:, : 3 * TOKENS], was)


def test_the_way_that_the_latest_is_cached_may_change_while_a_run_goes_on():
    denoiser, prompt = CausalWan(small_transformer(), Sampling()), Prompt("", WordHash().encode(["a"]))
    cache, clean = denoiser.new_cache(make_policy("id-forcing"), denoiser.geometry(4, 6)), videos(1, chunks=6)
    for chunk in clean[:-1]:
        denoiser.remember(chunk, cache, prompt)
    cache.policy = make_policy("id-forcing", latest="self-cached")
    denoiser.remember(clean[-1], cache, prompt)
    keys = cache.layers[1].keys[0, -6 * TOKENS :].unflatten(0, (2, -1))
    torch.testing.assert_close(keys[0], _alone(clean[-2])[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(keys[1], _alone(clean[-1])[0], atol=1e-6, rtol=0)


def test_but_made_with_a_look_at_the_past():
    policy, clean = make_policy("id-forcing"), videos(1, chunks=8)
    flow, cache = last_flow(policy, clean, ["a"])
    assert frames_of(cache.layers[0]) == [0, 1, 2, *range(15, 21)]
    assert cache.layers[0].reading.time[0, ::TOKENS].tolist() == list(range(-9, 0))
    assert not torch.allclose(flow, last_flow(policy, clean[-1:], ["a"])[0], atol=1e-3)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("fade-mem", {"power": -1}, "power must be a number from 0 to 4"),
        ("fade-mem", {"dense": 0}, "dense must be a whole number"),
        ("future-forcing", {"horizon": 0}, "horizon must be a whole number"),
        ("future-forcing", {"alike": 1.5}, "alike must be a number from 0 to 1"),
        ("id-forcing", {"latest": "new"}, "latest must be one of re-encoded, self-cached"),
        ("tether-cache", {"pull": 2}, "pull must be a number from 0 to 1"),
        ("tether-cache", {"gate": "wide"}, "gate must be a number from 0 to 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(name, settings, message):
    with pytest.raises(SettingsError, match=message):
        make_policy(name, **settings)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("fade-mem", {"dense": 18}, "leave nothing of a window of 21 to be merged"),
        ("future-forcing", {"recent": 3}, "the past frames in it are asked"),
        ("tether-cache", {"memory": 15}, "leave no frame of a window of 21"),
        ("id-forcing", {"window": 9}, "leave no frame of a window of 9 that the latest could be re-encoded with"),
    ],
)
def test_settings_that_leave_no_room_are_refused(name, settings, message):
    with pytest.raises(SettingsError, match=message):
        make_policy(name, **settings).check(CausalWan(small_transformer(), Sampling()).geometry(4, 6))
