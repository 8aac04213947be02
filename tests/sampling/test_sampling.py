"""Negatives and batches: never a seen item, uniform over the others, every interaction once, and the same bits."""

import jax
import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from reference import sampling as slow

from jaxrec.data._ids import IdMap
from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import SeenItems, seen_from_pairs, seen_items
from jaxrec.errors import JaxrecError
from jaxrec.sampling import Uniform, contains, shuffled_batches, uniform_negatives
from jaxrec.training._epoch import make_batch
from jaxrec.training._state import train_data

ITEMS = 8
SIGNIFICANCE = 1e-4  # of the chi-square tests; the keys are fixed, so they either hold or do not


def rows_of(sets):
    """What each user has, from one set of items a user; padded to one size so that nothing is compiled twice."""
    indptr = np.cumsum([0, *(len(s) for s in sets)]).astype(np.int32)
    items = np.zeros(64, np.int32)
    items[: indptr[-1]] = [item for s in sets for item in sorted(s)]
    return SeenItems(indptr, items)


DRAW = jax.jit(uniform_negatives, static_argnums=(2, 3))
BATCHES = jax.jit(shuffled_batches, static_argnums=(0, 1))
FOUR = np.arange(4, dtype=np.int32)


def draw(seen, users, num, num_items, key):
    """Negatives as NumPy arrays."""
    return jax.device_get(DRAW(seen, np.asarray(users, np.int32), num, num_items, key))


def batches(num, size, key):
    return jax.device_get(BATCHES(num, size, key))


SETS = st.lists(st.sets(st.integers(0, ITEMS - 1)), min_size=4, max_size=4)


@given(SETS, st.integers(0, 2**31 - 1))
def test_negatives_are_never_seen_and_full_users_are_masked(sets, seed):
    seen = rows_of(sets)
    items, where = draw(seen, FOUR, 16, ITEMS, jax.random.key(seed))
    assert items.dtype == np.int32
    assert where.dtype == bool
    for user, own in enumerate(sets):
        assert bool(where[user]) == (len(own) < ITEMS)
        if where[user]:
            assert set(items[user].tolist()) <= set(slow.missing(seen, user, ITEMS))
        else:
            assert not np.any(items[user])


OWN = {
    "none": set(),
    "the first": {0, 1},
    "the last": {6, 7},
    "between": {1, 3, 4, 6},
    "all but the first": set(range(1, ITEMS)),
    "all but the last": set(range(ITEMS - 1)),
    "all but one": set(range(ITEMS)) - {3},
}


@pytest.mark.parametrize("own", OWN)
def test_negatives_are_uniform_over_what_the_user_lacks(own, key):
    seen = rows_of([{0}, OWN[own], {2}])
    items, where = draw(seen, np.full(500, 1), 8, ITEMS, key)
    assert items.shape == (500, 8)
    assert where.all()
    lacking = slow.missing(seen, 1, ITEMS)
    statistic = slow.chi_square(items, {item: 1 / len(lacking) for item in lacking})
    assert statistic <= scipy.stats.chi2.isf(SIGNIFICANCE, max(len(lacking) - 1, 1))


def test_columns_and_rows_are_drawn_independently(key):
    seen = rows_of([{0, 1, 2, 3}, {4, 5, 6, 7}])
    items, _ = draw(seen, [0, 1] * 400, 2, ITEMS, key)
    joint = np.zeros((4, 4))
    np.add.at(joint, tuple(items[::2].T - 4), 1)  # user 0's pair of draws
    assert scipy.stats.chi2_contingency(joint).pvalue > SIGNIFICANCE
    across = np.zeros((4, 4))
    np.add.at(across, (items[::2, 0] - 4, items[1::2, 0]), 1)  # two users' draws
    assert scipy.stats.chi2_contingency(across).pvalue > SIGNIFICANCE


def test_ids_beyond_31_bits_of_users_times_items(key):
    users, num_items = 3_000_000, 2_000_000
    assert users * num_items > 2**31
    own = np.sort(np.array([0, 5, 1_999_998, 1_999_999, *range(1_000_000, 1_000_500)], np.int32))
    indptr = np.zeros(users + 1, np.int32)
    indptr[2_999_999:] = [0, len(own)]  # the last user has these items, and nobody else has any
    seen = SeenItems(indptr, own)
    asked = np.array([2_999_999, 0, 2_999_998], np.int32)
    items, where = draw(seen, asked, 4000, num_items, key)
    items = items.astype(np.int64)
    assert where.all()
    assert items.min() >= 0
    assert items.max() < num_items
    assert not np.isin(items[0], own).any()
    for row in items:  # ten equal parts of the catalog
        counts = np.bincount(row * 10 // num_items, minlength=10)
        assert scipy.stats.chisquare(counts).pvalue > SIGNIFICANCE
    has = jax.jit(contains)(seen, asked[:, None], np.stack([own, own, own]))
    np.testing.assert_array_equal(has, np.array([[True], [False], [False]]) & np.ones((1, len(own)), bool))


def test_two_items_and_a_catalogue_of_one(key):
    seen = SeenItems(np.array([0, 1, 1], np.int32), np.array([0], np.int32))
    items, where = draw(seen, [0, 1], 3, 1, key)
    assert where.tolist() == [False, True]
    assert items.tolist() == [[0, 0, 0], [0, 0, 0]]
    items, where = draw(seen, [0, 1], 64, 2, key)
    assert set(items[0].tolist()) == {1}
    assert set(items[1].tolist()) == {0, 1}


def planted():
    """A split whose test part alone has item 2 and whose validation part alone has item 3; nobody has item 4.

    User 0 has items 0 and 1 in training, 3 in validation and 2 in the test.
    """
    pairs = np.array([(0, 0), (0, 1), (1, 0), (0, 3), (0, 2)])
    part = np.array([0, 0, 0, 1, 2])
    users, items = IdMap(np.arange(2), "user"), IdMap(np.arange(5), "item")
    make = lambda rows: Interactions(pairs[rows, 0], pairs[rows, 1], users, items)  # noqa: E731
    return make(part == 0), make(part == 1), make(part == 2)


def test_held_out_items_and_items_without_training_data_stay_drawable(key):
    train, valid, test = planted()
    data = train_data(train)
    index = np.zeros(3000, np.int32)  # the first interaction is user 0's
    assert np.asarray(data.user)[0] == 0
    make = jax.jit(make_batch)
    batch, skipped = make(data, index, np.ones(3000, bool), key, negatives=Uniform())
    assert skipped == 0
    statistic = slow.chi_square(batch.negatives, {2: 1 / 3, 3: 1 / 3, 4: 1 / 3})
    assert statistic <= scipy.stats.chi2.isf(SIGNIFICANCE, 2)
    # The same statistic finds out negatives that are checked against all the interactions there are.
    leaking, _ = draw(seen_items(train, valid, test), index, 1, 5, key)
    assert set(leaking.ravel().tolist()) == {4}
    assert slow.chi_square(leaking, {2: 1 / 3, 3: 1 / 3, 4: 1 / 3}) > 1000


@pytest.mark.parametrize(("num", "size"), [(5, 2), (1, 8), (7, 7)])
def test_batches_hold_every_number_once_and_mask_what_fills_the_last(num, size, key):
    index, where = batches(num, size, key)
    steps = -(-num // size)
    assert index.shape == where.shape == (steps, size)
    assert index.dtype == np.int32
    assert sorted(index[where].tolist()) == list(range(num))
    assert where[:-1].all()
    assert where[-1].tolist() == [place < num - (steps - 1) * size for place in range(size)]
    assert not np.any(index[~where])


def test_gowalla_makes_396_steps_of_2048(key):
    index, _ = jax.eval_shape(lambda key: shuffled_batches(810_128, 2048, key), key)
    assert index.shape == (396, 2048)  # 395 full ones and 1,168 more


def test_orders_are_uniform():
    keys = jax.random.split(jax.random.key(3), 2400)
    orders = jax.jit(jax.vmap(lambda key: shuffled_batches(4, 4, key)[0][0]))(keys)
    codes = np.asarray(orders) @ [64, 16, 4, 1]
    _, counts = np.unique(codes, return_counts=True)
    assert len(counts) == 24  # 4!
    assert scipy.stats.chisquare(counts).pvalue > SIGNIFICANCE


def test_the_same_key_gives_the_same_bits_and_another_key_others(key):
    seen = rows_of([{1}, {2}, set(), {3}])
    first, again, other = (draw(seen, FOUR, 16, ITEMS, k)[0] for k in (key, key, jax.random.key(1)))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)
    first, again, other = (batches(50, 7, k)[0] for k in (key, key, jax.random.key(1)))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


@given(SETS)
def test_contains_is_membership(sets):
    got = jax.jit(contains)(rows_of(sets), FOUR[:, None], np.arange(ITEMS, dtype=np.int32)[None])
    assert got.tolist() == [[item in own for item in range(ITEMS)] for own in sets]


def test_contains_without_any_interaction():
    seen = seen_from_pairs(np.zeros(0, np.int32), np.zeros(0, np.int32), 2, 3)
    assert not np.any(jax.jit(contains)(seen, FOUR[:2], FOUR[1:3]))
    items, where = draw(seen, [0, 1], 2, 3, jax.random.key(0))
    assert where.all()
    assert set(items.ravel().tolist()) <= {0, 1, 2}


@pytest.mark.parametrize(("num", "num_items"), [(0, 3), (-1, 3), (1, 0)])
def test_no_negative_or_no_item_raises(num, num_items, key):
    with pytest.raises(JaxrecError, match=f"at least 1, got {num} and {num_items}"):
        uniform_negatives(rows_of([{0}]), FOUR[:1], num, num_items, key)


@pytest.mark.parametrize(("num", "size"), [(0, 3), (3, 0), (3, -2)])
def test_no_interaction_or_no_batch_raises(num, size, key):
    with pytest.raises(JaxrecError, match=f"got {num} and {size}"):
        shuffled_batches(num, size, key)
