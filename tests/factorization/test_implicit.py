"""Implicit ALS against dense alternating least squares in float64, the gradient at its half-steps, and its blocks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.factorization import implicit_als, implicit_als_objective
from jaxrec.factorization._implicit import rungs_of
from jaxrec.factorization._implicit_start import start
from jaxrec.factorization._systems import positive_solve
from jaxrec.sparse import from_dense, operator

ROWS, COLUMNS = 40, 24
NUMBERS = {"unobserved": 0.05, "l2": 0.02, "frequency": 0.5}


def weights(rows=ROWS, columns=COLUMNS, share=0.2, seed=0):
    rng = np.random.default_rng(seed)
    c = (rng.random((rows, columns)) < share) * rng.uniform(0.5, 3, (rows, columns))
    c[7], c[3], c[:, 5] = 1, 0, 0  # a row with all, a row and a column without entries
    return c.astype(np.float32)


def penalties(c, unobserved, l2, frequency):
    return tuple(l2 * ((c > 0).sum(axis) + unobserved * c.shape[axis]) ** frequency for axis in (1, 0))


def dense_objective(c, users, items, *, unobserved, l2, frequency):
    """The sum over all pairs, written out."""
    total, scores = 0.0, users @ items.T
    for u in range(c.shape[0]):
        for i in range(c.shape[1]):
            total += c[u, i] * (1 - scores[u, i]) ** 2 + unobserved * scores[u, i] ** 2
    of_users, of_items = penalties(c, unobserved, l2, frequency)
    return total + of_users @ np.sum(users**2, axis=1) + of_items @ np.sum(items**2, axis=1)


def dense_half_step(c, other, ridge, unobserved):
    """The normal equations of each row over all columns (Hu et al., equation 4)."""
    out = np.zeros((c.shape[0], other.shape[1]))
    for u, row in enumerate(c.astype(np.float64)):
        gram = other.T @ (other * (row + unobserved)[:, None])
        out[u] = np.linalg.solve(gram + ridge[u] * np.eye(other.shape[1]), other.T @ row)
    return out


def dense_als(c, dim, key, iterations, *, unobserved, l2, frequency, scale=0.1):
    of_users, of_items = penalties(c, unobserved, l2, frequency)
    users = np.asarray(jax.random.normal(key, (c.shape[0], dim)), np.float64) * scale / np.sqrt(dim)
    for _ in range(iterations):
        items = dense_half_step(c.T, users, of_items, unobserved)
        users = dense_half_step(c, items, of_users, unobserved)
    return users, items


DIMS = [1, 2, 7, 8, 31, 64, 200, *(pytest.param(dim, marks=pytest.mark.slow) for dim in (512, 1024, 2048))]


@pytest.mark.parametrize("dim", DIMS)
def test_the_scores_and_the_objective_are_those_of_dense_als(dim):
    c, key = weights(), jax.random.key(dim)
    made = implicit_als(from_dense(c), dim, key, iterations=2, power_iterations=0, scale=0.1, **NUMBERS)
    users, items = dense_als(c, dim, key, 2, **NUMBERS)
    np.testing.assert_allclose(made.users @ made.items.T, users @ items.T, rtol=1e-3, atol=1e-4)
    expected = dense_objective(c, users, items, **NUMBERS)
    found = implicit_als_objective(from_dense(c), made.users, made.items, **NUMBERS)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("dim", [3, 30, 210])
def test_the_gradient_in_the_users_is_zero(dim):
    c = weights(60, 230, share=0.5)  # rows longer and shorter than dim
    made = implicit_als(from_dense(c), dim, jax.random.key(0), iterations=1, **NUMBERS)
    x = operator(from_dense(c))

    def objective(users):
        return implicit_als_objective(x, users, made.items, **NUMBERS)

    at_minimum = np.asarray(jax.grad(objective)(made.users))
    at_zero = np.asarray(jax.grad(objective)(jnp.zeros_like(made.users)))
    assert np.abs(at_minimum).max() < 1e-5 * np.abs(at_zero).max()


def test_no_iteration_raises_the_objective():
    x = operator(from_dense(weights()))
    made = [implicit_als(x, 8, jax.random.key(0), iterations=n, **NUMBERS) for n in range(1, 7)]
    values = np.array([implicit_als_objective(x, each.users, each.items, **NUMBERS) for each in made])
    assert (np.diff(values) < 1e-5 * values[0]).all()
    assert values[-1] < 0.99 * values[0]


@pytest.mark.parametrize("dim", [1, 3, 24])
def test_the_start_is_near_the_leading_singular_vectors(dim):
    """All of them at 24 columns, of which one has no entry: the last singular value is 0."""
    c = weights()
    sums = [c.sum(axis, dtype=np.float64, keepdims=True) for axis in (1, 0)]
    roots = [np.where(each > 0, np.where(each > 0, each, 1) ** -0.4, 0) for each in sums]
    left, values, _ = np.linalg.svd(roots[0] * c * roots[1])
    expected = left[:, :dim] * np.sqrt(values[:dim])
    expected *= 0.5 / np.sqrt(np.square(expected).sum() / ROWS)
    made = start(operator(from_dense(c)), jax.random.key(2), jnp.float32(0.5), dim=dim, power_iterations=60)
    np.testing.assert_allclose(made @ made.T, expected @ expected.T, atol=2e-3 * np.square(expected).max())
    assert not np.any(made[3])


def test_without_any_weight_the_start_and_all_vectors_are_zero():
    x = operator(from_dense(weights()))
    nothing = type(x)(0 * x.data, x.rows, x.columns, x.indptr, (0 * x.data, *x.transposed[1:]), x.shape)
    made = implicit_als(nothing, 4, jax.random.key(0), **NUMBERS)
    assert not np.any(made.users)
    assert not np.any(made.items)


def test_one_iteration_from_the_start_goes_further_than_from_random_values():
    x = operator(from_dense(weights()))
    first, random = (
        implicit_als(x, 8, jax.random.key(0), iterations=1, power_iterations=power, **NUMBERS) for power in (1, 0)
    )
    values = [implicit_als_objective(x, made.users, made.items, **NUMBERS) for made in (first, random)]
    assert values[0] < values[1]


def test_vectors_are_in_the_eigenbasis_of_the_items_and_empty_rows_are_zero():
    made = implicit_als(from_dense(weights()), 6, jax.random.key(0), **NUMBERS)
    gram = np.asarray(made.items.T @ made.items)
    np.testing.assert_allclose(gram, np.diag(np.diagonal(gram)), atol=1e-5 * gram.max())
    assert not np.any(made.users[3])
    assert not np.any(made.items[5])
    assert np.any(made.users[7])


def test_a_weight_of_zero_is_a_pair_that_does_not_occur_but_for_the_penalty():
    c = weights()
    stored = operator(from_dense(np.where(c > 0, c, 1).astype(np.float32)))
    some = jnp.where(jnp.asarray(c)[stored.rows, stored.columns] > 0, stored.data, 0)
    backward = (jnp.asarray(c)[stored.T.columns, stored.T.rows], *stored.transposed[1:])
    holed = type(stored)(some, stored.rows, stored.columns, stored.indptr, backward, stored.shape)
    numbers = {**NUMBERS, "frequency": 0.0}  # n counts stored entries
    one, other = (implicit_als(x, 5, jax.random.key(1), iterations=3, **numbers) for x in (from_dense(c), holed))
    np.testing.assert_allclose(one.users @ one.items.T, other.users @ other.items.T, atol=1e-5)


@pytest.mark.parametrize("size", [1, 5, 192, 193, 256, 300])
def test_systems_of_every_size_are_solved(size):
    rng = np.random.default_rng(size)
    root = rng.normal(size=(2, size, size + 3)) / np.sqrt(size)
    matrix, right = 20 * root @ root.transpose(0, 2, 1), rng.normal(size=(2, size))
    found = jax.jit(positive_solve)(jnp.asarray(matrix, jnp.float32), jnp.asarray(right, jnp.float32))
    expected = np.linalg.solve(matrix + np.eye(size), right[:, :, None])[:, :, 0]
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("dim", [4, 64, 1000])
def test_a_few_lengths_hold_all_rows(dim):
    lengths = np.random.default_rng(0).zipf(1.5, 5000).clip(max=3000) - 1
    plan = rungs_of(lengths, dim)
    rungs = [length for length, _ in plan]
    assert rungs == sorted(set(rungs))
    assert len(rungs) <= 10
    assert rungs[-1] >= lengths.max()
    assert all(block >= 1 and length % 8 == 0 for length, block in plan)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dim": 0}, "dim must be a whole number of at least 1, got 0"),
        ({"iterations": 0}, "iterations must be a whole number of at least 1, got 0"),
        ({"power_iterations": -1}, "power_iterations must be a whole number of at least 0, got -1"),
        ({"l2": 0.0}, "l2 must be a finite number above 0, got 0.0"),
        ({"unobserved": -1.0}, "unobserved must be a finite number of at least 0, got -1.0"),
        ({"frequency": -0.5}, "frequency must be a finite number of at least 0, got -0.5"),
        ({"scale": 0.0}, "scale must be a finite number above 0, got 0.0"),
        ({"matrix": from_dense(np.zeros((2, 2), np.float32))}, "no entry"),
        ({"matrix": from_dense(np.float32([[1, -2]]))}, "finite and not negative, got -2.0 to 1.0"),
    ],
)
def test_bad_arguments_raise(changes, message):
    given = {"matrix": from_dense(np.float32([[1, 2]])), "dim": 2, "key": jax.random.key(0), **changes}
    with pytest.raises(JaxrecError, match=message):
        implicit_als(**given)


def test_another_dtype_raises():
    with pytest.raises(MismatchError, match="matrix must be float32, got int32"):
        implicit_als(from_dense(np.array([[1, 2]], np.int32)), 2, jax.random.key(0))
