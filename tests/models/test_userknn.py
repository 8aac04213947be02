"""User-kNN: against a dense twin, the notebook's R~ R~^T R, its size in memory, and bad options."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxrec import graph, sparse
from jaxrec.errors import JaxrecError
from jaxrec.models._userknn import UserKNN
from jaxrec.testing import ModelConformance

EXAMPLE = np.array([[1, 0, 0, 1], [1, 1, 0, 1], [1, 0, 0, 1]], bool)


class TestUserKNN(ModelConformance):
    model = UserKNN(neighbors=5)


class TestUserKNNNormalized(ModelConformance):
    model = UserKNN(similarity="normalized")


def adjacency_of(r):
    return sparse.operator(graph.normalized_adjacency(sparse.from_dense(r.astype(np.float32))), symmetric=True)


@functools.partial(jax.jit, static_argnums=1)
def made(adjacency, model):
    return model.apply({}, adjacency, method="scorer")


def scorer_of(r, **options):
    return made(adjacency_of(r), UserKNN(num_users=r.shape[0], num_items=r.shape[1], **options))


def everyone(scorer):
    return np.asarray(scorer.scores(jnp.arange(scorer.num_users, dtype=jnp.int32)))


def likeness(r, similarity, shrink):
    """s [U, U] in float64, one pair of users at a time; 0 on the diagonal."""
    users, items = r.sum(axis=1), r.sum(axis=0)
    s = np.zeros((len(r), len(r)))
    for u in range(len(r)):
        for v in range(len(r)):
            both = np.nonzero(r[u] & r[v])[0]
            if u != v and len(both):
                if similarity == "cosine":
                    s[u, v] = len(both) / (np.sqrt(users[u]) * np.sqrt(users[v]) + shrink)
                else:
                    s[u, v] = sum(1 / items[i] for i in both) / (np.sqrt(users[u]) * np.sqrt(users[v]))
    return s


def drawn(seed, users=9, items=7, entries=25):
    """A binary matrix of a fixed number of entries, with an empty row and an empty column."""
    rng = np.random.default_rng(seed)
    places = np.argwhere(np.outer(np.arange(users), np.arange(items)))
    r = np.zeros((users, items), bool)
    r[tuple(rng.permutation(places)[:entries].T)] = True
    return r


@pytest.mark.parametrize("neighbors", [3, 100])
@pytest.mark.parametrize("options", [{}, {"similarity": "normalized"}, {"shrink": 3.0}], ids=str)
@given(seed=st.integers(0, 2**32 - 1))
def test_scores_are_those_of_the_nearest_users(options, neighbors, seed):
    r = drawn(seed)
    scorer = scorer_of(r, neighbors=neighbors, **options)
    s = likeness(r, options.get("similarity", "cosine"), options.get("shrink", 0.0))
    chosen = np.asarray(scorer.neighbors)
    # The nearest may be tied, so it is their likeness that is checked, and that each user is there once.
    np.testing.assert_allclose(scorer.weights, -np.sort(-s, axis=1)[:, :neighbors], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(scorer.weights, np.take_along_axis(s, chosen, axis=1), rtol=1e-5, atol=1e-7)
    assert all(len(set(row)) == len(row) for row in chosen.tolist())
    expected = [sum(s[u, v] * r[v] for v in chosen[u]) for u in range(len(r))]
    np.testing.assert_allclose(everyone(scorer), expected, rtol=1e-5, atol=1e-6)


def test_equally_near_users_are_taken_from_the_lowest_index_on():
    r = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1], [0, 1, 1, 0]], bool)  # 1, 2 and 3 share one item with 0
    scorer = scorer_of(r, neighbors=2)
    assert scorer.neighbors[0].tolist() == [1, 2]
    np.testing.assert_allclose(everyone(scorer)[0], [1 / 2 + 1 / 2, 0, 1 / 2, 1 / 2], rtol=1e-6)


def test_the_example_graph_gives_the_product_of_the_notebook_without_the_diagonal():
    normal = graph.normalized_biadjacency(sparse.from_dense(EXAMPLE.astype(np.float32))).todense()
    likeness = np.asarray(normal @ normal.T)
    np.testing.assert_array_equal(
        likeness.round(2), np.float32([[0.33, 0.27, 0.33], [0.27, 0.56, 0.27], [0.33, 0.27, 0.33]])
    )
    expected = (likeness - np.diag(np.diag(likeness))) @ EXAMPLE
    got = everyone(scorer_of(EXAMPLE, similarity="normalized"))
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    # sqrt(2) sqrt(3) in the denominator, 1/3 + 1/3 for the two shared items that three users have each.
    assert got[0, 1] == pytest.approx(2 / 3 / np.sqrt(6), rel=1e-5)


def test_similar_items_have_the_same_users():
    r = drawn(4)
    scorer = scorer_of(r)
    counts = r.sum(axis=0)
    norms = np.sqrt(np.outer(counts, counts))
    expected = np.divide(r.T.astype(float) @ r, norms, out=np.zeros((7, 7)), where=norms > 0)
    np.testing.assert_allclose(scorer.similarities(jnp.array([2, 0, 6])), expected[[2, 0, 6]], rtol=1e-5, atol=1e-7)


def test_no_array_has_the_size_of_all_pairs(key):
    r = jax.random.bernoulli(key, 0.02, (521, 611))
    adjacency = adjacency_of(np.asarray(r))
    model = UserKNN(neighbors=8, num_users=521, num_items=611)
    scorer = made(adjacency, model)
    score = lambda scorer: scorer.scores(jnp.array([5, 7, 9], jnp.int32))  # noqa: E731
    for text in (made.lower(adjacency, model).as_text(), jax.jit(score).lower(scorer).as_text()):
        for shape in ("521x521", "521x611", "611x521", "611x611"):
            assert shape not in text
    assert "3x611x" in text
    assert scorer.neighbors.shape == (521, 8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"neighbors": 0}, "neighbors must be at least 1, got 0"),
        ({"shrink": -1.0}, "shrink must not be negative, got -1.0"),
        ({"similarity": "pearson"}, 'similarity must be "cosine" or "normalized", got \'pearson\''),
    ],
)
def test_bad_options_are_told(options, message):
    with pytest.raises(JaxrecError, match=message):
        UserKNN(**options)
