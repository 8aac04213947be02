"""Checks that every model makes of its options and of the adjacency it is given."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from jaxrec.data._seen import SeenItems
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.sparse import SparseMatrix, SparseOperator


def bound_sizes(model: Any, adjacency: SparseMatrix | None = None) -> tuple[int, int]:
    """The numbers of users and items of a model, checked against the adjacency [N, N] where one is given.

    Raises:
      JaxrecError: a model whose sizes are not set.
      MismatchError: an adjacency of another size.

    >>> from jaxrec.models._mf import MF
    >>> bound_sizes(MF(num_users=2, num_items=3))
    (2, 3)
    """
    name = type(model).__name__
    if model.num_users is None or model.num_items is None:
        raise JaxrecError(
            f"{name} has num_users={model.num_users} and num_items={model.num_items}; "
            f"set both, as in {name}(num_users=943, num_items=1682), or let jaxrec.fit set them"
        )
    if model.num_users < 1 or model.num_items < 1:
        raise JaxrecError(f"{name} needs at least one user and one item, got {model.num_users} and {model.num_items}")
    nodes = model.num_users + model.num_items
    if adjacency is not None and tuple(adjacency.shape) != (nodes, nodes):
        raise MismatchError(
            f"the adjacency has shape {tuple(adjacency.shape)}, but {name} has {model.num_users} users and "
            f"{model.num_items} items, so it needs ({nodes}, {nodes}), users first"
        )
    return model.num_users, model.num_items


def history_of(adjacency: SparseOperator, num_users: int) -> SeenItems:
    """The items of each user, read off the rows of the users in an adjacency [N, N].

    >>> from jaxrec.sparse import from_dense, operator
    >>> history_of(operator(from_dense(jnp.array([[0.0, 1.0], [1.0, 0.0]]))), 1).items.tolist()
    [0]
    """
    # Rows are ascending and the users come first, so theirs are the first half of the entries.
    entries = adjacency.data.shape[0] // 2
    return SeenItems(adjacency.indptr[: num_users + 1], adjacency.columns[:entries] - num_users)


def user_item_block(adjacency: SparseOperator, num_users: int, *, binary: bool) -> SparseOperator:
    """The block R~ [U, I] of an adjacency [N, N], with its values or with ones.

    >>> from jaxrec.sparse import from_dense, operator
    >>> adjacency = operator(from_dense(jnp.array([[0.0, 0.5], [0.5, 0.0]])))
    >>> user_item_block(adjacency, 1, binary=True).data.tolist()
    [1.0]
    """
    entries = adjacency.data.shape[0] // 2
    num_items = adjacency.shape[0] - num_users
    data = jnp.ones_like(adjacency.data) if binary else adjacency.data
    rows: Any = adjacency.stored_rows
    mine: Any = rows if rows is None else rows[:entries]
    backward = (
        data[entries:],
        rows if rows is None else rows[entries:] - num_users,
        adjacency.columns[entries:],
        adjacency.indptr[num_users:] - entries,
    )
    return SparseOperator(
        data[:entries],
        mine,
        adjacency.columns[:entries] - num_users,
        adjacency.indptr[: num_users + 1],
        backward,
        (num_users, num_items),
    )
