"""Leading eigenpairs and singular triplets of a sparse matrix, without a dense copy."""

from __future__ import annotations

import functools
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Key

from jaxrec._keys import one_key
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.sparse import SparseMatrix, SparseOperator, operator, spmm
from jaxrec.spectral._krylov import Plan, dot, fix_signs, leading_subspace, plan
from jaxrec.spectral._laplacians import check_square
from jaxrec.spectral._rows import Decomposable, SharedMatrix, dtype_of, laid, rows_of, sizes_of
from jaxrec.types import Array


class Eigenpairs(NamedTuple):
    """Eigenvalues and eigenvectors of a symmetric matrix, with their residuals.

    Attributes:
      values: [k], the requested end of the spectrum first.
      vectors: [N, k], orthonormal columns; the largest entry (in absolute value) of each is positive.
      residuals: [k], the lengths of M v - value v. Some eigenvalue lies within this distance of each value. The error
        of a value is of the order of its squared residual over the gap to the rest of the spectrum.

    >>> from jaxrec.sparse import from_dense
    >>> pairs = leading_eigenpairs(from_dense(jnp.diag(jnp.array([1.0, 3.0, 2.0]))), 1, jax.random.key(0))
    >>> pairs.vectors.round(3).ravel().tolist(), bool(pairs.residuals[0] < 1e-5)
    ([0.0, 1.0, 0.0], True)
    """

    values: jax.Array
    vectors: jax.Array
    residuals: jax.Array


def leading_eigenpairs(
    matrix: SparseMatrix | SharedMatrix,
    k: int,
    key: Key[Array, ""],
    *,
    which: Literal["largest", "smallest"] = "largest",
    oversampling: int = 16,
    iterations: int = 24,
) -> Eigenpairs:
    """Compute the k largest or smallest eigenpairs of a sparse symmetric matrix, by block Lanczos iteration.

    M v = value v. The order is algebraic: -3 is smaller than 1. The matrix is never factorized, so the smallest
    eigenvalues of L~ (1 minus the largest of A~) are as easy as the largest. Those of L = D - A converge slowly if
    degrees differ much: its spectrum is long then, and its small eigenvalues lie close together. Check `residuals`.

    Args:
      matrix: M, BCOO or operator [N, N], symmetric. Inside jit it must be an operator made with `symmetric=True`. With
        a `jaxrec.parallel.ShardedOperator` several devices share the rows of M and of all blocks; then the vectors have
        its rows, [N', k], and `matrix.original(vectors)` gives them in the order of the data.
      k: number of pairs, at most N.
      key: consumed.
      which: "largest" (descending) or "smallest" (ascending).
      oversampling: extra columns of a block; more are more accurate.
      iterations: products with blocks of k + oversampling columns; more are more accurate. At most 8 blocks (or about
        1280 columns) are held at once; then the iteration restarts from the best vectors.

    Returns:
      The pairs and their residuals.

    Raises:
      JaxrecError: k outside 1..N, negative oversampling, no iterations, or an unknown `which`.
      MismatchError: the matrix is not square or not symmetric.

    References:
      Golub and Underwood, The block Lanczos method, 1977.
      Musco and Musco, NeurIPS 2015, algorithm 2.

    >>> from jaxrec.sparse import from_dense
    >>> path = from_dense(jnp.array([[1.0, -1.0, 0.0], [-1.0, 2.0, -1.0], [0.0, -1.0, 1.0]]))
    >>> [round(value, 3) for value in leading_eigenpairs(path, 2, jax.random.key(0)).values.tolist()]
    [3.0, 1.0]
    """
    check_square("matrix", matrix)
    size, _ = sizes_of(matrix)
    if not 1 <= k <= size:
        raise JaxrecError(f"k must lie in 1..{size} for a matrix of shape {(size, size)}, got {k}")
    if which not in ("largest", "smallest"):
        raise JaxrecError(f"which is {which!r}; pass 'largest' or 'smallest'")
    how = plan(size, k, oversampling, iterations)
    op = _symmetric(matrix)
    return _leading_eigenpairs(op, k, how, jnp.asarray(1 if which == "largest" else -1, dtype_of(op)), one_key(key))


def estimate_largest_eigenvalue(
    matrix: SparseMatrix | SharedMatrix, key: Key[Array, ""], *, iterations: int = 24
) -> Float[Array, ""]:
    """Estimate the largest eigenvalue of a symmetric matrix from above, tighter than `largest_eigenvalue_bound`.

    The estimate is the largest Ritz value plus the length of its residual. The Ritz value never exceeds the eigenvalue.
    The sum is not proven to exceed it, but does so unless the random start all but misses its vector. Use the estimate
    for the interval of a Chebyshev filter of L: the order of the filter grows with the root of the interval's length.

    Args:
      matrix: BCOO or operator [N, N], symmetric. Inside jit it must be an operator made with `symmetric=True`. Or a
        `jaxrec.parallel.ShardedOperator`, whose rows several devices share.
      key: consumed.
      iterations: products with blocks of 4 columns.

    Returns:
      [], of the matrix's dtype.

    Raises:
      JaxrecError: no iterations.
      MismatchError: the matrix is not square or not symmetric.

    References:
      Zhou and Li, Linear Algebra and its Applications 435, 2011, on bounds by Lanczos steps.

    >>> from jaxrec.sparse import from_dense
    >>> path = from_dense(jnp.array([[1.0, -1.0, 0.0], [-1.0, 2.0, -1.0], [0.0, -1.0, 1.0]]))
    >>> round(float(estimate_largest_eigenvalue(path, jax.random.key(0))), 3)
    3.0
    """
    pair = leading_eigenpairs(matrix, 1, key, oversampling=3, iterations=iterations)
    return pair.values[0] + pair.residuals[0]


def truncated_svd(
    matrix: SparseMatrix | SharedMatrix,
    rank: int,
    key: Key[Array, ""],
    *,
    oversampling: int = 16,
    iterations: int = 8,
) -> tuple[Float[Array, "P rank"], Float[Array, " rank"], Float[Array, "rank Q"]]:
    """Compute the leading singular triplets of a sparse matrix, M ~ U diag(s) V^T, by block Krylov iteration.

    Args:
      matrix: M, BCOO or operator [P, Q], float32. With a `jaxrec.parallel.ShardedMatrix` several devices share the rows
        of M, of its transpose and of all blocks; then u has its rows, [P', r], and vt the rows of its transpose as
        columns, [r, Q'], `matrix.original(u)` gives the order of the data, and so does `matrix.T.original(vt.T)`.
      rank: r, the number of triplets, at most min(P, Q).
      key: consumed.
      oversampling: extra columns of a block; more are more accurate.
      iterations: products with M M^T; more are more accurate, above all if singular values lie close together. At most
        8 blocks (or about 1280 columns) are held at once; then the iteration restarts from the best vectors.

    Returns:
      (u [P, r], s [r] descending, vt [r, Q]). The largest entry (in absolute value) of each row of vt is positive,
      which fixes the signs.

    Raises:
      JaxrecError: a rank outside 1..min(P, Q), negative oversampling, or no iterations.

    References:
      Musco and Musco, Randomized Block Krylov Methods, NeurIPS 2015, algorithm 2.

    >>> from jaxrec.sparse import from_dense
    >>> u, s, vt = truncated_svd(from_dense(jnp.diag(jnp.array([1.0, 3.0, 2.0]))), 2, jax.random.key(0))
    >>> s.round(4).tolist()
    [3.0, 2.0]
    """
    smaller = min(sizes_of(matrix))
    if not 1 <= rank <= smaller:
        raise JaxrecError(f"rank must lie in 1..{smaller} for a matrix of shape {sizes_of(matrix)}, got {rank}")
    return _truncated_svd(laid(matrix), rank, plan(smaller, rank, oversampling, iterations), one_key(key))


@functools.partial(jax.jit, static_argnums=(1, 2))
def _leading_eigenpairs(matrix: Decomposable, k: int, how: Plan, sign: jax.Array, key: jax.Array) -> Eigenpairs:
    def product(x: jax.Array) -> jax.Array:
        return sign * spmm(matrix, x)  # the smallest eigenvalues are the largest of -M

    rows = rows_of(matrix)
    space = leading_subspace(product, sizes_of(matrix)[0], how, key, dtype_of(matrix), rows)
    image = product(space)
    values, rotation = jnp.linalg.eigh(dot(space.T, image))
    values, rotation = values[::-1][:k], rotation[:, ::-1][:, :k]
    vectors = rows.held(dot(space, rotation))
    residuals = jnp.linalg.norm(dot(image, rotation) - vectors * values[None, :], axis=0)
    return Eigenpairs(sign * values, vectors * fix_signs(vectors)[None, :], residuals)


@functools.partial(jax.jit, static_argnums=(1, 2))
def _truncated_svd(matrix: Any, rank: int, how: Plan, key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    num_rows, num_columns = sizes_of(matrix)
    wide = num_rows <= num_columns
    m = matrix if wide else matrix.T  # the basis is on the smaller side
    left = leading_subspace(lambda x: spmm(m, spmm(m.T, x)), sizes_of(m)[0], how, key, dtype_of(m), rows_of(m))
    # M^T Q = basis triangle, so Q^T M = triangle^T basis^T. The singular values come from here, since their squares
    # have half the digits. One QR decomposition is affordable, and its basis is orthonormal even if singular values
    # are 0.
    basis, triangle = rows_of(m.T).factored(spmm(m.T, left))
    u, s, vt = jnp.linalg.svd(triangle.T)
    near, far = dot(left, u[:, :rank]), dot(basis, vt[:rank].T)
    left_vectors, right_vectors = (near, far) if wide else (far, near)
    signs = fix_signs(right_vectors)[None, :]
    return left_vectors * signs, s[:rank], (right_vectors * signs).T


def _symmetric(matrix: SparseMatrix | SharedMatrix) -> Decomposable:
    """Return the matrix as an operator that is its own transpose, after checking that it is symmetric."""
    if isinstance(matrix, SharedMatrix):
        if matrix.T is not matrix:
            raise MismatchError(
                f"{type(matrix).__name__} has another transpose, and eigenpairs need a symmetric matrix; lay it out by "
                "jaxrec.parallel.sharded_operator"
            )
        return matrix
    if not isinstance(matrix, SparseOperator):
        return operator(matrix, symmetric=True)
    if matrix.transposed is None:
        return matrix
    mine = (matrix.data, matrix.rows, matrix.columns, matrix.indptr)
    other = matrix.T
    for forward, backward in zip(mine, (other.data, other.rows, other.columns, other.indptr), strict=True):
        if forward.shape != backward.shape or not np.allclose(forward, backward, rtol=1e-6, atol=0):
            raise MismatchError(f"the matrix of shape {matrix.shape} is not symmetric; eigenpairs need one that is")
    return SparseOperator(*mine, None, matrix.shape)
