"""Products of a sparse matrix and dense columns: the one place that knows `jax.experimental.sparse`."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.sparse import BCOO, BCSR

from jaxrec.errors import MismatchError

Array = jax.Array | np.ndarray


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class SparseOperator:
    """A sparse matrix [M, N] laid out for fast products with it and with its transpose.

    It is a pytree, so it can be an argument of a jitted function. Make it once with `operator`, outside the step.

    Attributes:
      data: [E], the entries, row by row.
      rows: int32 [E], the row of each entry, ascending.
      columns: int32 [E], the column of each entry.
      indptr: int32 [M + 1], the entries of row r are `indptr[r]:indptr[r + 1]`.
      transposed: the same four arrays for the transpose, or None where the matrix equals its transpose.
      shape: (M, N), static.

    >>> eye = operator(from_dense(jnp.eye(2)))
    >>> eye.shape, eye.transposed is None
    ((2, 2), False)
    """

    data: jax.Array
    rows: jax.Array
    columns: jax.Array
    indptr: jax.Array
    transposed: tuple[jax.Array, jax.Array, jax.Array, jax.Array] | None
    shape: tuple[int, int] = dataclasses.field(metadata={"static": True})

    @property
    def T(self) -> SparseOperator:
        """The transpose, without any work."""
        if self.transposed is None:
            return self
        mine = (self.data, self.rows, self.columns, self.indptr)
        return SparseOperator(*self.transposed, mine, (self.shape[1], self.shape[0]))


SparseMatrix = BCOO | SparseOperator


def from_dense(matrix: Array) -> BCOO:
    """The non-zero entries of a dense matrix [M, N] as a BCOO with sorted indices (on the host, not under jit).

    >>> from_dense(jnp.eye(3)).nse
    3
    """
    matrix = np.asarray(matrix)
    rows, columns = np.nonzero(matrix)
    return from_entries(matrix[rows, columns], rows, columns, matrix.shape)


def from_entries(data: Array, rows: Array, columns: Array, shape: tuple[int, int]) -> BCOO:
    """A BCOO from entries at distinct places, sorted here by row and then column (on the host, not under jit).

    Args:
      data: [E].
      rows: whole numbers [E], in 0..M-1.
      columns: whole numbers [E], in 0..N-1.
      shape: (M, N).

    Returns:
      BCOO [M, N] with int32 indices, flagged sorted and unique.

    Raises:
      MismatchError: a place that is named twice or lies outside the shape.

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
            raise MismatchError(f"the entry at {place} is given more than once; add or drop the repeats first")
    return BCOO(
        (jnp.asarray(data[order]), jnp.asarray(indices)), shape=tuple(shape), indices_sorted=True, unique_indices=True
    )


def operator(matrix: SparseMatrix, *, symmetric: bool = False) -> SparseOperator:
    """Lay a BCOO out for fast products, once, on the host.

    Args:
      matrix: BCOO [M, N]; an operator is returned as it is.
      symmetric: whether the matrix equals its transpose, as a normalised adjacency does; the gradient then needs no
        second copy. It is checked.

    Raises:
      MismatchError: not a matrix, or `symmetric` for one that is not.

    >>> op = operator(from_dense(jnp.array([[0.0, 2.0], [2.0, 0.0]])), symmetric=True)
    >>> spmm(op, jnp.array([[1.0], [3.0]])).tolist()
    [[6.0], [2.0]]
    """
    if isinstance(matrix, SparseOperator):
        return matrix
    if matrix.n_batch or matrix.n_dense or len(matrix.shape) != 2:
        raise MismatchError(f"operator needs a plain sparse matrix [M, N], got shape {matrix.shape}")
    data, indices = np.asarray(matrix.data), np.asarray(matrix.indices)
    inside = (indices < np.array(matrix.shape)).all(axis=1)  # a BCOO pads with indices out of bounds
    data, rows, columns = data[inside], indices[inside, 0], indices[inside, 1]
    forward = _compressed(data, rows, columns, matrix.shape[0])
    backward = _compressed(data, columns, rows, matrix.shape[1])
    if symmetric:
        if matrix.shape[0] != matrix.shape[1] or not all(
            len(f) == len(b) and np.allclose(f, b, rtol=1e-6, atol=0) for f, b in zip(forward, backward, strict=True)
        ):
            raise MismatchError(f"the matrix of shape {matrix.shape} is not symmetric; leave symmetric=True out")
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


def gram(matrix: SparseOperator, block: int = 256) -> jax.Array:
    """The dense Gram matrix of the columns, G = M^T M, of a sparse M [M, N], made `block` columns at a time.

    Args:
      matrix: operator [M, N].
      block: columns at a time; [M, block] is the largest array besides the result.

    Returns:
      [N, N].

    >>> gram(operator(from_dense(jnp.array([[1.0, 2.0]])))).tolist()
    [[1.0, 2.0], [2.0, 4.0]]
    """
    return map_gram_columns(matrix, lambda columns, _: columns, block)


def map_gram_columns(matrix: SparseOperator, function: Callable[..., Any], block: int = 256) -> Any:
    """Apply a function to the columns of the Gram matrix G = M^T M, a block at a time, so that G is never held whole.

    Args:
      matrix: operator [M, N].
      function: of (columns [block, N], which int32 [block]) to a pytree of arrays [block, ...]; row b of `columns` is
        column `which[b]` of G. The last block is padded with repeats of column N - 1.
      block: columns at a time.

    Returns:
      The function's results, stacked to [N, ...].

    >>> op = operator(from_dense(jnp.array([[1.0, 2.0]])))
    >>> map_gram_columns(op, lambda columns, which: columns.sum(axis=1)).tolist()
    [3.0, 6.0]
    """
    size = matrix.shape[1]
    block = min(block, size)
    blocks = -(-size // block)
    which = jnp.minimum(jnp.arange(blocks * block, dtype=jnp.int32), size - 1).reshape(blocks, block)

    def one(at: jax.Array) -> Any:
        chosen = (jnp.arange(size, dtype=jnp.int32)[:, None] == at[None, :]).astype(matrix.data.dtype)
        return function(spmm(matrix.T, spmm(matrix, chosen)).T, at)

    stacked = jax.lax.map(one, which)
    return jax.tree.map(lambda leaf: leaf.reshape(blocks * block, *leaf.shape[2:])[:size], stacked)


def spmm(matrix: SparseMatrix, x: jax.Array) -> jax.Array:
    """The product of a sparse matrix and dense columns, differentiable in both.

    y[m] = sum over the entries (m, n) of matrix[m, n] x[n].

    On CPU the product runs on the native compressed-row kernel; its gradient in x is the product with the transpose on
    the same kernel. Elsewhere it is a gather and a sorted segment sum. Under `vmap` over x the batch is folded into the
    columns, so the fast path stays.

    Args:
      matrix: `SparseOperator` [M, N] (fast both ways), or a BCOO [M, N] (laid out anew in every call: the forward
        product is fast where its indices are flagged as sorted, the gradient is a plain segment sum).
      x: [N, d] or [N], of the matrix's dtype. Products of bfloat16 and float16 are summed in float32.

    Returns:
      [M, d] or [M].

    Raises:
      MismatchError: shapes or dtypes that do not fit.

    >>> spmm(operator(from_dense(jnp.array([[1.0, 2.0]]))), jnp.array([3.0, 4.0])).tolist()
    [11.0]
    """
    if matrix.data.dtype != x.dtype:
        raise MismatchError(f"matrix is {matrix.data.dtype} and x is {x.dtype}; convert one of them")
    if x.ndim not in (1, 2) or x.shape[0] != matrix.shape[1]:
        raise MismatchError(f"matrix has shape {matrix.shape}, so x must be [{matrix.shape[1]}, d], got {x.shape}")
    x = jnp.asarray(x)  # a NumPy array would reach the gradient as it is, where a traced index cannot index it
    if x.ndim == 1:
        return spmm(matrix, x[:, None])[:, 0]
    if x.dtype in (jnp.bfloat16, jnp.float16):
        wide = jax.tree.map(lambda leaf: leaf.astype(jnp.float32) if leaf.dtype == x.dtype else leaf, matrix)
        return spmm(wide, x.astype(jnp.float32)).astype(x.dtype)
    if isinstance(matrix, SparseOperator):
        return _operator_product(matrix, x)
    return _bcoo_product(matrix, x)


def _bcoo_product(matrix: BCOO, x: jax.Array) -> jax.Array:
    if not matrix.indices_sorted:
        matrix = matrix.sort_indices()
    rows, columns = matrix.indices[:, 0], matrix.indices[:, 1]
    counts = jax.ops.segment_sum(jnp.ones_like(rows), rows, matrix.shape[0], indices_are_sorted=True)
    indptr = jnp.concatenate([jnp.zeros(1, rows.dtype), jnp.cumsum(counts, dtype=rows.dtype)])
    # The transpose is not sorted by row, so only the segment sum can use it: an empty indptr says so.
    unsorted = (matrix.data, columns, rows, jnp.zeros(0, rows.dtype))
    shape = (matrix.shape[0], matrix.shape[1])
    return _operator_product(SparseOperator(matrix.data, rows, columns, indptr, unsorted, shape), x)


@jax.custom_vjp
def _operator_product(matrix: SparseOperator, x: jax.Array) -> jax.Array:
    return _product(matrix.shape)(matrix.data, matrix.rows, matrix.columns, matrix.indptr, x)


def _product_forward(matrix: SparseOperator, x: jax.Array) -> tuple[jax.Array, tuple[SparseOperator, jax.Array]]:
    return _operator_product(matrix, x), (matrix, x)


def _product_backward(residuals: tuple[SparseOperator, jax.Array], g: jax.Array) -> tuple[SparseOperator, jax.Array]:
    matrix, x = residuals
    # Only computed where somebody asks for the gradient of the entries: XLA drops it otherwise.
    # Entries that pad a BCOO lie outside of it and get 0; a plain index would give them the last row's.
    d_data = jnp.sum(g.at[matrix.rows].get(mode="fill", fill_value=0) * x[matrix.columns], axis=1)
    # Whole numbers have no gradient; the transposed copy has none of its own, since `data` stands for both.
    nothing = lambda leaf: (  # noqa: E731
        jnp.zeros_like(leaf) if jnp.issubdtype(leaf.dtype, jnp.inexact) else np.zeros(leaf.shape, jax.dtypes.float0)
    )
    d_matrix = dataclasses.replace(jax.tree.map(nothing, matrix), data=d_data)
    return d_matrix, _operator_product(matrix.T, g)


_operator_product.defvjp(_product_forward, _product_backward)


@functools.cache
def _product(shape: tuple[int, int]):
    """The product for one shape, as a function of arrays with a rule for `vmap`."""

    def native(data, rows, columns, indptr, x):
        del rows
        width = x.shape[1]
        # Unless the columns are a multiple of 8, the kernel works one number at a time: 1 column takes as long as 40.
        # Zero columns pay while they are few; from 64 on, the copies cost more than they save.
        padding = -width % 8 if width < 64 else 0
        if padding:
            x = jnp.pad(x, ((0, 0), (0, padding)))
        product = BCSR((data, columns, indptr), shape=shape) @ x
        return product[:, :width] if padding else product

    def segments(data, rows, columns, indptr, x):
        return jax.ops.segment_sum(
            data[:, None] * x[columns], rows, num_segments=shape[0], indices_are_sorted=indptr.size > 0
        )

    @jax.custom_batching.custom_vmap
    def product(data, rows, columns, indptr, x):
        native_dtype = data.dtype in (jnp.float32, jnp.float64) and indptr.dtype == columns.dtype
        if indptr.size == 0 or not native_dtype:
            return segments(data, rows, columns, indptr, x)
        return jax.lax.platform_dependent(data, rows, columns, indptr, x, cpu=native, default=segments)

    @product.def_vmap
    def rule(axis_size, in_batched, data, rows, columns, indptr, x):
        if not any(in_batched[:4]):
            folded = jnp.moveaxis(x, 0, 1).reshape(x.shape[1], axis_size * x.shape[2])
            out = product(data, rows, columns, indptr, folded)
            return jnp.moveaxis(out.reshape(shape[0], axis_size, x.shape[2]), 1, 0), True
        arguments = (data, rows, columns, indptr, x)
        batched = tuple(
            array if is_batched else jnp.broadcast_to(array, (axis_size, *array.shape))
            for array, is_batched in zip(arguments, in_batched, strict=True)
        )
        return jax.lax.map(lambda one: product(*one), batched), True

    return product
