"""Tables of rows on a mesh: onto it and back, and what a decomposition does with tall ones without gathering them."""

from __future__ import annotations

import abc
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxrec.parallel._mesh import own_places, put
from jaxrec.parallel._processes import fetched
from jaxrec.parallel._products import table_sharding
from jaxrec.sparse import SparseOperator, reads_rows


class RowTables(abc.ABC):
    """What a matrix whose rows are shared by devices does with tables that have as many rows, [P', d].

    They are in the order of its places, and the rows of padding are 0. A subclass has `shape`, `places` and `mesh`.

    >>> from jaxrec.parallel import Layout, sharded_operator
    >>> from jaxrec.sparse import from_dense, operator
    >>> edge = sharded_operator(operator(from_dense(jnp.array([[0.0, 2.0], [2.0, 0.0]])), symmetric=True), 1, Layout())
    >>> table = edge.spread(jnp.array([[1.0], [3.0]]))
    >>> edge.original(table).tolist(), edge.factored(table)[1].shape
    ([[1.0], [3.0]], (1, 1))
    """

    shape: tuple[int, int]
    mesh: Mesh
    blocks: int

    @property
    @abc.abstractmethod
    def places(self) -> jax.Array:
        """int32 [P], where each row of the data is in a table [P', d]."""

    def spread(self, x: jax.Array) -> jax.Array:
        """A table [P, d] in the order of the data, which every device has, as one [P', d] whose rows they share."""
        out = jnp.zeros((self.shape[0], *x.shape[1:]), x.dtype).at[self.places].set(x)
        return self.held(out)

    def held(self, x: jax.Array) -> jax.Array:
        """A table [P', d] with its rows where they are to lie."""
        return jax.lax.with_sharding_constraint(x, table_sharding(self, x.shape[1]))  # pyright: ignore[reportArgumentType]

    def original(self, x: jax.Array) -> np.ndarray:
        """A table [P', d] in the order of the data, [P, d], on the host; of several processes all must ask for it."""
        return fetched(x)[np.asarray(self.places)]

    def collected(self, x: jax.Array) -> jax.Array:
        """A table [P', d] in the order of the data, [P, d], on every device; for small ones."""
        return x[self.places]

    def rolled(self, x: jax.Array, by: int) -> jax.Array:
        """Other numbers of the same distribution, if those of a table [P', d] are independent: each device turns its
        rows by some places."""
        turn = functools.partial(jnp.roll, shift=by, axis=0)
        split = table_sharding(self, x.shape[1]).spec  # pyright: ignore[reportArgumentType]
        turned = jax.shard_map(turn, mesh=self.mesh, in_specs=split, out_specs=split)(x)
        return self._without_padding(turned)

    def factored(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Q [P', d] and R [d, d] of a tall table, x = Q R, with orthonormal columns.

        Each device factors its own rows, and all of them the triangles of all, so that d^2 numbers of each device are
        gathered, and no row.

        References:
          Demmel, Grigori, Hoemmen and Langou, Communication-optimal parallel and sequential QR and LU factorizations,
            SIAM Journal on Scientific Computing 34, 2012.
        """

        def local(x: jax.Array) -> tuple[jax.Array, jax.Array]:
            own, triangle = jnp.linalg.qr(x)
            rows = triangle.shape[0]
            both, top = jnp.linalg.qr(jax.lax.all_gather(triangle, "rows", tiled=True))
            mine = jax.lax.dynamic_slice_in_dim(both, jax.lax.axis_index("rows") * rows, rows)
            return jnp.matmul(own, mine, precision=jax.lax.Precision.HIGHEST), top

        program = jax.shard_map(local, mesh=self.mesh, in_specs=P("rows"), out_specs=(P("rows"), P()), check_vma=False)
        basis, triangle = program(x)
        # A column that depends on the others may have taken a row of padding.
        return self._without_padding(basis), triangle

    def _without_padding(self, x: jax.Array) -> jax.Array:
        inside = jnp.zeros((self.shape[0], 1), x.dtype).at[self.places].set(1)
        return self.held(x * inside)


def laid_out(
    matrix: SparseOperator, places: np.ndarray, columns: np.ndarray, size: int, devices: int, own: Sequence[int]
) -> dict[str, Any]:
    """The entries of a matrix for devices that share its rows, which have other places; on the host.

    The entries of a row stay in the order that they have in the matrix.

    Args:
      matrix: [P, Q].
      places: int32 [P], the row of each row.
      columns: int32 [Q], the row that each column has in a table.
      size: P', the rows with padding.
      devices: n.
      own: which of the devices to do it for; the others have zeros, which take no memory while nobody touches them.

    Returns:
      entries [n, E'], entry_columns [n, E'] and pointers [n, R + 1] as `ShardedOperator` has them, and entry_rows where
      a product reads them.

    >>> from jaxrec.sparse import from_dense, operator
    >>> row = operator(from_dense(jnp.array([[0.0, 2.0]])))
    >>> laid_out(row, np.array([0]), np.arange(2, dtype=np.int32), 1, 1, [0])["pointers"].tolist()
    [[0, 1]]
    """
    pointers = np.asarray(matrix.indptr)
    lengths = np.zeros(size, np.int64)
    lengths[places] = np.diff(pointers)
    starts = np.zeros(size, np.int64)
    starts[places] = pointers[:-1]
    each = size // devices
    data, among = np.asarray(matrix.data), np.asarray(matrix.columns)
    longest = int(lengths.reshape(devices, each).sum(axis=1).max())
    filled: dict[str, Any] = {
        "entries": np.zeros((devices, longest), data.dtype),
        **({"entry_rows": np.zeros((devices, longest), np.int32)} if reads_rows() else {}),
        "entry_columns": np.zeros((devices, longest), np.int32),
        "pointers": np.zeros((devices, each + 1), np.int32),
    }
    for at in own:
        counts, until = lengths[at * each : (at + 1) * each], filled["pointers"][at, 1:]
        np.cumsum(counts, out=until)
        last = int(until[-1]) if each else 0
        # Where each entry was: the rows in their new order, each as the run of entries that it had.
        order = np.repeat(starts[at * each : (at + 1) * each] - (until - counts), counts) + np.arange(last)
        filled["entries"][at, :last] = data[order]
        filled["entry_columns"][at, :last] = columns[among[order]]
        if "entry_rows" in filled:
            filled["entry_rows"][at, :last] = np.repeat(np.arange(each, dtype=np.int32), counts)
            filled["entry_rows"][at, last:] = each
    return filled


def laid_out_on(
    mesh: Mesh, matrix: SparseOperator, places: np.ndarray, columns: np.ndarray, size: int
) -> dict[str, jax.Array | None]:
    """`laid_out` on the devices of a mesh; of several processes each fills the parts of its own devices.

    >>> from jaxrec.parallel import Layout
    >>> from jaxrec.sparse import from_dense, operator
    >>> row = operator(from_dense(jnp.array([[0.0, 2.0]])))
    >>> laid_out_on(Layout().mesh(), row, np.array([0]), np.arange(2, dtype=np.int32), 1)["pointers"].tolist()
    [[0, 1]]
    """
    filled = laid_out(matrix, places, columns, size, mesh.shape["rows"], own_places(mesh, "rows"))
    rows = NamedSharding(mesh, P("rows"))
    return {"entry_rows": None, **{name: put(array, rows) for name, array in filled.items()}}
