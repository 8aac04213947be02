"""Pairs of a user and an item: as single numbers, and as set operations on who has what."""

from __future__ import annotations

import numpy as np

from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import SeenItems, seen_from_pairs


def pair_codes(data: Interactions) -> np.ndarray:
    """Number the (user, item) pairs: `user * I + item`, int64 [E], ascending by user, then item.

    >>> pair_codes(Interactions.from_arrays([1, 2], [5, 6]))
    array([0, 3])
    """
    return data.user.astype(np.int64) * max(data.num_items, 1) + data.item


def repeated(codes: np.ndarray) -> np.ndarray:
    """Mark the entries [E] with a value that occurs more than once.

    >>> repeated(np.array([3, 1, 3]))
    array([ True, False,  True])
    """
    ordered = np.sort(codes)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    return np.isin(codes, twice) if len(twice) else np.zeros(len(codes), dtype=bool)


def union_of(a: SeenItems, b: SeenItems, *, num_items: int) -> SeenItems:
    """Unite the items of each user in two tables.

    Args:
      a: of U users.
      b: of the same users.
      num_items: I.

    >>> one, two = (SeenItems(np.array([0, 1]), np.array([item])) for item in (3, 1))
    >>> union_of(one, two, num_items=4).items
    array([1, 3], dtype=int32)
    """
    users = np.concatenate([np.repeat(np.arange(rows.num_users), np.diff(rows.indptr)) for rows in (a, b)])
    items = np.concatenate([np.asarray(a.items), np.asarray(b.items)])
    return seen_from_pairs(users, items, a.num_users, num_items)


def common_pairs(a: SeenItems, b: SeenItems, *, num_items: int) -> int:
    """Count the common pairs of user and item.

    >>> one, two = (SeenItems(np.array([0, 2]), np.array(items)) for items in ([1, 3], [2, 3]))
    >>> common_pairs(one, two, num_items=4)
    1
    """
    return int(is_among(pairs_of(a, num_items), pairs_of(b, num_items)).sum())


def is_among(codes: np.ndarray, ascending: np.ndarray) -> np.ndarray:
    """A mask of the codes that are in an ascending array. np.isin hashes, which takes many times as long.

    >>> is_among(np.array([5, 1, 9]), np.array([1, 5]))
    array([ True,  True, False])
    """
    if not len(ascending):
        return np.zeros(codes.shape, bool)
    return ascending[np.minimum(np.searchsorted(ascending, codes), len(ascending) - 1)] == codes


def pairs_of(rows: SeenItems, num_items: int) -> np.ndarray:
    """Number the pairs of seen items: `user * I + item`, int64 [E].

    >>> pairs_of(SeenItems(np.array([0, 1, 2]), np.array([1, 0])), 3)
    array([1, 3])
    """
    users = np.repeat(np.arange(rows.num_users, dtype=np.int64), np.diff(rows.indptr))
    return users * num_items + np.asarray(rows.items)
