"""Matrix factorization: the score as it is written, initialization, biases, and the messages of bad options."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrec import MF
from jaxrec.errors import JaxrecError

USERS, ITEMS, DIM = 7, 5, 3


def tables(variables):
    return {name: np.asarray(table, np.float64) for name, table in variables["params"].items()}


def test_parameters_have_one_row_for_each_user_and_item(key):
    variables = MF(dim=DIM, num_users=USERS, num_items=ITEMS).init(key)
    assert set(variables) == {"params"}
    assert {name: table.shape for name, table in variables["params"].items()} == {
        "user_embedding": (USERS, DIM),
        "item_embedding": (ITEMS, DIM),
    }


def test_scores_are_inner_products(key):
    model = MF(dim=DIM, num_users=USERS, num_items=ITEMS)
    variables = model.init(key)
    users, items = model.apply(variables)
    own = tables(variables)
    np.testing.assert_array_equal(users, own["user_embedding"])
    np.testing.assert_array_equal(items, own["item_embedding"])
    scores = model.apply(variables, method="scorer").scores(jnp.arange(USERS, dtype=jnp.int32))
    np.testing.assert_allclose(scores, own["user_embedding"] @ own["item_embedding"].T, rtol=1e-5, atol=1e-7)


def test_with_biases_the_score_is_mean_and_biases_and_the_inner_product(key):
    model = MF(dim=DIM, bias=True, mean=3.5, num_users=USERS, num_items=ITEMS)
    variables = model.init(key)
    own = tables(variables)
    for name, table in own.items():
        if table.size in (USERS, ITEMS):  # biases begin at one value, so they are given different ones here
            own[name] = np.arange(table.size).reshape(table.shape) / 10
    variables = {"params": {name: jnp.asarray(table, jnp.float32) for name, table in own.items()}}
    p, q = own["user_embedding"], own["item_embedding"]
    b_u, b_i = own["user_bias"].ravel(), own["item_bias"].ravel()
    users, items = model.apply(variables)
    assert users.shape == (USERS, DIM + 2)
    assert items.shape == (ITEMS, DIM + 2)
    expected = 3.5 + b_u[:, None] + b_i[None] + p @ q.T
    np.testing.assert_allclose(np.asarray(users) @ np.asarray(items).T, expected, rtol=1e-5)
    scorer = model.apply(variables, method="scorer")
    assert scorer.dim == DIM
    every = jnp.arange(USERS, dtype=jnp.int32)
    np.testing.assert_allclose(scorer.scores(every), expected, rtol=1e-5)
    pairs = scorer.pair_scores(every[:ITEMS], jnp.arange(ITEMS, dtype=jnp.int32))
    np.testing.assert_allclose(pairs, np.diagonal(expected), rtol=1e-5)


def test_similar_items_are_compared_by_embedding_alone(key):
    model = MF(dim=DIM, bias=True, mean=3.0, num_users=USERS, num_items=ITEMS)
    variables = model.init(key)
    q = tables(variables)["item_embedding"]
    lengths = np.linalg.norm(q, axis=1)
    expected = (q @ q.T) / lengths[:, None] / lengths[None]
    got = model.apply(variables, method="scorer").similarities(jnp.array([0, 3], jnp.int32))
    np.testing.assert_allclose(got, expected[[0, 3]], rtol=1e-5, atol=1e-6)


def test_a_zero_vector_is_like_nothing():
    model = MF(dim=2, num_users=1, num_items=2)
    variables = {"params": {"user_embedding": jnp.ones((1, 2)), "item_embedding": jnp.array([[0.0, 0.0], [1.0, 0.0]])}}
    got = model.apply(variables, method="scorer").similarities(jnp.array([0, 1], jnp.int32))
    np.testing.assert_allclose(got, [[0, 0], [0, 1]], atol=1e-6)


def test_the_embeddings_are_what_is_learnt_with_biases_last(key):
    variables = MF(dim=DIM, num_users=USERS, num_items=ITEMS).init(key)
    users, items = MF(dim=DIM, num_users=USERS, num_items=ITEMS).apply(variables, method="embeddings")
    np.testing.assert_array_equal(users, variables["params"]["user_embedding"])
    np.testing.assert_array_equal(items, variables["params"]["item_embedding"])
    model = MF(dim=DIM, bias=True, num_users=USERS, num_items=ITEMS)
    variables = model.init(key)
    variables = {"params": variables["params"] | {"item_bias": jnp.ones_like(variables["params"]["item_bias"])}}
    users, items = model.apply(variables, method="embeddings")
    assert users.shape == (USERS, DIM + 1)
    np.testing.assert_array_equal(items[:, :DIM], variables["params"]["item_embedding"])
    np.testing.assert_array_equal(items[:, DIM], 1)


def test_normal_has_the_standard_deviation_that_is_asked_for(key):
    params = jax.device_get(MF(dim=64, scale=0.3, num_users=400, num_items=300).init(key)["params"])
    for table in params.values():  # n = 25,600 and 19,200 draws: the error of the deviation is below 1%
        np.testing.assert_allclose(np.std(table), 0.3, rtol=0.02)
        assert abs(np.mean(table)) < 0.01
    assert np.any(params["user_embedding"][:300] != params["item_embedding"])


def test_xavier_is_uniform_within_its_bound(key):
    params = jax.device_get(MF(dim=64, initializer="xavier", num_users=400, num_items=300).init(key)["params"])
    for table in params.values():
        bound = np.sqrt(6 / (table.shape[0] + 64))
        assert np.abs(table).max() <= bound
        assert np.abs(table).max() > 0.99 * bound
        np.testing.assert_allclose(np.std(table), bound / np.sqrt(3), rtol=0.02)  # of a uniform distribution


BAD = {
    "dim": ({"dim": 0}, "dim must be at least 1, got 0"),
    "scale": ({"scale": -0.1}, "scale.*-0.1"),
    "initializer": ({"initializer": "he"}, "initializer.*'he'"),
    "mean": ({"mean": 3.0}, "mean.*3.0.*bias"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_options_raise(name):
    options, message = BAD[name]
    with pytest.raises(JaxrecError, match=message):
        MF(**options)


def test_unset_sizes_raise(key):
    with pytest.raises(JaxrecError, match="num_users"):
        MF(dim=2).init(key)


def test_the_model_works_under_jit_and_vmap_over_seeds(key):
    model = MF(dim=DIM, num_users=USERS, num_items=ITEMS)
    keys = jax.random.split(key, 3)
    several = jax.jit(jax.vmap(lambda key: model.apply(model.init(key))))(keys)
    for at in range(3):
        one = jax.jit(lambda key: model.apply(model.init(key)))(keys[at])
        for stacked, alone in zip(several, one, strict=True):
            np.testing.assert_allclose(stacked[at], alone, rtol=1e-6)
