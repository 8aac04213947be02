"""Leading singular triplets to a stated tolerance, by Chebyshev-filtered subspace iteration."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float, Key

from jaxrec._keys import one_key
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.sparse import SparseMatrix, spmm
from jaxrec.spectral._krylov import dot, fix_signs, rotated_apart
from jaxrec.spectral._rows import SharedMatrix, dtype_of, laid, rows_of, sizes_of
from jaxrec.types import Array

_GROWTH = 1e5  # between the largest eigenvalue and the cut in one round: float32 keeps two digits of the least columns
_MOST_PRODUCTS = 12
OVERSAMPLING = 64
"""Columns of a block beyond those that are asked for, by default."""
_LEAST = 1e-4  # of the largest eigenvalue: the lowest cut


class SingularTriplets(NamedTuple):
    """Leading singular triplets, M ~ left diag(values) right^T, with their residuals.

    Attributes:
      left: [P, r], orthonormal columns.
      values: [r], descending.
      right: [Q, r], orthonormal columns; the largest entry (in absolute value) of each is positive. The columns of the
        larger side are orthonormal but for rounding times the square of the largest value over their own.
      residuals: [r], the lengths of M M^T u - s^2 u, in units of the largest s^2 (of M^T M and v where Q < P).
      rounds: int32, how many rounds were made.

    >>> from jaxrec.sparse import from_dense
    >>> found = singular_triplets(from_dense(jnp.diag(jnp.array([1.0, 3.0, 2.0]))), 1, jax.random.key(0))
    >>> round(found.values[0].item(), 3), bool(found.residuals[0] < 1e-3)
    (3.0, True)
    """

    left: jax.Array
    values: jax.Array
    right: jax.Array
    residuals: jax.Array
    rounds: jax.Array


def singular_triplets(
    matrix: SparseMatrix | SharedMatrix,
    rank: int,
    key: Key[Array, ""],
    *,
    tolerance: float = 1e-3,
    oversampling: int = OVERSAMPLING,
    rounds: int = 20,
    start: Float[Array, "S s"] | None = None,
) -> SingularTriplets:
    """Compute the leading singular triplets of a sparse matrix to a tolerance, by Chebyshev-filtered iteration.

    Each round multiplies a block of rank + oversampling columns by a polynomial of M M^T that stays small on the
    eigenvalues below the block's and grows above them, and then takes the Ritz vectors. No basis larger than the block
    is held or made orthogonal. So it suits hundreds of triplets whose last ones need few digits, as graph filters want
    them. `truncated_svd` needs fewer products and gives full accuracy for few.

    Args:
      matrix: M, BCOO or operator [P, Q], float32. With a `jaxrec.parallel.ShardedMatrix` several devices share the rows
        of M, of its transpose and of the blocks; then `left` has its rows, [P', r], and `right` those of its transpose,
        [Q', r], and `matrix.original(left)` and `matrix.T.original(right)` give the order of the data.
      rank: r, at most min(P, Q).
      key: consumed.
      tolerance: stop where no residual of the r triplets is above it, in units of the largest squared singular value.
      oversampling: extra columns of the block; more need fewer rounds.
      rounds: stop after so many in any case; the residuals say how far it came.
      start: vectors to start from, for example those of a slightly different matrix: [S, s] in the order of the data,
        with S the smaller of P and Q, and s at most the width of the block.

    Returns:
      The triplets, their residuals, and the number of rounds.

    Raises:
      JaxrecError: a rank outside 1..min(P, Q), a tolerance that is not positive, negative oversampling, no rounds.
      MismatchError: a start of another size.

    References:
      Zhou and Saad, A Chebyshev-Davidson algorithm for large symmetric eigenproblems, 2007.
      Zhou, Saad, Tiago and Chelikowsky, Self-consistent-field calculations using Chebyshev-filtered subspace
        iteration, Journal of Computational Physics 219, 2006.

    >>> from jaxrec.sparse import from_dense
    >>> found = singular_triplets(from_dense(jnp.diag(jnp.array([1.0, 3.0, 2.0]))), 2, jax.random.key(0))
    >>> found.values.round(4).tolist()
    [3.0, 2.0]
    """
    num_rows, num_columns = sizes_of(matrix)
    smaller = min(num_rows, num_columns)
    if not 1 <= rank <= smaller:
        raise JaxrecError(f"rank must lie in 1..{smaller} for a matrix of shape {(num_rows, num_columns)}, got {rank}")
    if not tolerance > 0:
        raise JaxrecError(f"tolerance must be positive, got {tolerance}")
    if oversampling < 0 or rounds < 1:
        raise JaxrecError(f"oversampling must be at least 0 and rounds at least 1, got {oversampling} and {rounds}")
    width = min(rank + oversampling, smaller)
    if start is not None and (start.ndim != 2 or start.shape[0] != smaller or start.shape[1] > width):
        raise MismatchError(f"start has shape {start.shape}, expected [{smaller}, up to {width}]")
    op, tall = laid(matrix), num_rows > num_columns
    m = op.T if tall else op
    near, values, far, residuals, done = _triplets(m, rank, width, rounds, jnp.float32(tolerance), one_key(key), start)
    left, right = (far, near) if tall else (near, far)
    signs = fix_signs(right)[None, :]
    return SingularTriplets(left * signs, values, right * signs, residuals, done)


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def _triplets(
    m: Any, rank: int, width: int, rounds: int, tolerance: jax.Array, key: jax.Array, start: jax.Array | None
) -> tuple[jax.Array, ...]:
    """(vectors of the smaller side, values, vectors of the other side, residuals, rounds)."""

    rows, (size, _) = rows_of(m), sizes_of(m)
    product = functools.partial(_gram_product, m)

    def going(state: tuple[jax.Array, ...]) -> jax.Array:
        _, values, residuals, done = state
        return (done < rounds) & (jnp.max(residuals[:rank]) > tolerance * values[0])

    def again(state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        vectors, values, _, done = state
        return *product_and_ritz(m, _filtered(product, vectors, values), fresh), done + 1

    fresh = rows.spread(jax.random.normal(key, (size, width), dtype_of(m)) * size**-0.5)
    # Of random vectors two products leave mostly leading ones; a given start has them already.
    if start is None:
        block = product(product(fresh))
    else:
        # What it lacks is random, and cheap to bring as far.
        block = jnp.concatenate([rows.spread(start), product(product(fresh[:, start.shape[1] :]))], axis=1)
    vectors, values, residuals, done = jax.lax.while_loop(
        going, again, (*product_and_ritz(m, block, fresh), jnp.int32(1))
    )
    near = vectors[:, :rank]
    image = spmm(m.T, near)
    values = jnp.linalg.norm(image, axis=0)
    far = image / jnp.where(values > 0, values, 1)[None, :]
    return near, values, far, residuals[:rank] / jnp.where(values[0] > 0, values[0] ** 2, 1), done


def _gram_product(m: Any, x: jax.Array) -> jax.Array:
    return spmm(m, spmm(m.T, x))


def product_and_ritz(m: Any, block: jax.Array, fresh: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The Ritz vectors of M M^T in the span of a block, largest first, with values and lengths of their residuals.

    Args:
      m: M.
      block: [P, w], or with the rows of the tables of M.
      fresh: likewise, random directions that take the places of dependent columns.

    >>> from jaxrec.sparse import from_dense, operator
    >>> found = product_and_ritz(operator(from_dense(jnp.diag(jnp.array([1.0, 3.0])))), jnp.eye(2), jnp.eye(2))
    >>> found[1].round(3).tolist()
    [9.0, 1.0]
    """
    basis = _orthonormal(block, fresh)
    image = _gram_product(m, basis)
    values, rotation = jnp.linalg.eigh(dot(basis.T, image))
    values, rotation = values[::-1], rotation[:, ::-1]
    vectors = rows_of(m).held(dot(basis, rotation))
    return vectors, values, jnp.linalg.norm(dot(image, rotation) - vectors * values[None, :], axis=0)


def _filtered(product: Callable[[jax.Array], jax.Array], vectors: jax.Array, values: jax.Array) -> jax.Array:
    """Multiply Ritz vectors by the Chebyshev polynomial that is within -1..1 on the eigenvalues below all of theirs."""
    cut = jnp.maximum(values[-1], _LEAST * values[0])
    scale = 2 / jnp.where(cut > 0, cut, 1)
    growth = jnp.arccosh(jnp.maximum(scale * values[0] - 1, 1 + 1e-3))
    products = jnp.clip(jnp.log(2 * _GROWTH) / growth, 1, _MOST_PRODUCTS).astype(jnp.int32)

    def step(_: jax.Array, pair: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        before, last = pair
        new = scale * product(last) - last
        return last, new + new - before

    first = scale * product(vectors) - vectors
    return jax.lax.fori_loop(1, products, step, (vectors, first))[1]


def _orthonormal(block: jax.Array, fresh: jax.Array) -> jax.Array:
    """An orthonormal basis of the columns, by two passes; in place of dependent ones come random directions."""
    norms = jnp.linalg.norm(block, axis=0, keepdims=True)
    basis, kept = rotated_apart(block / jnp.where(norms > 0, norms, 1))
    return rotated_apart(jnp.where(kept[None, :], basis, fresh))[0]
