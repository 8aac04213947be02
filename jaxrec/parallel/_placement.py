"""Which device holds which user and item: equal numbers of rows, and nearly equal numbers of non-zeros."""

from __future__ import annotations

import dataclasses
import functools
import heapq
from typing import Literal

import numpy as np

from jaxrec._checks import whole
from jaxrec.errors import MismatchError

PARTS = 64
"""Virtual parts that are dealt to the devices, so that the tables are one array for 1, 2, 4, ... 64 of them."""

Side = Literal["users", "items", "nodes"]
"""What the rows of a table are of; nodes are the users and the items of an adjacency."""


@dataclasses.dataclass(frozen=True, eq=False)
class Placement:
    """The places of users and items in tables that are cut into equal parts.

    Each part has `user_rows` rows of users and `item_rows` rows of items; the rows that nobody has are padding. A table
    of nodes has the users and then the items of part 0, those of part 1, and so on. So a device that holds some of the
    parts holds the users, the items and the nodes of the same ones, and joining the two tables moves nothing.

    Attributes:
      users: int32 [U], the row of each user in the table of users.
      items: int32 [I], the row of each item in the table of items.
      parts: how many parts there are; 1 leaves all rows where they were.
      user_rows: rows of users in a part.
      item_rows: rows of items in a part.

    >>> made = place(np.array([5, 1, 1]), np.array([3, 4]), devices=2, parts=2)
    >>> made.users.tolist(), made.num_users, made.nodes.tolist()
    ([0, 2, 3], 4, [0, 3, 4, 2, 5])
    """

    users: np.ndarray
    items: np.ndarray
    parts: int
    user_rows: int
    item_rows: int

    @property
    def num_users(self) -> int:
        """The rows of the table of users, padding included."""
        return self.parts * self.user_rows

    @property
    def num_items(self) -> int:
        """The rows of the table of items, padding included."""
        return self.parts * self.item_rows

    @functools.cached_property
    def nodes(self) -> np.ndarray:
        """int32 [U + I], the row of each node, users first, in a table of nodes."""
        width = self.user_rows + self.item_rows
        own, place = np.divmod(self.users, self.user_rows)
        theirs, after = np.divmod(self.items, self.item_rows)
        return np.concatenate([own * width + place, theirs * width + self.user_rows + after]).astype(np.int32)

    def rows_of(self, side: Side) -> np.ndarray:
        """Where each row of a table of users, items or nodes is placed."""
        return {"users": self.users, "items": self.items, "nodes": self.nodes}[side]

    def size_of(self, side: Side) -> int:
        """The rows of a placed table of users, items or nodes."""
        sizes = {"users": self.num_users, "items": self.num_items, "nodes": self.num_users + self.num_items}
        return sizes[side]

    def placed(self, table: np.ndarray, side: Side) -> np.ndarray:
        """A table [rows, ...] in the order of the places; padding is 0.

        >>> place(np.array([5, 1, 1]), np.array([3, 4]), devices=2, parts=2).placed(np.array([7, 8, 9]), "users")
        array([7, 0, 8, 9])
        """
        rows = self.rows_of(side)
        if len(table) != len(rows):
            raise MismatchError(f"a table of {len(rows):,} {side} is placed, got {len(table):,} rows")
        out = np.zeros((self.size_of(side), *table.shape[1:]), table.dtype)
        out[rows] = table
        return out

    def back(self, table: np.ndarray, side: Side) -> np.ndarray:
        """A placed table in the original order, without padding.

        >>> made = place(np.array([5, 1, 1]), np.array([3, 4]), devices=2, parts=2)
        >>> made.back(made.placed(np.array([7, 8, 9]), "users"), "users")
        array([7, 8, 9])
        """
        return np.asarray(table)[self.rows_of(side)]


def place(
    users: np.ndarray, items: np.ndarray, *, devices: int, parts: int = PARTS, ranks: np.ndarray | None = None
) -> Placement:
    """Place users and items so that every device has as many rows and as many non-zeros as the others.

    Users and items are placed apart: by falling number of non-zeros, each goes to the part that has the fewest so far
    and a row left. Parts have an order of which halves, quarters and so on have nearly equal sums, and are dealt to the
    devices in it, equally many to each. Within a part rows are in the order of the ranks, those of one rank in the
    order of the data.

    Args:
      users: [U], the non-zeros in the row of each user.
      items: [I], likewise.
      devices: how many hold rows; with 1 there is one part.
      parts: how many parts there are at least. They are more where `devices` does not divide them.
      ranks: [U + I], the rank of each node within its part, users first; None for the order of the data.

    Raises:
      JaxrecError: no device.
      MismatchError: ranks of another number of nodes.

    >>> place(np.array([5, 1, 1]), np.array([3, 4]), devices=3, parts=2).parts
    3
    >>> place(np.array([5, 1, 1]), np.array([3, 4]), devices=1, ranks=np.array([1, 0, 1, 1, 0])).nodes.tolist()
    [1, 0, 2, 4, 3]
    """
    devices = whole("devices", devices, 1)
    parts = 1 if devices == 1 else -(-whole("parts", parts, 1) // devices) * devices
    ranks = np.zeros(len(users) + len(items), np.int32) if ranks is None else np.asarray(ranks)
    if len(ranks) != len(users) + len(items):
        raise MismatchError(f"ranks are of {len(ranks):,} nodes, and there are {len(users) + len(items):,}")
    sides = (users, ranks[: len(users)]), (items, ranks[len(users) :])
    own, theirs = (balanced(np.asarray(weights), parts, of_side) for weights, of_side in sides)
    sizes = -(-len(users) // parts), -(-len(items) // parts)
    part, at = np.divmod(theirs, sizes[1]) if len(items) else (theirs, theirs)
    # The first of two parts is as a rule the heavier one, of users and of items, so they are turned round.
    return Placement(own, ((parts - 1 - part) * sizes[1] + at).astype(np.int32), parts, *sizes)


def in_place(num_users: int, num_items: int) -> Placement:
    """The placement that leaves all rows where they were.

    >>> in_place(2, 3).nodes.tolist()
    [0, 1, 2, 3, 4]
    """
    return Placement(
        np.arange(num_users, dtype=np.int32), np.arange(num_items, dtype=np.int32), 1, num_users, num_items
    )


def contiguous(num_users: int, num_items: int, *, devices: int, parts: int = PARTS) -> Placement:
    """The placement with the sizes of `place`, whose rows are in the order of the data: for what needs the sizes only.

    >>> contiguous(3, 2, devices=2, parts=2).num_users
    4
    """
    if devices == 1:
        return in_place(num_users, num_items)
    parts = -(-parts // devices) * devices
    plain = in_place(num_users, num_items)
    return Placement(plain.users, plain.items, parts, -(-num_users // parts), -(-num_items // parts))


def balanced(weights: np.ndarray, parts: int, ranks: np.ndarray | None = None) -> np.ndarray:
    """Rows of parts of equal size, so that the sums of the weights are nearly equal.

    A part has ceil(n / parts) rows. Within a part the order is that of the ranks, and then the original one.

    Args:
      weights: [n], not negative.
      parts: how many.
      ranks: [n], or None for the original order.

    Returns:
      int32 [n], the row of each; part p has the rows p m ... (p + 1) m - 1, with m = ceil(n / parts).

    >>> balanced(np.array([4, 1, 1, 2]), 2).tolist()  # 4 + 1 and 1 + 2
    [0, 2, 1, 3]
    """
    size = -(-len(weights) // parts)
    ranks = np.zeros(len(weights), np.int32) if ranks is None else ranks
    chosen = np.zeros(len(weights), np.int32)
    if parts > 1:
        found = _parts_of(weights, parts, size)
        numbers = np.empty(parts, np.int32)
        numbers[_dealt(np.bincount(found, weights, minlength=parts))] = np.arange(parts, dtype=np.int32)
        chosen = numbers[found]
    order = np.lexsort((ranks, chosen))
    counts = np.bincount(chosen, minlength=parts)
    starts = np.cumsum(counts) - counts
    out = np.empty(len(weights), np.int32)
    sorted_parts = chosen[order]
    out[order] = sorted_parts * size + np.arange(len(weights)) - starts[sorted_parts]
    return out


def _parts_of(weights: np.ndarray, parts: int, size: int) -> np.ndarray:
    """The part of each row: by falling weight, that with the least so far and a row left of its `size`."""
    falling = np.argsort(-weights, kind="stable")
    loads = weights[falling].tolist()
    heap = [(0, 0, part) for part in range(parts)]
    chosen = np.empty(len(weights), np.int32)
    goes = []
    for load in loads:
        had, rows, part = heap[0]
        goes.append(part)
        if rows + 1 == size:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (had + load, rows + 1, part))
    chosen[falling] = goes
    return chosen


def _dealt(loads: np.ndarray) -> np.ndarray:
    """The parts in an order of which the halves, the quarters and so on have nearly equal loads, [parts].

    >>> _dealt(np.array([5, 5, 1, 1])).tolist()
    [0, 2, 1, 3]
    """
    if len(loads) < 2:
        return np.arange(len(loads))
    half = _parts_of(loads, 2, -(-len(loads) // 2))
    return np.concatenate([own[_dealt(loads[own])] for own in (np.flatnonzero(half == 0), np.flatnonzero(half == 1))])
