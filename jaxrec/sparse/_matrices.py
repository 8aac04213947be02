"""Sparse matrices: BCOO in public signatures, and an operator laid out for fast products."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Integer, Shaped

from jaxrec.errors import MismatchError
from jaxrec.pytrees import Counted, register, stored

if TYPE_CHECKING:
    from jax.experimental.sparse import BCOO

Array = jax.Array | np.ndarray

_MOST_ENTRIES = 2**31 - 1


class _RowOfEntry(Counted):
    """The field `rows` of an operator."""

    def count(self, thing: Any) -> Any:
        return rows_of_entries(thing.indptr, thing.columns.shape[0])


@register
@dataclasses.dataclass(frozen=True)
class SparseOperator:
    """A sparse matrix [P, Q] laid out for fast products with the matrix and with its transpose.

    It is a pytree, so a jitted function can take it as an argument. Make it once with `operator`, outside the step.

    Attributes:
      data: [E], the entries, row by row.
      rows: int32 [E], the row of each entry, ascending. Made with None, the operator is a third smaller, and counts
        them from `indptr` where they are asked for: no product on CPU reads them, those of other platforms do.
      columns: int32 [E], the column of each entry.
      indptr: int32 [P + 1]; the entries of row p are `indptr[p]:indptr[p + 1]`.
      transposed: the same four arrays for the transpose, or None if the matrix equals its transpose.
      shape: (P, Q), static.

    >>> eye = operator(from_dense(jnp.eye(2)), symmetric=True)
    >>> eye.shape, eye.T is eye
    ((2, 2), True)
    """

    data: jax.Array
    if TYPE_CHECKING:
        rows: jax.Array
    else:
        rows: jax.Array = _RowOfEntry()
    columns: jax.Array
    indptr: jax.Array
    transposed: tuple[jax.Array, jax.Array | None, jax.Array, jax.Array] | None
    shape: tuple[int, int] = dataclasses.field(metadata={"static": True})

    @property
    def stored_rows(self) -> jax.Array | None:
        """`rows` as it was given: None where it is not stored, as a part of another operator takes it."""
        return stored(self, "rows")

    def with_data(self, data: jax.Array, transposed: Any) -> SparseOperator:
        """The same places with other entries, rows stored or not as here; `dataclasses.replace` would store them.

        >>> eye = operator(from_dense(jnp.eye(2)), symmetric=True)
        >>> eye.with_data(2 * eye.data, None).data.tolist()
        [2.0, 2.0]
        """
        rows: Any = self.stored_rows
        return SparseOperator(data, rows, self.columns, self.indptr, transposed, self.shape)

    @property
    def T(self) -> SparseOperator:
        """The transpose, at no cost."""
        if self.transposed is None:
            return self
        mine = (self.data, self.stored_rows, self.columns, self.indptr)
        data, rows, columns, indptr = self.transposed
        return SparseOperator(data, rows, columns, indptr, mine, (self.shape[1], self.shape[0]))  # pyright: ignore[reportArgumentType]


def rows_of_entries(indptr: Integer[Array, " P1"], entries: int) -> Integer[Array, " E"]:
    """Count the row of each entry from where the rows begin.

    Args:
      indptr: integers [P + 1].
      entries: E.

    >>> rows_of_entries(np.array([0, 2, 2, 3], np.int32), 3).tolist()
    [0, 0, 2]
    """
    if isinstance(indptr, Tracer):
        each = jnp.arange(indptr.shape[0] - 1, dtype=indptr.dtype)
        return jnp.repeat(each, jnp.diff(indptr), total_repeat_length=entries)
    counts = np.diff(np.asarray(indptr))
    return jnp.asarray(np.repeat(np.arange(len(counts), dtype=indptr.dtype), counts))


def reads_rows() -> bool:
    """Tell whether products on the default platform read the row of each entry: yes, but for CPU.

    >>> reads_rows() == (jax.default_backend() != "cpu")
    True
    """
    return jax.default_backend() != "cpu"


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
    check_entries(len(rows))
    # One number a place sorts many times faster than two keys, and distinct places need no stable order.
    place = rows * max(shape[1], 1) + columns
    if not (place[1:] > place[:-1]).all():
        order = np.argsort(place)
        data, rows, columns, place = data[order], rows[order], columns[order], place[order]
        repeated = np.flatnonzero(place[1:] == place[:-1])
        if len(repeated):
            at = int(repeated[0])
            raise MismatchError(
                f"the entry at {(int(rows[at]), int(columns[at]))} is given more than once; sum or drop the duplicates "
                "first"
            )
    indices = np.empty((len(rows), 2), np.int32)
    indices[:, 0], indices[:, 1] = rows, columns
    return bcoo(data, indices, shape, indices_sorted=True, unique_indices=True)


def check_entries(count: int) -> None:
    """Refuse a matrix of more entries than int32 pointers count.

    Raises:
      MismatchError: 2^31 entries or more.

    >>> check_entries(2**31)
    Traceback (most recent call last):
        ...
    jaxrec.errors.MismatchError: a matrix of 2,147,483,648 entries, and int32 pointers count up to 2,147,483,647; ...
    """
    if count > _MOST_ENTRIES:
        raise MismatchError(
            f"a matrix of {count:,} entries, and int32 pointers count up to {_MOST_ENTRIES:,}; leave interactions out "
            "(jaxrec.prepare with a larger k_core or min_rating), or train on a part of the users; on several "
            "devices the bound is the same"
        )


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
    check_entries(len(data))
    forward = _compressed(data, rows, columns, matrix.shape)
    backward = _turned(forward, matrix.shape)
    if symmetric:
        if matrix.shape[0] != matrix.shape[1] or not all(
            len(f) == len(b) and np.allclose(f, b, rtol=1e-6, atol=0) for f, b in zip(forward, backward, strict=True)
        ):
            raise MismatchError(f"the matrix of shape {matrix.shape} is not symmetric; leave out symmetric=True")
        backward = None
    parts: tuple[Any, Any, Any, Any] = jax.tree.map(jnp.asarray, forward)
    return SparseOperator(*parts, jax.tree.map(jnp.asarray, backward), (matrix.shape[0], matrix.shape[1]))


def _compressed(
    data: np.ndarray, rows: np.ndarray, columns: np.ndarray, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    place = rows.astype(np.int64) * max(shape[1], 1) + columns
    if not (place[1:] >= place[:-1]).all():
        order = np.argsort(place, kind="stable")  # entries at one place keep their order
        data, rows, columns = data[order], rows[order], columns[order]
    indptr = np.zeros(shape[0] + 1, np.int32)
    np.cumsum(np.bincount(rows, minlength=shape[0]), out=indptr[1:])
    return data, rows.astype(np.int32), columns.astype(np.int32), indptr


def _turned(
    compressed: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The same of the transpose, by a counting sort of the columns, which keeps the order of the rows."""
    import scipy.sparse

    data, _, columns, indptr = compressed
    place: Any = scipy.sparse.csr_array((np.arange(len(data), dtype=np.int32), columns, indptr), shape=shape).tocsc()
    rows = np.repeat(np.arange(shape[1], dtype=np.int32), np.diff(place.indptr))
    return data[place.data], rows, place.indices.astype(np.int32, copy=False), place.indptr.astype(np.int32, copy=False)
