"""The adjacency on a mesh: each device has the rows of its parts, and the product is the one `shard_map` of jaxrec."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.parallel._mesh import Layout, own_places, put, replicated
from jaxrec.parallel._placement import Placement, in_place, place
from jaxrec.pytrees import register
from jaxrec.sparse import SparseOperator, reads_rows
from jaxrec.sparse._products import product_of_shape


class _NotOnDevices(JaxrecError, AttributeError):
    """What is asked of an adjacency on several devices, and is of one device only."""


@register
@dataclasses.dataclass(frozen=True)
class ShardedOperator:
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
        if name in ("data", "rows", "columns", "indptr", "indices", "transposed", "T"):
            raise _NotOnDevices(
                f"the adjacency lies on several devices and has no {name!r}; use spmm, join_nodes, part_nodes and "
                "degrees_of of jaxrec.sparse, or leave mesh out"
            )
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    @property
    def operand(self) -> ShardedOperator:
        """What a model with placed tables multiplies by."""
        return self

    @property
    def arrays(self) -> tuple[jax.Array | None, ...]:
        """What takes the memory of the adjacency: entries, their rows and columns, and pointers."""
        return self.entries, self.entry_rows, self.entry_columns, self.pointers

    @property
    def dtype(self) -> Any:
        """Of the entries."""
        return self.entries.dtype

    @property
    def splits_rows(self) -> bool:
        """Whether rows of a table lie on several devices."""
        return self.mesh.shape["rows"] > 1

    def product(self, x: jax.Array) -> jax.Array:
        """A x, [N', d]; see `jaxrec.sparse.spmm`."""
        return _product(self, x)

    def product_rows(self, x: jax.Array, rows: jax.Array, total: jax.Array | None = None) -> jax.Array:
        """(A x)[rows], or (total + A x)[rows], [R, d]; see `jaxrec.sparse.spmm_rows`. The way back gathers nothing."""
        if total is None:
            return _product_rows(self, x, rows)
        return _total_rows(self, total, x, rows)

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
    filled = laid_out(adjacency, placement, layout.rows, own_places(mesh, "rows"))
    rows, everywhere = NamedSharding(mesh, P("rows")), replicated(mesh)
    made: dict[str, Any] = {name: put(array, rows) for name, array in filled.items()}
    size = placement.size_of("nodes")
    return ShardedOperator(
        **{"entry_rows": None, **made},
        users=put(placement.users, everywhere),
        items=put(placement.items, everywhere),
        shape=(size, size),
        parts=(placement.parts, placement.user_rows, placement.item_rows),
        mesh=mesh,
        blocks=layout.blocks,
    )


def laid_out(adjacency: SparseOperator, placement: Placement, devices: int, own: Sequence[int]) -> dict[str, Any]:
    """The entries of an adjacency for devices that share the rows of a placement, in the order of its nodes.

    Args:
      adjacency: symmetric [N, N], users first.
      placement: of the nodes.
      devices: n.
      own: which of the devices to do it for; the others have zeros, which take no memory while nobody touches them.

    Returns:
      entries [n, E'], entry_columns [n, E'] and pointers [n, R + 1] as `ShardedOperator` has them, and entry_rows where
      a product reads them.

    >>> from jaxrec.sparse import from_dense, operator
    >>> edge = operator(from_dense(jnp.array([[0.0, 2.0], [2.0, 0.0]])), symmetric=True)
    >>> laid_out(edge, in_place(1, 1), 1, [0])["pointers"].tolist()
    [[0, 1, 2]]
    """
    size = placement.size_of("nodes")
    nodes, pointers = placement.nodes, np.asarray(adjacency.indptr)
    lengths = np.zeros(size, np.int64)
    lengths[nodes] = np.diff(pointers)
    starts = np.zeros(size, np.int64)
    starts[nodes] = pointers[:-1]
    each = size // devices
    data, columns = np.asarray(adjacency.data), np.asarray(adjacency.columns)
    longest = int(lengths.reshape(devices, each).sum(axis=1).max())
    filled = {
        "entries": np.zeros((devices, longest), data.dtype),
        **({"entry_rows": np.zeros((devices, longest), np.int32)} if reads_rows() else {}),
        "entry_columns": np.zeros((devices, longest), np.int32),
        "pointers": np.zeros((devices, each + 1), np.int32),
    }
    for at in own:
        mine, until = lengths[at * each : (at + 1) * each], filled["pointers"][at, 1:]
        np.cumsum(mine, out=until)
        last = int(until[-1]) if each else 0
        # Where each entry was: the rows in their new order, each as the run of entries that it had.
        order = np.repeat(starts[at * each : (at + 1) * each] - (until - mine), mine) + np.arange(last)
        filled["entries"][at, :last] = data[order]
        filled["entry_columns"][at, :last] = nodes[columns[order]]
        if "entry_rows" in filled:
            filled["entry_rows"][at, :last] = np.repeat(np.arange(each, dtype=np.int32), mine)
            filled["entry_rows"][at, last:] = each
    return filled


@jax.custom_vjp
def _product(matrix: ShardedOperator, x: jax.Array) -> jax.Array:
    devices = matrix.mesh.shape["rows"]

    def gathered(block: jax.Array) -> jax.Array:
        return block if devices == 1 else jax.lax.all_gather(block, "rows", tiled=True)

    return _on_devices(matrix, gathered, "rows", x)


@jax.custom_vjp
def _product_rows(matrix: ShardedOperator, x: jax.Array, rows: jax.Array) -> jax.Array:
    return _product(matrix, x)[rows]


@jax.custom_vjp
def _total_rows(matrix: ShardedOperator, total: jax.Array, x: jax.Array, rows: jax.Array) -> jax.Array:
    return (total + _product(matrix, x))[rows]


def _spread(matrix: ShardedOperator, g: jax.Array, rows: jax.Array) -> jax.Array:
    """A z, with z equal to g [R, d] at `rows`, repeated rows summed: every device has g, and makes z of it."""
    size = matrix.shape[0]

    def made(block: jax.Array, rows: jax.Array) -> jax.Array:
        return jnp.zeros((size, block.shape[1]), block.dtype).at[rows].add(block)

    return _on_devices(matrix, made, None, g, rows)


def _on_devices(
    matrix: ShardedOperator, whole: Callable[..., jax.Array], axis: str | None, x: jax.Array, *more: jax.Array
) -> jax.Array:
    """A product on each device, of its rows and of what `whole` makes of x: all columns, or a block after another.

    Args:
      matrix: A.
      whole: (columns of x, more) -> the same columns [N', w] of the table that is multiplied, on each device.
      axis: along which the rows of x are split; None where each device has all of them.
      x: [rows, d].
      more: arrays that each device has as a whole.
    """
    split = _divides(matrix, x.shape[1])
    width, side = (x.shape[1] // matrix.mesh.shape["columns"], "columns") if split else (x.shape[1], None)
    blocks = _blocks(width, matrix.blocks)
    size = matrix.shape[0]
    product = product_of_shape((size // matrix.mesh.shape["rows"], size))

    def local(entries: Any, rows: Any, places: Any, pointers: Any, x: jax.Array, *more: jax.Array) -> jax.Array:
        own = entries[0], None if rows is None else rows[0], places[0], pointers[0]
        if blocks == 1:
            return product(*own, whole(x, *more))
        wide = width // blocks

        def one(at: Any, out: jax.Array) -> jax.Array:
            block = jax.lax.dynamic_slice_in_dim(x, at * wide, wide, 1)
            return jax.lax.dynamic_update_slice_in_dim(out, product(*own, whole(block, *more)), at * wide, 1)

        return jax.lax.fori_loop(0, blocks, one, jnp.zeros((pointers.shape[1] - 1, width), x.dtype))

    # BCSR's primitive loses the type of what varies over devices, so this is not checked.
    specs = (*(P("rows"),) * 4, P(axis, side), *(P(),) * len(more))
    program = jax.shard_map(local, mesh=matrix.mesh, in_specs=specs, out_specs=P("rows", side), check_vma=False)
    return program(matrix.entries, matrix.entry_rows, matrix.entry_columns, matrix.pointers, x, *more)


def _divides(matrix: ShardedOperator, width: int) -> bool:
    """Whether the devices that share columns can share so many."""
    return width % matrix.mesh.shape["columns"] == 0


def _blocks(width: int, most: int) -> int:
    """Into how many equal blocks a table of so many columns is cut, at the most."""
    return max(blocks for blocks in range(1, min(most, width) + 1) if width % blocks == 0)


def _product_forward(matrix: ShardedOperator, x: jax.Array) -> tuple[jax.Array, ShardedOperator]:
    return _product(matrix, x), matrix


def _product_backward(matrix: ShardedOperator, g: jax.Array) -> tuple[ShardedOperator, jax.Array]:
    # The matrix is its own transpose, so the way back gathers too, and scatters nothing.
    nothing = jax.tree.map(_no_gradient, matrix)
    return nothing, _product(matrix, g)


def _no_gradient(leaf: jax.Array) -> jax.Array | np.ndarray:
    if jnp.issubdtype(leaf.dtype, jnp.inexact):
        return jnp.zeros_like(leaf)
    return np.zeros(leaf.shape, jax.dtypes.float0)


_product.defvjp(_product_forward, _product_backward)


def _product_rows_forward(
    matrix: ShardedOperator, x: jax.Array, rows: jax.Array
) -> tuple[jax.Array, tuple[ShardedOperator, jax.Array]]:
    return _product_rows(matrix, x, rows), (matrix, rows)


def _product_rows_backward(
    residuals: tuple[ShardedOperator, jax.Array], g: jax.Array
) -> tuple[ShardedOperator, jax.Array, np.ndarray]:
    matrix, rows = residuals
    nothing = jax.tree.map(_no_gradient, matrix)
    return nothing, _spread(matrix, g, rows), np.zeros(rows.shape, jax.dtypes.float0)


_product_rows.defvjp(_product_rows_forward, _product_rows_backward)


def _total_rows_forward(
    matrix: ShardedOperator, total: jax.Array, x: jax.Array, rows: jax.Array
) -> tuple[jax.Array, tuple[ShardedOperator, jax.Array]]:
    return _total_rows(matrix, total, x, rows), (matrix, rows)


def _total_rows_backward(
    residuals: tuple[ShardedOperator, jax.Array], g: jax.Array
) -> tuple[ShardedOperator, jax.Array, jax.Array, np.ndarray]:
    nothing, of_x, of_rows = _product_rows_backward(residuals, g)
    of_total = jnp.zeros((residuals[0].shape[0], g.shape[1]), g.dtype).at[residuals[1]].add(g)
    table = NamedSharding(residuals[0].mesh, P("rows", "columns" if _divides(residuals[0], g.shape[1]) else None))
    return nothing, jax.lax.with_sharding_constraint(of_total, table), of_x, of_rows


_total_rows.defvjp(_total_rows_forward, _total_rows_backward)
