"""A matrix of users and items on a mesh: each device has rows of it, and rows of its transpose."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxrec.parallel._mesh import Layout, put, replicated
from jaxrec.parallel._placement import Placement, contiguous, place
from jaxrec.parallel._products import product_on, table_sharding
from jaxrec.parallel._tables import RowTables, laid_out_on
from jaxrec.pytrees import register
from jaxrec.sparse import SparseOperator, reads_rows


@register
@dataclasses.dataclass(frozen=True)
class ShardedMatrix(RowTables):
    """A matrix [P', Q'] whose rows are shared by the devices of a mesh, and the rows of whose transpose are too.

    It is for users and items what `ShardedOperator` is for the nodes of an adjacency. `jaxrec.sparse.spmm` multiplies
    with it, and `jaxrec.spectral` decomposes it. Tables of rows are in the order of its placement, padding included, so
    P' is a little above P. It has no gradient in its entries.

    Attributes:
      entries, entry_rows, entry_columns, pointers: of the rows, see `ShardedOperator`.
      transposed: the same four arrays of the transpose.
      row_places: int32 [P], where each row is in a table [P', d].
      column_places: int32 [Q], where each column is in a table [Q', d].
      shape: (P', Q'), static.
      mesh: static.
      blocks: see `Layout`, static.

    >>> from jaxrec.sparse import from_dense, operator, spmm
    >>> matrix = sharded_matrix(operator(from_dense(jnp.array([[1.0, 2.0]]))), Layout())
    >>> spmm(matrix, jnp.array([[3.0], [4.0]])).tolist(), spmm(matrix.T, jnp.array([[3.0]])).tolist()
    ([[11.0]], [[3.0], [6.0]])
    """

    entries: jax.Array
    entry_rows: jax.Array | None
    entry_columns: jax.Array
    pointers: jax.Array
    transposed: tuple[jax.Array, jax.Array | None, jax.Array, jax.Array]
    row_places: jax.Array
    column_places: jax.Array
    shape: tuple[int, int] = dataclasses.field(metadata={"static": True})
    mesh: Mesh = dataclasses.field(metadata={"static": True})
    blocks: int = dataclasses.field(metadata={"static": True})

    @property
    def dtype(self) -> Any:
        """Of the entries."""
        return self.entries.dtype

    @property
    def sizes(self) -> tuple[int, int]:
        """(P, Q), without padding."""
        return self.row_places.shape[0], self.column_places.shape[0]

    @property
    def places(self) -> jax.Array:
        """See `row_places`."""
        return self.row_places

    @property
    def T(self) -> ShardedMatrix:
        """The transpose, at no cost."""
        return ShardedMatrix(
            *self.transposed,
            (self.entries, self.entry_rows, self.entry_columns, self.pointers),
            self.column_places,
            self.row_places,
            (self.shape[1], self.shape[0]),
            self.mesh,
            self.blocks,
        )

    def product(self, x: jax.Array) -> jax.Array:
        """A x, [P', d]; see `jaxrec.sparse.spmm`."""
        return product_on(self, x)

    def table_shape(self, width: int) -> jax.ShapeDtypeStruct:
        """The shape and the place of a table [P', width]."""
        sharding = table_sharding(self, width)
        return jax.ShapeDtypeStruct((self.shape[0], width), self.dtype, sharding=sharding)


def sharded_matrix(
    matrix: SparseOperator, layout: Layout, *, placement: Placement | None = None, mesh: Mesh | None = None
) -> ShardedMatrix:
    """Lay a matrix out on a mesh, once, on the host. The entries of a row stay in their order.

    Args:
      matrix: [P, Q]; see `jaxrec.sparse.operator`.
      layout: of the devices.
      placement: of the rows, as users, and of the columns, as items; by default each device has as many rows and as
        many entries as the others, on both sides.
      mesh: of the layout; by default that of the first devices.

    >>> from jaxrec.sparse import from_dense, operator
    >>> sharded_matrix(operator(from_dense(jnp.array([[1.0, 2.0]]))), Layout()).sizes
    (1, 2)
    """
    if placement is None:
        placement = place(np.diff(np.asarray(matrix.indptr)), np.diff(np.asarray(matrix.T.indptr)), devices=layout.rows)
    mesh = layout.mesh() if mesh is None else mesh
    rows, columns = placement.users, placement.items
    forward = laid_out_on(mesh, matrix, rows, columns, placement.num_users)
    back: dict[str, Any] = laid_out_on(mesh, matrix.T, columns, rows, placement.num_items)
    everywhere = replicated(mesh)
    made: dict[str, Any] = {**forward, "transposed": tuple(back[name] for name in _ARRAYS)}
    return ShardedMatrix(
        **made,
        row_places=put(rows, everywhere),
        column_places=put(columns, everywhere),
        shape=(placement.num_users, placement.num_items),
        mesh=mesh,
        blocks=layout.blocks,
    )


def matrix_shapes(num_rows: int, num_columns: int, entries: int, layout: Layout, mesh: Mesh) -> ShardedMatrix:
    """A matrix of shapes alone, for plans: each device has an equal share of the entries.

    Args:
      num_rows: P.
      num_columns: Q.
      entries: how many.
      layout: of the devices.
      mesh: the same.

    >>> matrix_shapes(1, 2, 2, Layout(), Layout().mesh()).pointers.shape
    (1, 2)
    """
    rows, everywhere = NamedSharding(mesh, P("rows")), replicated(mesh)
    own = (layout.rows, -(-entries // layout.rows))
    sizes = contiguous(num_rows, num_columns, devices=layout.rows)

    def shape(dims: tuple[int, ...], dtype: Any, sharding: NamedSharding = rows) -> Any:
        return jax.ShapeDtypeStruct(dims, dtype, sharding=sharding)

    def side(size: int) -> tuple[Any, Any, Any, Any]:
        numbers = shape(own, jnp.int32)
        pointers = shape((layout.rows, size // layout.rows + 1), jnp.int32)
        return shape(own, jnp.float32), numbers if reads_rows() else None, numbers, pointers

    return ShardedMatrix(
        *side(sizes.num_users),
        transposed=side(sizes.num_items),
        row_places=shape((num_rows,), jnp.int32, everywhere),
        column_places=shape((num_columns,), jnp.int32, everywhere),
        shape=(sizes.num_users, sizes.num_items),
        mesh=mesh,
        blocks=layout.blocks,
    )


_ARRAYS = ("entries", "entry_rows", "entry_columns", "pointers")
