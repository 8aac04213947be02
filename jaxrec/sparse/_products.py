"""Products of a sparse matrix and a dense table."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Inexact, Shaped

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.sparse._matrices import SparseOperator, rows_of_entries
from jaxrec.sparse._nodes import Adjacency, Multiplies
from jaxrec.types import Array

if TYPE_CHECKING:
    from jax.experimental.sparse import BCOO

Moved: TypeAlias = Literal["float32", "bfloat16"]
"""The dtype in which a product reads its dense table."""


def gram(matrix: SparseOperator, block: int = 256) -> Shaped[Array, "Q Q"]:
    """Compute the dense Gram matrix of the columns, G = X^T X, of a sparse X [P, Q].

    Args:
      matrix: X, operator [P, Q].
      block: columns per step; [P, block] is the largest array besides the result.

    Returns:
      [Q, Q].

    >>> from jaxrec.sparse import from_dense, operator
    >>> gram(operator(from_dense(jnp.array([[1.0, 2.0]])))).tolist()
    [[1.0, 2.0], [2.0, 4.0]]
    """
    return map_gram_columns(matrix, lambda columns, _: columns, block)


def map_gram_columns(matrix: SparseOperator, function: Callable[..., Any], block: int = 256) -> Any:
    """Apply a function to the columns of the Gram matrix G = X^T X, block by block, without storing all of G.

    Args:
      matrix: X, operator [P, Q].
      function: (columns [block, Q], indices int32 [block]) to a pytree of arrays [block, ...]; row b of `columns` is
        column `indices[b]` of G. The last block is padded with copies of column Q - 1.
      block: columns per step.

    Returns:
      The results of the function, stacked to [Q, ...].

    >>> from jaxrec.sparse import from_dense, operator
    >>> op = operator(from_dense(jnp.array([[1.0, 2.0]])))
    >>> map_gram_columns(op, lambda columns, indices: columns.sum(axis=1)).tolist()
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


def spmm(
    matrix: Adjacency | Multiplies, x: Inexact[Array, " Q *d"], *, moved: Moved = "float32"
) -> Inexact[Array, " P *d"]:
    """Multiply a sparse matrix with a dense table; differentiable in both.

    y[p] = sum over the entries (p, q) of matrix[p, q] x[q].

    On CPU the product runs on the native compressed-row kernel, and its gradient in x is the product with the transpose
    on the same kernel. On other platforms it is a gather and a sorted segment sum. Under `vmap` over x the batch is
    folded into the columns, so the fast path is kept.

    Args:
      matrix: `SparseOperator` [P, Q], fast in both directions. A BCOO [P, Q] is laid out anew in every call: its
        product is fast if its indices are flagged as sorted, its gradient is a plain segment sum. One that
        `Multiplies`, such as those of `jaxrec.parallel`, does so in its own way.
      x: [Q, d] or [Q], of the matrix's dtype. Products of bfloat16 and float16 are summed in float32.
      moved: "bfloat16" rounds a float32 table, and on the way back the gradient of the product, to bfloat16 before
        their rows are gathered, so that half the bytes move; entries, sums and results stay float32. The kernel of the
        CPU reads float32: there it rounds as elsewhere and saves nothing.

    Returns:
      [P, d] or [P].

    Raises:
      JaxrecError: another word for `moved`.
      MismatchError: shapes or dtypes that do not fit; `moved` for a matrix that is no float32 operator.

    >>> from jaxrec.sparse import from_dense, operator
    >>> spmm(operator(from_dense(jnp.array([[1.0, 2.0]]))), jnp.array([3.0, 4.0])).tolist()
    [11.0]
    """
    check_product(matrix, x)
    x = jnp.asarray(x)  # a NumPy array would reach the gradient as it is, where a traced index cannot index it
    check_moved(matrix, moved)
    if x.ndim == 1:
        return spmm(matrix, x[:, None], moved=moved)[:, 0]
    if x.dtype in (jnp.bfloat16, jnp.float16):
        wide = jax.tree.map(lambda leaf: leaf.astype(jnp.float32) if leaf.dtype == x.dtype else leaf, matrix)
        return spmm(wide, x.astype(jnp.float32)).astype(x.dtype)
    if isinstance(matrix, SparseOperator):
        return _operator_product(matrix, x, moved)
    if isinstance(matrix, Multiplies):
        return matrix.product(x)
    return _bcoo_product(matrix, x)


def check_moved(matrix: Adjacency | Multiplies, moved: str) -> None:
    """Refuse a dtype to move tables in that is unknown, or that the matrix is not made for.

    Raises:
      JaxrecError: an unknown word.
      MismatchError: "bfloat16" for a matrix that is no float32 operator.

    >>> from jaxrec.sparse import from_dense
    >>> check_moved(from_dense(jnp.ones((1, 1))), "bfloat16")
    Traceback (most recent call last):
        ...
    jaxrec.errors.MismatchError: moved="bfloat16" is for a float32 operator, got BCOO of float32; use ...
    """
    if moved not in ("float32", "bfloat16"):
        raise JaxrecError(f'moved must be "float32" or "bfloat16", got {moved!r}')
    if moved == "bfloat16" and not (isinstance(matrix, SparseOperator) and matrix.data.dtype == jnp.float32):
        made = type(matrix).__name__ + ("" if isinstance(matrix, Multiplies) else f" of {matrix.data.dtype}")
        raise MismatchError(
            f'moved="bfloat16" is for a float32 operator, got {made}; use sparse.operator, on one device'
        )


def check_product(matrix: Adjacency | Multiplies, x: jax.Array) -> None:
    """Refuse a dense table that does not fit a matrix.

    Raises:
      MismatchError: shapes or dtypes that do not fit.

    >>> from jaxrec.sparse import from_dense
    >>> check_product(from_dense(jnp.ones((1, 2))), jnp.ones((3, 1)))
    Traceback (most recent call last):
        ...
    jaxrec.errors.MismatchError: matrix has shape (1, 2), so x must be [2, d], got (3, 1)
    """
    dtype = matrix.dtype if isinstance(matrix, Multiplies) else matrix.data.dtype
    if dtype != x.dtype:
        raise MismatchError(f"matrix is {dtype} and x is {x.dtype}; convert one of them")
    if x.ndim not in (1, 2) or x.shape[0] != matrix.shape[1]:
        raise MismatchError(f"matrix has shape {matrix.shape}, so x must be [{matrix.shape[1]}, d], got {x.shape}")


def _bcoo_product(matrix: BCOO, x: jax.Array) -> jax.Array:
    if not matrix.indices_sorted:
        matrix = matrix.sort_indices()
    rows, columns = matrix.indices[:, 0], matrix.indices[:, 1]
    counts = jax.ops.segment_sum(jnp.ones_like(rows), rows, matrix.shape[0], indices_are_sorted=True)
    indptr = jnp.concatenate([jnp.zeros(1, rows.dtype), jnp.cumsum(counts, dtype=rows.dtype)])
    # The transpose is not sorted by row, so only the segment sum can use it: an empty indptr says so.
    unsorted = (matrix.data, columns, rows, jnp.zeros(0, rows.dtype))
    shape = (matrix.shape[0], matrix.shape[1])
    return _operator_product(SparseOperator(matrix.data, rows, columns, indptr, unsorted, shape), x, "float32")


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _operator_product(matrix: SparseOperator, x: jax.Array, moved: Moved) -> jax.Array:
    """The product of an operator with a table, which is rounded first where it moves in bfloat16."""
    parts = (matrix.data, matrix.stored_rows, matrix.columns, matrix.indptr)
    if moved == "bfloat16":
        # XLA may leave out a conversion there and back, which the CPU would have; rounding by name it may not.
        x = jax.lax.reduce_precision(x, exponent_bits=8, mantissa_bits=7).astype(jnp.bfloat16)
    return product_of_shape(matrix.shape)(*parts, x)


def _product_forward(
    matrix: SparseOperator, x: jax.Array, moved: Moved
) -> tuple[jax.Array, tuple[SparseOperator, jax.Array]]:
    return _operator_product(matrix, x, moved), (matrix, x)


def _product_backward(
    moved: Moved, residuals: tuple[SparseOperator, jax.Array], g: jax.Array
) -> tuple[SparseOperator, jax.Array]:
    # The derivative of rounding is taken as 1: a slope of 0 almost everywhere would train nothing.
    matrix, x = residuals
    return entry_gradient(matrix, g, x), _operator_product(matrix.T, g, moved)


_operator_product.defvjp(_product_forward, _product_backward)


def entry_gradient(matrix: SparseOperator, g: jax.Array, x: jax.Array) -> SparseOperator:
    """Compute the gradient in the entries of y = A x, as an operator: entry (p, q) has the gradient g[p] . x[q].

    XLA drops the computation if the gradient is not used.

    Args:
      matrix: A [P, Q].
      g: [P, d], the gradient in y.
      x: [Q, d].

    >>> from jaxrec.sparse import from_dense, operator
    >>> op = operator(from_dense(jnp.array([[1.0, 2.0]])))
    >>> entry_gradient(op, jnp.ones((1, 1)), jnp.array([[3.0], [4.0]])).data.tolist()
    [3.0, 4.0]
    """
    # Entries that pad a BCOO lie outside of it and get 0; a plain index would give them the last row's.
    d_data = jnp.sum(g.at[matrix.rows].get(mode="fill", fill_value=0) * x[matrix.columns], axis=1)
    # Whole numbers have no gradient; the transposed copy has none of its own, since `data` stands for both.
    nothing = lambda leaf: (  # noqa: E731
        jnp.zeros_like(leaf) if jnp.issubdtype(leaf.dtype, jnp.inexact) else np.zeros(leaf.shape, jax.dtypes.float0)
    )
    zeros = jax.tree.map(nothing, matrix)
    return zeros.with_data(d_data, zeros.transposed)


def fits_native(data: jax.Array, indptr: jax.Array, columns: jax.Array) -> bool:
    """Tell if the native CPU kernel supports these dtypes.

    >>> fits_native(jnp.ones(1), jnp.zeros(2, jnp.int32), jnp.zeros(1, jnp.int32))
    True
    >>> fits_native(jnp.ones(1, jnp.bfloat16), jnp.zeros(2, jnp.int32), jnp.zeros(1, jnp.int32))
    False
    """
    return data.dtype in (jnp.float32, jnp.float64) and indptr.dtype == columns.dtype


def native_product(
    shape: tuple[int, int], data: jax.Array, columns: jax.Array, indptr: jax.Array, x: jax.Array
) -> jax.Array:
    """Multiply on the native compressed-row kernel of the CPU.

    Args:
      shape: (P, Q).
      data: [E] or longer; entries behind the last row are not read.
      columns: integers, as many as `data`.
      indptr: [P + 1].
      x: [Q, d].

    >>> pointers = jnp.array([0, 2], jnp.int32)
    >>> native_product((1, 2), jnp.ones(2), jnp.array([0, 1], jnp.int32), pointers, jnp.ones((2, 3))).tolist()
    [[2.0, 2.0, 2.0]]
    """
    from jax.experimental.sparse import BCSR

    width = x.shape[1]
    # Unless the columns are a multiple of 8, the kernel works one number at a time: 1 column takes as long as 40.
    # Zero columns pay while they are few; from 64 on, the copies cost more than they save.
    padding = -width % 8 if width < 64 else 0
    if padding:
        x = jnp.pad(x, ((0, 0), (0, padding)))
    product = BCSR((data, columns, indptr), shape=shape) @ x
    return product[:, :width] if padding else product


@functools.cache
def product_of_shape(shape: tuple[int, int]):
    """Make the product of one shape, a function of (data, rows, columns, indptr, x) with a rule for `vmap`.

    >>> product = product_of_shape((1, 1))
    >>> zero, pointers = jnp.zeros(1, jnp.int32), jnp.array([0, 1], jnp.int32)
    >>> product(jnp.ones(1), zero, zero, pointers, jnp.ones((1, 2))).tolist()
    [[1.0, 1.0]]
    """

    def native(data, rows, columns, indptr, x):
        del rows
        return native_product(shape, data, columns, indptr, x.astype(data.dtype))

    def segments(data, rows, columns, indptr, x):
        rows = rows_of_entries(indptr, data.shape[0]) if rows is None else rows
        gathered = x[columns].astype(data.dtype)  # of what is moved in bfloat16, the rows are widened, not the table
        return jax.ops.segment_sum(
            data[:, None] * gathered, rows, num_segments=shape[0], indices_are_sorted=indptr.size > 0
        )

    @jax.custom_batching.custom_vmap
    def product(data, rows, columns, indptr, x):
        if indptr.size == 0 or not fits_native(data, indptr, columns):
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
            array if array is None or is_batched else jnp.broadcast_to(array, (axis_size, *array.shape))
            for array, is_batched in zip(arguments, in_batched, strict=True)
        )
        return jax.lax.map(lambda one: product(*one), batched), True

    return product
