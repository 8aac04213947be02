"""Cosines and inner products of vectors with others of their own, beside NumPy and beside unit vectors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrec.vectors import cosines, inner_products, unit

RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(5, 4)).astype(np.float32)
OTHERS = RNG.normal(size=(5, 3, 4)).astype(np.float32)


def by_numpy(vectors, others):
    vectors, others = np.float64(vectors), np.float64(others)
    lengths = np.linalg.norm(vectors, axis=-1)[..., None] * np.linalg.norm(others, axis=-1)
    return np.sum(vectors[..., None, :] * others, axis=-1) / np.where(lengths > 0, lengths, 1)


def by_unit_vectors(vectors, others):
    return jnp.sum(unit(vectors)[..., None, :] * unit(others), axis=-1)


def test_inner_products_are_those_of_each_vector_with_its_others():
    expected = [[VECTORS[b] @ OTHERS[b, m] for m in range(3)] for b in range(5)]
    np.testing.assert_allclose(inner_products(VECTORS, OTHERS), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(inner_products(VECTORS[0], OTHERS[0]), expected[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [1.0, 1e-35, 1e-30, 1e30, 1e37])
def test_cosines_do_not_depend_on_lengths(size):
    small = np.float32(size) * OTHERS
    np.testing.assert_allclose(cosines(VECTORS, small), by_numpy(VECTORS, OTHERS), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(cosines(np.float32(size) * VECTORS, OTHERS), by_numpy(VECTORS, OTHERS), rtol=1e-5)


@pytest.mark.parametrize("size", [0.0, 1e-42])
def test_with_a_vector_of_no_length_the_cosine_and_its_gradient_are_0(size):
    others = OTHERS.copy()
    others[2, 1] = size
    value, slopes = jax.value_and_grad(lambda *both: jnp.sum(cosines(*both) ** 2), argnums=(0, 1))(VECTORS, others)
    assert np.isfinite(value)
    assert cosines(VECTORS, others)[2, 1] == 0
    assert (slopes[1][2, 1] == 0).all()
    assert all(np.isfinite(slope).all() for slope in slopes)


def test_the_gradient_is_that_of_unit_vectors():
    def slopes(function):
        return jax.grad(lambda *both: jnp.sum(jnp.sin(3 * function(*both))), argnums=(0, 1))(VECTORS, OTHERS)

    for mine, twin in zip(slopes(cosines), slopes(by_unit_vectors), strict=True):
        np.testing.assert_allclose(mine, twin, rtol=1e-4, atol=1e-5)
