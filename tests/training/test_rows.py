"""Row-sparse SGD: the same numbers as the dense step, and only the rows of the batch are touched."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxrec
from jaxrec.errors import JaxrecError
from jaxrec.losses import BPR, Logistic, NormL2, SquaredError, SquaredL2
from jaxrec.training import SGD, Batch, Objective, RowStep, init_state, make_step, train_data


@pytest.mark.parametrize(
    ("bias", "loss", "regularizer"),
    [
        (False, SquaredError(), SquaredL2(0.1)),
        pytest.param(True, SquaredError(), NormL2(0.1), marks=pytest.mark.slow),  # each of these is in another case
        (False, BPR(), NormL2(0.1)),
        (True, Logistic(), SquaredL2(0.1)),
    ],
)
def test_a_fit_is_the_same_as_with_dense_updates(data, bias, loss, regularizer):
    options = {"loss": loss, "regularizer": regularizer, "batch_size": 16, "epochs": 3, "key": jax.random.key(1)}
    model = jaxrec.MF(dim=4, bias=bias)
    dense, sparse = (
        jaxrec.fit(model, data, optimizer=SGD(0.02, decay=0.9, sparse=sparse), **options).variables
        for sparse in (False, True)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6), dense, sparse)


def test_rows_outside_the_batch_keep_their_bits(data):
    model = jaxrec.MF(dim=4, num_users=data.num_users, num_items=data.num_items)
    tables = train_data(data)
    state = init_state(model.init(jax.random.key(0))["params"], optax.sgd(0.1), jax.random.key(1))
    batch = Batch(jnp.array([3, 3]), jnp.array([5, 7]), None, jnp.array([[9], [5]]), jnp.array([True, True]))
    after, _ = RowStep(Objective(model, BPR()), SGD(0.1, sparse=True))(state, batch, tables)
    changed = {name: np.flatnonzero((after.params[name] != state.params[name]).any(axis=1)) for name in after.params}
    assert changed["user_embedding"].tolist() == [3]
    assert changed["item_embedding"].tolist() == [5, 7, 9]


def test_a_row_that_occurs_twice_gets_the_sum_of_its_gradients(data):
    model = jaxrec.MF(dim=4, num_users=data.num_users, num_items=data.num_items)
    tables = train_data(data)
    objective = Objective(model, SquaredError(), reduction="sum")
    params = model.init(jax.random.key(0))["params"]
    batch = Batch(
        jnp.array([2, 2]),
        jnp.array([4, 4]),
        jnp.array([5.0, 1.0]),
        jnp.zeros((2, 0), jnp.int32),
        jnp.array([True, True]),
    )
    state = init_state(params, optax.sgd(0.1), jax.random.key(1))
    after, _ = RowStep(objective, SGD(0.1, sparse=True))(state, batch, tables)
    p, q = np.asarray(params["user_embedding"][2]), np.asarray(params["item_embedding"][4])
    gradient = sum(2 * (p @ q - rating) * q for rating in (5.0, 1.0))
    np.testing.assert_allclose(after.params["user_embedding"][2], p - 0.1 * gradient, rtol=1e-5)
    dense, _ = make_step(objective, optax.sgd(0.1))(
        init_state(params, optax.sgd(0.1), jax.random.key(1)), batch, tables
    )
    np.testing.assert_allclose(after.params["user_embedding"], dense.params["user_embedding"], rtol=1e-5)


def test_models_that_mix_rows_are_refused():
    with pytest.raises(JaxrecError, match=r"row-sparse steps are for models whose vectors are rows.*LightGCN"):
        RowStep(Objective(jaxrec.LightGCN(num_users=2, num_items=2), BPR()), SGD(0.1, sparse=True))
