"""Ranking metrics: values as arithmetic, agreement with the slow twins, and properties that must hold for any list."""

import functools
import math

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import metrics as slow

from jaxrec import metrics
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.metrics import RANKING_METRICS

NAMES = sorted(RANKING_METRICS)
discount = lambda place: 1 / math.log2(place + 1)  # noqa: E731


LENGTH, CUTS = 30, (1, 2, 5, 10, 29, 30)


# One program for all metrics and cuts, and one shape for all examples: compiling is what takes time here.
@functools.partial(jax.jit, static_argnames="cuts")
def every_value(hits, num_relevant, cuts):
    return {name: [metric(hits, num_relevant, k=k) for k in cuts] for name, metric in RANKING_METRICS.items()}


def value_of(name, hits, num_relevant, k):
    return float(every_value(hits, num_relevant, CUTS)[name][CUTS.index(k)])


@st.composite
def lists_with_truth(draw):
    """Hits of a list of 30 places, the number of relevant items (at least the hits), and a cut."""
    hits = np.array(draw(st.lists(st.booleans(), min_size=LENGTH, max_size=LENGTH)))
    return hits, int(hits.sum()) + draw(st.integers(0, 20)), draw(st.sampled_from(CUTS))


@pytest.mark.parametrize(
    ("name", "expected"),
    [  # hits at places 1, 3 and 4 of 5; 6 relevant items
        ("recall", 3 / 6),
        ("precision", 3 / 5),
        ("hit_rate", 1.0),
        ("f1", 2 * (3 / 5) * (3 / 6) / (3 / 5 + 3 / 6)),
        ("ndcg", (discount(1) + discount(3) + discount(4)) / sum(discount(place) for place in range(1, 6))),
        ("average_precision", (1 / 1 + 2 / 3 + 3 / 4) / 6),
        ("reciprocal_rank", 1 / 1),
        ("capped_recall", 3 / min(5, 6)),
        ("ndcg_k", (discount(1) + discount(3) + discount(4)) / sum(discount(place) for place in range(1, 6))),
        ("average_precision_min", (1 / 1 + 2 / 3 + 3 / 4) / min(5, 6)),
    ],
)
def test_values_are_the_formula(name, expected):
    value = every_value(jnp.array([True, False, True, True, False]), jnp.array(6), (None, 2))[name][0]
    assert value.dtype == jnp.float32
    assert value.shape == ()
    np.testing.assert_allclose(value, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "expected"),
    [  # the same list cut at 2: only the hit at place 1 counts
        ("recall", 1 / 6),
        ("precision", 1 / 2),
        ("f1", 2 * 1 / (2 + 6)),
        ("ndcg", discount(1) / (discount(1) + discount(2))),
        ("average_precision", (1 / 1) / 6),
        ("capped_recall", 1 / min(2, 6)),
        ("ndcg_k", discount(1) / (discount(1) + discount(2))),
        ("average_precision_min", (1 / 1) / min(2, 6)),
    ],
)
def test_the_cut_is_at_k(name, expected):
    value = every_value(jnp.array([True, False, True, True, False]), jnp.array(6), (None, 2))[name][1]
    np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_first_hit_below_the_first_place():
    hits = jnp.array([False, False, True, True])
    np.testing.assert_allclose(metrics.reciprocal_rank(hits, jnp.array(2)), 1 / 3, rtol=1e-6)
    assert metrics.reciprocal_rank(hits, jnp.array(2), k=2) == 0
    assert metrics.hit_rate(hits, jnp.array(2), k=2) == 0


def test_the_ideal_of_ndcg_has_no_more_hits_than_there_are_relevant_items():
    assert metrics.ndcg(jnp.array([True, True, False, False]), jnp.array(2)) == 1.0


def test_a_user_without_a_relevant_item_gets_a_finite_zero():
    for metric in RANKING_METRICS.values():
        of_number = lambda n, metric=metric: metric(jnp.zeros(5, bool), n)  # noqa: E731
        value, slope = jax.jit(jax.value_and_grad(of_number))(jnp.float32(0))
        assert value == 0.0
        assert np.isfinite(slope)


def test_float_hits_count_like_booleans():
    hits = np.array([0.0, 1.0, 0.0, 1.0, 0.0], np.float32)
    as_float, as_bool = every_value(hits, jnp.array(3), (None, 2)), every_value(hits > 0, jnp.array(3), (None, 2))
    assert as_float == as_bool


@pytest.fixture(scope="module")
def random_lists():
    """Lists [U, 30] with padding, the relevant items of each user, and every value of every list."""
    rng = np.random.default_rng(0)
    num_items, users = 60, 200
    lists, relevant = np.full((users, LENGTH), -1), []
    for user in range(users):
        size = rng.integers(0, LENGTH + 1)  # short lists, empty ones too
        lists[user, :size] = rng.permutation(num_items)[:size]
        relevant.append(set(rng.permutation(num_items)[: rng.integers(0, 40)].tolist()))  # empty truth too
    hits = np.array([slow.hits_of(listed, truth) for listed, truth in zip(lists, relevant, strict=True)], bool)
    counts = np.array([len(truth) for truth in relevant], np.int32)
    return lists, relevant, jax.vmap(functools.partial(every_value, cuts=CUTS))(hits, counts)


@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_the_slow_twin_on_random_lists(name, random_lists):
    lists, relevant, values = random_lists
    for k, fast in zip(CUTS, values[name], strict=True):
        expected = [
            slow.RANKING[name](listed.tolist(), truth, k) for listed, truth in zip(lists, relevant, strict=True)
        ]
        np.testing.assert_allclose(fast, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["capped_recall", "average_precision_min"])
def test_a_divisor_that_grows_with_k_lets_the_value_fall(name):
    hits = np.array([True, *[False] * (LENGTH - 1)])
    assert value_of(name, hits, 4, 1) == 1
    assert value_of(name, hits, 4, 2) == 1 / 2


@hypothesis.given(lists_with_truth())
def test_f1_is_the_harmonic_mean(example):
    hits, num_relevant, k = example
    p, r, f = (value_of(name, hits, num_relevant, k) for name in ("precision", "recall", "f1"))
    np.testing.assert_allclose(f, 0.0 if p + r == 0 else 2 * p * r / (p + r), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_bad_input_is_refused(name):
    metric = RANKING_METRICS[name]
    with pytest.raises(JaxrecError, match="k is 0; a list has at least one place"):
        metric(jnp.ones(3, bool), jnp.array(1), k=0)
    with pytest.raises(JaxrecError, match="k is -2; a list has at least one place"):
        metric(jnp.ones(3, bool), jnp.array(1), k=-2)
    with pytest.raises(MismatchError, match="k is 4 but the list has 3 places"):
        metric(jnp.ones(3, bool), jnp.array(1), k=4)
    with pytest.raises(MismatchError, match=r"hits must be one list, .* got shape \(2, 3\); lift the metric with"):
        metric(jnp.ones((2, 3), bool), jnp.array(1))
    with pytest.raises(MismatchError, match=r"num_relevant must be one number, got shape \(2,\)"):
        metric(jnp.ones(3, bool), jnp.array([1, 2]))


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError, match="does not support item assignment"):
        RANKING_METRICS["mine"] = metrics.recall  # type: ignore[index]
