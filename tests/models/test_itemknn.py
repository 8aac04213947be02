"""Item-kNN against a dense NumPy cosine with a top-k, and the messages of bad options."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import propagation as slow

import jaxrec
from jaxrec import ItemKNN
from jaxrec.errors import JaxrecError
from jaxrec.models._itemknn import longest_history
from jaxrec.training import train_data

USERS, ITEMS = 9, 7


def random_r(seed=0):
    """A binary R; user 4 and item 3 have nothing."""
    r = (np.random.default_rng(seed).random((USERS, ITEMS)) < 0.45).astype(np.float64)
    r[4], r[:, 3] = 0, 0
    return r


def data_of(r):
    ids = jaxrec.from_arrays(*np.indices(r.shape).reshape(2, -1))
    return ids.select(r.ravel() > 0)


def fitted(model, r):
    """The scorer of a model without parameters, from the matrix R."""
    sized = model.clone(num_users=r.shape[0], num_items=r.shape[1])
    return sized.apply({}, train_data(data_of(r)).adjacency)


def scores_of(scorer):
    """The scores of all users."""
    return np.asarray(SCORES(scorer, np.arange(scorer.num_users, dtype=np.int32)))


SCORES = jax.jit(lambda scorer, users: scorer.scores(users))


def slow_similarity(r, similarity, shrink):
    """s_ij, entry by entry."""
    columns = slow.normalized(r) if similarity == "normalized" else r
    s = np.zeros((r.shape[1], r.shape[1]))
    for i in range(len(s)):
        for j in range(len(s)):
            if i != j:
                s[i, j] = columns[:, i] @ columns[:, j]
                if similarity == "cosine" and s[i, j]:
                    s[i, j] /= np.sqrt(r[:, i].sum() * r[:, j].sum()) + shrink
    return s


def slow_scores(r, s, neighbors):
    """score(u, i) = sum of s_ij over the items j of u that are among the nearest of i; no ties at the cut, please."""
    scores = np.zeros(r.shape)
    for i in range(len(s)):
        nearest = sorted(range(len(s)), key=lambda j: -s[i, j])[:neighbors]
        if neighbors < len(s) and s[i, nearest[-1]] > 0:
            rest = [s[i, j] for j in range(len(s)) if j not in nearest]
            assert max(rest) < s[i, nearest[-1]] - 1e-6
        for j in nearest:
            scores[:, i] += r[:, j] * s[i, j]
    return scores


@pytest.mark.parametrize(("similarity", "shrink"), [("cosine", 3.0), ("normalized", 0.0)])
def test_with_all_neighbours_it_is_the_dense_product(similarity, shrink):
    r = random_r()
    scorer = fitted(ItemKNN(neighbors=100, similarity=similarity, shrink=shrink), r)
    s = slow_similarity(r, similarity, shrink)
    np.testing.assert_allclose(scores_of(scorer), r @ s, rtol=1e-5, atol=1e-6)
    likeness = jax.jit(lambda scorer, items: scorer.similarities(items))(scorer, np.arange(ITEMS, dtype=np.int32))
    np.testing.assert_allclose(likeness, s, rtol=1e-5, atol=1e-6)


def distinct_r():
    """A larger R whose cosines differ where the cuts of the next test fall, which the twin checks."""
    return (np.random.default_rng(5).random((61, 6)) < np.linspace(0.2, 0.7, 6)).astype(np.float64)


@pytest.mark.parametrize(("similarity", "neighbors"), [("cosine", 1), ("cosine", 3), ("normalized", 2)])
def test_only_the_nearest_of_each_item_count(similarity, neighbors):
    r = distinct_r()
    scorer = fitted(ItemKNN(neighbors=neighbors, similarity=similarity), r)
    expected = slow_scores(r, slow_similarity(r, similarity, 0.0), neighbors)
    np.testing.assert_allclose(scores_of(scorer), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("neighbors", [1, 3])
def test_similar_items_are_the_nearest_of_each_item_itself(neighbors):
    """Item 0 is rare: it has neighbors, but is a neighbor of none."""
    r = distinct_r()
    s = slow_similarity(r, "cosine", 0.0)
    expected = np.zeros(s.shape)
    for i in range(len(s)):
        for j in sorted(range(len(s)), key=lambda j: -s[i, j])[:neighbors]:
            expected[i, j] = s[i, j]
    assert expected[0].any()
    assert not expected[:, 0].any()
    scorer = fitted(ItemKNN(neighbors=neighbors), r)
    got = jax.jit(lambda scorer, items: scorer.similarities(items))(scorer, np.arange(6, dtype=np.int32))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


def test_the_cosine_of_two_items_by_hand():
    # Items a and b share one of two and one of three users: 1 / sqrt(2 * 3).
    r = np.array([[1, 1], [1, 0], [0, 1], [0, 1]], np.float64)
    s = fitted(ItemKNN(), r).similarities(jnp.array([0, 1], jnp.int32))
    np.testing.assert_allclose(s, [[0, 1 / np.sqrt(6)], [1 / np.sqrt(6), 0]], rtol=1e-6)


def test_users_without_items_score_0_and_items_without_users_are_like_nothing():
    scorer = fitted(ItemKNN(), random_r())
    scores = scores_of(scorer)
    assert not np.any(scores[4])
    assert not np.any(scores[:, 3])
    assert not np.any(scorer.similarities(jnp.array([3], jnp.int32)))


def test_the_longest_history_is_that_of_the_busiest_user():
    r = random_r()
    assert longest_history(train_data(data_of(r)).adjacency, USERS) == r.sum(axis=1).max()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"neighbors": 0}, "neighbors must be at least 1, got 0"),
        ({"shrink": -1.0}, "shrink must not be negative, got -1.0"),
        ({"similarity": "pearson"}, "similarity must be .* got 'pearson'"),
    ],
)
def test_bad_options_raise(options, message):
    with pytest.raises(JaxrecError, match=message):
        ItemKNN(**options)
