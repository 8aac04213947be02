"""Checks that every model makes of its options and of the adjacency it is given."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from jaxrec.data._seen import SeenItems
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.sparse import SparseMatrix, SparseOperator

Widths = tuple[tuple[int, int], ...]
"""Up to how many users and items together a width is taken."""

WITH_GRAPH: Widths = ((8192, 256), (32768, 128))
WITHOUT_GRAPH: Widths = ((8192, 256), (131072, 128))
_NARROWEST = 64


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


def width_for(nodes: int, widths: Widths = WITH_GRAPH) -> int:
    """The width of embeddings where none is given: 256 up to 8,192 users and items together, 128 up to 32,768, else 64.

    Wide embeddings rank better, and a step costs in proportion, most of all by products with a graph; without one 128
    goes up to 131,072. `experiments/defaults` has the figures.

    >>> [width_for(nodes) for nodes in (2_000, 20_000, 70_000)]
    [256, 128, 64]
    >>> [width_for(nodes, WITHOUT_GRAPH) for nodes in (70_000, 200_000)]
    [128, 64]
    """
    return next((width for most, width in widths if nodes <= most), _NARROWEST)


def set_width(model: Any, widths: Widths = WITH_GRAPH) -> None:
    """Set a `dim` of None by `width_for`, once the sizes of a model are set.

    >>> from jaxrec.models._mf import MF
    >>> MF(num_users=2, num_items=3).dim, MF().dim
    (256, None)
    """
    if model.dim is None and model.num_users is not None and model.num_items is not None:
        object.__setattr__(model, "dim", width_for(model.num_users + model.num_items, widths))


def width_of(model: Any) -> int:
    """The width of a model's embeddings.

    Raises:
      JaxrecError: a model whose sizes are not set.

    >>> from jaxrec.models._mf import MF
    >>> width_of(MF(dim=8, num_users=2, num_items=3))
    8
    """
    bound_sizes(model)
    return int(model.dim)


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
