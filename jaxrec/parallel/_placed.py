"""What is trained on a mesh: the model with placed tables, the step that keeps them where they are, and their sides."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxrec.errors import JaxrecError
from jaxrec.parallel._mesh import AXES, put, replicated
from jaxrec.parallel._placement import Placement
from jaxrec.parallel._processes import fetched
from jaxrec.pytrees import register

Sides = tuple[str, ...]
"""What each axis of an array is of: "users", "items", "nodes", or "" for anything else."""


@dataclasses.dataclass(frozen=True)
class PlacedModel:
    """A model whose tables have the rows of a placement, called with users and items as they are numbered in the data.

    All that draws and counts, batches, negatives and losses, goes by the numbers of the data, so it draws and counts
    what it does on one device.

    Attributes:
      model: with the sizes of the placed tables.
      mesh: of the devices.
      compares_rows: whether the loss compares all rows of a batch with one another; then each device has some of the
        users, and all of the items.

    >>> from jaxrec.parallel import Layout
    >>> PlacedModel("a model", Layout().mesh(), False).draws_in_training
    False
    """

    model: Any
    mesh: Mesh
    compares_rows: bool

    @property
    def draws_in_training(self) -> bool:
        """Whether `encode` takes a key."""
        return getattr(self.model, "draws_in_training", False)

    def apply(
        self, variables: Any, adjacency: Any, user: Any, item: Any, negatives: Any, *key: Any, method: str
    ) -> Any:
        """Flax: `encode` of the model, for users and items of the data."""
        places = adjacency.users[user], adjacency.items[item], adjacency.items[negatives]
        rows = self.model.apply(variables, adjacency.operand, *places, *key, method=method)
        if not self.compares_rows:
            return rows
        split, whole = NamedSharding(self.mesh, P(AXES)), replicated(self.mesh)
        return rows._replace(
            user=jax.lax.with_sharding_constraint(rows.user, split),
            positive=jax.lax.with_sharding_constraint(rows.positive, whole),
        )


@register
@dataclasses.dataclass(frozen=True)
class PlacedStep:
    """A step of training after which every array lies where it lay before.

    Attributes:
      step: see `jaxrec.training.Step`.
      shardings: of the leaves of (parameters, state of the optimizer); static.

    >>> PlacedStep("a step", ()).shardings
    ()
    """

    step: Any
    shardings: tuple[NamedSharding, ...] = dataclasses.field(metadata={"static": True})

    def __call__(self, state: Any, batch: Any, data: Any) -> tuple[Any, Any]:
        """(the state after, info)."""
        after, info = self.step(state, batch, data)
        return self.held(after), info

    def held(self, state: Any) -> Any:
        """The state, with every array where it is to lie. The compiler may choose otherwise after a loop."""
        leaves, structure = jax.tree.flatten((state.params, state.opt_state))
        held = [jax.lax.with_sharding_constraint(*pair) for pair in zip(leaves, self.shardings, strict=True)]
        params, opt_state = jax.tree.unflatten(structure, held)
        return dataclasses.replace(state, params=params, opt_state=opt_state)


def sides_of(shapes: Callable[[int, int], Any], num_users: int, num_items: int) -> list[Sides]:
    """What the axes of arrays are of, found by which numbers of users and items make them grow.

    Args:
      shapes: (users, items) -> a tree of arrays or of their shapes.
      num_users: U.
      num_items: I.

    Returns:
      For each leaf, in order, the side of each axis.

    >>> table = lambda users, items: {"w": jax.ShapeDtypeStruct((4, users + items), np.float32)}
    >>> sides_of(table, 2, 3)
    [('', 'nodes')]
    """
    found = [jax.tree.leaves(shapes(*sizes)) for sizes in _grown(num_users, num_items)]
    names = {(True, True): "nodes", (True, False): "users", (False, True): "items", (False, False): ""}
    return [
        tuple(
            names[more_users > size, more_items > size]
            for size, more_users, more_items in zip(*(leaf.shape for leaf in leaves), strict=True)
        )
        for leaves in zip(*found, strict=True)
    ]


def _grown(num_users: int, num_items: int) -> list[tuple[int, int]]:
    return [(num_users, num_items), (num_users + 1, num_items), (num_users, num_items + 1)]


def sharding_of(mesh: Mesh, path: str, sides: Sides, shape: tuple[int, ...]) -> NamedSharding:
    """Where an array lies: one with a row for each user, item or node is split, another one is on every device.

    Args:
      mesh: of the devices.
      path: of the array, for messages.
      sides: of its axes.
      shape: of it, placed.

    Raises:
      JaxrecError: columns that the devices cannot share equally, or rows in another axis than the first.

    >>> from jaxrec.parallel import Layout
    >>> sharding_of(Layout().mesh(), "w", ("users", ""), (2, 8)).is_fully_replicated  # of one device
    True
    """
    if any(sides[1:]):
        raise JaxrecError(
            f"the parameter {path} has a place for each of the {max(sides[1:])} in an axis after the first, "
            "which cannot be split"
        )
    if not sides or not sides[0]:
        return replicated(mesh)
    if len(shape) == 1:
        return NamedSharding(mesh, P("rows"))
    columns = mesh.shape["columns"]
    if shape[-1] % columns:
        raise JaxrecError(
            f"the parameter {path} has {shape[-1]} columns, which {columns} devices cannot share equally; make it "
            f"a multiple of {columns}, or split the rows"
        )
    return NamedSharding(mesh, P("rows", *(None,) * (len(shape) - 2), "columns"))


def placed_array(array: Any, placement: Placement, sides: Sides, sharding: NamedSharding) -> jax.Array:
    """An array in the order of a placement, on the devices of a sharding; its first axis is the placed one.

    >>> from jaxrec.parallel import Layout, in_place
    >>> placed_array(np.ones(2), in_place(2, 1), ("users",), replicated(Layout().mesh())).shape
    (2,)
    """
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        if array.is_fully_addressable and not sharding.is_fully_addressable:  # of several processes each puts its own
            return jax.random.wrap_key_data(put(jax.random.key_data(array), sharding), impl=jax.random.key_impl(array))
        return jax.device_put(array, sharding)
    array = np.asarray(array)
    return put(placement.placed(array, sides[0]) if sides and sides[0] else array, sharding)  # pyright: ignore[reportArgumentType]


def original_array(array: jax.Array, placement: Placement, sides: Sides) -> np.ndarray | jax.Array:
    """A placed array in the order of the data and without padding, on the host; a random key stays as it is.

    >>> from jaxrec.parallel import in_place
    >>> original_array(jax.numpy.ones((3, 2)), in_place(1, 2), ("nodes", "")).shape
    (3, 2)
    """
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        return array
    out = fetched(array)
    for axis, side in enumerate(sides):
        if side:
            out = np.take(out, placement.rows_of(side), axis)  # pyright: ignore[reportArgumentType]
    return out
