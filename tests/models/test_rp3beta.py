"""RP3beta against walks that are followed step by step, and the messages of bad options."""

import numpy as np
import pytest

import jaxrec
from jaxrec import RP3Beta
from jaxrec.errors import JaxrecError
from jaxrec.training import train_data

USERS, ITEMS = 12, 7


def random_r():
    r = (np.random.default_rng(0).random((USERS, ITEMS)) < np.linspace(0.2, 0.7, ITEMS)).astype(np.float64)
    r[4], r[:, 3] = 0, 0
    return r


def fitted(model, r):
    data = jaxrec.from_arrays(*np.indices(r.shape).reshape(2, -1)).select(r.ravel() > 0)
    sized = model.clone(num_users=r.shape[0], num_items=r.shape[1])
    return sized.apply({}, train_data(data).adjacency)


def walked(r, alpha, beta, neighbors=ITEMS):
    """The sum over all walks user - item - user - item of products of probabilities, times d_u^alpha, over n_i^beta."""
    d, n = r.sum(axis=1), r.sum(axis=0)
    weights = np.zeros((ITEMS, ITEMS))
    for j in range(ITEMS):
        for v in range(USERS):
            for i in range(ITEMS):
                if i != j and r[v, j] and r[v, i]:
                    weights[j, i] += (1 / n[j]) ** alpha * (1 / d[v]) ** alpha / n[i] ** beta
    for i in range(ITEMS):
        cut = np.sort(weights[:, i])[::-1][:neighbors][-1]
        assert (weights[:, i] >= cut).sum() <= max(neighbors, (weights[:, i] > 0).sum()) or cut == 0
        weights[weights[:, i] < cut, i] = 0
    return r @ weights


@pytest.mark.parametrize(
    ("alpha", "beta", "neighbors"), [(1.0, 0.0, 100), (1.0, 0.6, 100), (0.7, 0.3, 100), (1.3, 0.5, 2)]
)
def test_scores_are_sums_over_walks_of_three_steps(alpha, beta, neighbors):
    r = random_r()
    scorer = fitted(RP3Beta(alpha=alpha, beta=beta, neighbors=neighbors), r)
    expected = walked(r, alpha, beta, min(neighbors, ITEMS))
    np.testing.assert_allclose(scorer.scores(np.arange(USERS, dtype=np.int32)), expected, rtol=1e-5, atol=1e-7)


def test_without_exponent_of_popularity_scores_are_probabilities():
    """The walks of a user end somewhere; those that come back to the item of the first step are left out here."""
    r = random_r()
    scores = np.asarray(fitted(RP3Beta(alpha=1.0, beta=0.0), r).scores(np.arange(USERS, dtype=np.int32)))
    d, n = np.maximum(r.sum(axis=1), 1), np.maximum(r.sum(axis=0), 1)
    back = (r * ((r / d[:, None]).sum(axis=0) / n)[None, :]).sum(axis=1)
    np.testing.assert_allclose(scores.sum(axis=1) + back, r.sum(axis=1), rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"neighbors": 0}, "neighbors must be a whole number of at least 1, got 0"),
        ({"alpha": float("nan")}, "alpha must be a finite number, got nan"),
        ({"beta": float("inf")}, "beta must be a finite number, got inf"),
    ],
)
def test_bad_options_raise(options, message):
    with pytest.raises(JaxrecError, match=message):
        RP3Beta(**options)
