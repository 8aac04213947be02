"""Category metrics: values as arithmetic, slow twins, items of no or many categories, padding, bounds."""

import math

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import beyond_accuracy as slow

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.metrics._categories import category_coverage, category_distribution, category_shares, miscalibration

ITEMS, CATEGORIES, K = 12, 4, 6
WORST = math.log(1 / 0.01)

fast_distribution = jax.jit(category_distribution)
fast_miscalibration = jax.jit(miscalibration, static_argnames="smoothing")
fast_coverage = jax.jit(category_coverage)


@st.composite
def cases(draw):
    """A table with items of no and of several categories, a list and a history, each with padding."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    table = rng.random((ITEMS, CATEGORIES)) < draw(st.sampled_from([0.1, 0.4, 0.9]))
    items, history = (rng.permutation(ITEMS)[:K].astype(np.int32) for _ in range(2))
    items[draw(st.integers(0, K)) :] = -1
    history[draw(st.integers(0, K)) :] = -1
    return items, history, table


def test_each_item_shares_one_vote_among_its_categories():
    table = jnp.array([[1, 0, 0], [1, 1, 0], [1, 1, 1]])
    p = fast_distribution(jnp.array([0, 1, 2]), table)
    np.testing.assert_allclose(p, [(1 + 1 / 2 + 1 / 3) / 3, (1 / 2 + 1 / 3) / 3, (1 / 3) / 3], rtol=1e-6)


def test_items_without_a_category_and_padding_are_left_out():
    table = jnp.array([[1, 0], [0, 1], [0, 0]])
    np.testing.assert_allclose(fast_distribution(jnp.array([0, 2, 1, 2, 0, -1]), table), [2 / 3, 1 / 3], rtol=1e-6)
    for nothing in ([2, 2], [-1, -1], [2, -1]):
        np.testing.assert_array_equal(fast_distribution(jnp.array(nothing), table), [0, 0])


def test_any_value_above_0_is_membership():
    weights, flags = np.array([[0.2, 5.0], [0.0, 0.1]], np.float32), np.array([[True, True], [False, True]])
    np.testing.assert_array_equal(category_shares(weights), category_shares(flags))
    np.testing.assert_array_equal(category_shares(flags), [[0.5, 0.5], [0, 1]])


def test_calibration_is_the_divergence_in_nats():
    table, p = jnp.array([[1, 0], [0, 1]]), jnp.array([0.7, 0.3])
    value = fast_miscalibration(jnp.array([0, 0, 0, 1]), p, table)  # q = 3/4, 1/4
    smooth = (0.99 * 3 / 4 + 0.01 * 0.7, 0.99 * 1 / 4 + 0.01 * 0.3)
    np.testing.assert_allclose(value, 0.7 * math.log(0.7 / smooth[0]) + 0.3 * math.log(0.3 / smooth[1]), atol=1e-6)


def test_a_category_that_the_list_lacks_costs_a_finite_amount():
    table, p = jnp.array([[1, 0], [0, 1]]), jnp.array([0.5, 0.5])
    value = fast_miscalibration(jnp.array([0, 0]), p, table)
    np.testing.assert_allclose(value, 0.5 * math.log(0.5 / 0.995) + 0.5 * math.log(0.5 / 0.005), rtol=1e-5)


def test_a_category_that_the_history_lacks_costs_only_through_the_others():
    table, p = jnp.array([[1, 0], [0, 1]]), jnp.array([1.0, 0.0])
    np.testing.assert_allclose(
        fast_miscalibration(jnp.array([0, 1]), p, table), math.log(1 / (0.99 / 2 + 0.01)), rtol=1e-5
    )


def test_lists_that_share_nothing_with_the_history_and_empty_lists_get_the_maximum():
    table, p = jnp.array([[1, 0], [0, 1]]), jnp.array([1.0, 0.0])
    for listed in ([1, 1], [-1, -1]):
        np.testing.assert_allclose(fast_miscalibration(jnp.array(listed), p, table), WORST, rtol=1e-5)
    np.testing.assert_allclose(fast_miscalibration(jnp.array([1, 1]), p, table, smoothing=0.1), math.log(10), rtol=1e-5)


def test_a_history_without_categories_is_a_finite_zero():
    assert fast_miscalibration(jnp.array([0, 1]), jnp.zeros(2), jnp.array([[1, 0], [0, 1]])) == 0.0


def test_the_slope_in_the_history_is_finite():
    table = jnp.array([[1, 0], [0, 1]])
    for p in ([0.0, 0.0], [1.0, 0.0], [0.5, 0.5]):
        slope = jax.grad(lambda p: miscalibration(jnp.array([0, -1]), p, table))(jnp.array(p))
        assert np.isfinite(slope).all()


def test_coverage_is_over_the_categories_that_the_catalogue_has():
    table = jnp.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0]])  # nothing has the last category
    assert fast_coverage(jnp.array([0, 1, 1, -1]), table) == np.float32(2 / 3)
    assert fast_coverage(jnp.array([0, 1, 2, -1]), table) == 1.0
    assert fast_coverage(jnp.array([-1, -1, -1, -1]), table) == 0.0
    assert fast_coverage(jnp.array([0, 1, 2, -1]), jnp.zeros((3, 4))) == 0.0


@hypothesis.given(cases())
def test_agree_with_the_slow_twins(case):
    items, history, table = case
    p = fast_distribution(history, table)
    assert p.dtype == jnp.float32
    np.testing.assert_allclose(p, slow.category_distribution(history, table), rtol=1e-6, atol=1e-7)
    expected = slow.miscalibration(items, slow.category_distribution(history, table), table)
    np.testing.assert_allclose(fast_miscalibration(items, p, table), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(fast_coverage(items, table), slow.category_coverage(items, table), rtol=1e-6)


@hypothesis.given(cases())
def test_bounds(case):
    items, history, table = case
    p = fast_distribution(history, table)
    assert math.isclose(float(p.sum()), 1, rel_tol=1e-6) or not p.any()
    assert 0 <= fast_miscalibration(items, p, table) <= WORST + 1e-5
    assert 0 <= fast_coverage(items, table) <= 1


@hypothesis.given(cases())
def test_a_list_like_the_history_is_calibrated(case):
    _, history, table = case
    assert fast_miscalibration(history, fast_distribution(history, table), table) <= 1e-6


@hypothesis.given(cases(), st.integers(0, 1000))
def test_the_names_of_items_and_categories_and_the_order_do_not_matter(case, seed):
    items, history, table = case
    rng = np.random.default_rng(seed)
    new_name, columns, order = rng.permutation(ITEMS).astype(np.int32), rng.permutation(CATEGORIES), rng.permutation(K)
    renamed = np.zeros_like(table)
    renamed[new_name] = table
    renamed = renamed[:, columns]
    rename = lambda listed: np.where(listed < 0, -1, new_name[listed])  # noqa: E731
    p, q = fast_distribution(history, table), fast_distribution(rename(history), renamed)
    np.testing.assert_allclose(q, p[columns], atol=1e-6)
    moved = rename(items)[order]
    np.testing.assert_allclose(fast_miscalibration(moved, q, renamed), fast_miscalibration(items, p, table), atol=2e-6)
    np.testing.assert_allclose(fast_coverage(moved, renamed), fast_coverage(items, table), rtol=1e-6)


@hypothesis.given(cases(), st.integers(0, ITEMS - 1))
def test_one_more_item_never_lowers_the_coverage(case, item):
    items, _, table = case
    longer = np.append(items, np.int32(item))
    assert fast_coverage(longer, table) >= fast_coverage(items, table)


def test_distributions_of_all_users_from_one_product():
    rng = np.random.default_rng(0)
    table, histories = rng.random((ITEMS, CATEGORIES)) < 0.4, np.full((7, K), -1, np.int32)
    interactions = np.zeros((7, ITEMS), np.float32)
    for user in range(7):
        own = rng.permutation(ITEMS)[: user % (K + 1)]
        histories[user, : own.size], interactions[user, own] = own, 1
    votes = interactions @ np.asarray(category_shares(table))
    expected = votes / np.maximum(votes.sum(axis=1, keepdims=True), 1e-9)
    lifted = jax.vmap(category_distribution, in_axes=(0, None))(histories, table)
    np.testing.assert_allclose(lifted, expected, rtol=1e-6, atol=1e-7)


def test_an_index_outside_the_catalogue_gives_nan():
    table, p = jnp.array([[1, 0], [0, 1]]), jnp.array([0.5, 0.5])
    outside = jnp.array([0, 2])
    assert np.isnan(fast_distribution(outside, table)).all()
    assert np.isnan(fast_miscalibration(outside, p, table))
    assert np.isnan(fast_coverage(outside, table))


def test_bad_input_is_refused():
    items, table, p = jnp.array([0, 1]), jnp.ones((2, 3)), jnp.ones(3) / 3
    functions = [category_distribution, category_coverage, lambda items, table: miscalibration(items, p, table)]
    for function in functions:
        with pytest.raises(MismatchError, match=r"items must be one list, \[k\], got shape \(2, 3\)"):
            function(jnp.ones((2, 3), jnp.int32), table)
        with pytest.raises(JaxrecError, match="items has dtype float32"):
            function(jnp.ones(2), table)
        for bad in (jnp.ones(3), jnp.ones((0, 3)), jnp.ones((3, 0))):
            with pytest.raises(MismatchError, match=r"item_categories must be \[I, C\], .* got shape"):
                function(items, bad)
    with pytest.raises(MismatchError, match=r"history has shape \(2,\), expected \(3,\): one share for each category"):
        miscalibration(items, jnp.ones(2), table)
    for smoothing in (0, 1, -0.5, math.nan):
        with pytest.raises(JaxrecError, match=f"smoothing is {smoothing}; pass a number between 0 and 1"):
            miscalibration(items, p, table, smoothing=smoothing)
