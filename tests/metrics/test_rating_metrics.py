"""Rating metrics: values as arithmetic, masks, gradients, and agreement with the slow twins."""

import math

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import metrics as slow

from jaxrec.errors import MismatchError
from jaxrec.metrics import mae, rmse

fast_rmse, fast_mae = jax.jit(rmse), jax.jit(mae)
pairs = st.lists(
    st.tuples(st.floats(-5, 5, width=32), st.floats(-5, 5, width=32), st.booleans()), min_size=9, max_size=9
)


def test_values_are_the_formula():
    predicted, actual = jnp.array([3.0, 5.0, 1.0]), jnp.array([4.0, 3.0, 1.0])
    np.testing.assert_allclose(fast_rmse(predicted, actual), math.sqrt((1**2 + 2**2 + 0**2) / 3), rtol=1e-6)
    np.testing.assert_allclose(fast_mae(predicted, actual), (1 + 2 + 0) / 3, rtol=1e-6)


def test_integer_ratings_are_read_as_numbers():
    assert fast_rmse(jnp.array([3.0]), jnp.array([4], jnp.int32)) == 1.0


@hypothesis.given(pairs)
def test_agree_with_the_slow_twins(example):
    predicted, actual, where = (np.array(column) for column in zip(*example, strict=True))
    predicted, actual = predicted.astype(np.float32), actual.astype(np.float32)
    for fast, twin in ((fast_rmse, slow.rmse), (fast_mae, slow.mae)):
        expected = twin(predicted.tolist(), actual.tolist(), where)
        np.testing.assert_allclose(fast(predicted, actual, where=where), expected, rtol=1e-5, atol=1e-6)


@hypothesis.given(pairs)
def test_rmse_is_at_least_mae(example):
    predicted, actual, _ = (np.array(column, np.float32) for column in zip(*example, strict=True))
    assert float(fast_rmse(predicted, actual)) >= float(fast_mae(predicted, actual)) * (1 - 1e-5)


@pytest.mark.parametrize("metric", [rmse, mae])
def test_masked_pairs_reach_neither_value_nor_gradient(metric):
    predicted, actual = jnp.array([3.0, jnp.nan, 2.0]), jnp.array([4.0, 1.0, jnp.nan])
    where = jnp.array([True, False, False])
    value, slope = jax.jit(jax.value_and_grad(lambda p: metric(p, actual, where=where)))(predicted)
    assert value == 1.0
    np.testing.assert_array_equal(slope, [-1.0, 0.0, 0.0])


@pytest.mark.parametrize("metric", [rmse, mae])
def test_all_masked_gives_a_finite_zero(metric):
    predicted = jnp.array([3.0, jnp.nan])
    value, slope = jax.jit(jax.value_and_grad(lambda p: metric(p, jnp.ones(2), where=jnp.zeros(2, bool))))(predicted)
    assert value == 0.0
    np.testing.assert_array_equal(slope, [0.0, 0.0])


def test_the_gradient_of_a_perfect_prediction_is_finite():
    assert np.isfinite(jax.jit(jax.grad(lambda p: rmse(p, jnp.ones(2))))(jnp.ones(2))).all()


@pytest.mark.parametrize("metric", [rmse, mae])
def test_shapes_that_differ_are_refused(metric):
    with pytest.raises(MismatchError, match=r"the shapes differ or are not \[n\]: predicted \(2,\), actual \(3,\)"):
        metric(jnp.ones(2), jnp.ones(3))
    with pytest.raises(MismatchError, match=r"where \(1,\); pass one prediction for each rating"):
        metric(jnp.ones(2), jnp.ones(2), where=jnp.ones(1, bool))
