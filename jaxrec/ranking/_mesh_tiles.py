"""Ranking on several devices, which share the users, or the users and the items."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxrec.data._seen import SeenItems
from jaxrec.errors import JaxrecError
from jaxrec.parallel._mesh import put, replicated
from jaxrec.parallel._processes import several
from jaxrec.ranking._block_topk import top_k
from jaxrec.ranking._tiles import ranked
from jaxrec.types import Scorer


def everywhere(tree: Any, mesh: Mesh) -> Any:
    """Arrays on every device of a mesh; where several processes have them, each puts its own copy onto its own."""
    sharding = replicated(mesh)
    return jax.tree.map(lambda leaf: put(leaf, sharding), tree) if several() else jax.device_put(tree, sharding)


@functools.partial(jax.jit, static_argnames=("k", "tile", "structure", "mesh"))
def rank_on(
    scorer: Scorer,
    users: jax.Array,
    counts: jax.Array,
    seen: SeenItems | None,
    allowed: jax.Array | None,
    *,
    k: int,
    tile: int,
    structure: int,
    mesh: Mesh,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """`rank` of the first `counts[j]` of the j-th part of the users on the j-th device."""

    def own(users: jax.Array, count: jax.Array, *whole: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
        scorer, seen, allowed = whole
        return ranked(scorer, users, count[0], seen, allowed, k=k, tile=tile)

    parts, everywhere = P(mesh.axis_names), P()
    specs = (parts, parts, everywhere, everywhere, everywhere)
    # Loops of other lengths on other devices are no collectives, so what varies over devices need not be checked.
    program = jax.shard_map(own, mesh=mesh, in_specs=specs, out_specs=(parts,) * 3, check_vma=False)
    return program(users, counts, scorer, seen, allowed)


def item_axes_of(scorer: Scorer) -> tuple[tuple[str, int], ...]:
    """The fields of a scorer whose arrays have an axis of the items, each with that axis.

    Raises:
      JaxrecError: the scores cannot be made for a part of the items.

    >>> from jaxrec.scorers import FactorScorer
    >>> item_axes_of(FactorScorer(jnp.ones((2, 1)), jnp.ones((3, 1)), dim=1))
    (('items', 0),)
    """
    axes: Mapping[str, int] = getattr(scorer, "item_axes", {})
    if not axes:
        raise JaxrecError(
            f"item_parts is for scores that a part of the items suffices for; {type(scorer).__name__} names no axis of "
            "the items in `item_axes`, so leave item_parts at 1"
        )
    return tuple(sorted(axes.items()))


def in_parts(scorer: Scorer, allowed: np.ndarray, mesh: Mesh, axes: tuple[tuple[str, int], ...]) -> Any:
    """A scorer and the mask of its items on a mesh of users x items, each device with its own part of the items.

    The last part is filled up with zeros, items that the mask keeps out of all lists.
    """
    parts = mesh.shape["items"]

    def placed(leaf: Any, axis: int | None) -> jax.Array:
        host = np.asarray(leaf)
        if axis is not None and host.shape[axis] % parts:
            host = np.pad(host, [(0, -size % parts if at == axis else 0) for at, size in enumerate(host.shape)])
        return put(host, NamedSharding(mesh, _spec(axis)))

    found = dict(axes)
    scorer = jax.tree_util.tree_map_with_path(lambda path, leaf: placed(leaf, found.get(path[0].name)), scorer)
    return scorer, placed(allowed, 0)


def _spec(axis: int | None) -> P:
    return P() if axis is None else P(*[None] * axis, "items")


@functools.partial(jax.jit, static_argnames=("k", "tile", "structure", "mesh", "axes"))
def rank_parts(
    scorer: Scorer,
    users: jax.Array,
    counts: jax.Array,
    seen: SeenItems | None,
    allowed: jax.Array,
    *,
    k: int,
    tile: int,
    structure: int,
    mesh: Mesh,
    axes: tuple[tuple[str, int], ...],
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """`rank_on` on a mesh of users x items, whose devices share the items too: the k best of each part, then of these.

    A part lists equal scores by item, and the parts stand by item, so the first of equal scores is the lowest item.
    """

    def own(users: jax.Array, count: jax.Array, *rest: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
        scorer, seen, allowed = rest
        size = allowed.shape[0]
        first = jax.lax.axis_index("items").astype(jnp.int32) * size
        lists = ranked(scorer, users, count[0], seen, allowed, k=min(k, size), tile=tile, first=first)
        items, values = (jax.lax.all_gather(each, "items", axis=1, tiled=True) for each in lists[:2])
        best, at, _ = top_k(values, k)
        bad = jax.lax.psum(lists[2].astype(jnp.int32), "items") > 0
        return jnp.take_along_axis(items, at, axis=1), best, bad

    found = dict(axes)
    specs = jax.tree_util.tree_map_with_path(lambda path, _: _spec(found.get(path[0].name)), scorer)
    program = jax.shard_map(
        own,
        mesh=mesh,
        in_specs=(P("users"), P("users"), specs, P(), P("items")),
        out_specs=(P("users"),) * 3,
        check_vma=False,
    )
    return program(users, counts, scorer, seen, allowed)
