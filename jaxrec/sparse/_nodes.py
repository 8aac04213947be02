"""Users and items as the nodes of one adjacency, in the order that the adjacency has its rows in."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Integer, Shaped

from jaxrec.sparse._matrices import SparseMatrix, SparseOperator
from jaxrec.types import Array


@runtime_checkable
class Multiplies(Protocol):
    """A matrix that multiplies by itself, as those do whose rows lie on several devices.

    >>> from jaxrec.sparse import from_dense, operator
    >>> isinstance(operator(from_dense(jnp.eye(2))), Multiplies)
    False
    """

    @property
    def shape(self) -> tuple[int, int]:
        """(P, Q)."""
        ...

    @property
    def dtype(self) -> Any:
        """Of the entries."""
        ...

    def product(self, x: jax.Array) -> jax.Array:
        """A x, [P, d], differentiable in x."""
        ...


@runtime_checkable
class NodeOperator(Multiplies, Protocol):
    """An adjacency that multiplies by itself, and has its nodes in an order of its own: what the functions here ask.

    `jaxrec.parallel.ShardedOperator` is one, whose rows lie on several devices.

    >>> from jaxrec.sparse import from_dense, operator
    >>> isinstance(operator(from_dense(jnp.eye(2))), NodeOperator)
    False
    """

    @property
    def sizes(self) -> tuple[int, int]:
        """(N, N), without rows of padding, which `shape` has."""
        ...

    @property
    def splits_rows(self) -> bool:
        """Whether rows of a table lie on several devices, so that some of them are summed over all devices."""
        ...

    def product_rows(self, x: jax.Array, rows: jax.Array, total: jax.Array | None = None) -> jax.Array:
        """(A x)[rows], or (total + A x)[rows], [R, d], differentiable in x and in the total."""
        ...

    def joined(self, users: jax.Array, items: jax.Array) -> jax.Array:
        """The table of nodes of a table of users and one of items."""
        ...

    def parted(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The tables of users and items of a table of nodes."""
        ...

    def user_nodes(self, user: jax.Array) -> jax.Array:
        """From rows of a table of users to rows of a table of nodes."""
        ...

    def item_nodes(self, item: jax.Array) -> jax.Array:
        """From rows of a table of items to rows of a table of nodes."""
        ...

    def spread(self, x: jax.Array) -> jax.Array:
        """From a table of nodes in the order of the data, users first, to one in the order of the rows."""
        ...

    def degrees(self) -> jax.Array:
        """The entries in each row, int32 [N]."""
        ...


Adjacency = SparseMatrix | NodeOperator


def join_nodes(
    adjacency: Adjacency, users: Shaped[Array, " U *d"], items: Shaped[Array, " I *d"]
) -> Shaped[Array, " N *d"]:
    """Make the table of nodes that a product with an adjacency takes: users first, or in the adjacency's own order.

    A model that joins and parts its tables so, and does not concatenate them, can be trained on several devices: there
    a concatenation would move all rows, and this moves none.

    Args:
      adjacency: A~ [N, N].
      users: [U, ...].
      items: [I, ...].

    Returns:
      [N, ...].

    >>> from jaxrec.sparse import from_dense
    >>> join_nodes(from_dense(jnp.ones((2, 2))), jnp.ones((1, 3)), jnp.zeros((1, 3))).shape
    (2, 3)
    """
    if isinstance(adjacency, NodeOperator):
        return adjacency.joined(users, items)
    return jnp.concatenate([users, items])


def part_nodes(
    adjacency: Adjacency, x: Shaped[Array, " N *d"], num_users: int
) -> tuple[Shaped[Array, " U *d"], Shaped[Array, " I *d"]]:
    """Part a table of nodes into one of users and one of items, as `join_nodes` joined them.

    Args:
      adjacency: A~ [N, N].
      x: [N, ...].
      num_users: U.

    >>> from jaxrec.sparse import from_dense
    >>> users, items = part_nodes(from_dense(jnp.ones((3, 3))), jnp.array([5.0, 7.0, 8.0]), 1)
    >>> users.tolist(), items.tolist()
    ([5.0], [7.0, 8.0])
    """
    if isinstance(adjacency, NodeOperator):
        return adjacency.parted(x)
    return x[:num_users], x[num_users:]


def user_nodes(adjacency: Adjacency, user: Integer[Array, " *b"]) -> Integer[Array, " *b"]:
    """Find the rows of users in a table of nodes.

    Args:
      adjacency: A~ [N, N].
      user: int32, rows of a table of users.

    >>> from jaxrec.sparse import from_dense
    >>> user_nodes(from_dense(jnp.ones((3, 3))), jnp.array([0])).tolist()
    [0]
    """
    return adjacency.user_nodes(user) if isinstance(adjacency, NodeOperator) else user


def item_nodes(adjacency: Adjacency, item: Integer[Array, " *b"], num_users: int) -> Integer[Array, " *b"]:
    """Find the rows of items in a table of nodes.

    Args:
      adjacency: A~ [N, N].
      item: int32, rows of a table of items.
      num_users: U.

    >>> from jaxrec.sparse import from_dense
    >>> item_nodes(from_dense(jnp.ones((3, 3))), jnp.array([0]), 1).tolist()
    [1]
    """
    return adjacency.item_nodes(item) if isinstance(adjacency, NodeOperator) else num_users + item


def count_nodes(adjacency: Adjacency) -> int:
    """Count the users and items of an adjacency, without the rows of padding that it may have on several devices.

    >>> from jaxrec.sparse import from_dense
    >>> count_nodes(from_dense(jnp.ones((3, 3))))
    3
    """
    return adjacency.sizes[0] if isinstance(adjacency, NodeOperator) else adjacency.shape[0]


def spread_nodes(adjacency: Adjacency, x: Shaped[Array, " N *d"]) -> Shaped[Array, " N *d"]:
    """Bring a table of nodes from the order of the data into that of an adjacency; rows of padding are 0.

    What a step draws for every node is drawn in the order of the data and brought into the other, so that it is the
    same on any number of devices. Each of them draws all of it.

    Args:
      adjacency: A~ [N, N].
      x: [N, ...], with a row for each of `count_nodes`, users first.

    >>> from jaxrec.sparse import from_dense
    >>> spread_nodes(from_dense(jnp.ones((2, 2))), jnp.array([5.0, 7.0])).tolist()
    [5.0, 7.0]
    """
    return adjacency.spread(x) if isinstance(adjacency, NodeOperator) else x


def degrees_of(adjacency: Adjacency) -> Integer[Array, " N"]:
    """Count the entries in each row of an adjacency.

    Args:
      adjacency: A~ [N, N].

    Returns:
      integers [N].

    >>> from jaxrec.sparse import from_dense
    >>> degrees_of(from_dense(jnp.array([[0.0, 0.5], [0.5, 0.0]]))).tolist()
    [1, 1]
    """
    if isinstance(adjacency, NodeOperator):
        return adjacency.degrees()
    if isinstance(adjacency, SparseOperator):
        return jnp.diff(adjacency.indptr)
    return jnp.bincount(adjacency.indices[:, 0], length=adjacency.shape[0])
