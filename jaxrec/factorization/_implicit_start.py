"""Where implicit ALS starts: users near the leading singular vectors, by block power iterations."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec.sparse import SparseOperator, spmm

_START = -0.4  # power of the sums of rows in the start; -.5 is as good for some data and worse for other


@functools.partial(jax.jit, static_argnames=("dim", "power_iterations"))
def start(x: SparseOperator, key: jax.Array, scale: jax.Array, *, dim: int, power_iterations: int) -> jax.Array:
    """The users' vectors [P, d] before the first iteration, see `implicit_als`."""
    num_users, num_items = x.shape
    if power_iterations == 0:
        return scale / np.sqrt(dim) * jax.random.normal(key, (num_users, dim), jnp.float32)
    roots = [_powers_of_sums(side) for side in (x, x.T)]

    def to_users(items: jax.Array) -> jax.Array:
        return roots[0] * spmm(x, roots[1] * items)

    def body(_: int, users: jax.Array) -> jax.Array:
        return to_users(_orthonormal(roots[1] * spmm(x.T, roots[0] * _orthonormal(users)[0]))[0])

    users = to_users(jax.random.normal(key, (num_items, dim), jnp.float32))
    vectors, values = _orthonormal(jax.lax.fori_loop(0, power_iterations, body, users))
    vectors = vectors * jnp.sqrt(values)[None, :]
    size = jnp.sqrt(jnp.sum(jnp.square(vectors)) / num_users)
    return vectors * (scale / jnp.where(size > 0, size, 1))  # without any weight above 0, all vectors are 0


def _powers_of_sums(x: SparseOperator) -> jax.Array:
    """The sums of the rows to the power -.4, [P, 1]; 0 for a row without."""
    sums = spmm(x, jnp.ones((x.shape[1], 1), x.data.dtype))
    return jnp.where(sums > 0, jnp.where(sums > 0, sums, 1) ** _START, 0)


def _orthonormal(table: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Orthonormal columns [n, d] of the same span, by the eigenvectors of the Gram matrix; and the singular values."""
    turned, spectrum = rotated(table)
    values = jnp.sqrt(jnp.maximum(spectrum, 1e-9 * jnp.max(spectrum)))
    return turned / jnp.where(values > 0, values, 1)[None, :], values


@jax.jit
def rotated(table: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A table [n, d] in the eigenbasis of its Gram matrix, and the eigenvalues [d].

    >>> rotated(jnp.eye(2))[1].tolist()
    [1.0, 1.0]
    """
    spectrum, basis = jnp.linalg.eigh(jnp.matmul(table.T, table, precision="highest"))
    return jnp.matmul(table, basis, precision="highest"), jnp.maximum(spectrum, 0)
