"""The adjacency of one device whose nodes have the order of a placement."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jaxrec.errors import JaxrecError
from jaxrec.parallel._data_order import ByNumber
from jaxrec.parallel._mesh import put, replicated
from jaxrec.parallel._placement import Placement
from jaxrec.parallel._tables import laid_out
from jaxrec.pytrees import register
from jaxrec.sparse import SparseOperator, degrees_of, spmm


class _InAnotherOrder(JaxrecError, AttributeError):
    """What is asked of an adjacency whose nodes have another order than the data."""


@register
@dataclasses.dataclass(frozen=True)
class PlacedOperator(ByNumber):
    """A symmetric adjacency [N, N] on one device, with the nodes in the order of a placement.

    A model with placed tables multiplies by its `operand`, so that a step is the program that it is without a
    placement. The functions of `jaxrec.sparse` on adjacencies take the operator itself, with tables [N, d] in the order
    of the data. Code that reads entries is told that they are in another order.

    Attributes:
      operand: A~ [N, N], placed.
      users: int32 [U], the row of each user in a table of users.
      items: int32 [I], the row of each item in a table of items.

    >>> import jax.numpy as jnp
    >>> from jaxrec.parallel import Layout, in_place
    >>> from jaxrec.sparse import from_dense, operator
    >>> edge = operator(from_dense(jnp.array([[0.0, 2.0], [2.0, 0.0]])), symmetric=True)
    >>> placed = placed_operator(edge, in_place(1, 1), Layout().mesh())
    >>> placed.shape, spmm(placed, jnp.array([[1.0], [3.0]])).tolist()
    ((2, 2), [[6.0], [2.0]])
    """

    operand: SparseOperator
    users: jax.Array
    items: jax.Array

    def __getattr__(self, name: str) -> Any:
        if name in ("data", "rows", "columns", "indptr", "indices", "transposed"):
            raise _InAnotherOrder(
                f"the nodes of the adjacency are in another order than the data, so it has no {name!r} here; use "
                "spmm, degrees_of and the others of jaxrec.sparse, or leave the order of nodes out"
            )
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    @property
    def arrays(self) -> tuple[jax.Array | None, ...]:
        """What takes the memory of the adjacency: entries, their rows and columns, and pointers."""
        return self.operand.data, self.operand.stored_rows, self.operand.columns, self.operand.indptr

    @property
    def dtype(self) -> Any:
        """Of the entries."""
        return self.operand.data.dtype

    @property
    def sizes(self) -> tuple[int, int]:
        """(N, N)."""
        return self.operand.shape

    @property
    def places(self) -> jax.Array:
        """int32 [N], the row of each node, users first: those of users come before those of items."""
        return jnp.concatenate([self.users, self._num_users() + self.items])

    def product(self, x: jax.Array) -> jax.Array:
        """A x, [N, d]; see `jaxrec.sparse.spmm`."""
        placed = jnp.zeros_like(x).at[self.places].set(x, unique_indices=True)
        return spmm(self.operand, placed)[self.places]

    def degrees(self) -> jax.Array:
        """The entries in each row, [N]."""
        return degrees_of(self.operand)[self.places]

    def _num_users(self) -> int:
        return self.users.shape[0]


def placed_operator(adjacency: SparseOperator, placement: Placement, mesh: Mesh) -> PlacedOperator:
    """Lay an adjacency out on one device in the order of a placement, once, on the host.

    The entries of a row stay in the order that they have in the data, so a product has the same bits on CPU.

    Args:
      adjacency: symmetric [N, N], users first.
      placement: of the nodes, in one part.
      mesh: of one device.

    >>> import jax.numpy as jnp
    >>> from jaxrec.parallel import Layout, place
    >>> from jaxrec.sparse import from_dense, operator
    >>> star = operator(from_dense(jnp.array([[0.0, 0, 1], [0, 0, 2], [1, 2, 0]])), symmetric=True)
    >>> turned = place([1, 1], [2], devices=1, ranks=[1, 0, 0])
    >>> placed_operator(star, turned, Layout().mesh()).operand.data.tolist()
    [2.0, 1.0, 1.0, 2.0]
    """
    filled = laid_out(adjacency, placement.nodes, placement.nodes, placement.size_of("nodes"), 1, [0])
    made: dict[str, Any] = {name: put(array[0], replicated(mesh)) for name, array in filled.items()}
    entries = made["entries"], made.get("entry_rows"), made["entry_columns"], made["pointers"]
    places = (put(rows, replicated(mesh)) for rows in (placement.users, placement.items))
    return PlacedOperator(SparseOperator(*entries, None, adjacency.shape), *places)  # pyright: ignore[reportArgumentType]
