"""Selected rows of a sparse product, for batches: computed without the other rows, forward and backward."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Integer, Shaped

from jaxrec.errors import MismatchError
from jaxrec.sparse._matrices import SparseOperator
from jaxrec.sparse._nodes import Adjacency, NodeOperator
from jaxrec.sparse._products import (
    Moved,
    check_moved,
    check_product,
    entry_gradient,
    fits_native,
    native_product,
    product_of_shape,
    spmm,
)
from jaxrec.types import Array

# Copying an entry costs as much as multiplying two or three at 64 columns, so only few entries are worth copying.
_SHARE_OF_ENTRIES = 4
_SHARE_OF_ROWS = 4
BLOCK = 64
_EXACT = 2**24  # integers up to here are exact in float32


def spmm_rows(
    matrix: Adjacency, x: Shaped[Array, "Q d"], rows: Integer[Array, " R"], *, moved: Moved = "float32"
) -> Shaped[Array, "R d"]:
    """Compute selected rows of a product, (matrix x)[rows]; differentiable in the matrix and in x.

    y[j] = sum over the entries (rows[j], q) of matrix[rows[j], q] x[q].

    On CPU the entries of these rows are copied and multiplied if they are at most a quarter of all entries of the
    operator. The gradient in x is the product of the transpose and a small table, which holds the rows of the batch and
    one row of zeros, and so lies in a nearer cache. On other platforms, for a BCOO, for many rows and under `vmap` it
    is the whole product and a gather.

    Args:
      matrix: `SparseOperator` [P, Q], or a BCOO [P, Q].
      x: [Q, d], of the matrix's dtype.
      rows: int32 [R], in 0..P-1, in any order; a row may occur several times.
      moved: see `spmm`; with "bfloat16" it is the whole product on every platform.

    Returns:
      [R, d].

    Raises:
      JaxrecError: another word for `moved`.
      MismatchError: shapes or dtypes that do not fit.

    >>> from jaxrec.sparse import from_dense, operator
    >>> op = operator(from_dense(jnp.array([[1.0, 2.0], [0.0, 3.0]])))
    >>> spmm_rows(op, jnp.array([[1.0], [10.0]]), jnp.array([1, 0, 1])).tolist()
    [[30.0], [21.0], [30.0]]
    """
    check_product(matrix, x)
    if x.ndim != 2:
        raise MismatchError(f"x must have two axes, [{matrix.shape[1]}, d], got {x.shape}")
    rows = jnp.asarray(rows)
    if rows.ndim != 1 or not jnp.issubdtype(rows.dtype, jnp.integer):
        raise MismatchError(f"rows must be whole numbers [R], got {rows.dtype} {rows.shape}")
    if isinstance(matrix, NodeOperator):
        check_moved(matrix, moved)
        return matrix.product_rows(x, rows)
    if moved != "float32" or x.dtype in (jnp.bfloat16, jnp.float16) or not isinstance(matrix, SparseOperator):
        return spmm(matrix, x, moved=moved)[rows]
    return _taken(matrix, jnp.asarray(x), rows.astype(jnp.int32))


def _table(size: int, g: jax.Array, rows: jax.Array) -> jax.Array:
    """Build the table [size, d] that is g [R, d] at `rows`, repeated rows summed, and 0 elsewhere."""
    return jnp.zeros((size, g.shape[1]), g.dtype).at[rows].add(g)


def _plain_taken(shape, data, entry_rows, columns, indptr, x, rows):
    return product_of_shape(shape)(data, entry_rows, columns, indptr, x)[rows]


def _plain_spread(shape, data, entry_rows, columns, indptr, g, rows):
    return product_of_shape(shape)(data, entry_rows, columns, indptr, _table(shape[1], g, rows))


def _native_taken(shape, data, entry_rows, columns, indptr, x, rows):
    """Multiply with a matrix [R, Q] of the entries of the rows, if they are few; otherwise take the whole product."""
    size, capacity = rows.shape[0], -(-data.shape[0] // _SHARE_OF_ENTRIES)
    plain = functools.partial(_plain_taken, shape)
    if not _few_rows(size, shape[0]):
        return plain(data, entry_rows, columns, indptr, x, rows)
    starts = indptr[rows]
    lengths = indptr[rows + 1] - starts

    def picked(data, entry_rows, columns, indptr, x, rows):
        del entry_rows, indptr, rows
        ends = jnp.cumsum(lengths, dtype=lengths.dtype)
        # Place p of the copy belongs to row number |{r: ends[r] <= p}|.
        passed = jnp.zeros(capacity, jnp.float32).at[ends[:-1]].add(1, mode="drop")
        of_row = running_sum(passed).astype(lengths.dtype)
        places = jnp.arange(capacity, dtype=lengths.dtype) + (starts - (ends - lengths))[of_row]
        pointers = jnp.concatenate([jnp.zeros(1, lengths.dtype), ends])
        copied, of_column = (array.at[places].get(mode="clip") for array in (data, columns))
        return native_product((size, shape[1]), copied, of_column, pointers, x)

    # Rows may repeat so often that their entries overflow the integers and this sum, but not both tests.
    whole = jnp.sum(lengths, dtype=lengths.dtype) <= capacity
    few = whole & (jnp.sum(lengths.astype(jnp.float32)) < 2 * capacity + 1)
    return jax.lax.cond(few, picked, plain, data, entry_rows, columns, indptr, x, rows)


def _native_spread(shape, data, entry_rows, columns, indptr, g, rows):
    """Multiply with the table [R + 1, d] of the given rows and one row of zeros, columns renumbered."""
    size = rows.shape[0]
    if not _few_rows(size, shape[1]):
        return _plain_spread(shape, data, entry_rows, columns, indptr, g, rows)
    # Of several places of one row, one wins and takes the sum of all.
    slots = jnp.full(shape[1], size, columns.dtype).at[rows].set(jnp.arange(size, dtype=columns.dtype))
    return native_product((shape[0], size + 1), data, slots[columns], indptr, _table(size + 1, g, slots[rows]))


def _few_rows(size: int, of: int) -> bool:
    """Tell if `size` rows out of `of` are few enough for copying their entries to pay.

    >>> _few_rows(2, 8), _few_rows(2, 7), _few_rows(0, 8)
    (True, False, False)
    """
    return 0 < size * _SHARE_OF_ROWS <= of and size < _EXACT


def _by_platform(shape, native, plain):
    """Choose one of two programs by platform, as a function of arrays; `plain` serves under `vmap`."""
    native, plain = functools.partial(native, shape), functools.partial(plain, shape)

    @jax.custom_batching.custom_vmap
    def product(data, entry_rows, columns, indptr, x, rows):
        arguments = (data, entry_rows, columns, indptr, x, rows)
        if not fits_native(data, indptr, columns):
            return plain(*arguments)
        return jax.lax.platform_dependent(*arguments, cpu=native, default=plain)

    @product.def_vmap
    def rule(axis_size, in_batched, *arguments):
        axes = tuple(0 if batched else None for batched in in_batched)
        return jax.vmap(plain, in_axes=axes, axis_size=axis_size)(*arguments), True

    return product


@functools.cache
def _take_of_shape(shape: tuple[int, int]):
    return _by_platform(shape, _native_taken, _plain_taken)


@functools.cache
def _spread_of_shape(shape: tuple[int, int]):
    return _by_platform(shape, _native_spread, _plain_spread)


@jax.custom_vjp
def _taken(matrix: SparseOperator, x: jax.Array, rows: jax.Array) -> jax.Array:
    """Compute (A x)[rows]."""
    return _take_of_shape(matrix.shape)(matrix.data, matrix.stored_rows, matrix.columns, matrix.indptr, x, rows)


@jax.custom_vjp
def _spread(matrix: SparseOperator, g: jax.Array, rows: jax.Array) -> jax.Array:
    """Compute A z, with z [Q, d] equal to g [R, d] at `rows`, repeated rows summed: the transpose of `_taken`."""
    return _spread_of_shape(matrix.shape)(matrix.data, matrix.stored_rows, matrix.columns, matrix.indptr, g, rows)


_Residuals = tuple[SparseOperator, jax.Array, jax.Array]
_Gradients = tuple[SparseOperator, jax.Array, np.ndarray]


def _taken_forward(matrix: SparseOperator, x: jax.Array, rows: jax.Array) -> tuple[jax.Array, _Residuals]:
    return _taken(matrix, x, rows), (matrix, x, rows)


def _taken_backward(residuals: _Residuals, g: jax.Array) -> _Gradients:
    matrix, x, rows = residuals
    in_entries = entry_gradient(matrix, _table(matrix.shape[0], g, rows), x)
    return in_entries, _spread(matrix.T, g, rows), np.zeros(rows.shape, jax.dtypes.float0)


def _spread_forward(matrix: SparseOperator, g: jax.Array, rows: jax.Array) -> tuple[jax.Array, _Residuals]:
    return _spread(matrix, g, rows), (matrix, g, rows)


def _spread_backward(residuals: _Residuals, h: jax.Array) -> _Gradients:
    matrix, g, rows = residuals
    in_entries = entry_gradient(matrix, h, _table(matrix.shape[1], g, rows))
    return in_entries, _taken(matrix.T, h, rows), np.zeros(rows.shape, jax.dtypes.float0)


_taken.defvjp(_taken_forward, _taken_backward)
_spread.defvjp(_spread_forward, _spread_backward)


def running_sum(x: Float[Array, " n"], block: int = BLOCK) -> Float[Array, " n"]:
    """Sum a vector cumulatively: blocks by products with a triangle, the sums of the blocks in the same way.

    y[j] = x[0] + ... + x[j]

    On CPU this takes a fraction of the time of `jnp.cumsum`. It is exact for integers whose sum is below 2^24.

    Args:
      x: float32 [n], integers of 0 or more.
      block: numbers in a block, at least 2.

    Returns:
      float32 [n].

    >>> running_sum(jnp.array([1.0, 0.0, 2.0]), block=2).tolist()
    [1.0, 1.0, 3.0]
    """
    if x.shape[0] <= block:
        return jnp.cumsum(x)
    triangle = jnp.triu(jnp.ones((block, block), x.dtype))
    blocks = jnp.pad(x, (0, -x.shape[0] % block)).reshape(-1, block)
    within = jnp.dot(blocks, triangle, precision=jax.lax.Precision.HIGHEST)
    before = running_sum(within[:, -1], block) - within[:, -1]
    return (within + before[:, None]).reshape(-1)[: x.shape[0]]
