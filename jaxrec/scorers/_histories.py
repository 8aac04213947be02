"""Histories of a batch of users as sums over their items, in steps of a fixed length."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxrec.data._seen import SeenItems
from jaxrec.sparse._products import native_product

_STEP = 1024  # items at a time, however long a history is


def unit_columns(history: SeenItems, users: jax.Array, num_items: int) -> jax.Array:
    """The histories of users (int32 [B]) as columns of length 1, [I, B]: n^(-1/2) at each of n items, or all 0.

    >>> import numpy as np
    >>> history = SeenItems(np.array([0, 1, 1]), np.array([2]))
    >>> unit_columns(history, jnp.array([1, 0]), 3).tolist()
    [[0.0, 0.0], [0.0, 0.0], [0.0, 1.0]]
    """
    scale = unit_scale(history, users)

    def put(table: jax.Array, row: jax.Array, item: jax.Array, inside: jax.Array) -> jax.Array:
        # Places outside go to an item past the end, which is dropped.
        return table.at[jnp.where(inside, item, num_items), row].set(scale[row], mode="drop")

    return over_entries(history, users, put, jnp.zeros((num_items, users.shape[0]), jnp.float32))


def with_own(history: SeenItems, users: jax.Array, table: jax.Array, value: float) -> jax.Array:
    """A table [I, B] with a value at the items of each user (int32 [B]).

    >>> import numpy as np
    >>> with_own(SeenItems(np.array([0, 1]), np.array([1])), jnp.array([0]), jnp.ones((2, 1)), -1.0).tolist()
    [[1.0], [-1.0]]
    """

    def put(table: jax.Array, row: jax.Array, item: jax.Array, inside: jax.Array) -> jax.Array:
        return table.at[jnp.where(inside, item, table.shape[0]), row].set(value, mode="drop")

    return over_entries(history, users, put, table)


def unit_sums(history: SeenItems, users: jax.Array, tables: jax.Array, scales: tuple[jax.Array, ...]) -> jax.Array:
    """n^(-1/2) times the sum of scale[i] table[i] over the n items i of each user, for several scales: [S, B, k].

    Args:
      history: of all users.
      users: int32 [B].
      tables: [I, k].
      scales: S arrays [I].

    >>> import numpy as np
    >>> history = SeenItems(np.array([0, 4]), np.array([0, 1, 2, 3]))
    >>> unit_sums(history, jnp.array([0]), jnp.arange(4.0)[:, None], (jnp.ones(4),)).tolist()
    [[[3.0]]]
    """
    size, by = users.shape[0], jnp.stack(scales)

    def add(sums: jax.Array, row: jax.Array, item: jax.Array, inside: jax.Array) -> jax.Array:
        of_user = (row[:, None] == jnp.arange(size, dtype=jnp.int32)[None, :]) & inside[:, None]
        weights = jnp.where(of_user[None], by[:, item][:, :, None], 0)  # [S, step, B]
        return sums + jnp.einsum("snb,nk->sbk", weights, tables[item], precision="highest")

    start = jnp.zeros((len(scales), size, tables.shape[1]), jnp.float32)
    return over_entries(history, users, add, start) * unit_scale(history, users)[None, :, None]


def row_sums(history: SeenItems, users: jax.Array, table: jax.Array, longest: int) -> jax.Array:
    """The sum of the rows of a table [I, w] over the items of each user (int32 [B]), [B, w].

    On CPU it reads the rows of these items alone. Elsewhere it is a dense product of [B, I] and the table.

    Args:
      history: of all users.
      users: int32 [B].
      table: [I, w].
      longest: the length of the longest history, or more.

    >>> import numpy as np
    >>> history = SeenItems(np.array([0, 0, 2]), np.array([0, 2]))
    >>> row_sums(history, jnp.array([1, 0]), jnp.array([[1.0], [5.0], [9.0]]), 2).tolist()
    [[10.0], [0.0]]
    """
    items, indptr = jnp.asarray(history.items), jnp.asarray(history.indptr)
    if items.shape[0] == 0:
        return jnp.zeros((users.shape[0], table.shape[1]), table.dtype)
    size, first = users.shape[0], indptr[users]
    lengths = indptr[users + 1] - first
    ends = jnp.cumsum(lengths, dtype=jnp.int32)
    place = jnp.arange(size * longest, dtype=jnp.int32)
    row, inside, entry = entries_at(place, first, lengths, ends)
    columns = items[entry]
    pointers = jnp.concatenate([jnp.zeros(1, jnp.int32), ends])

    def native(row, columns, inside, pointers, table):
        del row
        return native_product((size, table.shape[0]), inside.astype(table.dtype), columns, pointers, table)

    def dense(row, columns, inside, pointers, table):
        del pointers
        at = jnp.where(inside, columns, table.shape[0])
        return jnp.zeros((size, table.shape[0]), table.dtype).at[row, at].add(1, mode="drop") @ table

    return jax.lax.platform_dependent(row, columns, inside, pointers, table, cpu=native, default=dense)


def unit_scale(history: SeenItems, users: jax.Array) -> jax.Array:
    """n^(-1/2) of the n items of each user (int32 [B]), [B]; 0 without items.

    >>> import numpy as np
    >>> unit_scale(SeenItems(np.array([0, 4, 4]), np.arange(4)), jnp.array([0, 1])).tolist()
    [0.5, 0.0]
    """
    indptr = jnp.asarray(history.indptr)
    count = (indptr[users + 1] - indptr[users]).astype(jnp.float32)
    return jnp.where(count > 0, jax.lax.rsqrt(jnp.maximum(count, 1)), 0)


def over_entries(
    history: SeenItems,
    users: jax.Array,
    body: Callable[[jax.Array, jax.Array, jax.Array, jax.Array], jax.Array],
    start: jax.Array,
) -> jax.Array:
    """Fold `body(state, row [n], item [n], inside bool [n])` over the entries of the users, n at a time."""
    items, indptr = jnp.asarray(history.items), jnp.asarray(history.indptr)
    if items.shape[0] == 0:
        return start
    first = indptr[users]
    lengths = indptr[users + 1] - first
    ends = jnp.cumsum(lengths, dtype=jnp.int32)

    def step(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        at, carried = state
        place = at + jnp.arange(_STEP, dtype=jnp.int32)
        row, inside, entry = entries_at(place, first, lengths, ends)
        return at + _STEP, body(carried, row, items[entry], inside)

    return jax.lax.while_loop(lambda state: state[0] < ends[-1], step, (jnp.int32(0), start))[1]


def entries_at(
    place: jax.Array, first: jax.Array, lengths: jax.Array, ends: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Find entries of chosen rows that are counted one row after another.

    Args:
      place: int32 [n], numbers of entries.
      first: int32 [R], where the entries of each row begin.
      lengths: int32 [R], how many it has.
      ends: int32 [R], the sums of the lengths up to each row.

    Returns:
      The row and the entry of each place, int32 [n], and bool [n] between them: False past the last one, where the row
      is the last and the entry 0.

    >>> first, lengths = jnp.array([7, 2]), jnp.array([2, 1])
    >>> row, inside, entry = entries_at(jnp.arange(4), first, lengths, jnp.cumsum(lengths))
    >>> row.tolist(), inside.tolist(), entry.tolist()
    ([0, 0, 1, 1], [True, True, True, False], [7, 8, 2, 0])
    """
    row = jnp.searchsorted(ends, place, side="right").astype(jnp.int32)
    inside, row = row < ends.shape[0], jnp.minimum(row, ends.shape[0] - 1)
    return row, inside, jnp.where(inside, first[row] + place - (ends[row] - lengths[row]), 0)
