"""SANSA against dense solutions in float64 for the patterns that it chose, and what it grows into."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrec
from jaxrec import EASE, SANSA
from jaxrec.errors import JaxrecError
from jaxrec.models import _sansa
from jaxrec.models._ease import penalties, weighted_rows
from jaxrec.models._sizes import user_item_block
from jaxrec.training import train_data

USERS, ITEMS = 60, 20


def random_x(seed=0):
    rng = np.random.default_rng(seed)
    likes = rng.random((USERS, 3)) @ rng.random((3, ITEMS))
    x = (rng.random((USERS, ITEMS)) < 0.3 * likes).astype(np.float64)
    x[4], x[:, 3] = 0, 0
    return x


def adjacency_of(x):
    data = jaxrec.from_arrays(*np.indices(x.shape).reshape(2, -1)).select(x.ravel() > 0)
    return train_data(data).adjacency


def fitted(model, x):
    return model.clone(num_users=USERS, num_items=ITEMS).apply({}, adjacency_of(x))


def dense(operator):
    out = np.zeros(operator.shape)
    np.add.at(out, (np.asarray(operator.rows), np.asarray(operator.columns)), np.asarray(operator.data))
    return out


def inverse(x, l2, neighbors, rounds):
    adjacency = adjacency_of(x)
    rows = weighted_rows(adjacency, USERS, 0.0)
    block = user_item_block(adjacency, USERS, binary=True)
    found = _sansa.sparse_inverse(
        block, _sansa.sparse_gram(rows), jnp.asarray(penalties(rows, l2, 0.0)), neighbors, rounds
    )
    return tuple(np.asarray(part) for part in found)


@pytest.mark.parametrize(("neighbors", "rounds"), [(1, 1), (5, 1), (6, 3), (2, 9)])
def test_columns_are_the_solutions_of_their_small_systems(neighbors, rounds):
    x, l2 = random_x(), 2.0
    a = x.T @ x + l2 * np.eye(ITEMS)
    columns, items = inverse(x, l2, neighbors, rounds)
    assert columns.shape == items.shape == (ITEMS, neighbors + 1)
    for j, (column, pattern) in enumerate(zip(columns, items, strict=True)):
        assert pattern[0] == j
        assert len(set(pattern)) == len(pattern)
        expected = np.linalg.solve(a[np.ix_(pattern, pattern)], np.eye(len(pattern))[0])
        np.testing.assert_allclose(column, expected, rtol=1e-4, atol=1e-6)


def test_patterns_grow_by_the_largest_residuals():
    x, l2 = random_x(), 2.0
    a = x.T @ x + l2 * np.eye(ITEMS)
    _, first = inverse(x, l2, 3, 1)
    _, grown = inverse(x, l2, 6, 2)
    for j in range(ITEMS):
        if j == 3:  # nobody has it, so all residuals are 0
            continue
        cosines = np.abs(a[j]) / np.sqrt(np.diag(a))
        cosines[j] = -1
        assert cosines[first[j, 1:]].min() >= np.delete(cosines, first[j, 1:]).max() - 1e-6
        np.testing.assert_array_equal(grown[j, :4], first[j])
        column = np.zeros(ITEMS)
        column[first[j]] = np.linalg.solve(a[np.ix_(first[j], first[j])], np.eye(4)[0])
        gain = (a @ column - np.eye(ITEMS)[j]) ** 2 / np.diag(a)
        gain[first[j]] = -1
        assert gain[grown[j, 4:]].min() >= np.delete(gain, grown[j, 4:]).max() - 1e-6


def test_more_rounds_and_more_neighbors_come_nearer_to_the_inverse():
    """In the norm of A a column misses e_j^T A^-1 e_j - m_jj, so its diagonal can only grow."""
    x, l2 = random_x(), 1.0
    exact = np.linalg.inv(x.T @ x + l2 * np.eye(ITEMS)).diagonal()
    missed = {at: exact - inverse(x, l2, *at)[0][:, 0] for at in ((2, 1), (4, 2), (8, 4), (8, 1))}
    assert (missed[2, 1] >= missed[4, 2] - 1e-6).all()
    assert (missed[4, 2] >= missed[8, 4] - 1e-6).all()
    assert (missed[8, 4] >= -1e-6).all()
    assert missed[8, 4].sum() < 0.9 * missed[8, 1].sum()  # as many entries, chosen with residuals


@pytest.mark.parametrize(
    "numbers",
    [{}, {"dropout": 0.3, "relax": 0.2}, {"item_exponent": 0.3, "user_exponent": 0.8}],
    ids=["plain", "relaxed", "degrees"],
)
def test_with_all_neighbors_it_is_ease(numbers):
    x = random_x()
    exact = fitted(EASE(l2=2.0, **numbers), x)
    sparse = fitted(SANSA(l2=2.0, neighbors=100, rounds=2, **numbers), x)
    expected = np.array(exact.weights)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(dense(sparse.weights), expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(sparse.scores(np.arange(USERS, dtype=np.int32)), x @ expected, rtol=1e-3, atol=1e-4)


def test_each_scored_item_has_as_many_weights_as_neighbors():
    scorer = fitted(SANSA(l2=2.0, neighbors=4), random_x())
    assert np.diff(np.asarray(scorer.weights.T.indptr)).tolist() == [4] * ITEMS
    assert not dense(scorer.weights).diagonal().any()


def test_entries_are_found_by_bisection_in_rows_of_all_lengths():
    rng = np.random.default_rng(0)
    table = np.where(rng.random((12, 40)) < np.linspace(0, 1, 12)[:, None], rng.random((12, 40)), 0).astype(np.float32)
    indptr = np.concatenate([[0], np.cumsum((table > 0).sum(axis=1))]).astype(np.int32)
    rows = (table[table > 0], np.nonzero(table)[1].astype(np.int32), indptr)
    at = np.indices(table.shape).astype(np.int32)
    found = _sansa.entries(jax.tree.map(jnp.asarray, rows), jnp.asarray(at[0]), jnp.asarray(at[1]), steps=6)
    np.testing.assert_array_equal(found, table)


@pytest.mark.parametrize("width", [1, 3, 7, 8])
def test_functions_of_rows_go_over_all_rows_by_tiles(width):
    rows = jnp.arange(14.0).reshape(7, 2)
    found = _sansa._by_tiles(lambda arrays: arrays[0].sum(axis=1) + arrays[1], (rows, rows[:, 0]), width)
    np.testing.assert_array_equal(found, rows.sum(axis=1) + rows[:, 0])


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"neighbors": 0}, "neighbors must be a whole number of at least 1, got 0"),
        ({"rounds": 0}, "rounds must be a whole number of at least 1, got 0"),
        ({"l2": 0.0}, "l2 must be positive"),
        ({"relax": -0.1}, "relax must be a finite number of at least 0 and at most 1, got -0.1"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1"),
    ],
)
def test_a_number_out_of_its_range_raises(numbers, message):
    with pytest.raises(JaxrecError, match=message):
        SANSA(**numbers)
