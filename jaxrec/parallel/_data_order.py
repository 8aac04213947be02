"""The adjacency in another order for code that goes by the numbers of the data: samplers, losses, regularizers."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, Self

import jax
import jax.numpy as jnp

from jaxrec.parallel._operator import ShardedOperator
from jaxrec.pytrees import register


class ByNumber(abc.ABC):
    """What an adjacency answers by the numbers of the data, users first, wherever its own rows lie.

    >>> ByNumber.__abstractmethods__ >= {"product", "sizes"}
    True
    """

    @property
    @abc.abstractmethod
    def sizes(self) -> tuple[int, int]:
        """(N, N)."""

    @abc.abstractmethod
    def product(self, x: jax.Array) -> jax.Array:
        """A x, [N, d]; see `jaxrec.sparse.spmm`."""

    @abc.abstractmethod
    def _num_users(self) -> int:
        """U."""

    @property
    def shape(self) -> tuple[int, int]:
        """(N, N)."""
        return self.sizes

    @property
    def T(self) -> Self:
        """The transpose, which it equals."""
        return self

    @property
    def splits_rows(self) -> bool:
        """False: every device has the whole of a table in the order of the data."""
        return False

    def product_rows(self, x: jax.Array, rows: jax.Array, total: jax.Array | None = None) -> jax.Array:
        """(A x)[rows], or (total + A x)[rows], [R, d]; see `jaxrec.sparse.spmm_rows`."""
        made = self.product(x)
        return (made if total is None else total + made)[rows]

    def joined(self, users: jax.Array, items: jax.Array) -> jax.Array:
        """Tables of users and items as one of nodes."""
        return jnp.concatenate([users, items])

    def parted(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """A table of nodes as those of users and items."""
        return x[: self._num_users()], x[self._num_users() :]

    def user_nodes(self, user: jax.Array) -> jax.Array:
        """From rows of a table of users to those of the same users in a table of nodes."""
        return user

    def item_nodes(self, item: jax.Array) -> jax.Array:
        """From rows of a table of items to those of the same items in a table of nodes."""
        return self._num_users() + item

    def spread(self, x: jax.Array) -> jax.Array:
        """The table itself: it is in the order of the data."""
        return x


@register
@dataclasses.dataclass(frozen=True)
class DataOrder(ByNumber):
    """A symmetric adjacency [N, N] on several devices, whose rows are numbered as users and items are in the data.

    It is `TrainData.adjacency` of a training on a mesh, where batches and draws have the numbers of the data too. The
    functions of `jaxrec.sparse` on adjacencies take it, with tables [N, d] that every device has, users first. A model
    with placed tables multiplies by its `operand`.

    Attributes:
      operand: A~ [N', N'], placed.

    >>> from jaxrec.parallel import Layout, sharded_operator
    >>> from jaxrec.sparse import from_dense, operator, spmm
    >>> edge = operator(from_dense(jnp.array([[0.0, 2.0], [2.0, 0.0]])), symmetric=True)
    >>> spmm(DataOrder(sharded_operator(edge, 1, Layout())), jnp.array([[1.0], [3.0]])).tolist()
    [[6.0], [2.0]]
    """

    operand: ShardedOperator

    def __getattr__(self, name: str) -> Any:
        return getattr(self.operand, name)  # which says what it lacks, and why

    @property
    def users(self) -> jax.Array:
        """int32 [U], the row of each user in a placed table of users."""
        return self.operand.users

    @property
    def items(self) -> jax.Array:
        """int32 [I], the row of each item in a placed table of items."""
        return self.operand.items

    @property
    def arrays(self) -> tuple[jax.Array | None, ...]:
        """What takes the memory of the adjacency: entries, their rows and columns, and pointers."""
        return self.operand.arrays

    @property
    def dtype(self) -> Any:
        """Of the entries."""
        return self.operand.dtype

    @property
    def sizes(self) -> tuple[int, int]:
        """(N, N)."""
        return self.operand.sizes

    def product(self, x: jax.Array) -> jax.Array:
        """A x, [N, d]; see `jaxrec.sparse.spmm`."""
        return self.operand.collected(self.operand.product(self.operand.spread(x)))

    def degrees(self) -> jax.Array:
        """The entries in each row, int32 [N]."""
        return self.operand.degrees()[self.operand.places]

    def _num_users(self) -> int:
        return self.users.shape[0]
