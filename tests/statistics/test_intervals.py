"""Intervals of means: the formula, and within the bounds of the metric where the formula would leave them."""

import math
import statistics

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

import jaxrec
from jaxrec.reports import Report, average_reports, paired_difference
from jaxrec.reports._values import bounds_of
from jaxrec.statistics import normal_interval
from jaxrec.statistics._intervals import around

Z = statistics.NormalDist().inv_cdf(0.975)
SHARE, POSITIVE = (0.0, 1.0), (0.0, math.inf)


def logit(p):
    return math.log(p / (1 - p))


def test_within_the_bounds_it_is_the_plain_interval():
    values = np.array([0.0, 0.5, 0.5, 1.0])
    assert normal_interval(values, 0.95, SHARE) == normal_interval(values, 0.95)


def test_beyond_a_bound_it_is_the_interval_of_the_logit():
    # Two users with nDCG .5 and 1: s / sqrt(2) is .25, and .75 + 1.96 x .25 is 1.24.
    low, high = normal_interval(np.array([0.5, 1.0]), 0.95, SHARE)
    half = Z * 0.25 / (0.75 * 0.25)  # the derivative of the logit at .75
    np.testing.assert_allclose([logit(low), logit(high)], [logit(0.75) - half, logit(0.75) + half], rtol=1e-12)


def test_beyond_the_one_bound_it_is_the_interval_of_the_logarithm():
    low, high = normal_interval(np.array([0.0, 4.0]), 0.95, POSITIVE)  # s / sqrt(2) is 2, the mean too
    np.testing.assert_allclose([math.log(low), math.log(high)], [math.log(2) - Z, math.log(2) + Z], rtol=1e-12)
    np.testing.assert_allclose(around(-2.0, 3.0, (-math.inf, 0.0)), [-2 * math.exp(1.5), -2 * math.exp(-1.5)])


@hypothesis.given(st.lists(st.floats(0, 1, width=32), min_size=2, max_size=6), st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_it_holds_the_mean_and_stays_within_the_bounds(values, level):
    values = np.array(values)
    low, high = normal_interval(values, level, SHARE)
    assert 0 <= low <= values.mean() + 1e-12
    assert values.mean() - 1e-12 <= high <= 1


def test_it_covers_the_mean_as_often_as_it_says_also_where_the_plain_one_leaves_the_bounds():
    # A tenth of users have a hit. The plain interval of 20 of them goes below 0 and ends too low.
    rng = np.random.default_rng(0)
    within = plain = 0
    for _ in range(2000):
        values = (rng.random(20) < 0.1).astype(float)
        (low, high), (plain_low, plain_high) = normal_interval(values, 0.95, SHARE), normal_interval(values, 0.95)
        within += low <= 0.1 <= high
        plain += plain_low <= 0.1 <= plain_high
    # One in eight draws has no hit at all, so neither can reach 1,900 of 2,000.
    no_hit = 2000 * 0.9**20
    assert plain <= within
    assert within > 0.95 * (2000 - no_hit) - 3 * math.sqrt(2000 * 0.95 * 0.05)


def test_values_beyond_the_bounds_have_the_plain_interval():
    values = np.array([0.5, 2.0])
    assert normal_interval(values, 0.95, SHARE) == normal_interval(values, 0.95)


@pytest.mark.parametrize("values", [[0.0, 0.0], [1.0, 1.0]])
def test_a_mean_on_a_bound_is_its_own_interval(values):
    assert normal_interval(np.array(values), 0.95, SHARE) == (values[0], values[0])


def test_two_users_have_no_ndcg_above_1():
    report = jaxrec.evaluate_rankings({1: [7, 8], 2: [8, 7]}, ([1, 2], [7, 7]), train=([3, 3], [7, 8]), k=2)
    assert report.per_user["ndcg@2"].tolist() == pytest.approx([1, 1 / math.log2(3)])
    plain = normal_interval(report.per_user["ndcg@2"].astype(float), 0.95)
    assert plain[1] > 1.17
    for name in report.per_user:
        low, high = report.interval(name)
        assert 0 <= low <= report.mean(name) <= high <= 1
        ends = report.to_dict()["interval"][name]
        assert ends == [low, high]


def test_every_metric_of_the_library_says_its_bounds():
    without = {name for name in jaxrec.registry.names("metric") if bounds_of(name) is None}
    assert without == {"coverage", "gini", "personalization", "shannon_entropy"}  # which are of all lists together
    assert bounds_of("recall@10 (sampled 100)") == bounds_of("ndcg@5 [tail]") == SHARE
    assert bounds_of("mine@5") is None


def test_differences_and_seeds_keep_to_bounds_too():
    a, b = (Report(np.arange(2), {"recall@10": np.array(values)}) for values in ([1.0, 0.5], [0.0, 0.5]))
    mean, low, high = paired_difference(a, b, "recall@10")
    assert (mean, normal_interval(np.array([1.0, 0.0]), 0.95)[1] > 1) == (0.5, True)
    assert -1 <= low < 0.5 < high <= 1
    spread = average_reports([a, b]).spread("recall@10")  # .75 and .25: t of one degree of freedom is 12.7
    assert 0 <= spread.low < 0.5 < spread.high <= 1


def test_a_metric_from_outside_says_its_own_bounds():
    class Place(jaxrec.protocols.Metric):
        name = "place"
        bounds = (1.0, 2.0)

        def __call__(self, user, *, k):
            return 1 + user.hits[0].astype(np.float32)

    report = jaxrec.evaluate_rankings(
        {1: [7, 8], 2: [8, 7]}, ([1, 2], [7, 7]), train=([3], [8]), k=2, metrics=[Place()]
    )
    low, high = report.interval("place@2")
    assert 1 <= low < report.mean("place@2") == 1.5 < high <= 2
