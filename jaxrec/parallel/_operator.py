"""The adjacency on a mesh: each device has the rows of its parts, and the product is the one `shard_map` of jaxrec."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.parallel._mesh import Layout, put, replicated
from jaxrec.parallel._placement import Placement, in_place, place
from jaxrec.parallel._products import product_on, product_rows_on, total_rows_on
from jaxrec.parallel._tables import RowTables, laid_out_on
from jaxrec.pytrees import register
from jaxrec.sparse import SparseOperator


class _NotOnDevices(JaxrecError, AttributeError):
    """What is asked of an adjacency on several devices, and is of one device only."""


@register
@dataclasses.dataclass(frozen=True)
class ShardedOperator(RowTables):
    """A symmetric adjacency [N', N'] whose rows are shared by the devices of a mesh.

    Tables of nodes are in the order of `Placement.nodes`, padding included, so N' is a little above N. The functions
    of `jaxrec.sparse` on adjacencies take it: `spmm`, `spmm_rows`, `join_nodes`, `part_nodes`, `user_nodes`,
    `item_nodes`, `degrees_of`. It has no gradient in its entries.

    Attributes:
      entries: [n, E'], those of each of n devices, row by row, filled up with zeros.
      entry_rows: int32 [n, E'], the row of each entry on its device; of what fills up, the number of rows. None where
        no product reads them, see `jaxrec.sparse.reads_rows`.
      entry_columns: int32 [n, E'], in 0..N'-1.
      pointers: int32 [n, R + 1], where the entries of each row begin.
      users: int32 [U], the row of each user in a table of users.
      items: int32 [I], the row of each item in a table of items.
      shape: (N', N'), static.
      parts: (parts, rows of users in a part, rows of items in a part), static.
      mesh: static.
      blocks: see `Layout`, static.

    >>> from jaxrec.sparse import from_dense, operator, spmm
    >>> edge = operator(from_dense(jnp.array([[0.0, 2.0], [2.0, 0.0]])), symmetric=True)
    >>> spmm(sharded_operator(edge, 1, Layout()), jnp.array([[1.0], [3.0]])).tolist()
    [[6.0], [2.0]]
    """

    entries: jax.Array
    entry_rows: jax.Array | None
    entry_columns: jax.Array
    pointers: jax.Array
    users: jax.Array
    items: jax.Array
    shape: tuple[int, int] = dataclasses.field(metadata={"static": True})
    parts: tuple[int, int, int] = dataclasses.field(metadata={"static": True})
    mesh: Mesh = dataclasses.field(metadata={"static": True})
    blocks: int = dataclasses.field(metadata={"static": True})

    def __getattr__(self, name: str) -> Any:
        # Another adjacency has its entries under other names, so code that reads them says so, and not nonsense.
        if name in ("data", "rows", "columns", "indptr", "indices", "transposed"):
            raise _NotOnDevices(
                f"the adjacency lies on several devices and has no {name!r}; use spmm, join_nodes, part_nodes and "
                "degrees_of of jaxrec.sparse, or leave mesh out"
            )
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    @property
    def arrays(self) -> tuple[jax.Array | None, ...]:
        """What takes the memory of the adjacency: entries, their rows and columns, and pointers."""
        return self.entries, self.entry_rows, self.entry_columns, self.pointers

    @property
    def dtype(self) -> Any:
        """Of the entries."""
        return self.entries.dtype

    @property
    def sizes(self) -> tuple[int, int]:
        """(N, N), without padding."""
        size = self.users.shape[0] + self.items.shape[0]
        return size, size

    @property
    def places(self) -> jax.Array:
        """int32 [N], where each node is in a table of nodes, users first."""
        return jnp.concatenate([self.user_nodes(self.users), self.item_nodes(self.items)])

    @property
    def T(self) -> ShardedOperator:
        """The transpose, which it equals."""
        return self

    @property
    def splits_rows(self) -> bool:
        """Whether rows of a table lie on several devices."""
        return self.mesh.shape["rows"] > 1

    def product(self, x: jax.Array) -> jax.Array:
        """A x, [N', d]; see `jaxrec.sparse.spmm`."""
        return product_on(self, x)

    def product_rows(self, x: jax.Array, rows: jax.Array, total: jax.Array | None = None) -> jax.Array:
        """(A x)[rows], or (total + A x)[rows], [R, d]; see `jaxrec.sparse.spmm_rows`. The way back gathers nothing."""
        if total is None:
            return product_rows_on(self, x, rows)
        return total_rows_on(self, total, x, rows)

    def joined(self, users: jax.Array, items: jax.Array) -> jax.Array:
        """Tables of users and items as one of nodes, each device its own rows."""
        parts, user_rows, item_rows = self.parts
        own = users.reshape(parts, user_rows, *users.shape[1:])
        theirs = items.reshape(parts, item_rows, *items.shape[1:])
        joined = jnp.concatenate([own, theirs], axis=1)
        return joined.reshape(self.shape[0], *users.shape[1:])

    def parted(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """A table of nodes as those of users and items."""
        parts, user_rows, item_rows = self.parts
        each = x.reshape(parts, user_rows + item_rows, *x.shape[1:])
        own, theirs = each[:, :user_rows], each[:, user_rows:]
        rest = x.shape[1:]
        return own.reshape(parts * user_rows, *rest), theirs.reshape(parts * item_rows, *rest)

    def user_nodes(self, user: jax.Array) -> jax.Array:
        """From rows of a table of users to those of the same users in a table of nodes."""
        parts, user_rows, item_rows = self.parts
        return user if parts == 1 else user + user // user_rows * item_rows

    def item_nodes(self, item: jax.Array) -> jax.Array:
        """From rows of a table of items to those of the same items in a table of nodes."""
        parts, user_rows, item_rows = self.parts
        return user_rows + (item if parts == 1 else item + item // item_rows * user_rows)

    def degrees(self) -> jax.Array:
        """The entries in each row, int32 [N']."""
        return jnp.diff(self.pointers, axis=1).reshape(-1)


def placement_for(
    adjacency: SparseOperator, num_users: int, layout: Layout, ranks: np.ndarray | None = None
) -> Placement:
    """The placement of the nodes of an adjacency for a layout: balanced where rows are split.

    Args:
      adjacency: [N, N], users first.
      num_users: U.
      layout: of the devices.
      ranks: [N], the rank of each node within its part; None for the order of the data.

    >>> from jaxrec.sparse import from_dense, operator
    >>> edge = operator(from_dense(jnp.array([[0.0, 2.0], [2.0, 0.0]])), symmetric=True)
    >>> placement_for(edge, 1, Layout(columns=2)).parts
    1
    """
    if layout.rows == 1 and ranks is None:
        return in_place(num_users, adjacency.shape[0] - num_users)
    degrees = np.diff(np.asarray(adjacency.indptr))
    return place(degrees[:num_users], degrees[num_users:], devices=layout.rows, parts=layout.parts, ranks=ranks)


def sharded_operator(
    adjacency: SparseOperator,
    num_users: int,
    layout: Layout,
    *,
    placement: Placement | None = None,
    mesh: Mesh | None = None,
) -> ShardedOperator:
    """Lay an adjacency out on a mesh, once, on the host.

    The entries of a row stay in the order that they have on one device, so that each sum is of the same numbers in the
    same order, and a product on CPU has the same bits on any number of devices.

    Args:
      adjacency: symmetric [N, N], users first; see `jaxrec.sparse.operator`.
      num_users: U.
      layout: of the devices.
      placement: of the nodes; by default `placement_for`.
      mesh: of the layout; by default that of the first devices.

    Raises:
      MismatchError: an adjacency that has another transpose.

    >>> from jaxrec.sparse import from_dense, operator
    >>> edge = operator(from_dense(jnp.array([[0.0, 2.0], [2.0, 0.0]])), symmetric=True)
    >>> sharded_operator(edge, 1, Layout()).degrees().tolist()
    [1, 1]
    """
    if adjacency.transposed is not None or adjacency.shape[0] != adjacency.shape[1]:
        raise MismatchError(
            f"an adjacency on several devices must be symmetric, got one of shape {adjacency.shape} with another "
            "transpose; make it by operator(..., symmetric=True)"
        )
    placement = placement_for(adjacency, num_users, layout) if placement is None else placement
    mesh = layout.mesh() if mesh is None else mesh
    size = placement.size_of("nodes")
    everywhere = replicated(mesh)
    made: dict[str, Any] = laid_out_on(mesh, adjacency, placement.nodes, placement.nodes, size)
    return ShardedOperator(
        **made,
        users=put(placement.users, everywhere),
        items=put(placement.items, everywhere),
        shape=(size, size),
        parts=(placement.parts, placement.user_rows, placement.item_rows),
        mesh=mesh,
        blocks=layout.blocks,
    )
