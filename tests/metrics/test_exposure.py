"""Exposure metrics: values as arithmetic, slow twins over all pairs, invariances, precision with millions of users."""

import functools
import math

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import beyond_accuracy as slow

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.metrics._exposure import exposure, gini, personalization, shannon_entropy

USERS, ITEMS, K = 9, 14, 4  # one shape for all examples: compiling is what takes time here


@functools.partial(jax.jit, static_argnames=("num_items", "k"))
def every_value(lists, num_items=ITEMS, k=K):
    counts = exposure(lists, num_items)
    return {
        "counts": counts,
        "gini": gini(counts),
        "entropy": shannon_entropy(counts),
        "normalized": shannon_entropy(counts, normalized=True),
        "personalization": personalization(counts, lists.shape[0], k),
    }


fast_exposure = jax.jit(exposure, static_argnums=1)
fast_gini = jax.jit(gini)
fast_entropy = jax.jit(shannon_entropy, static_argnames="normalized")
fast_personalization = jax.jit(personalization, static_argnums=(1, 2))


@st.composite
def some_lists(draw):
    """Lists without duplicates and of unequal length, from few items (much overlap) or all."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    width = draw(st.integers(K, ITEMS))
    lists = np.array([rng.permutation(width)[:K] for _ in range(USERS)], np.int32)
    lengths = rng.integers(draw(st.integers(0, K)), K + 1, USERS)
    lists[np.arange(K)[None, :] >= lengths[:, None]] = -1
    return lists


def test_exposure_counts_places_and_never_padding():
    lists = jnp.array([[0, 1, 2], [2, 1, -1], [-1, -1, -1]], jnp.int32)
    counts = fast_exposure(lists, 4)
    assert counts.dtype == jnp.int32
    np.testing.assert_array_equal(counts, [1, 2, 2, 0])  # -1 is not the last item


def test_exposure_of_chunks_adds_up():
    lists = np.random.default_rng(0).integers(-1, ITEMS, (12, K)).astype(np.int32)
    np.testing.assert_array_equal(
        fast_exposure(lists[:5], ITEMS) + fast_exposure(lists[5:], ITEMS), fast_exposure(lists, ITEMS)
    )


def test_a_duplicate_counts_twice():
    np.testing.assert_array_equal(fast_exposure(jnp.array([[1, 1]]), 2), [0, 2])


def test_gini_is_the_formula():
    counts = jnp.array([5, 0, 1, 2])  # rising: 0, 1, 2, 5 with the weights 2j - 5 = -3, -1, 1, 3
    np.testing.assert_allclose(fast_gini(counts), (-3 * 0 - 1 * 1 + 1 * 2 + 3 * 5) / (4 * 8), rtol=1e-6)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_gini_of_equal_exposure_is_exactly_0_and_of_one_item_1_minus_1_over_the_catalogue(size):
    assert fast_gini(jnp.full(size, 3, jnp.int32)) == 0.0
    one = jnp.zeros(size, jnp.int32).at[size // 2].set(7)
    np.testing.assert_allclose(fast_gini(one), 1 - 1 / size, rtol=1e-6)


def test_entropy_is_the_formula_in_nats():
    counts = jnp.array([6, 0, 1, 1])
    expected = -(6 / 8 * math.log(6 / 8) + 2 * (1 / 8) * math.log(1 / 8))
    np.testing.assert_allclose(fast_entropy(counts), expected, rtol=1e-6)
    np.testing.assert_allclose(fast_entropy(counts, normalized=True), expected / math.log(4), rtol=1e-6)


@pytest.mark.parametrize("size", [2, 7, 1000])
def test_entropy_of_equal_exposure_is_the_logarithm_and_of_one_item_0(size):
    equal, one = jnp.full(size, 3, jnp.int32), jnp.zeros(size, jnp.int32).at[0].set(7)
    np.testing.assert_allclose(fast_entropy(equal), math.log(size), rtol=1e-5)
    np.testing.assert_allclose(fast_entropy(equal, normalized=True), 1, rtol=1e-5)
    assert fast_entropy(one) == 0.0


def test_nothing_exposed_and_a_catalogue_of_one_are_finite_zeros():
    nothing = every_value(jnp.full((USERS, K), -1, jnp.int32))
    assert nothing["gini"] == nothing["entropy"] == nothing["normalized"] == 0.0
    assert nothing["personalization"] == 1.0  # empty lists have no item in common
    assert fast_entropy(jnp.array([4]), normalized=True) == 0.0


@pytest.mark.parametrize("function", [fast_gini, fast_entropy])
def test_the_slope_is_finite_also_at_zero_counts(function):
    for counts in (jnp.zeros(4), jnp.array([0.0, 2.0, 2.0, 5.0])):
        assert np.isfinite(jax.grad(function)(counts)).all()


def test_personalization_is_one_minus_the_mean_overlap():
    lists = jnp.array([[0, 1], [0, 2], [3, 4]])  # one pair of three has one item of two in common
    np.testing.assert_allclose(
        fast_personalization(fast_exposure(lists, 5), 3, 2), ((1 - 1 / 2) + 1 + 1) / 3, rtol=1e-6
    )


def test_equal_lists_have_personalization_0_and_disjoint_lists_1():
    equal = every_value(jnp.tile(jnp.array([[3, 1, 5, 8]], jnp.int32), (USERS, 1)))
    assert equal["personalization"] == 0.0
    disjoint = every_value(jnp.arange(12, dtype=jnp.int32).reshape(3, 4))
    assert disjoint["personalization"] == 1.0


def test_short_lists_are_divided_by_k_too():
    lists = jnp.array([[0, 1, -1, -1], [0, 1, -1, -1]])  # the same two items, in lists of 4 places
    assert fast_personalization(fast_exposure(lists, 2), 2, 4) == 1 - 2 / 4


def test_a_single_user_has_no_pair():
    assert fast_personalization(jnp.array([1, 1, 0]), 1, 2) == 0.0


def test_the_number_of_users_may_be_traced():
    counts = jnp.array([2, 1, 1])
    assert jax.jit(personalization, static_argnames="k")(counts, 2, k=2) == 1 - 1 / 2


@pytest.mark.parametrize("users", [2**16 + 1, 5_000_000, 2**31 - 1])
def test_millions_of_users_lose_no_digits(users):
    rng = np.random.default_rng(0)
    counts = np.concatenate([[users, users - 1, users // 3], rng.integers(0, users // 100, 20_000)]).astype(np.int32)
    k = 300
    # Python's integers have no limit: this is the exact fraction.
    common = sum(c * (c - 1) for c in counts.tolist()) / (users * (users - 1) * k)
    np.testing.assert_allclose(fast_personalization(counts, users, k), 1 - common, atol=1e-6, rtol=0)


def test_large_counts_in_gini_and_entropy():
    counts = np.random.default_rng(1).integers(0, 10_000_000, 1500).astype(np.int32)
    np.testing.assert_allclose(fast_gini(counts), slow.gini(counts.tolist()), rtol=2e-6)
    np.testing.assert_allclose(fast_entropy(counts), slow.shannon_entropy(counts.tolist()), rtol=2e-6)


@hypothesis.given(some_lists())
def test_agree_with_the_slow_twins(lists):
    values, counts = every_value(lists), slow.exposure(lists, ITEMS)
    np.testing.assert_array_equal(values["counts"], counts)
    np.testing.assert_allclose(values["gini"], slow.gini(counts), atol=1e-6)
    np.testing.assert_allclose(values["entropy"], slow.shannon_entropy(counts), atol=2e-6)
    np.testing.assert_allclose(values["normalized"], slow.shannon_entropy(counts) / math.log(ITEMS), atol=1e-6)
    np.testing.assert_allclose(values["personalization"], slow.personalization(lists, K), atol=1e-6)


@hypothesis.given(some_lists())
def test_bounds(lists):
    values = every_value(lists)
    assert 0 <= values["gini"] <= 1 - 1 / ITEMS + 1e-6
    assert 0 <= values["normalized"] <= 1 + 1e-6
    assert 0 <= values["personalization"] <= 1
    listed = int((np.asarray(values["counts"]) > 0).sum())
    assert values["entropy"] <= math.log(max(listed, 1)) + 1e-5


@hypothesis.given(some_lists(), st.integers(0, 1000))
def test_the_names_of_items_and_the_order_of_users_and_places_do_not_matter(lists, seed):
    rng = np.random.default_rng(seed)
    renamed = np.where(lists < 0, -1, rng.permutation(ITEMS).astype(np.int32)[lists])
    moved = rng.permuted(renamed[rng.permutation(USERS)], axis=1)
    before, after = every_value(lists), every_value(moved)
    for name in ("gini", "entropy", "normalized", "personalization"):
        np.testing.assert_allclose(after[name], before[name], atol=1e-6)


@hypothesis.given(some_lists(), st.integers(2, 50))
def test_gini_and_entropy_depend_on_shares_only(lists, times):
    counts = every_value(lists)["counts"]
    np.testing.assert_allclose(fast_gini(times * counts), fast_gini(counts), atol=1e-6)
    np.testing.assert_allclose(fast_entropy(times * counts), fast_entropy(counts), atol=2e-6)


@hypothesis.given(some_lists())
def test_moving_exposure_from_a_rare_to_a_frequent_item_raises_gini_and_lowers_entropy(lists):
    counts = np.asarray(every_value(lists)["counts"])
    most = int(np.argmax(counts))
    others = np.flatnonzero((counts > 0) & (np.arange(ITEMS) != most))
    hypothesis.assume(others.size)
    moved = counts.copy()
    moved[most] += 1
    moved[others[0]] -= 1
    assert fast_gini(moved) > fast_gini(counts)
    assert fast_entropy(moved) < fast_entropy(counts)


def test_bad_input_is_refused():
    with pytest.raises(MismatchError, match=r"lists must be \[U, k\], got shape \(3,\)"):
        exposure(jnp.ones(3, jnp.int32), 4)
    with pytest.raises(JaxrecError, match="lists has dtype float32; pass item indices as integers"):
        exposure(jnp.ones((1, 3)), 4)
    with pytest.raises(JaxrecError, match="num_items is 0; pass the size of the catalog"):
        exposure(jnp.ones((1, 3), jnp.int32), 0)
    for function in (gini, shannon_entropy, lambda counts: personalization(counts, 2, 2)):
        with pytest.raises(MismatchError, match=r"counts must be \[I\], .* got shape \(2, 3\)"):
            function(jnp.ones((2, 3), jnp.int32))
        with pytest.raises(MismatchError, match=r"got shape \(0,\); see exposure"):
            function(jnp.ones(0, jnp.int32))
    with pytest.raises(JaxrecError, match="num_users is 0; pass the number of users"):
        personalization(jnp.ones(3, jnp.int32), 0, 2)
    with pytest.raises(MismatchError, match=r"num_users must be one number, got shape \(1,\)"):
        personalization(jnp.ones(3, jnp.int32), jnp.array([2]), 2)
    with pytest.raises(JaxrecError, match="k is 0; pass the length of the lists"):
        personalization(jnp.ones(3, jnp.int32), 2, 0)
