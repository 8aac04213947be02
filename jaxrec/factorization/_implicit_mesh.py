"""Implicit alternating least squares on several devices: each solves its rows for the gathered vectors of others."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxrec.factorization._implicit import rotated, rungs_of, solve_bucket
from jaxrec.parallel import MeshStep, Placement, contiguous, place
from jaxrec.parallel._mesh import AXES, put
from jaxrec.parallel._placement import Side
from jaxrec.parallel._processes import fetched
from jaxrec.sparse import SparseOperator

Penalties = tuple[jax.Array, ...]
Rungs = tuple[tuple[int, int], ...]


class _Rows(NamedTuple):
    """The entries of users, or of items, on each of n devices, R rows each.

    Attributes:
      indptr: int32 [n, R + 1].
      columns: int32 [n, E'], rows of the other side's placed table.
      weights: float32 [n, E'].
      order: int32 [n, R], the rows of a device by the number of their entries.
      bounds: int32 [n, rungs, 2], where in the order the rows of each length begin and end.
    """

    indptr: Any
    columns: Any
    weights: Any
    order: Any
    bounds: Any


def solved_on(
    mesh: Mesh, x: SparseOperator, start: jax.Array, penalties: Penalties, iterations: int
) -> tuple[jax.Array, jax.Array]:
    """Solve `implicit_als` on the devices of a mesh.

    Args:
      mesh: of n devices, all of which share the rows.
      x: C [P, Q], checked.
      start: [P, d], of the users.
      penalties: (alpha, lambda, nu).
      iterations: how many.

    Returns:
      (users [P, d], items [Q, d]), in the order of the data.

    >>> from jaxrec.factorization._implicit import check_penalties
    >>> from jaxrec.parallel import Layout
    >>> from jaxrec.sparse import from_dense, operator
    >>> one = operator(from_dense(jnp.ones((1, 1))))
    >>> users, items = solved_on(Layout().mesh(), one, jnp.ones((1, 1)), check_penalties(0.0, 0.5, 0.0), 1)
    >>> users.shape, items.shape
    ((1, 1), (1, 1))
    """
    counts = np.diff(np.asarray(x.indptr)), np.diff(np.asarray(x.T.indptr))
    placement = place(*counts, devices=mesh.size)
    rungs = rungs_of(np.concatenate(counts), start.shape[1])
    sharding = NamedSharding(mesh, P(AXES))
    users_rows = _rows(x, placement, ("users", "items"), rungs, sharding)
    items_rows = _rows(x.T, placement, ("items", "users"), rungs, sharding)
    users = put(placement.placed(np.asarray(start), "users"), sharding)
    items = users[:0]
    half = functools.partial(_half, penalties=penalties, rungs=rungs, mesh=mesh)
    num_users, num_items = map(jnp.float32, x.shape)
    for _ in range(iterations):
        items = half(*rotated(users), items_rows, num_users)
        items, spectrum = rotated(items)
        users = half(items, spectrum, users_rows, num_items)
    found_users, found_items = placement.back(fetched(users), "users"), placement.back(fetched(items), "items")
    return jnp.asarray(found_users), jnp.asarray(found_items)


@functools.partial(jax.jit, static_argnames=("rungs", "mesh"))
def _half(
    table: jax.Array,
    spectrum: jax.Array,
    rows: _Rows,
    others: jax.Array,
    *,
    penalties: Penalties,
    rungs: Rungs,
    mesh: Mesh,
) -> jax.Array:
    """The exact minimum of one side, a row on the device that has it, for the vectors of the other side."""

    def own(table: jax.Array, spectrum: jax.Array, rows: _Rows, others: jax.Array, penalties: Penalties) -> jax.Array:
        whole = jax.lax.all_gather(table, AXES, tiled=True)
        indptr, columns, weights, order, bounds = (array[0] for array in rows)
        out = jnp.zeros((order.shape[0], table.shape[1]), table.dtype)
        for at, (length, block) in enumerate(rungs):
            given = (whole, spectrum, indptr, columns, weights, order, bounds[at], others, penalties)
            out = solve_bucket(out, *given, length=length, block=block)
        return out

    split, everywhere = P(AXES), P()
    specs = (split, everywhere, split, everywhere, everywhere)
    # The loops over blocks are of other lengths on other devices, and hold no collective.
    program = jax.shard_map(own, mesh=mesh, in_specs=specs, out_specs=split, check_vma=False)
    return program(table, spectrum, rows, others, penalties)


def half_iteration(users: int, items: int, entries: int, dim: int, mesh: Mesh) -> MeshStep:
    """What `solved_on` repeats, for stating its bytes: the users' half of an iteration, with as many entries each.

    Args:
      users: P.
      items: Q.
      entries: E.
      dim: d.
      mesh: of the devices.

    >>> from jaxrec.parallel import Layout
    >>> step = half_iteration(4, 6, 8, 2, Layout().mesh())
    >>> jax.eval_shape(step.program, *step.arguments).shape
    (4, 2)
    """
    devices = mesh.size
    placement = contiguous(users, items, devices=devices)
    split, everywhere = (NamedSharding(mesh, axes) for axes in (P(AXES), P()))
    each = placement.num_users // devices

    def shape(*sizes: int, dtype: Any = jnp.float32, sharding: NamedSharding = split) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(sizes, dtype, sharding=sharding)

    rungs = rungs_of(np.array([-(-entries // users)]).repeat(users), dim)
    own = functools.partial(shape, devices, dtype=jnp.int32)
    kept = -(-entries // devices)
    rows = _Rows(own(each + 1), own(kept), shape(devices, kept), own(each), own(len(rungs), 2))
    number = shape(sharding=everywhere)
    tables = (shape(placement.num_items, dim), shape(placement.num_users, dim))
    small = (shape(dim, sharding=everywhere), number, (number, number, number))

    def program(rows: _Rows, items: jax.Array, users: jax.Array, spectrum: jax.Array, *numbers: Any) -> jax.Array:
        others, penalties = numbers
        return _half(items, spectrum, rows, others, penalties=penalties, rungs=rungs, mesh=mesh)

    what = "a step: the half of an iteration that solves the users, each with as many items as the mean"
    return MeshStep(program, (rows, *tables, *small), what)


def _rows(
    x: SparseOperator, placement: Placement, sides: tuple[Side, Side], rungs: Rungs, sharding: NamedSharding
) -> _Rows:
    """The rows of a matrix, placed on the devices of a sharding."""
    devices = sharding.mesh.size
    places, others = placement.rows_of(sides[0]), placement.rows_of(sides[1])
    pointers, size = np.asarray(x.indptr), placement.size_of(sides[0])
    each = size // devices
    lengths, starts = np.zeros(size, np.int64), np.zeros(size, np.int64)
    lengths[places], starts[places] = np.diff(pointers), pointers[:-1]
    ends = np.cumsum(lengths)
    taken = np.repeat(starts - (ends - lengths), lengths) + np.arange(ends[-1])
    data, columns = np.asarray(x.data)[taken], others[np.asarray(x.columns)[taken]]
    bounds = np.concatenate([[0], ends])[::each]
    longest = int(np.diff(bounds).max())
    made = _Rows(
        np.zeros((devices, each + 1), np.int32),
        np.zeros((devices, longest), np.int32),
        np.zeros((devices, longest), np.float32),
        np.zeros((devices, each), np.int32),
        np.zeros((devices, len(rungs), 2), np.int32),
    )
    for at in range(devices):
        own, (first, last) = lengths[at * each : (at + 1) * each], bounds[at : at + 2]
        np.cumsum(own, out=made.indptr[at, 1:])
        made.columns[at, : last - first] = columns[first:last]
        made.weights[at, : last - first] = data[first:last]
        made.order[at] = np.argsort(own, kind="stable")
        until = np.searchsorted(np.sort(own), [1, *(length + 1 for length, _ in rungs)])
        made.bounds[at] = np.stack([until[:-1], until[1:]], axis=1)
    return _Rows(*(put(array, sharding) for array in made))
