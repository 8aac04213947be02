"""Products that read only the entries that count, against dense ones of NumPy, and what they must not read."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrec.data._seen import SeenItems
from jaxrec.models import Bands, ChebyshevSeries, OneHop, Sharpened
from jaxrec.models._filter_graph import InteractionGraph, filter_scorer
from jaxrec.scorers import Lane, _likeness
from jaxrec.scorers._likeness import lanes_at, likeness, product_at, vectors_at
from jaxrec.sparse import from_dense, operator

USERS, ITEMS, CHOSEN = 60, 700, 20


@functools.cache
def dense() -> np.ndarray:
    """Interactions [V, I] with popular items, items that nobody has, and a user who has nothing."""
    generator = np.random.default_rng(0)
    share = 0.5 / np.arange(1, ITEMS + 1) ** 0.7
    made = (generator.random((USERS, ITEMS)) < share[None, :]).astype(np.float32)
    made[:, -5:] = 0
    made[7] = 0
    return made


def history_of(table: np.ndarray) -> SeenItems:
    """The items of each row."""
    return SeenItems(np.concatenate([[0], np.cumsum((table > 0).sum(axis=1))]), np.nonzero(table)[1].astype(np.int32))


def unit(table: np.ndarray) -> np.ndarray:
    """Rows of length 1, or 0."""
    return table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1)


def scales() -> list[np.ndarray]:
    """Two scales of the items."""
    return [np.maximum(dense().sum(axis=0), 1) ** np.float32(-exponent) for exponent in (0.5, 1.0)]


@pytest.mark.parametrize("entries", [7, 8192])
@pytest.mark.parametrize("price", [0, 1e9], ids=["added", "multiplied"])
def test_likeness_is_the_dense_product(monkeypatch: pytest.MonkeyPatch, entries: int, price: float):
    monkeypatch.setattr(_likeness, "_ENTRIES", entries)
    monkeypatch.setattr(_likeness, "_ADDED", price)
    rows = np.array([3, 7, 59, 3], np.int32)
    owns = tuple(map(jnp.asarray, scales()))
    made = jax.jit(likeness)(operator(from_dense(jnp.asarray(dense()))), history_of(dense()), rows, owns)
    expected = np.stack([unit(dense())[rows] * own @ dense().T for own in scales()], axis=2)
    np.testing.assert_allclose(made, expected, rtol=1e-5, atol=1e-6)
    assert not np.asarray(made)[1].any()  # nobody is like a user without items


def test_likeness_reads_nothing_but_the_users_of_own_items(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_likeness, "_ADDED", 0)
    matrix = operator(from_dense(jnp.asarray(dense())))
    own = np.zeros(ITEMS, bool)
    own[dense()[3] > 0] = True
    data, back = (np.where(own[items], 1, np.nan) for items in (matrix.columns, matrix.T.rows))
    broken = matrix.with_data(jnp.asarray(data), (jnp.asarray(back), *_transposed(matrix)))
    made = likeness(broken, history_of(dense()), jnp.array([3]), (jnp.ones(ITEMS),))
    assert np.isfinite(made).all()


def _transposed(matrix):
    other = matrix.T
    return other.stored_rows, other.columns, other.indptr


@pytest.mark.parametrize(("width", "blocks"), [(16, 1024), (2, 3)])
def test_chosen_rows_of_a_product(monkeypatch: pytest.MonkeyPatch, width: int, blocks: int):
    monkeypatch.setattr(_likeness, "_WIDTH", width)
    monkeypatch.setattr(_likeness, "_BLOCKS", blocks)
    generator = np.random.default_rng(1)
    table = (dense().T * generator.normal(size=(ITEMS, USERS))).astype(np.float32)
    x = generator.normal(size=(USERS, 6)).astype(np.float32)
    rows = np.array([0, ITEMS - 1, 5, 0, ITEMS - 6, 1], np.int32)
    made = jax.jit(product_at)(operator(from_dense(jnp.asarray(table))), rows, x)
    np.testing.assert_allclose(made, table[rows] @ x, rtol=1e-4, atol=1e-5)
    assert not np.asarray(made)[1].any()  # an item that nobody has


def test_rows_that_are_not_chosen_are_not_read():
    matrix = operator(from_dense(jnp.asarray(dense().T)))
    data = jnp.where(matrix.rows == 2, 1, jnp.nan)
    made = product_at(dataclasses.replace(matrix, data=data), jnp.array([2]), jnp.ones((USERS, 1)))
    assert made.tolist() == [[dense()[:, 2].sum()]]


@pytest.mark.parametrize("spare", [32, 10**6], ids=["chosen", "all"])
def test_lanes_at_chosen_items_are_those_of_all_items(monkeypatch: pytest.MonkeyPatch, spare: int):
    monkeypatch.setattr(_likeness, "_SPARE", spare)
    generator = np.random.default_rng(2)
    alike = generator.random((3, USERS, 2)).astype(np.float32)
    items = generator.integers(0, ITEMS, (3, CHOSEN)).astype(np.int32)
    weights = generator.random((3, USERS)).astype(np.float32)
    powers, places = (1.0, 2.0, 0.5), (0, 1, 1)
    lanes = [
        (place, Lane(jnp.asarray(one), place, 0, power))
        for place, one, power in zip(places, weights, powers, strict=True)
    ]
    matrix = operator(from_dense(jnp.asarray(dense())))
    made = lanes_at(matrix, jnp.asarray(alike), lanes, jnp.asarray(items))
    for at, (place, power) in enumerate(zip(places, powers, strict=True)):
        whole = (weights[at] * alike[:, :, place] ** power) @ dense()
        np.testing.assert_allclose(made[at], np.take_along_axis(whole, items, axis=1), rtol=1e-4)


def test_vectors_at_chosen_items():
    generator = np.random.default_rng(3)
    vectors, of_users = generator.normal(size=(ITEMS, 5)), generator.normal(size=(2, 5, 3))
    items = generator.integers(0, ITEMS, (2, 4)).astype(np.int32)
    made = vectors_at(jnp.asarray(vectors, jnp.float32), jnp.asarray(of_users, jnp.float32), jnp.asarray(items))
    np.testing.assert_allclose(made, np.einsum("bck,bke->bce", vectors[items], of_users), rtol=1e-4, atol=1e-5)


def graph(rank: int = 8) -> InteractionGraph:
    """The graph of the interactions with singular vectors."""
    user, item = (axis.astype(np.int32) for axis in np.nonzero(dense()))
    return InteractionGraph.of_pairs(user, item, (USERS, ITEMS)).with_vectors(rank, 1e-3)


@pytest.mark.parametrize(
    "terms",
    [
        (OneHop(1.0, 0.5, 0.5, 0.3), OneHop(2.0, 1.0, 1.0, 0.1, power=2.0), Bands((0.5, 0.2), (2, 8), scored=-0.2)),
        (Bands((0.5,), (4,)),),
        (OneHop(0.5), ChebyshevSeries(response=Sharpened(0.3), order=2)),
    ],
    ids=["hops and bands", "bands", "a series"],
)
def test_a_filter_at_chosen_items_is_the_filter_of_all_items(terms):
    scorer = filter_scorer(terms, graph())
    users = jnp.array([1, 7, 30])
    items = jnp.asarray(np.random.default_rng(4).integers(0, ITEMS, (3, CHOSEN)).astype(np.int32))
    made, everything = scorer.at_items(scorer.history, users, items), scorer.scores(users)
    np.testing.assert_allclose(made, np.take_along_axis(np.asarray(everything), items, axis=1), rtol=1e-4, atol=1e-6)
