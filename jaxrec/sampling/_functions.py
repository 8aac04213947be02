"""Batches and negatives, drawn on the device as functions of a key."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Int, Key

from jaxrec._keys import one_key
from jaxrec.data._seen import SeenItems
from jaxrec.errors import JaxrecError
from jaxrec.types import Array


def uniform_negatives(
    seen: SeenItems, users: Int[Array, " B"], num: int, num_items: int, key: Key[Array, ""]
) -> tuple[Int[Array, "B num"], Bool[Array, " B"]]:
    """Items drawn uniformly from those that each user does not have, without rejection.

    A user with the sorted items c_0 < c_1 < ... lacks I - n of them, and the r-th of these is r + j, where j is the
    number of items with c_j - j <= r. So one uniform r and one binary search give an exact draw, also for a user who
    has all items but one. No pair of user and item is ever packed into one number.

    Args:
      seen: the items of each user, for U users.
      users: int32 [B].
      num: M, how many for each user, drawn with replacement; static.
      num_items: I; static.
      key: consumed.

    Returns:
      (items int32 [B, M], where bool [B]). `where` is false for a user who has every item: there is no negative, and
      the item given is 0.

    Raises:
      JaxrecError: num or num_items below 1.

    >>> import numpy as np
    >>> seen = SeenItems(np.array([0, 2], np.int32), np.array([0, 2], np.int32))
    >>> items, where = uniform_negatives(seen, jnp.array([0, 0]), 1, 3, jax.random.key(0))
    >>> items.tolist(), where.tolist()
    ([[1], [1]], [True, True])
    """
    if num < 1 or num_items < 1:
        raise JaxrecError(f"num and num_items must be at least 1, got {num} and {num_items}")
    indptr, items = jnp.asarray(seen.indptr), jnp.asarray(seen.items)
    start, stop = indptr[users], indptr[users + 1]
    lacking = num_items - (stop - start)
    where = lacking > 0
    shape = (users.shape[0], num)
    rank = jax.random.randint(one_key(key), shape, 0, jnp.maximum(lacking, 1)[:, None], jnp.int32)
    if items.shape[0] == 0:
        return rank, where
    # The first place in the user's row with c_j - j > r; c_j - j never falls along a row.
    low = first_place(
        lambda place: items[jnp.minimum(place, items.shape[0] - 1)] - (place - start[:, None]) > rank,
        jnp.broadcast_to(start[:, None], shape),
        jnp.broadcast_to(stop[:, None], shape),
        min(items.shape[0], num_items),
    )
    return jnp.where(where[:, None], rank + (low - start[:, None]), 0), where


def first_place(
    beyond: Callable[[jax.Array], jax.Array], low: Int[Array, "*n"], high: Int[Array, "*n"], most: int
) -> Int[Array, "*n"]:
    """The first place in each range that is beyond something, by bisection; the end of the range where none is.

    Args:
      beyond: from places to bools; it never turns false again along a range.
      low: int32, where each range starts.
      high: int32, where it stops, past its last place.
      most: the length of the longest range; static.

    >>> first_place(lambda place: place >= 5, jnp.array([0, 7, 0]), jnp.array([9, 9, 3]), 9).tolist()
    [5, 7, 3]
    """

    def halve(_: jax.Array, bounds: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = bounds
        middle = low + (high - low) // 2
        inside = middle < high
        below = inside & ~beyond(middle)
        return jnp.where(below, middle + 1, low), jnp.where(below | ~inside, high, middle)

    return jax.lax.fori_loop(0, most.bit_length() + 1, halve, (low, high))[0]


def shuffled_batches(
    num: int, batch_size: int, key: Key[Array, ""]
) -> tuple[Int[Array, "steps batch_size"], Bool[Array, "steps batch_size"]]:
    """The numbers 0..num-1 in random order, each once, cut into batches; the last one is filled up and masked.

    Args:
      num: E; static.
      batch_size: B; static.
      key: consumed.

    Returns:
      (index int32 [steps, B], where bool [steps, B]) with steps = ceil(E / B). Filled places hold 0 and are false.

    Raises:
      JaxrecError: num or batch_size below 1.

    >>> index, where = shuffled_batches(5, 2, jax.random.key(0))
    >>> sorted(index[where].tolist()), int(where.sum())
    ([0, 1, 2, 3, 4], 5)
    """
    if num < 1 or batch_size < 1:
        raise JaxrecError(f"there must be at least one interaction and one in a batch, got {num} and {batch_size}")
    steps = -(-num // batch_size)
    filling = steps * batch_size - num
    order = jax.random.permutation(one_key(key), jnp.arange(num, dtype=jnp.int32))
    index = jnp.concatenate([order, jnp.zeros(filling, jnp.int32)])
    where = jnp.arange(steps * batch_size, dtype=jnp.int32) < num
    return index.reshape(steps, batch_size), where.reshape(steps, batch_size)


def contains(seen: SeenItems, users: Int[Array, "*users"], items: Int[Array, "*items"]) -> Bool[Array, "*pairs"]:
    """Whether each user has each item.

    Args:
      seen: the items of each user, for U users.
      users: int32, any shape that broadcasts with `items` by size-1 axes of the same rank.
      items: int32.

    Returns:
      bool, of the broadcast shape.

    >>> import numpy as np
    >>> seen = SeenItems(np.array([0, 2], np.int32), np.array([0, 2], np.int32))
    >>> contains(seen, jnp.array([[0]]), jnp.array([[0, 1, 2]])).tolist()
    [[True, False, True]]
    """
    indptr, rows = jnp.asarray(seen.indptr), jnp.asarray(seen.items)
    shape = jnp.broadcast_shapes(users.shape, items.shape)
    if rows.shape[0] == 0:
        return jnp.zeros(shape, bool)
    stop = jnp.broadcast_to(indptr[users + 1], shape)

    def halve(_: jax.Array, bounds: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = bounds
        middle = low + (high - low) // 2
        below = (middle < high) & (rows[jnp.minimum(middle, rows.shape[0] - 1)] < items)
        return jnp.where(below, middle + 1, low), jnp.where(below | (middle >= high), high, middle)

    low = jnp.broadcast_to(indptr[users], shape)
    low, _ = jax.lax.fori_loop(0, rows.shape[0].bit_length() + 1, halve, (low, stop))
    return (low < stop) & (rows[jnp.minimum(low, rows.shape[0] - 1)] == items)
