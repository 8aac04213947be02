"""Which items each user has: sorted rows that mask lists and that negatives are checked against."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from jaxrec.data._interactions import Interactions, check_index, check_interactions
from jaxrec.errors import DataError, MismatchError

Array = np.ndarray | jax.Array


class SeenItems(NamedTuple):
    """The items of each user, without repeats, as the rows of a compressed sparse matrix.

    It is a pytree, of NumPy arrays as made and of JAX arrays inside a jitted function.

    Attributes:
      indptr: int32 [U + 1], `items[indptr[u]:indptr[u + 1]]` are the items of user u.
      items: int32 [E], ascending within each user.

    >>> seen = seen_items(Interactions.from_arrays([0, 0, 1], [2, 0, 1]))
    >>> seen.indptr, seen.items
    (array([0, 2, 3], dtype=int32), array([0, 2, 1], dtype=int32))
    """

    indptr: Array
    items: Array

    @property
    def num_users(self) -> int:
        """U, the number of rows."""
        return self.indptr.shape[0] - 1

    def __repr__(self) -> str:
        return f"SeenItems of {self.num_users:,} users: {self.items.shape[0]:,} pairs"

    def of(self, user: int) -> Array:
        """Give the items of one user, ascending (on the host).

        Raises:
          DataError: `user` is outside 0..U-1.

        >>> SeenItems(np.array([0, 2]), np.array([3, 5])).of(0)
        array([3, 5])
        """
        if not isinstance(user, (int, np.integer)) or not 0 <= user < self.num_users:
            raise DataError(f"user index {user!r} is outside 0..{self.num_users - 1}; pass an index of this data")
        return self.items[int(self.indptr[user]) : int(self.indptr[user + 1])]


def seen_items(*parts: Interactions) -> SeenItems:
    """Collect the items of each user over all given interactions, which share one catalog.

    Raises:
      MismatchError: the parts have different catalogs, or none is given.

    >>> data = Interactions.from_arrays([0, 0, 1], [2, 0, 1])
    >>> seen_items(data.select([0]), data.select([1])).of(0)
    array([0, 2], dtype=int32)
    """
    if not parts:
        raise MismatchError("seen_items needs at least one part; pass the interactions whose items count as seen")
    for part in parts:
        check_interactions(part, "a part")
    if not all(parts[0].same_catalog(other) for other in parts[1:]):
        raise MismatchError("the given interactions have different catalogs; take them from one split")
    one = parts[0] if len(parts) == 1 else None  # whose columns need no copy
    user = np.concatenate([part.user for part in parts]) if one is None else one.user
    item = np.concatenate([part.item for part in parts]) if one is None else one.item
    return seen_from_pairs(user, item, parts[0].num_users, parts[0].num_items)


def seen_from_pairs(user: Array, item: Array, num_users: int, num_items: int) -> SeenItems:
    """Collect the items of each user from pairs of indices.

    Args:
      user: int32 [E].
      item: int32 [E].
      num_users: U.
      num_items: I.

    Raises:
      MismatchError: `user` and `item` are of different lengths.
      DataError: an index is outside its range.

    >>> seen_from_pairs(np.array([1, 1, 1]), np.array([4, 4, 0]), 2, 5).items
    array([0, 4], dtype=int32)
    """
    user, item = check_index(user, num_users, "user"), check_index(item, num_items, "item")
    if len(user) != len(item):
        raise MismatchError(f"user has {len(user)} entries and item has {len(item)}; they must be of one length")
    if len(user) > np.iinfo(np.int32).max:
        raise DataError(
            f"{len(user):,} pairs, and int32 pointers count up to {np.iinfo(np.int32).max:,}; take a part of the data"
        )
    # One integer a pair sorts many times faster than two keys (and than np.unique, which hashes); int64 holds U * I
    # for any two int32 counts. All is done in this one array: it is the largest that there is here.
    pair = user.astype(np.int64)
    pair *= num_items
    pair += item
    if not (pair[1:] > pair[:-1]).all():
        pair.sort()
        new = np.ones(len(pair), bool)
        np.not_equal(pair[1:], pair[:-1], out=new[1:])
        pair = pair if new.all() else pair[new]
    starts = np.arange(num_users + 1, dtype=np.int64) * num_items
    indptr = np.searchsorted(pair, starts).astype(np.int32)
    np.remainder(pair, max(num_items, 1), out=pair)
    return SeenItems(indptr, pair.astype(np.int32))
