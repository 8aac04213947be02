"""Products on a mesh: each device multiplies its own rows of a matrix with a table that is gathered, or made there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxrec.sparse._products import product_of_shape


class RowParts(Protocol):
    """A matrix whose rows are shared by the devices of a mesh; see `ShardedOperator` for the arrays.

    >>> RowParts.__name__
    'RowParts'
    """

    @property
    def entries(self) -> jax.Array:
        """Of each device."""
        ...

    @property
    def entry_rows(self) -> jax.Array | None:
        """Their rows."""
        ...

    @property
    def entry_columns(self) -> jax.Array:
        """Their columns."""
        ...

    @property
    def pointers(self) -> jax.Array:
        """Where rows begin."""
        ...

    @property
    def shape(self) -> tuple[int, int]:
        """With padding."""
        ...

    @property
    def mesh(self) -> Mesh:
        """Of the devices."""
        ...

    @property
    def blocks(self) -> int:
        """See `jaxrec.parallel.Layout`."""
        ...

    @property
    def T(self) -> Any:
        """The transpose, whose rows are shared likewise."""
        ...


M = TypeVar("M", bound=RowParts)


@jax.custom_vjp
def product_on(matrix: RowParts, x: jax.Array) -> jax.Array:
    """A x, differentiable in x. Of a table whose rows are split the rows of all devices are gathered.

    >>> from jaxrec.parallel import Layout, sharded_operator
    >>> from jaxrec.sparse import from_dense, operator
    >>> edge = operator(from_dense(jnp.array([[0.0, 2.0], [2.0, 0.0]])), symmetric=True)
    >>> product_on(sharded_operator(edge, 1, Layout()), jnp.array([[1.0], [3.0]])).tolist()
    [[6.0], [2.0]]
    """
    devices = matrix.mesh.shape["rows"]

    def gathered(block: jax.Array) -> jax.Array:
        return block if devices == 1 else jax.lax.all_gather(block, "rows", tiled=True)

    return _on_devices(matrix, gathered, "rows", x)


@jax.custom_vjp
def product_rows_on(matrix: RowParts, x: jax.Array, rows: jax.Array) -> jax.Array:
    """(A x)[rows] of a symmetric A. On the way back nothing is gathered.

    >>> from jaxrec.parallel import Layout, sharded_operator
    >>> from jaxrec.sparse import from_dense, operator
    >>> edge = operator(from_dense(jnp.array([[0.0, 2.0], [2.0, 0.0]])), symmetric=True)
    >>> product_rows_on(sharded_operator(edge, 1, Layout()), jnp.array([[1.0], [3.0]]), jnp.array([1])).tolist()
    [[2.0]]
    """
    return product_on(matrix, x)[rows]


@jax.custom_vjp
def total_rows_on(matrix: RowParts, total: jax.Array, x: jax.Array, rows: jax.Array) -> jax.Array:
    """(total + A x)[rows] of a symmetric A. On the way back nothing is gathered.

    >>> from jaxrec.parallel import Layout, sharded_operator
    >>> from jaxrec.sparse import from_dense, operator
    >>> edge = operator(from_dense(jnp.array([[0.0, 2.0], [2.0, 0.0]])), symmetric=True)
    >>> x = jnp.array([[1.0], [3.0]])
    >>> total_rows_on(sharded_operator(edge, 1, Layout()), x, x, jnp.array([1])).tolist()
    [[5.0]]
    """
    return (total + product_on(matrix, x))[rows]


def table_sharding(matrix: RowParts, width: int) -> NamedSharding:
    """Where a table of so many columns lies: its rows are split, and its columns where the devices share them equally.

    >>> from jaxrec.parallel import Layout, sharded_operator
    >>> from jaxrec.sparse import from_dense, operator
    >>> edge = operator(from_dense(jnp.array([[0.0, 2.0], [2.0, 0.0]])), symmetric=True)
    >>> table_sharding(sharded_operator(edge, 1, Layout()), 8).is_fully_replicated  # of one device
    True
    """
    return NamedSharding(matrix.mesh, P("rows", "columns" if _divides(matrix, width) else None))


def _spread(matrix: RowParts, g: jax.Array, rows: jax.Array) -> jax.Array:
    """A z, with z equal to g [R, d] at `rows`, repeated rows summed: every device has g, and makes z of it."""
    size = matrix.shape[1]

    def made(block: jax.Array, rows: jax.Array) -> jax.Array:
        return jnp.zeros((size, block.shape[1]), block.dtype).at[rows].add(block)

    return _on_devices(matrix, made, None, g, rows)


def _on_devices(
    matrix: RowParts, whole: Callable[..., jax.Array], axis: str | None, x: jax.Array, *more: jax.Array
) -> jax.Array:
    """A product on each device, of its rows and of what `whole` makes of x: all columns, or a block after another.

    Args:
      matrix: A [P, Q].
      whole: (columns of x, more) -> the same columns [Q, w] of the table that is multiplied, on each device.
      axis: along which the rows of x are split; None where each device has all of them.
      x: [rows, d].
      more: arrays that each device has as a whole.
    """
    split = _divides(matrix, x.shape[1])
    width, side = (x.shape[1] // matrix.mesh.shape["columns"], "columns") if split else (x.shape[1], None)
    wide = -(-width // min(matrix.blocks, width)) if width else 0
    product = product_of_shape((matrix.shape[0] // matrix.mesh.shape["rows"], matrix.shape[1]))

    def local(entries: Any, rows: Any, places: Any, pointers: Any, x: jax.Array, *more: jax.Array) -> jax.Array:
        own = entries[0], None if rows is None else rows[0], places[0], pointers[0]
        if wide == width:
            return product(*own, whole(x, *more))

        def one(at: Any, out: jax.Array) -> jax.Array:
            start = jnp.minimum(at * wide, width - wide)  # the last block has as many columns as the others
            block = jax.lax.dynamic_slice_in_dim(x, start, wide, 1)
            return jax.lax.dynamic_update_slice_in_dim(out, product(*own, whole(block, *more)), start, 1)

        return jax.lax.fori_loop(0, -(-width // wide), one, jnp.zeros((pointers.shape[1] - 1, width), x.dtype))

    # BCSR's primitive loses the type of what varies over devices, so this is not checked.
    specs = (*(P("rows"),) * 4, P(axis, side), *(P(),) * len(more))
    program = jax.shard_map(local, mesh=matrix.mesh, in_specs=specs, out_specs=P("rows", side), check_vma=False)
    return program(matrix.entries, matrix.entry_rows, matrix.entry_columns, matrix.pointers, x, *more)


def _divides(matrix: RowParts, width: int) -> bool:
    """Whether the devices that share columns can share so many."""
    return width % matrix.mesh.shape["columns"] == 0


def _product_forward(matrix: M, x: jax.Array) -> tuple[jax.Array, M]:
    return product_on(matrix, x), matrix


def _product_backward(matrix: M, g: jax.Array) -> tuple[M, jax.Array]:
    # The rows of the transpose are shared too, so the way back gathers, and scatters nothing.
    nothing = jax.tree.map(_no_gradient, matrix)
    return nothing, product_on(matrix.T, g)


def _no_gradient(leaf: jax.Array) -> jax.Array | np.ndarray:
    if jnp.issubdtype(leaf.dtype, jnp.inexact):
        return jnp.zeros_like(leaf)
    return np.zeros(leaf.shape, jax.dtypes.float0)


product_on.defvjp(_product_forward, _product_backward)


def _product_rows_forward(matrix: M, x: jax.Array, rows: jax.Array) -> tuple[jax.Array, tuple[M, jax.Array]]:
    return product_rows_on(matrix, x, rows), (matrix, rows)


def _product_rows_backward(residuals: tuple[M, jax.Array], g: jax.Array) -> tuple[M, jax.Array, np.ndarray]:
    matrix, rows = residuals
    nothing = jax.tree.map(_no_gradient, matrix)
    return nothing, _spread(matrix, g, rows), np.zeros(rows.shape, jax.dtypes.float0)


product_rows_on.defvjp(_product_rows_forward, _product_rows_backward)


def _total_rows_forward(
    matrix: M, total: jax.Array, x: jax.Array, rows: jax.Array
) -> tuple[jax.Array, tuple[M, jax.Array]]:
    return total_rows_on(matrix, total, x, rows), (matrix, rows)


def _total_rows_backward(residuals: tuple[M, jax.Array], g: jax.Array) -> tuple[M, jax.Array, jax.Array, np.ndarray]:
    nothing, of_x, of_rows = _product_rows_backward(residuals, g)
    of_total = jnp.zeros((residuals[0].shape[0], g.shape[1]), g.dtype).at[residuals[1]].add(g)
    table = table_sharding(residuals[0], g.shape[1])
    return nothing, jax.lax.with_sharding_constraint(of_total, table), of_x, of_rows


total_rows_on.defvjp(_total_rows_forward, _total_rows_backward)
