"""EASE against its closed form in float64, its optimality, and the messages of bad options."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrec
from jaxrec import EASE
from jaxrec.errors import JaxrecError
from jaxrec.training import train_data

USERS, ITEMS = 30, 8


def random_x(seed=0):
    x = (np.random.default_rng(seed).random((USERS, ITEMS)) < 0.4).astype(np.float64)
    x[4], x[:, 3] = 0, 0
    return x


def fitted(x, l2):
    data = jaxrec.from_arrays(*np.indices(x.shape).reshape(2, -1)).select(x.ravel() > 0)
    return EASE(l2=l2, num_users=USERS, num_items=ITEMS).apply({}, train_data(data).adjacency)


def closed_form(x, l2):
    """B_ij = -P_ij / P_jj off the diagonal, P = (X^T X + l2 I)^-1 (Steck, equation 8)."""
    p = np.linalg.inv(x.T @ x + l2 * np.eye(x.shape[1]))
    b = np.zeros(p.shape)
    for i in range(len(b)):
        for j in range(len(b)):
            if i != j:
                b[i, j] = -p[i, j] / p[j, j]
    return b


@pytest.mark.parametrize("l2", [0.5, 10.0, 300.0])
def test_weights_and_scores_are_the_closed_form(l2):
    x = random_x()
    scorer = fitted(x, l2)
    b = closed_form(x, l2)
    np.testing.assert_allclose(scorer.weights, b, rtol=1e-4, atol=1e-6)
    assert not np.any(np.diagonal(scorer.weights))
    scores = scorer.scores(jnp.arange(USERS, dtype=jnp.int32))
    np.testing.assert_allclose(scores, x @ b, rtol=1e-4, atol=1e-5)


def test_no_other_weights_with_a_zero_diagonal_cost_less():
    x, l2 = random_x(), 5.0

    def cost(b):
        return np.sum((x - x @ b) ** 2) + l2 * np.sum(b**2)

    b = np.asarray(fitted(x, l2).weights, np.float64)
    rng = np.random.default_rng(1)
    for _ in range(20):
        step = rng.normal(size=b.shape) * 0.01
        np.fill_diagonal(step, 0)
        assert cost(b) < cost(b + step)


def test_an_item_that_nobody_has_has_no_weights():
    weights = fitted(random_x(), 1.0).weights
    assert not np.any(weights[3])
    assert not np.any(weights[:, 3])


@pytest.mark.parametrize("l2", [0.0, -1.0])
def test_an_l2_that_is_not_positive_raises(l2):
    with pytest.raises(JaxrecError, match=f"l2 must be positive, got {l2}"):
        EASE(l2=l2)


def test_a_catalogue_that_is_too_large_raises_and_says_how_much_memory_it_needs():
    data = jaxrec.from_arrays([0, 0, 1], [0, 1, 2])
    with pytest.raises(JaxrecError, match=r"GiB for 3 items.*max_items=2 allows; raise max_items"):
        jaxrec.fit(EASE(max_items=2), data, key=jax.random.key(0))
