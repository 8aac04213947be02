"""Leading eigenpairs and singular triplets of a sparse matrix, which is never made dense."""

from __future__ import annotations

import functools
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Key

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.sparse import SparseMatrix, SparseOperator, operator, spmm
from jaxrec.spectral._krylov import Plan, dot, fix_signs, leading_subspace, plan
from jaxrec.spectral._laplacians import check_square
from jaxrec.types import Array


class Eigenpairs(NamedTuple):
    """Eigenvalues and eigenvectors of a symmetric matrix, with what is missing.

    Attributes:
      values: [k], the wanted end of the spectrum first.
      vectors: [N, k], orthonormal columns; the entry of largest size of each is positive.
      residuals: [k], the lengths of M v - value v. Some eigenvalue lies within this distance of each value, and the
        error of a value is of the order of the square of its residual over the gap to the rest of the spectrum.

    >>> Eigenpairs(jnp.ones(1), jnp.eye(1), jnp.zeros(1)).values.shape
    (1,)
    """

    values: jax.Array
    vectors: jax.Array
    residuals: jax.Array


def leading_eigenpairs(
    matrix: SparseMatrix,
    k: int,
    key: Key[Array, ""],
    *,
    which: Literal["largest", "smallest"] = "largest",
    oversampling: int = 16,
    iterations: int = 24,
) -> Eigenpairs:
    """The k largest or smallest eigenvalues of a sparse symmetric matrix and their vectors, by block Lanczos iteration.

    M v = value v. The order is algebraic: -3 is smaller than 1. No factorisation is made, so the smallest eigenvalues
    of L~ (the same as 1 minus the largest of A~) are as easy as the largest, while those of L = D - A converge slowly
    where degrees differ much: its spectrum is long then, and its small eigenvalues lie close together. Read
    `residuals`.

    Args:
      matrix: BCOO or operator [N, N], symmetric. Inside jit only an operator made with `symmetric=True` will do.
      k: how many pairs, at most N.
      key: consumed.
      which: "largest" (descending) or "smallest" (ascending).
      oversampling: further columns of a block; more are more accurate.
      iterations: products with blocks of k + oversampling columns; more are more accurate. At most 8 blocks (or about
        1280 columns) are held at a time, then the iteration starts again from the best vectors.

    Returns:
      The pairs and their residuals.

    Raises:
      JaxrecError: k outside 1..N, negative oversampling, no iterations, or another word for `which`.
      MismatchError: the matrix is not square or not symmetric.

    Source: Golub and Underwood, The block Lanczos method, 1977; Musco and Musco, NeurIPS 2015, algorithm 2.

    >>> from jaxrec.sparse import from_dense
    >>> path = from_dense(jnp.array([[1.0, -1.0, 0.0], [-1.0, 2.0, -1.0], [0.0, -1.0, 1.0]]))
    >>> [round(value, 3) for value in leading_eigenpairs(path, 2, jax.random.key(0)).values.tolist()]
    [3.0, 1.0]
    """
    size = check_square("matrix", matrix)
    if not 1 <= k <= size:
        raise JaxrecError(f"k must lie in 1..{size} for a matrix of shape {tuple(matrix.shape)}, got {k}")
    if which not in ("largest", "smallest"):
        raise JaxrecError(f"which is {which!r}; pass 'largest' or 'smallest'")
    how = plan(size, k, oversampling, iterations)
    op = _symmetric(matrix)
    return _leading_eigenpairs(op, k, how, jnp.asarray(1 if which == "largest" else -1, op.data.dtype), key)


def estimate_largest_eigenvalue(matrix: SparseMatrix, key: Key[Array, ""], *, iterations: int = 24) -> Float[Array, ""]:
    """An estimate of the largest eigenvalue of a symmetric matrix from above, tighter than `largest_eigenvalue_bound`.

    The largest Ritz value plus the length of its residual. The first alone is never above the eigenvalue; the sum is
    not proven to be above it, but is so unless the random start all but misses its vector. It suits the interval of a
    Chebyshev filter of L, whose order grows with the root of the interval's length.

    Args:
      matrix: BCOO or operator [N, N], symmetric, as in `leading_eigenpairs`.
      key: consumed.
      iterations: products with blocks of 4 columns.

    Returns:
      [], of the matrix's dtype.

    Raises:
      JaxrecError: no iterations.
      MismatchError: the matrix is not square or not symmetric.

    Source: Zhou and Li, Linear Algebra and its Applications 435, 2011, on bounds by Lanczos steps.

    >>> from jaxrec.sparse import from_dense
    >>> path = from_dense(jnp.array([[1.0, -1.0, 0.0], [-1.0, 2.0, -1.0], [0.0, -1.0, 1.0]]))
    >>> round(float(estimate_largest_eigenvalue(path, jax.random.key(0))), 3)
    3.0
    """
    pair = leading_eigenpairs(matrix, 1, key, oversampling=3, iterations=iterations)
    return pair.values[0] + pair.residuals[0]


def truncated_svd(
    matrix: SparseMatrix, rank: int, key: Key[Array, ""], *, oversampling: int = 16, iterations: int = 8
) -> tuple[Float[Array, "M rank"], Float[Array, " rank"], Float[Array, "rank N"]]:
    """The leading singular triplets of a sparse matrix, M ~ U diag(s) V^T, by block Krylov iteration.

    Args:
      matrix: BCOO or operator [M, N], float32.
      rank: how many triplets r, at most min(M, N).
      key: consumed.
      oversampling: further columns that the iteration carries along; more are more accurate.
      iterations: products with M M^T; more are more accurate, above all where singular values lie close together. At
        most 8 blocks (or about 1280 columns) are held at a time, then the iteration starts again from the best vectors.

    Returns:
      (u [M, r], s [r] descending, vt [r, N]). The largest entry of each row of vt is positive, which fixes the signs.

    Raises:
      JaxrecError: a rank outside 1..min(M, N), negative oversampling, or no iterations.

    Source: Musco and Musco, Randomized Block Krylov Methods, NeurIPS 2015, algorithm 2.

    >>> from jaxrec.sparse import from_dense
    >>> u, s, vt = truncated_svd(from_dense(jnp.diag(jnp.array([1.0, 3.0, 2.0]))), 2, jax.random.key(0))
    >>> s.round(4).tolist()
    [3.0, 2.0]
    """
    smaller = min(matrix.shape)
    if not 1 <= rank <= smaller:
        raise JaxrecError(f"rank must lie in 1..{smaller} for a matrix of shape {matrix.shape}, got {rank}")
    return _truncated_svd(operator(matrix), rank, plan(smaller, rank, oversampling, iterations), key)


@functools.partial(jax.jit, static_argnums=(1, 2))
def _leading_eigenpairs(matrix: SparseOperator, k: int, how: Plan, sign: jax.Array, key: jax.Array) -> Eigenpairs:
    def product(x: jax.Array) -> jax.Array:
        return sign * spmm(matrix, x)  # the smallest eigenvalues are the largest of -M

    space = leading_subspace(product, matrix.shape[0], how, key, matrix.data.dtype)
    image = product(space)
    values, rotation = jnp.linalg.eigh(dot(space.T, image))
    values, rotation = values[::-1][:k], rotation[:, ::-1][:, :k]
    vectors = dot(space, rotation)
    residuals = jnp.linalg.norm(dot(image, rotation) - vectors * values[None, :], axis=0)
    return Eigenpairs(sign * values, vectors * fix_signs(vectors)[None, :], residuals)


@functools.partial(jax.jit, static_argnums=(1, 2))
def _truncated_svd(
    matrix: SparseOperator, rank: int, how: Plan, key: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    wide = matrix.shape[0] <= matrix.shape[1]
    m = matrix if wide else matrix.T  # the basis is on the smaller side
    left = leading_subspace(lambda x: spmm(m, spmm(m.T, x)), m.shape[0], how, key, m.data.dtype)
    # M^T Q = basis triangle, so Q^T M = triangle^T basis^T. The squares of the singular values have half their digits,
    # so the values themselves come from here. One QR decomposition is affordable, and its basis is orthonormal even
    # where singular values are 0.
    basis, triangle = jnp.linalg.qr(spmm(m.T, left))
    u, s, vt = jnp.linalg.svd(triangle.T)
    near, far = dot(left, u[:, :rank]), dot(basis, vt[:rank].T)
    left_vectors, right_vectors = (near, far) if wide else (far, near)
    signs = fix_signs(right_vectors)[None, :]
    return left_vectors * signs, s[:rank], (right_vectors * signs).T


def _symmetric(matrix: SparseMatrix) -> SparseOperator:
    """The matrix as an operator that is its own transpose, after a check that it is."""
    if not isinstance(matrix, SparseOperator):
        return operator(matrix, symmetric=True)
    if matrix.transposed is None:
        return matrix
    mine = (matrix.data, matrix.rows, matrix.columns, matrix.indptr)
    for forward, backward in zip(mine, matrix.transposed, strict=True):
        if forward.shape != backward.shape or not np.allclose(forward, backward, rtol=1e-6, atol=0):
            raise MismatchError(f"the matrix of shape {matrix.shape} is not symmetric; eigenpairs need one that is")
    return SparseOperator(*mine, None, matrix.shape)
