"""Novelty metrics: values as arithmetic, slow twins, the items without training count, padding, bounds."""

import math

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import beyond_accuracy as slow

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.metrics._novelty import (
    average_popularity,
    check_items,
    long_tail,
    long_tail_share,
    novelty,
    serendipity,
    take_listed,
)

ITEMS, K, USERS = 12, 5, 40


@jax.jit
def every_value(items, popularity, tail, hits, popular, num_users=USERS):
    return {
        "novelty": novelty(items, popularity, num_users),
        "average_popularity": average_popularity(items, popularity),
        "long_tail_share": long_tail_share(items, tail),
        "serendipity": serendipity(hits, items, popular),
    }


fast_novelty, fast_average_popularity = jax.jit(novelty, static_argnums=2), jax.jit(average_popularity)
fast_long_tail_share, fast_serendipity = jax.jit(long_tail_share), jax.jit(serendipity)


@st.composite
def cases(draw):
    """One list with padding at its end, popularity with zeros and ties, a popularity list, relevant items."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    items = rng.permutation(ITEMS)[:K].astype(np.int32)
    items[draw(st.integers(0, K)) :] = -1
    popularity = rng.integers(0, draw(st.sampled_from([3, USERS])), ITEMS).astype(np.int32)
    popular = np.argsort(-popularity, kind="stable")[:K].astype(np.int32)
    popular[draw(st.integers(0, K)) :] = -1
    relevant = set(rng.permutation(ITEMS)[: draw(st.integers(0, ITEMS))].tolist())
    hits = np.array([item in relevant for item in items.tolist()])
    return items, popularity, hits, popular, relevant


def values_of(case):
    items, popularity, hits, popular, _ = case
    return every_value(items, popularity, long_tail(popularity), hits, popular)


def test_novelty_is_the_mean_information_in_bits():
    value = fast_novelty(jnp.array([0, 1, 2]), jnp.array([16, 4, 1]), 16)
    np.testing.assert_allclose(value, (math.log2(16 / 16) + math.log2(16 / 4) + math.log2(16 / 1)) / 3, rtol=1e-6)


def test_an_item_without_a_training_user_counts_as_if_one_user_had_it():
    of_none, of_one = (fast_novelty(jnp.array([item]), jnp.array([0, 1]), 32) for item in (0, 1))
    assert of_none == of_one
    np.testing.assert_allclose(of_none, math.log2(32), rtol=1e-6)


def test_novelty_over_interactions_adds_the_same_constant_to_every_list():
    popularity = np.array([7, 3, 1, 5])
    pairs = popularity.sum()
    for listed in ([0, 1], [2, 3], [0, 3]):
        over_users = fast_novelty(jnp.array(listed), popularity, 8)
        over_pairs = np.mean([-math.log2(popularity[item] / pairs) for item in listed])
        np.testing.assert_allclose(over_pairs - over_users, math.log2(pairs / 8), atol=1e-5)


def test_means_are_over_the_places_that_hold_an_item():
    padded = jnp.array([0, 2, -1, -1])
    assert fast_average_popularity(padded, jnp.array([8, 4, 1])) == (8 + 1) / 2
    assert fast_long_tail_share(padded, jnp.array([False, False, True])) == 1 / 2
    np.testing.assert_allclose(fast_novelty(padded, jnp.array([8, 4, 1]), 8), (0 + 3) / 2, rtol=1e-6)


def test_a_duplicate_counts_twice():
    np.testing.assert_allclose(fast_average_popularity(jnp.array([0, 0, 1]), jnp.array([3, 9])), (3 + 3 + 9) / 3)


def test_the_head_is_the_fewest_items_that_gather_the_share():
    popularity = np.array([1, 6, 2, 1, 0])
    np.testing.assert_array_equal(long_tail(popularity, 0.8), [True, False, False, True, True])  # 6 + 2 = 8 of 10
    np.testing.assert_array_equal(long_tail(popularity, 0.81), [False, False, False, True, True])  # the lower 1
    np.testing.assert_array_equal(long_tail(popularity, 0.01), [True, False, True, True, True])


def test_a_share_that_is_reached_exactly_needs_no_further_item():
    assert 0.55 * 100 > 55  # a rounding error, which must not take one more item into the head
    np.testing.assert_array_equal(long_tail(np.array([55, 25, 20]), 0.55), [False, True, True])


def test_without_any_interaction_all_items_are_tail():
    assert long_tail(np.zeros(3, np.int32)).all()


def test_items_without_interaction_are_tail_whatever_the_share():
    np.testing.assert_array_equal(long_tail(np.array([0, 4, 4]), 1 - 1e-9), [True, False, False])


def test_serendipity_counts_hits_that_are_not_popular():
    hits = jnp.array([True, True, False, True, False])
    items, popular = jnp.array([7, 0, 4, 9, 5]), jnp.array([0, 1, 2, 3, 4])
    assert fast_serendipity(hits, items, popular) == np.float32(2 / 5)  # the hits 7 and 9, but not 0
    assert fast_serendipity(hits, items, items) == 0.0
    assert fast_serendipity(hits.astype(jnp.float32), items, popular) == np.float32(2 / 5)


def test_padding_is_neither_a_hit_nor_popular():
    all_hits, short = jnp.ones(3, bool), jnp.array([4, -1, -1])
    for popular in ([-1, -1, -1], [5, 6, 7]):
        assert fast_serendipity(all_hits, short, jnp.array(popular)) == np.float32(1 / 3)


@hypothesis.given(cases())
def test_agree_with_the_slow_twins(case):
    items, popularity, _, popular, relevant = case
    values, tail = values_of(case), slow.long_tail(popularity.tolist(), 0.8)
    assert set(np.flatnonzero(long_tail(popularity)).tolist()) == tail
    expected = {
        "novelty": slow.novelty(items, popularity, USERS),
        "average_popularity": slow.average_popularity(items, popularity),
        "long_tail_share": slow.long_tail_share(items, tail),
        "serendipity": slow.serendipity(items, relevant, popular),
    }
    for name, twin in expected.items():
        assert values[name].dtype == jnp.float32
        np.testing.assert_allclose(values[name], twin, rtol=1e-6, atol=1e-6, err_msg=name)


@hypothesis.given(cases())
def test_bounds(case):
    _, popularity, hits, _, _ = case
    values = {name: float(value) for name, value in values_of(case).items()}
    assert 0 <= values["novelty"] <= math.log2(USERS) + 1e-5
    assert 0 <= values["average_popularity"] <= popularity.max()
    assert 0 <= values["long_tail_share"] <= 1
    assert 0 <= values["serendipity"] <= hits.mean() + 1e-6  # which is precision


@hypothesis.given(cases(), st.integers(0, 1000))
def test_the_names_of_items_and_the_order_of_the_list_do_not_matter(case, seed):
    items, popularity, hits, popular, _ = case
    rng = np.random.default_rng(seed)
    new_name, order = rng.permutation(ITEMS).astype(np.int32), rng.permutation(K)
    renamed_popularity, renamed_tail = np.zeros_like(popularity), np.zeros(ITEMS, bool)
    renamed_popularity[new_name] = popularity
    renamed_tail[new_name] = np.asarray(long_tail(popularity))  # ties in it go by the old names
    rename = lambda listed: np.where(listed < 0, -1, new_name[listed])  # noqa: E731
    before = values_of(case)
    after = every_value(rename(items)[order], renamed_popularity, renamed_tail, hits[order], rename(popular))
    for name, value in before.items():
        np.testing.assert_allclose(after[name], value, rtol=1e-6, atol=1e-6, err_msg=name)


@hypothesis.given(cases(), st.integers(0, ITEMS - 1))
def test_one_more_user_of_an_item_never_makes_a_list_more_novel(case, item):
    items, popularity, _, _, _ = case
    more = popularity.copy()
    more[item] += 1
    assert fast_novelty(items, more, USERS) <= fast_novelty(items, popularity, USERS)
    assert fast_average_popularity(items, more) >= fast_average_popularity(items, popularity)


def test_an_empty_list_is_a_finite_zero():
    empty = jnp.full(K, -1, jnp.int32)
    values = every_value(empty, jnp.zeros(ITEMS, jnp.int32), jnp.ones(ITEMS, bool), jnp.ones(K, bool), empty)
    assert set(map(float, values.values())) == {0.0}


def test_the_slope_in_the_popularity_is_finite():
    for items in ([0, 1, -1], [-1, -1, -1]):
        slope = jax.grad(lambda popularity, items=items: fast_novelty(jnp.array(items), popularity, 4))(
            jnp.array([0.0, 2])
        )
        assert np.isfinite(slope).all()


def test_an_index_outside_the_catalogue_gives_nan():
    assert np.isnan(fast_novelty(jnp.array([0, 3]), jnp.array([1, 1, 1]), 4))
    assert np.isnan(fast_average_popularity(jnp.array([0, 3]), jnp.array([1, 1, 1])))
    assert np.isnan(fast_long_tail_share(jnp.array([0, 3]), jnp.array([True, True, True])))


def test_rows_of_a_table_are_taken_and_padding_is_0():
    rows, listed = take_listed(jnp.array([1, -1]), jnp.array([[1, 2], [3, 4]]))
    np.testing.assert_array_equal(rows, [[3, 4], [0, 0]])
    np.testing.assert_array_equal(listed, [True, False])


def test_bad_lists_are_refused():
    popularity = jnp.ones(4, jnp.int32)
    functions = [
        lambda items: novelty(items, popularity, 4),
        lambda items: average_popularity(items, popularity),
        lambda items: long_tail_share(items, popularity > 0),
        lambda items: serendipity(jnp.ones(2, bool), items, jnp.array([0, 1])),
        check_items,
    ]
    for function in functions:
        with pytest.raises(MismatchError, match=r"items must be one list, \[k\], got shape \(2, 3\); lift the metric"):
            function(jnp.ones((2, 3), jnp.int32))
        with pytest.raises(JaxrecError, match="items has dtype float32; pass item indices as integers"):
            function(jnp.ones(2))


def test_other_bad_input_is_refused():
    items = jnp.array([0, 1])
    with pytest.raises(MismatchError, match=r"popularity must be \[I\], one value for each item, got shape \(1, 4\)"):
        novelty(items, jnp.ones((1, 4)), 4)
    with pytest.raises(MismatchError, match=r"popularity must be \[I\], .* got shape \(0,\)"):
        average_popularity(items, jnp.ones(0))
    with pytest.raises(MismatchError, match=r"long_tail must be \[I\]"):
        long_tail_share(items, jnp.ones((1, 4), bool))
    with pytest.raises(JaxrecError, match="num_users is 0; pass the number of users"):
        novelty(items, jnp.ones(4), 0)
    with pytest.raises(MismatchError, match=r"differ or are empty: hits \(2,\), items \(2,\), popular \(3,\); cut all"):
        serendipity(jnp.ones(2, bool), items, jnp.array([0, 1, 2]))
    with pytest.raises(MismatchError, match="differ or are empty"):
        serendipity(jnp.ones(0, bool), jnp.ones(0, jnp.int32), jnp.ones(0, jnp.int32))
    with pytest.raises(JaxrecError, match="popular has dtype bool"):
        serendipity(jnp.ones(2, bool), items, jnp.ones(2, bool))
    with pytest.raises(MismatchError, match=r"the table has shape \(0, 2\); pass one row for each item"):
        take_listed(items, jnp.ones((0, 2)))


def test_a_bad_long_tail_is_refused():
    with pytest.raises(MismatchError, match=r"popularity must be \[I\], one number for each item, got shape \(1, 2\)"):
        long_tail(np.ones((1, 2)))
    for share in (0, 1, 80, math.nan):
        with pytest.raises(JaxrecError, match=f"share is {share}; pass the part of all interactions"):
            long_tail(np.ones(2), share)
    for bad in (-1.0, math.nan, math.inf):
        with pytest.raises(JaxrecError, match=f"popularity of item 1 is {bad}; pass counts"):
            long_tail(np.array([1.0, bad]))
