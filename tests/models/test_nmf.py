"""NMF as a model: of who has what, and of ratings."""

import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.nmf import drawn

from jaxrec import graph, sparse
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.factorization import nmf
from jaxrec.metrics import rmse
from jaxrec.models._nmf import NMF
from jaxrec.testing import ModelConformance


class TestNMF(ModelConformance):
    model = NMF(dim=2)


class TestNMFNormalized(ModelConformance):
    model = NMF(dim=2, matrix="normalized", solver="mu", l2=0.01, iterations=300)


def ratings_of(x, stored):
    places = np.argwhere(stored)
    return sparse.operator(sparse.from_entries(x[stored], places[:, 0], places[:, 1], x.shape))


def adjacency_of(stored):
    return sparse.operator(graph.normalized_adjacency(sparse.from_dense(stored.astype(np.float32))), symmetric=True)


def test_the_objective_follows_the_task_and_is_told():
    x, stored, *_ = drawn(7)
    adjacency, ratings = adjacency_of(stored), ratings_of(x, stored)
    scorers = {}
    for objective in ("auto", "all", "observed"):
        model = NMF(dim=2, objective=objective, num_users=6, num_items=5)
        variables = model.init(jax.random.key(0))
        scorers[objective] = np.asarray(
            model.apply(variables, adjacency, ratings).scores(jnp.arange(6, dtype=jnp.int32))
        )
    np.testing.assert_array_equal(scorers["auto"], scorers["observed"])
    assert np.any(scorers["all"] != scorers["observed"])
    assert NMF(objective="all").objective_for(rated=True) == "all"
    assert NMF().objective_for(rated=False) == "all"
    model = NMF(dim=2, objective="observed", num_users=6, num_items=5)
    with pytest.raises(JaxrecError, match='objective="observed" needs ratings, and none are given'):
        model.apply(model.init(jax.random.key(0)), adjacency)


@pytest.mark.parametrize("matrix", ["binary", "normalized"])
def test_for_ranking_it_factorises_the_matrix_that_is_named(matrix, key):
    stored = drawn(8)[1]
    model = NMF(dim=3, matrix=matrix, num_users=6, num_items=5, iterations=20, l2=0.05)
    variables = model.init(key)
    scorer = model.apply(variables, adjacency_of(stored))
    r = sparse.from_dense(stored.astype(np.float32))
    x = r if matrix == "binary" else graph.normalized_biadjacency(r)
    start = jax.random.wrap_key_data(variables["draw"]["key"])
    made = nmf(x, 3, start, max_iter=20, l2=0.05)
    np.testing.assert_allclose(scorer.users, made.w, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(scorer.items, made.h.T, rtol=1e-4, atol=1e-6)


def test_without_ratings_a_user_or_an_item_gets_the_mean(key):
    x, stored, *_ = drawn(9)
    model = NMF(dim=2, num_users=6, num_items=5)
    scorer = model.apply(model.init(key), adjacency_of(stored), ratings_of(x, stored))
    scores = np.asarray(scorer.scores(jnp.arange(6, dtype=jnp.int32)))
    means = [x[u][stored[u]].mean() for u in range(1, 6)]  # user 0 and item 1 have no rating
    np.testing.assert_allclose(scores[1:, 1], means, rtol=1e-5)
    items = [0, 2, 3, 4]
    np.testing.assert_allclose(scores[0, items], [x[:, i][stored[:, i]].mean() for i in items], rtol=1e-5)
    np.testing.assert_allclose(scores[0, 1], x[stored].mean(), rtol=1e-5)
    w, h = np.asarray(scorer.users)[:, :2], np.asarray(scorer.items)[:, :2]
    np.testing.assert_allclose(scores[1:][:, items], (w @ h.T)[1:][:, items], rtol=1e-5)
    assert (np.asarray(scorer.users) >= 0).all()
    assert (np.asarray(scorer.items) >= 0).all()


def test_init_draws_the_start_without_solving_and_apply_needs_the_adjacency(key):
    model = NMF(dim=2, num_users=6, num_items=5)
    variables = model.init(key)
    assert list(variables) == ["draw"]
    adjacency = adjacency_of(drawn(9)[1])
    np.testing.assert_array_equal(variables["draw"]["key"], model.init(key, adjacency)["draw"]["key"])
    with pytest.raises(MismatchError, match="NMF needs the adjacency"):
        model.apply(variables)
    with pytest.raises(MismatchError, match=r"ratings have shape \(5, 6\), but NMF has 6 users and 5 items"):
        model.apply(variables, adjacency, ratings_of(np.ones((5, 6), np.float32), np.ones((5, 6), bool)))
    with pytest.raises(JaxrecError, match=r"matrix has -1.0 at \(0, 0\)"):
        model.apply(variables, adjacency, ratings_of(-np.ones((6, 5), np.float32), np.ones((6, 5), bool)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dim": 0}, "dim must be at least 1, got 0"),
        ({"iterations": 0}, "iterations must be at least 1, got 0"),
        ({"l2": -0.1}, "l2 must not be negative, got -0.1"),
        ({"tol": -1.0}, "tol must not be negative, got -1.0"),
        ({"objective": "mse"}, "objective must be one of .*'observed'.*, got 'mse'"),
        ({"matrix": "laplacian"}, "matrix must be one of .*, got 'laplacian'"),
        ({"solver": "als"}, "solver must be one of .*, got 'als'"),
    ],
)
def test_bad_options_are_told(options, message):
    with pytest.raises(JaxrecError, match=message):
        NMF(**options)


def test_a_width_over_the_smaller_side_is_told(key):
    with pytest.raises(JaxrecError, match=r"dim must lie in 1..2 for 9 users and 2 items, got 3"):
        NMF(dim=3, num_users=9, num_items=2).init(key)


def test_ratings_of_ml_100k_are_predicted_within_the_bar():
    root = os.environ.get("JAXREC_DATA")
    folder = pathlib.Path(root) if root else pathlib.Path(__file__).parents[3] / "shared" / "data"
    if not (folder / "ml-100k" / "u2.base").is_file():
        pytest.skip("set JAXREC_DATA to a folder that holds ml-100k")
    parts = [np.loadtxt(folder / "ml-100k" / f"u2.{part}", dtype=np.int32) - [1, 1, 0, 0] for part in ("base", "test")]
    (user, item, rating), (test_user, test_item, actual) = (part[:, :3].T for part in parts)
    ratings = sparse.operator(sparse.from_entries(rating.astype(np.float32), user, item, (943, 1682)))
    model = NMF(dim=16, iterations=20, num_users=943, num_items=1682)
    ones = sparse.from_entries(np.ones(len(user), np.float32), user, item, (943, 1682))
    adjacency = sparse.operator(graph.normalized_adjacency(ones), symmetric=True)
    scorer = model.apply(model.init(jax.random.key(0)), adjacency, ratings)
    predicted = scorer.pair_scores(jnp.asarray(test_user, jnp.int32), jnp.asarray(test_item, jnp.int32))
    assert float(rmse(jnp.clip(predicted, 1, 5), jnp.asarray(actual, jnp.float32))) < 0.925
