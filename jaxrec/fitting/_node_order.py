"""The order of users and items in the tables of a training: by clusters, so that products find rows in the cache."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec.errors import JaxrecError
from jaxrec.fitting._plan import is_trained
from jaxrec.fitting._warm_start import shapes_of
from jaxrec.models import with_sizes
from jaxrec.models._sizes import user_item_block
from jaxrec.parallel import Layout
from jaxrec.parallel._processes import spread, writes
from jaxrec.progress import work
from jaxrec.sparse import SparseOperator
from jaxrec.spectral import coclusters

CLUSTERS = 64


def ranks_of(adjacency: SparseOperator, num_users: int, layout: Layout) -> np.ndarray | None:
    """The rank of each node in the order of a layout: the number of its cluster; None for the order of the data.

    Of several processes the first finds the clusters and sends them to the others, since processors round otherwise.

    Args:
      adjacency: A~ [N, N], users first.
      num_users: U.
      layout: of the devices.

    >>> from jaxrec.sparse import from_dense, operator
    >>> edge = operator(from_dense(jnp.array([[0.0, 2.0], [2.0, 0.0]])), symmetric=True)
    >>> ranks_of(edge, 1, Layout()) is None, len(ranks_of(edge, 1, Layout(order="clusters")))
    (True, 2)
    """
    if layout.order == "data":
        return None
    nodes = adjacency.shape[0]
    found = None
    if writes():
        with work("ordering users and items by clusters"):
            block = user_item_block(adjacency, num_users, binary=False)
            # The key is of no training: the order changes no draw.
            clusters = coclusters(block, min(CLUSTERS, nodes), jax.random.key(0))
            found = np.concatenate([np.asarray(clusters.rows), np.asarray(clusters.columns)])
    return spread(found, like=np.zeros(nodes, np.int32))


def check_order(model: Any, layout: Layout) -> None:
    """Refuse an order of nodes for a model that cannot have it, or has no use for it.

    Args:
      model: that is trained, with its sizes set.
      layout: of the devices.

    Raises:
      JaxrecError: a model that is solved, whose numbers depend on the place of a node, or that multiplies by no
        adjacency.

    >>> import jaxrec
    >>> check_order(jaxrec.MF(dim=2, num_users=2, num_items=2), Layout(order="clusters"))
    Traceback (most recent call last):
        ...
    jaxrec.errors.JaxrecError: MF multiplies by no adjacency here, so another order of users and items gains ...
    """
    if layout.order == "data":
        return
    name = type(model).__name__
    if not is_trained(model):
        raise JaxrecError(f'{name} is solved, and only trained models have an order of nodes; leave it at "data"')
    if "rows" not in getattr(model, "mesh_axes", ()):
        raise JaxrecError(
            f"{name} does not say that it can be split by rows, so its numbers may depend on the place of a node; "
            'leave the order at "data"'
        )
    if not multiplies(model):
        raise JaxrecError(
            f"{name} multiplies by no adjacency here, so another order of users and items gains nothing; leave the "
            'order at "data"'
        )


def multiplies(model: Any) -> bool:
    """Whether the rows of a batch depend on the adjacency, as the trace says."""
    sizes = model.num_users, model.num_items
    params, adjacency = shapes_of(model, *sizes), shapes_of(model, *sizes, adjacency=True)
    index, several = jax.ShapeDtypeStruct((1,), jnp.int32), jax.ShapeDtypeStruct((1, 1), jnp.int32)
    sized = with_sizes(model, *sizes)

    def rows(adjacency: Any, params: Any, *batch: Any) -> Any:
        drawn = (jax.random.key(0),) if getattr(model, "draws_in_training", False) else ()
        return sized.apply({"params": params}, adjacency, *batch, *drawn, method="encode")

    traced = jax.make_jaxpr(rows)(adjacency, params, index, index, several).jaxpr
    given = traced.invars[: len(jax.tree.leaves(adjacency))]
    return any(used is one for equation in traced.eqns for used in equation.invars for one in given)
