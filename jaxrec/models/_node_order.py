"""The order of users and items in the tables of a training: by clusters, so that products find rows in the cache."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec.errors import JaxrecError
from jaxrec.models._base import shapes_of, with_sizes
from jaxrec.models._sizes import bound_sizes, user_item_block
from jaxrec.parallel import Layout, Placement, placement_for
from jaxrec.parallel._placed import Sides, sides_of
from jaxrec.parallel._processes import spread, writes
from jaxrec.progress import work
from jaxrec.protocols import Trained
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
      model: that is trained.
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
    if not isinstance(model, Trained):
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
    sizes = model.num_users or 2, model.num_items or 2  # whatever they are
    params, adjacency = shapes_of(model, *sizes), shapes_of(model, *sizes, adjacency=True)
    index, several = jax.ShapeDtypeStruct((1,), jnp.int32), jax.ShapeDtypeStruct((1, 1), jnp.int32)
    sized = with_sizes(model, *sizes)

    def rows(adjacency: Any, params: Any, *batch: Any) -> Any:
        drawn = (jax.random.key(0),) if getattr(model, "draws_in_training", False) else ()
        return sized.apply({"params": params}, adjacency, *batch, *drawn, method="encode")

    traced = jax.make_jaxpr(rows)(adjacency, params, index, index, several).jaxpr
    given = traced.invars[: len(jax.tree.leaves(adjacency))]
    return any(used is one for equation in traced.eqns for used in equation.invars for one in given)


@dataclasses.dataclass(frozen=True)
class ParameterOrder:
    """The places of users and items in a training, and what the axes of its parameters are of.

    Attributes:
      placement: of the nodes, in one part.
      sides: of the axes of each parameter, in the order of the leaves.
    """

    placement: Placement
    sides: tuple[Sides, ...]

    @classmethod
    def of(cls, model: Any, adjacency: SparseOperator, layout: Layout) -> ParameterOrder:
        """The order of a layout of one device.

        Args:
          model: with its sizes set.
          adjacency: A~ [N, N], users first.
          layout: whose order it is.
        """
        users, items = bound_sizes(model, adjacency)
        ranks = ranks_of(adjacency, users, layout)
        sides = sides_of(functools.partial(shapes_of, model), users, items)
        return cls(placement_for(adjacency, users, layout, ranks), tuple(sides))

    def placed(self, params: Any) -> Any:
        """The parameters of the order of the data in this one."""
        return self._turned(params, lambda side: np.argsort(self.placement.rows_of(side)))

    def original(self, params: Any) -> Any:
        """The parameters of this order in that of the data."""
        return self._turned(params, self.placement.rows_of)

    def _turned(self, params: Any, rows: Callable[[Any], np.ndarray]) -> Any:
        leaves, structure = jax.tree.flatten(params)
        for at, sides in enumerate(self.sides):
            for axis, side in enumerate(sides):
                if side:
                    leaves[at] = jnp.take(leaves[at], rows(side), axis)
        return jax.tree.unflatten(structure, leaves)
