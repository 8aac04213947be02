"""Novelty of one user's list: how little known its items are, and which hits popularity would not have given.

Every function takes the item indices of one list, -1 for padding, and is lifted over users by `jax.vmap`. A shorter
list is a slice of a longer one:

>>> lists = jnp.array([[0, 1, 2], [2, -1, -1]])
>>> popularity = jnp.array([8, 4, 1])
>>> jax.vmap(average_popularity, in_axes=(0, None))(lists[:, :2], popularity)
Array([6., 1.], dtype=float32)

The means are over the places that hold an item, so a short list is not punished; an empty list gets 0, which is finite
but has no meaning: leave such users out of a mean. Serendipity is the exception, it is an accuracy and divides by k. An
item that is twice in a list counts twice. An index outside the catalog gives NaN.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Real, Shaped

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.metrics._exposure import check_num_users
from jaxrec.types import Array


def novelty(
    items: Int[Array, " k"], popularity: Real[Array, " I"], num_users: int | Int[Array, ""]
) -> Float[Array, ""]:
    r"""The mean self-information of the items of the list, in bits.

    .. math:: \frac{1}{n} \sum_{j=1}^{n} - \log_2 \frac{\max(\mathrm{pop}(i_j), 1)}{U}

    over the n places that hold an item. An item that every training user has gives 0, an item that one of them has
    log2 U. An item without a training user counts as if one user had it: its share would be 0 and its information
    infinite. RecTools (MeanInvUserFreq) does the same. Some code divides by the number of interactions instead of
    users, which adds the same constant to every list.

    Source: Zhou et al., "Solving the apparent diversity-accuracy dilemma of recommender systems", PNAS 2010; Vargas
    and Castells, "Rank and relevance in novelty and diversity metrics for recommender systems", RecSys 2011, without
    a discount for rank or relevance.

    Args:
      items: int [k], the list, -1 for padding.
      popularity: int or float [I], the number of training users who have the item.
      num_users: U, the number of training users.

    Returns:
      float32 [], from 0 to log2 U; 0 for an empty list.

    Raises:
      MismatchError: `items` is not [k], `popularity` not [I], or `num_users` not a scalar.
      JaxrecError: `items` has no integers, or a concrete `num_users` is below 1.

    >>> round(float(novelty(jnp.array([0, 1, 2, -1]), jnp.array([8, 2, 0]), 8)), 4)  # (0 + 2 + 3) / 3
    1.6667
    """
    check_num_users(num_users)
    of_item, listed = take_listed(items, _per_item(popularity, "popularity"))
    users = jnp.asarray(num_users).astype(jnp.float32)
    return _mean(jnp.log2(users / jnp.maximum(of_item, np.float32(1))), listed)


def average_popularity(items: Int[Array, " k"], popularity: Real[Array, " I"]) -> Float[Array, ""]:
    r"""The mean popularity of the items of the list, in the unit of `popularity`.

    .. math:: \frac{1}{n} \sum_{j=1}^{n} \mathrm{pop}(i_j)

    over the n places that hold an item. RecBole agrees for full lists.

    Source: Yin et al., "Challenging the long tail recommendation", VLDB 2012.

    Args:
      items: int [k], the list, -1 for padding.
      popularity: int or float [I], for example the number of training users who have the item.

    Returns:
      float32 [], 0 for an empty list.

    Raises:
      MismatchError: `items` is not [k], or `popularity` not [I].
      JaxrecError: `items` has no integers.

    >>> average_popularity(jnp.array([0, 2, -1]), jnp.array([8, 4, 1]))
    Array(4.5, dtype=float32)
    """
    return _mean(*take_listed(items, _per_item(popularity, "popularity")))


def long_tail_share(items: Int[Array, " k"], long_tail: Bool[Array, " I"]) -> Float[Array, ""]:
    r"""The share of the list that belongs to the long tail.

    .. math:: \frac{1}{n} \sum_{j=1}^{n} [i_j \in T]

    over the n places that hold an item. What T is decides the figure: say it with every result. Here it is usually
    what `long_tail` gives. RecBole's tail is a share of the items (by default the tenth with the fewest interactions).

    Source: Abdollahpouri, Burke and Mobasher, "Managing popularity bias in recommender systems with personalized
    re-ranking", FLAIRS 2019 (average percentage of long tail items).

    Args:
      items: int [k], the list, -1 for padding.
      long_tail: bool [I], whether the item belongs to the tail.

    Returns:
      float32 [], from 0 to 1; 0 for an empty list.

    Raises:
      MismatchError: `items` is not [k], or `long_tail` not [I].
      JaxrecError: `items` has no integers.

    >>> long_tail_share(jnp.array([0, 2, -1]), jnp.array([False, True, True]))
    Array(0.5, dtype=float32)
    """
    return _mean(*take_listed(items, _per_item(long_tail, "long_tail").astype(bool)))


def long_tail(popularity: Real[Array, " I"], share: float = 0.8) -> Bool[Array, " I"]:
    r"""The items outside the head, where the head is the fewest most popular items that gather `share` of all.

    .. math:: T = \Big\{ i : \sum_{j \text{ before } i} \mathrm{pop}(j) \ge \mathrm{share} \cdot
              \sum_j \mathrm{pop}(j) \Big\}

    with the items in the order of falling popularity, equal ones by lower index. Items without any interaction always
    belong to the tail. Computed with NumPy in float64 on the host, once for a data set; it cannot be traced.

    Args:
      popularity: int or float [I], not negative: interactions or training users of each item.
      share: of all interactions, between 0 and 1, both left out.

    Returns:
      bool [I].

    Raises:
      MismatchError: `popularity` is not [I].
      JaxrecError: `share` is not between 0 and 1, or a popularity is negative or not finite.

    >>> long_tail(np.array([1, 6, 2, 1, 0]))  # 6 + 2 of 10 are the head
    Array([ True, False, False,  True,  True], dtype=bool)
    """
    counts = np.asarray(popularity, np.float64)
    if counts.ndim != 1:
        raise MismatchError(f"popularity must be [I], one number for each item, got shape {counts.shape}")
    if not 0 < share < 1:
        raise JaxrecError(f"share is {share}; pass the part of all interactions that the head gathers, as 0.8")
    bad = ~(np.isfinite(counts) & (counts >= 0))
    if bad.any():
        at = int(np.argmax(bad))
        raise JaxrecError(f"popularity of item {at} is {counts[at]}; pass counts, finite and not negative")
    order = np.argsort(-counts, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]
    # A product such as 0.55 * 100 may lie a rounding error above the whole number it stands for.
    tail = np.zeros(counts.size, bool)
    tail[order] = before >= share * counts.sum() * (1 - 1e-12)
    return jnp.asarray(tail)


def serendipity(hits: Shaped[Array, " k"], items: Int[Array, " k"], popular: Int[Array, " k"]) -> Float[Array, ""]:
    r"""The share of the k places with a hit that the user's popularity list of the same length does not have.

    .. math:: \frac{1}{k} \sum_{j=1}^{k} \mathrm{hit}_j \cdot [i_j \notin P_k]

    Several measures have this name. This one is useful (a hit) and unexpected (not in the list of a primitive model,
    here popularity), and is divided by k, so that it is never above precision and a list cannot gain by having few
    unexpected items. Dividing by the number of unexpected items is also in use. RecTools weighs each hit by how far its
    rank lies above its popularity rank, which is another number.

    Source: Ge, Delgado-Battenfeld and Jannach, "Beyond accuracy: evaluating recommender systems by coverage and
    serendipity", RecSys 2010, with popularity as the primitive model.

    Args:
      hits: bool or float [k], above 0 where the item at this place is relevant.
      items: int [k], the list, -1 for padding. Padding is a miss.
      popular: int [k], the k most popular items that could be recommended to this user (so without the user's training
        items), -1 for padding.

    Returns:
      float32 [], from 0 to 1; 0 for a user without a relevant item, who should be left out of a mean.

    Raises:
      MismatchError: the arguments are not of one shape [k] with k >= 1.
      JaxrecError: `items` or `popular` has no integers.

    >>> hits, items = jnp.array([True, True, False, True]), jnp.array([7, 0, 4, 9])
    >>> serendipity(hits, items, jnp.array([0, 1, 2, 3]))  # 7 and 9; 0 is popular
    Array(0.5, dtype=float32)
    """
    items, popular, hits = check_items(items), check_items(popular, "popular"), jnp.asarray(hits)
    shapes = {"hits": hits.shape, "items": items.shape, "popular": popular.shape}
    if len(set(shapes.values())) != 1 or items.size == 0:
        told = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise MismatchError(f"the shapes differ or are empty: {told}; cut all three at the same k >= 1")
    expected = jnp.any(items[:, None] == popular[None, :], axis=1)
    counted = (hits.astype(jnp.float32) > 0) & (items >= 0) & ~expected
    return jnp.sum(counted, dtype=jnp.float32) / np.float32(items.size)


def take_listed(
    items: Int[Array, " k"], table: Shaped[Array, "I ..."]
) -> tuple[Float[Array, "k ..."], Bool[Array, " k"]]:
    """The rows of a table of all items that belong to the places of one list.

    Args:
      items: int [k], the list, -1 for padding.
      table: [I, ...], one row for each item.

    Returns:
      float32 [k, ...], 0 at padding and NaN for an index outside the table; and bool [k], the places with an item.

    Raises:
      MismatchError: `items` is not [k], or `table` is empty.
      JaxrecError: `items` has no integers.

    >>> take_listed(jnp.array([1, -1]), jnp.array([5, 7]))
    (Array([7., 0.], dtype=float32), Array([ True, False], dtype=bool))
    """
    items = check_items(items)
    table = jnp.asarray(table)
    if table.ndim == 0 or table.shape[0] == 0:
        raise MismatchError(f"the table has shape {table.shape}; pass one row for each item of the catalog")
    listed = items >= 0
    rows = table.astype(jnp.float32).at[jnp.where(listed, items, 0)].get(mode="fill", fill_value=jnp.nan)
    return jnp.where(listed.reshape(items.shape + (1,) * (rows.ndim - 1)), rows, np.float32(0)), listed


def check_items(items: jax.Array, name: str = "items") -> jax.Array:
    """One list as int32, checked.

    Raises:
      MismatchError: it is not one-dimensional.
      JaxrecError: it has no integers.

    >>> check_items(jnp.array([3, -1]))
    Array([ 3, -1], dtype=int32)
    """
    items = jnp.asarray(items)
    if items.ndim != 1:
        raise MismatchError(f"{name} must be one list, [k], got shape {items.shape}; lift the metric with jax.vmap")
    if not jnp.issubdtype(items.dtype, jnp.integer):
        raise JaxrecError(f"{name} has dtype {items.dtype}; pass item indices as integers, -1 for padding")
    return items.astype(jnp.int32)


def _per_item(values: jax.Array, name: str) -> jax.Array:
    values = jnp.asarray(values)
    if values.ndim != 1 or values.size == 0:
        raise MismatchError(f"{name} must be [I], one value for each item, got shape {values.shape}")
    return values


def _mean(values: jax.Array, listed: jax.Array) -> jax.Array:
    count = jnp.sum(listed, dtype=jnp.float32)
    return jnp.sum(jnp.where(listed, values, np.float32(0))) / jnp.maximum(count, np.float32(1))
