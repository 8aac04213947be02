"""Spectral theory of sparse matrices, without ever making them dense."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from jaxrec.errors import JaxrecError
from jaxrec.sparse import SparseMatrix, SparseOperator, operator, spmm


def truncated_svd(
    matrix: SparseMatrix, rank: int, key: jax.Array, *, oversampling: int = 16, iterations: int = 8
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The leading singular triplets of a sparse matrix, M ~ U diag(s) V^T, by randomised subspace iteration.

    Args:
      matrix: BCOO or operator [M, N], float32.
      rank: how many triplets r, at most min(M, N).
      key: consumed.
      oversampling: further columns that the iteration carries along; more are more accurate.
      iterations: products with M M^T; more are more accurate, above all where singular values lie close together.

    Returns:
      (u [M, r], s [r] descending, vt [r, N]). The largest entry of each row of vt is positive, which fixes the signs.

    Raises:
      JaxrecError: a rank outside 1..min(M, N).

    Source: Halko, Martinsson and Tropp, SIAM Review 53(2), 2011, algorithms 4.4 and 5.1.

    >>> from jaxrec.sparse import from_dense
    >>> u, s, vt = truncated_svd(from_dense(jnp.diag(jnp.array([1.0, 3.0, 2.0]))), 2, jax.random.key(0))
    >>> s.round(4).tolist()
    [3.0, 2.0]
    """
    smaller = min(matrix.shape)
    if not 1 <= rank <= smaller:
        raise JaxrecError(f"rank must lie in 1..{smaller} for a matrix of shape {matrix.shape}, got {rank}")
    return _truncated_svd(operator(matrix), rank, min(rank + oversampling, smaller), iterations, key)


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def _truncated_svd(
    matrix: SparseOperator, rank: int, width: int, iterations: int, key: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    start = jax.random.normal(key, (matrix.shape[1], width), matrix.data.dtype)

    def iterate(_: jax.Array, right: jax.Array) -> jax.Array:
        return _rotated_apart(spmm(matrix.T, _rotated_apart(spmm(matrix, right))))

    right = jax.lax.fori_loop(0, iterations, iterate, _rotated_apart(start))
    left = _rotated_apart(_rotated_apart(spmm(matrix, right)))  # the second time rounding is all that is left
    basis, triangle = jnp.linalg.qr(spmm(matrix.T, left))  # M^T Q = basis triangle, so Q^T M = triangle^T basis^T
    u, s, vt = jnp.linalg.svd(triangle.T)
    u, s, vt = left @ u[:, :rank], s[:rank], vt[:rank] @ basis.T
    largest = jnp.take_along_axis(vt, jnp.argmax(jnp.abs(vt), axis=1, keepdims=True), axis=1)
    signs = jnp.where(largest < 0, jnp.array(-1, s.dtype), jnp.array(1, s.dtype))
    return u * signs.T, s, vt * signs


def _rotated_apart(block: jax.Array) -> jax.Array:
    """Columns that span the same space and are orthonormal up to rounding times the square of the block's condition.

    By the eigenvectors of the small Gram matrix, which costs two products of matrices; a QR decomposition of a tall block
    takes about ten times as long on CPU. Directions that rounding has swallowed become zero columns.
    """
    values, vectors = jnp.linalg.eigh(block.T @ block)
    kept = values > values[-1] * 4 * jnp.finfo(block.dtype).eps
    scale = jnp.where(kept, jax.lax.rsqrt(jnp.where(kept, values, 1)), 0)
    return block @ (vectors * scale[None, :])
