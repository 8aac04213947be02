"""Sparse matrices: BCOO in public signatures, and an operator laid out for fast products."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Integer, Shaped

from jaxrec.errors import MismatchError
from jaxrec.pytrees import register

if TYPE_CHECKING:
    from jax.experimental.sparse import BCOO

Array = jax.Array | np.ndarray


@register
@dataclasses.dataclass(frozen=True)
class SparseOperator:
    """A sparse matrix [P, Q] laid out for fast products with the matrix and with its transpose.

    It is a pytree, so a jitted function can take it as an argument. Make it once with `operator`, outside the step.

    Attributes:
      data: [E], the entries, row by row.
      rows: int32 [E], the row of each entry, ascending.
      columns: int32 [E], the column of each entry.
      indptr: int32 [P + 1]; the entries of row p are `indptr[p]:indptr[p + 1]`.
      transposed: the same four arrays for the transpose, or None if the matrix equals its transpose.
      shape: (P, Q), static.

    >>> eye = operator(from_dense(jnp.eye(2)), symmetric=True)
    >>> eye.shape, eye.T is eye
    ((2, 2), True)
    """

    data: jax.Array
    rows: jax.Array
    columns: jax.Array
    indptr: jax.Array
    transposed: tuple[jax.Array, jax.Array, jax.Array, jax.Array] | None
    shape: tuple[int, int] = dataclasses.field(metadata={"static": True})

    @property
    def T(self) -> SparseOperator:
        """The transpose, at no cost."""
        if self.transposed is None:
            return self
        mine = (self.data, self.rows, self.columns, self.indptr)
        return SparseOperator(*self.transposed, mine, (self.shape[1], self.shape[0]))


SparseMatrix: TypeAlias = Union["BCOO", SparseOperator]


def from_dense(matrix: Shaped[Array, "P Q"]) -> BCOO:
    """Convert a dense matrix [P, Q] to a BCOO with sorted indices. Runs on the host, not under jit.

    >>> from_dense(jnp.eye(3)).nse
    3
    """
    matrix = np.asarray(matrix)
    rows, columns = np.nonzero(matrix)
    return from_entries(matrix[rows, columns], rows, columns, matrix.shape)


def from_entries(
    data: Shaped[Array, " E"] | Sequence[float],
    rows: Integer[Array, " E"] | Sequence[int],
    columns: Integer[Array, " E"] | Sequence[int],
    shape: tuple[int, int],
) -> BCOO:
    """Build a BCOO from entries at distinct places, sorted by row and then column. Runs on the host, not under jit.

    Args:
      data: [E].
      rows: integers [E], in 0..P-1.
      columns: integers [E], in 0..Q-1.
      shape: (P, Q).

    Returns:
      BCOO [P, Q] with int32 indices, flagged as sorted and unique.

    Raises:
      MismatchError: a place occurs twice or lies outside the shape.

    >>> from_entries(np.ones(2), [1, 0], [0, 1], (2, 2)).indices.tolist()
    [[0, 1], [1, 0]]
    """
    data, rows, columns = np.asarray(data), np.asarray(rows, np.int64), np.asarray(columns, np.int64)
    for name, index, size in (("rows", rows, shape[0]), ("columns", columns, shape[1])):
        if index.size and (index.min() < 0 or index.max() >= size):
            raise MismatchError(f"{name} must lie in 0..{size - 1}, got {index.min()}..{index.max()}")
    order = np.lexsort((columns, rows))
    indices = np.stack([rows[order], columns[order]], axis=1).astype(np.int32)
    if len(indices) > 1:
        repeated = (indices[1:] == indices[:-1]).all(axis=1)
        if repeated.any():
            place = tuple(indices[1:][repeated][0].tolist())
            raise MismatchError(f"the entry at {place} is given more than once; sum or drop the duplicates first")
    return bcoo(data[order], indices, shape, indices_sorted=True, unique_indices=True)


def bcoo(data: Shaped[Array, " E"], indices: Integer[Array, "E 2"], shape: Sequence[int], **flags: bool) -> BCOO:
    """Make a BCOO of its arrays.

    Every BCOO is made here, since `jax.experimental.sparse` brings SciPy along: a program without one loads neither.

    Args:
      data: [E].
      indices: int32 [E, 2], the row and the column of each entry.
      shape: (P, Q).
      flags: `indices_sorted` and `unique_indices`, promises of the caller.

    >>> bcoo(jnp.ones(1), jnp.zeros((1, 2), jnp.int32), (1, 1)).todense().tolist()
    [[1.0]]
    """
    from jax.experimental.sparse import BCOO

    return BCOO((jnp.asarray(data), jnp.asarray(indices)), shape=tuple(shape), **flags)


def operator(matrix: SparseMatrix, *, symmetric: bool = False) -> SparseOperator:
    """Lay out a BCOO for fast products, once, on the host.

    Args:
      matrix: BCOO [P, Q]; an operator is returned unchanged.
      symmetric: True promises that the matrix equals its transpose, as a normalized adjacency does; the gradient then
        needs no second copy. The promise is checked.

    Raises:
      MismatchError: `matrix` is not a plain matrix, or not symmetric although `symmetric` is True.

    >>> from jaxrec.sparse import spmm
    >>> op = operator(from_dense(jnp.array([[0.0, 2.0], [2.0, 0.0]])), symmetric=True)
    >>> spmm(op, jnp.array([[1.0], [3.0]])).tolist()
    [[6.0], [2.0]]
    """
    if isinstance(matrix, SparseOperator):
        return matrix
    if matrix.n_batch or matrix.n_dense or len(matrix.shape) != 2:
        raise MismatchError(f"operator needs a plain sparse matrix [P, Q], got shape {matrix.shape}")
    data, indices = np.asarray(matrix.data), np.asarray(matrix.indices)
    inside = (indices < np.array(matrix.shape)).all(axis=1)  # a BCOO pads with indices out of bounds
    data, rows, columns = data[inside], indices[inside, 0], indices[inside, 1]
    forward = _compressed(data, rows, columns, matrix.shape[0])
    backward = _compressed(data, columns, rows, matrix.shape[1])
    if symmetric:
        if matrix.shape[0] != matrix.shape[1] or not all(
            len(f) == len(b) and np.allclose(f, b, rtol=1e-6, atol=0) for f, b in zip(forward, backward, strict=True)
        ):
            raise MismatchError(f"the matrix of shape {matrix.shape} is not symmetric; leave out symmetric=True")
        backward = None
    parts: tuple[Any, Any, Any, Any] = jax.tree.map(jnp.asarray, forward)
    return SparseOperator(*parts, jax.tree.map(jnp.asarray, backward), (matrix.shape[0], matrix.shape[1]))


def _compressed(
    data: np.ndarray, rows: np.ndarray, columns: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    order = np.lexsort((columns, rows))
    indptr = np.zeros(size + 1, np.int32)
    np.cumsum(np.bincount(rows, minlength=size), out=indptr[1:])
    return data[order], rows[order].astype(np.int32), columns[order].astype(np.int32), indptr
