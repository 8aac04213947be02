"""SVD++ against a slow NumPy version: values, the penalty on y, and the gradient of the whole loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrec
from jaxrec.errors import JaxrecError
from jaxrec.losses import SquaredError, SquaredL2
from jaxrec.training import SGD, Batch, Objective, train_data

RATINGS = [[4, 5, 3, 4], [5, 3, 4, 1], [3, 2, 5, 5], [4, 2, 3, 1]]


def predict(params, history, mean, user, item):
    """Equation 15 of Koren (KDD 2008), one pair at a time."""
    sums = sum((params["implicit_embedding"][j] for j in history[user]), np.zeros(params["user_embedding"].shape[1]))
    vector = params["user_embedding"][user] + sums / np.sqrt(max(len(history[user]), 1))
    biases = params["user_bias"][user] + params["item_bias"][item]
    return mean + biases + vector @ params["item_embedding"][item]


@pytest.fixture
def setting():
    rng = np.random.default_rng(0)
    pairs = np.array([(0, 0), (0, 2), (1, 1), (1, 2), (1, 3), (2, 0)])
    data = jaxrec.from_arrays(pairs[:, 0], pairs[:, 1], rng.integers(1, 6, len(pairs)))
    model = jaxrec.SVDPP(dim=3, mean=3.0, implicit_l2=0.5, num_users=3, num_items=4)
    tables = train_data(data)
    shapes = jax.eval_shape(model.init, jax.random.key(0), tables.adjacency)["params"]
    params = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), jnp.float32), shapes)
    history = {user: pairs[pairs[:, 0] == user, 1] for user in range(3)}
    return data, model, tables, params, history


def test_scores_are_those_of_the_formula(setting):
    _, model, tables, params, history = setting
    users, items = jax.device_get(jax.jit(model.apply)({"params": params}, tables.adjacency))
    expected = [[predict(jax.tree.map(np.asarray, params), history, 3.0, u, i) for i in range(4)] for u in range(3)]
    np.testing.assert_allclose(users @ items.T, expected, rtol=1e-5)


def test_the_loss_and_its_gradient_are_those_of_central_differences(setting):
    data, model, tables, params, history = setting
    objective = Objective(model, SquaredError(), SquaredL2(0.3))
    batch = Batch(tables.user, tables.item, tables.rating, np.zeros((6, 0), np.int32), np.arange(6) != 4)
    counted = [row for row in range(6) if row != 4]

    def slow(tree):
        total = 0.0
        for row in counted:
            user, item, rating = data.user[row], data.item[row], data.rating[row]
            total += (predict(tree, history, 3.0, user, item) - rating) ** 2
            own = [tree["user_embedding"][user], tree["item_embedding"][item]]
            own += [tree["user_bias"][user : user + 1], tree["item_bias"][item : item + 1]]
            total += 0.3 / 2 * sum(np.sum(part**2) for part in own)
            total += 0.5 / 2 * sum(np.sum(tree["implicit_embedding"][j] ** 2) for j in history[user])
        return total / len(counted)

    slopes = jax.jit(jax.value_and_grad(objective, has_aux=True))
    (loss, _), gradient = jax.device_get(slopes(params, tables, batch, jax.random.key(0)))
    wide = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    np.testing.assert_allclose(loss, slow(wide), rtol=1e-5)
    for name, table in wide.items():
        for place in np.ndindex(table.shape):
            kept = table[place]
            table[place] = kept + 1e-5
            above = slow(wide)
            table[place] = kept - 1e-5
            below = slow(wide)
            table[place] = kept
            np.testing.assert_allclose(gradient[name][place], (above - below) / 2e-5, rtol=1e-4, atol=1e-5)


def test_items_and_users_without_ratings_get_the_mean_and_the_other_bias():
    data = jaxrec.from_arrays([0, 0, 1, 1, 2], [0, 1, 0, 1, 2], [5, 4, 3, 2, 1])
    train = data.select([0, 1, 2, 3])
    options = jaxrec.TrainingOptions(loss=SquaredError(), optimizer=SGD(0.1), batch_size=2, epochs=5)
    model = jaxrec.fit(jaxrec.SVDPP(dim=2, scale=1.0), train, options, key=jax.random.key(0))
    params = jax.device_get(model.variables["params"])
    assert model.model.mean == pytest.approx(3.5)
    predicted = np.asarray(model.scorer.scores(jnp.arange(3, dtype=jnp.int32)))
    np.testing.assert_allclose(predicted[:, 2], 3.5 + params["user_bias"], rtol=1e-5)
    np.testing.assert_allclose(predicted[2], 3.5 + params["item_bias"], rtol=1e-5)


def test_the_four_by_four_ratings_are_learnt():
    users, items = (index.ravel() for index in np.indices((4, 4)))
    ratings = np.array(RATINGS, float)
    data = jaxrec.from_arrays(users, items, ratings.ravel())
    optimizer = SGD(0.01, momentum=0.9)
    options = jaxrec.TrainingOptions(
        loss=SquaredError(), optimizer=optimizer, regularizer=None, batch_size=10, epochs=300
    )
    records = jaxrec.fit(jaxrec.SVDPP(dim=10, mean=3.0), data, options, key=jax.random.key(0)).info["records"]
    # After 30 epochs it is better than the mean, and in the end than the best sum of two biases: the factors learn.
    additive = ratings.mean(axis=1, keepdims=True) + ratings.mean(axis=0, keepdims=True) - ratings.mean()
    assert records[29]["ranking"] < np.var(ratings)
    assert records[-1]["ranking"] < np.mean((ratings - additive) ** 2)


def test_a_negative_penalty_is_refused():
    with pytest.raises(JaxrecError, match="implicit_l2 must not be negative, got -1"):
        jaxrec.SVDPP(implicit_l2=-1.0)
