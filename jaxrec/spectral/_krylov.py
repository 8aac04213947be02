"""Block Lanczos iteration with restarts, by products with a symmetric matrix: the base of the decompositions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float, Key

from jaxrec.errors import JaxrecError
from jaxrec.spectral._rows import OneDevice, Rows
from jaxrec.types import Array

# The default float32 product of accelerators may round to fewer digits, which would lose orthogonality.
dot = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)

_MOST_BLOCKS, _FEWEST_BLOCKS, _COLUMNS = 8, 3, 1280
_LITTLE = 1e-2  # a unit vector is dependent if the second orthogonalization leaves less of it (squared)
_ROUNDING = 32  # in machine epsilons: the rounding error of the product and the first orthogonalization


class Plan(NamedTuple):
    """The division of the products of `leading_subspace`; static under jit.

    Attributes:
      width: columns of a block.
      blocks: blocks of a cycle; 0 means a dense decomposition of a small matrix.
      cycles: number of cycles; each restarts from the best vectors so far.
    """

    width: int
    blocks: int
    cycles: int


def plan(size: int, wanted: int, oversampling: int, iterations: int) -> Plan:
    """Divide at least `iterations` block products into cycles whose basis stays below about 1280 columns.

    A block has a column for each wanted vector and some more, so eigenvalues of any multiplicity are found as often as
    they occur. A small matrix is decomposed densely, which is exact and no slower.

    Raises:
      JaxrecError: negative oversampling, or fewer than one iteration.

    >>> plan(70_000, 64, 16, 16), plan(50, 5, 16, 8)
    (Plan(width=80, blocks=8, cycles=2), Plan(width=21, blocks=0, cycles=0))
    """
    if oversampling < 0:
        raise JaxrecError(f"oversampling is {oversampling}; it must be 0 or more")
    if iterations < 1:
        raise JaxrecError(f"iterations is {iterations}; it must be at least 1")
    width = min(wanted + oversampling, size)
    most = max(_FEWEST_BLOCKS, min(_MOST_BLOCKS, _COLUMNS // width))
    cycles = -(-iterations // most)
    blocks = -(-iterations // cycles)
    if 4 * width * blocks > 3 * size:
        return Plan(width, 0, 0)
    return Plan(width, blocks, cycles)


def leading_subspace(
    product: Callable[[jax.Array], jax.Array],
    size: int,
    how: Plan,
    key: Key[Array, ""],
    dtype: jax.typing.DTypeLike,
    rows: Rows | None = None,
) -> Float[Array, "size width"]:
    """Approximate the eigenvectors of the largest eigenvalues of a symmetric matrix; may be traced.

    They are the leading Ritz vectors of the Krylov space of a random block X: the eigenvectors of M projected on the
    span of X, M X, ..., M^(blocks - 1) X, which is kept orthonormal.

    Args:
      product: x [N, d] to M x [N, d].
      size: N.
      how: from `plan`.
      key: consumed.
      dtype: dtype of the matrix.
      rows: how tables with N rows lie, where several devices share them; the numbers are drawn in the order of the
        data.

    Returns:
      [N, width], or with as many rows as the tables have: orthonormal columns, the approximate eigenvectors, largest
      eigenvalue first. Another projection on them removes the rounding errors of the iteration from the eigenvalues.

    References:
      Golub and Underwood, The block Lanczos method, 1977.
      Musco and Musco, NeurIPS 2015, algorithm 2.

    >>> product = lambda x: jnp.array([[3.0], [1.0], [2.0]]) * x
    >>> space = leading_subspace(product, 3, plan(3, 2, 0, 8), jax.random.key(0), jnp.float32)
    >>> jnp.abs(space).round(3).tolist()
    [[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]
    """
    rows = OneDevice() if rows is None else rows
    if how.blocks == 0:
        _, vectors = jnp.linalg.eigh(rows.collected(product(rows.spread(jnp.eye(size, dtype=dtype)))))
        return rows.spread(vectors[:, ::-1][:, : how.width])

    def drawn(key: jax.Array) -> jax.Array:
        return rows.spread(jax.random.normal(key, (size, how.width), dtype))

    key, key_start = jax.random.split(key)
    start, _ = rotated_apart(drawn(key_start))

    def cycle(start: jax.Array, key: jax.Array) -> tuple[jax.Array, None]:
        basis, projected = _krylov_basis(product, start, how.blocks, drawn(key) * size**-0.5, rows)
        _, vectors = jnp.linalg.eigh(projected)
        return rows.held(dot(basis, vectors[:, ::-1][:, : how.width])), None

    space, _ = jax.lax.scan(cycle, start, jax.random.split(key, how.cycles))
    return space


def fix_signs(vectors: Float[Array, "N d"]) -> Float[Array, " d"]:
    """Return the sign, -1 or 1 [d], that makes the largest entry (in absolute value) of each column positive.

    >>> fix_signs(jnp.array([[1.0, 2.0], [-3.0, 1.0]])).tolist()
    [-1.0, 1.0]
    """
    largest = jnp.take_along_axis(vectors, jnp.argmax(jnp.abs(vectors), axis=0, keepdims=True), axis=0)[0]
    return jnp.where(largest < 0, jnp.array(-1, vectors.dtype), jnp.array(1, vectors.dtype))


def _krylov_basis(
    product: Callable[[jax.Array], jax.Array], start: jax.Array, blocks: int, fresh: jax.Array, rows: Rows
) -> tuple[jax.Array, jax.Array]:
    """Build an orthonormal basis Q of the Krylov space, and Q^T M Q."""
    width = start.shape[1]
    block, kept = rotated_apart(start)
    basis = recent = block
    alive, norm = [kept], jnp.zeros((), start.dtype)  # the square of the largest product so far, for |M|
    projected = jnp.zeros((blocks * width, blocks * width), start.dtype)
    # Unrolled, so that each step works on the filled part of the basis only.
    for index in range(blocks):
        # M times a block lies in the span of this block, the one before and the next, so older ones are left out here.
        new = product(block)
        parts = dot(recent.T, new)
        end = (index + 1) * width
        projected = projected.at[end - parts.shape[0] : end, end - width : end].set(parts)
        if index + 1 == blocks:
            break
        # A direction that the space holds but for rounding is replaced by a random one: the same numbers, rolled, since
        # a draw in each step would take longer to compile than all the rest.
        norm = jnp.maximum(norm, jnp.max(jnp.sum(new * new, axis=0)))
        next_block, kept = rotated_apart(new - dot(recent, parts), norm * (_ROUNDING * jnp.finfo(new.dtype).eps) ** 2)
        next_block = jnp.where(kept[None, :], next_block, rows.rolled(fresh, index))
        # The second time against all blocks: rounding brings old directions back, the more the better they converged.
        next_block, kept = rotated_apart(next_block - dot(basis, dot(basis.T, next_block)), _LITTLE)
        alive.append(kept)
        basis = jnp.concatenate([basis, next_block], axis=1)
        recent = jnp.concatenate([block, next_block], axis=1)
        block = next_block
    # Below the diagonal blocks, columns were computed before their rows existed; the upper half is complete.
    projected = jnp.triu(projected) + jnp.triu(projected, 1).T
    # A column that is still zero must not count as an eigenvector of the eigenvalue 0.
    below_all = -1 - jnp.max(jnp.sum(jnp.abs(projected), axis=1))
    return basis, projected + jnp.diag(jnp.where(jnp.concatenate(alive), jnp.zeros_like(below_all), below_all))


def rotated_apart(block: jax.Array, floor: float | jax.Array = 0.0) -> tuple[jax.Array, jax.Array]:
    """Orthonormalize columns, up to rounding times the squared condition number of the block.

    The eigenvectors of the small Gram matrix give the rotation, at the cost of two matrix products; a QR decomposition
    of a tall block takes about ten times as long on CPU. Directions lost to rounding, and those with a squared length
    below the floor, become zero columns.

    Returns:
      (columns [N, d], bool [d], False for zero columns).

    >>> columns, kept = rotated_apart(jnp.array([[3.0, 3.0], [4.0, 4.0]]))
    >>> kept.tolist()
    [False, True]
    """
    values, vectors = jnp.linalg.eigh(dot(block.T, block))
    kept = values > jnp.maximum(values[-1] * 4 * jnp.finfo(block.dtype).eps, floor)
    scale = jnp.where(kept, jax.lax.rsqrt(jnp.where(kept, values, 1)), 0)
    return dot(block, vectors * scale[None, :]), kept
