"""Means, intervals and comparisons, where the answer is known."""

from math import isnan, nan

import numpy as np
import pytest

from deepforcing.evaluation.comparison import compare, short_names
from deepforcing.evaluation.measure import Reading
from deepforcing.evaluation.prompts import even_prompts
from deepforcing.evaluation.quantities import QUANTITIES
from deepforcing.evaluation.statistics import difference, mean_of, share_of, t_quantile, weighted
from deepforcing.policies import DeepForcing, DeepSink, SlidingWindow


@pytest.mark.parametrize(("freedom", "value"), [(3, 3.182), (5, 2.571), (10, 2.228), (23, 2.069), (1000, 1.962)])
def test_students_t(freedom, value):
    assert t_quantile(freedom) == pytest.approx(value, rel=2e-3)


def test_a_mean_and_its_interval():
    found = mean_of({(prompt, 0): float(prompt) for prompt in (1, 2, 3, 4)})
    assert found.mean == 2.5
    assert found.high - 2.5 == pytest.approx(3.182 * 1.291 / 2, rel=2e-3)
    assert 2.5 - found.low == pytest.approx(found.high - 2.5)


def test_seeds_of_a_prompt_are_one_observation():
    once = mean_of({(prompt, 0): float(prompt) for prompt in range(5)})
    thrice = mean_of({(prompt, seed): float(prompt) for prompt in range(5) for seed in range(3)})
    assert (thrice.low, thrice.high) == (once.low, once.high)
    assert (thrice.prompts, thrice.videos) == (5, 15)


def test_a_prompt_with_more_seeds_weighs_no_more():
    assert mean_of({(0, 0): 0.0, (0, 1): 0.0, (0, 2): 0.0, (1, 0): 1.0}).mean == 0.5


def test_nothing_is_known_from_nothing_and_no_spread_from_two():
    assert isnan(mean_of({}).mean) and isnan(share_of({}).mean)
    assert isnan(mean_of({(0, 0): nan}).mean)
    two = mean_of({(0, 0): 1.0, (1, 0): 3.0})
    assert two.mean == 2 and isnan(two.low) and isnan(two.high)


def test_nan_is_left_out():
    assert mean_of({(0, 0): 1.0, (1, 0): nan, (2, 0): 3.0}).mean == 2


def test_wilsons_interval():
    half = share_of({(prompt, 0): float(prompt % 2) for prompt in range(20)})
    assert (half.mean, half.low, half.high) == pytest.approx((0.5, 0.299, 0.701), abs=1e-3)
    every = share_of({(prompt, 0): 1.0 for prompt in range(10)})
    assert (every.low, every.high) == pytest.approx((0.722, 1), abs=1e-3)


def test_seeds_that_agree_add_nothing_and_seeds_that_differ_do():
    once = share_of({(prompt, 0): float(prompt % 2) for prompt in range(20)})
    agreed = share_of({(prompt, seed): float(prompt % 2) for prompt in range(20) for seed in range(2)})
    differing = share_of({(prompt, seed): float(seed) for prompt in range(20) for seed in range(2)})
    assert agreed.low == pytest.approx(once.low, abs=5e-3)
    assert differing.low > once.low + 0.04


def test_what_policies_share_cancels():
    noise = np.random.default_rng(0).normal(size=12)
    a = {(i, 0): 0.1 + n for i, n in enumerate(noise)}
    b = {(i, 0): n for i, n in enumerate(noise)}
    assert difference(a, b).low == pytest.approx(0.1) == difference(a, b).high
    assert mean_of(a).low < mean_of(b).mean


def test_only_common_videos_are_compared():
    assert difference({(0, 0): 1.0, (1, 0): 9.0}, {(0, 0): 0.0, (2, 0): 5.0}).mean == 1
    assert weighted((2, {(0, 0): 3.0}), (-1, {(0, 0): 1.0}), constant=0.5) == {(0, 0): 5.5}


def test_how_numbers_are_written():
    subject, drift = QUANTITIES["subject"], QUANTITIES["colour_drift"]
    assert subject.write(0.834) == "83 %" and drift.write(0.0312) == "0.031" and drift.write(nan) == "–"
    wide = mean_of({(0, 0): 0.0, (1, 0): 0.1, (2, 0): 0.2})
    assert drift.write_estimate(wide) == "0.100 (−0.147 to 0.347)"
    assert subject.write_difference(wide) == "+10 points (−15 to +35)"
    assert subject.write_difference(mean_of({(0, 0): -0.001, (1, 0): 0.0})) == "0 points"


def reading(policy: str, prompt: int, second: int, value: float, seed: int = 0) -> Reading:
    return Reading(policy, prompt, seed, second, *[value] * 11)


def test_comparing_keeps_to_whole_videos_that_every_policy_has():
    rows = [reading("self-forcing", p, s, p + s / 10) for p in range(3) for s in (0, 5)]
    rows += [reading("deep-sink", p, s, p) for p in (1, 2) for s in (0, 5)] + [reading("deep-sink", 0, 0, 0)]
    policies = (SlidingWindow(), DeepSink(), DeepForcing())
    found = compare(rows, policies, seconds=10)
    assert found.policies == policies[:2] and found.missing == policies[2:]
    assert found.videos == ((1, 0), (2, 0)) and found.left_out == 1
    assert found.values(policies[0], "colour_drift") == {(1, 0): 1.5, (2, 0): 2.5}
    assert found.values(policies[0], "colour_drift", 0) == {(1, 0): 1, (2, 0): 2}
    assert found.has(*policies[:2]) and not found.has(policies[2])


def test_nothing_to_compare():
    found = compare([], (SlidingWindow(),), seconds=10)
    assert not found.videos and not found.has(SlidingWindow())


def test_policies_are_told_apart_by_as_little_as_needed():
    def told(*policies):
        return list(short_names(policies).values())

    assert told(SlidingWindow(), DeepSink()) == ["self-forcing", "deep-sink"]
    assert told(DeepForcing(), DeepForcing(score="random")) == ["attention", "random"]
    assert told(SlidingWindow(), DeepSink(sink=2), DeepSink()) == ["self-forcing", "deep-sink · 2", "deep-sink · 10"]


def test_a_prompts_number_means_the_same_prompt_however_many_there_are():
    assert even_prompts(24)[:5] == even_prompts(5)
