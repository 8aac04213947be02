"""Filters of interactions, applied before a split: minimum rating, de-duplication, k-core, and their usual order."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np

from jaxrec.data._interactions import Interactions, check_interactions
from jaxrec.data._pairs import pair_codes, repeated
from jaxrec.errors import DataError, JaxrecError

Keep = Literal["last", "first", "highest", "lowest", "max"]
KEEP = ("last", "first", "highest", "lowest", "max")


@dataclasses.dataclass(frozen=True)
class Preparation:
    """The options of `prepare`, as a record for a data set or a configuration.

    Attributes:
      min_rating: keep ratings of at least this, on the data's own scale; None keeps all.
      deduplicate: one interaction for each pair: the rule of `deduplicate`, True for "last", False for none.
      k_core: every user and every item keeps at least this many interactions; None keeps all.

    >>> str(Preparation(min_rating=4, k_core=5))
    'ratings of at least 4, one interaction a pair, 5-core'
    """

    min_rating: float | None = None
    deduplicate: bool | Keep = True
    k_core: int | None = None

    def __str__(self) -> str:
        steps = [
            f"ratings of at least {self.min_rating:g}" if self.min_rating is not None else "",
            "one interaction a pair" if self.deduplicate else "",
            f"{self.k_core}-core" if self.k_core is not None else "",
        ]
        return ", ".join(step for step in steps if step) or "as it is"


def min_rating(data: Interactions, threshold: float) -> Interactions:
    """Keep the interactions with rating >= threshold: explicit ratings become implicit feedback.

    The ratings of what is kept stay as a column.

    Args:
      data: E interactions with ratings.
      threshold: the lowest rating to keep, on the data's own scale.

    Returns:
      New interactions, without the users and items that have none left; the last note counts what was dropped.

    Raises:
      DataError: there are no ratings, or no interaction is left.
      JaxrecError: the threshold is not a finite number.

    >>> data = Interactions.from_arrays([1, 1, 2], [5, 6, 6], rating=[5, 2, 4])
    >>> min_rating(data, 4).notes
    ('minimum rating 4: kept 2 of 3 interactions, 2 of 2 users, 2 of 2 items',)
    """
    check_interactions(data)
    if data.rating is None:
        raise DataError("min_rating needs ratings and the data have none; leave the rating filter out")
    if not isinstance(threshold, (int, float, np.number)) or not np.isfinite(threshold):
        raise JaxrecError(f"min_rating threshold is {threshold!r}; pass a finite number on the data's rating scale")
    # Ratings are float32: 3.3 must find the stored 3.3, which is below the float64 of that name.
    kept = data.select(data.rating >= np.float32(threshold)).compact()
    if not len(kept):
        highest = f"the highest rating is {data.rating.max():g}" if len(data) else "there was none before it"
        raise DataError(f"no interaction left after min_rating {threshold:g}: {highest}; lower the threshold")
    return kept.with_note(f"minimum rating {threshold:g}: {_kept(data, kept)}")


def deduplicate(data: Interactions, keep: Keep = "last") -> Interactions:
    """Keep one interaction for each (user, item) pair, by a rule independent of the order of the rows.

    - "last": the latest timestamp; among equal times, and where there are no times, the highest rating.
    - "first": the earliest timestamp; among equal times, and where there are no times, the highest rating.
    - "highest" ("max" in 0.1): the highest rating; among equal ratings the latest timestamp.
    - "lowest": the lowest rating; among equal ratings the latest timestamp.

    Rows that agree in time and rating differ at most in `part`; then the training row stays. The rule matters where a
    split by time follows: with "last" a repeat moves its pair towards the test part, where the user meets the item
    again; with "first" it stays where it was new. `Interactions.seen_before` marks the pairs that moved, and the split
    counts them.

    Args:
      data: E interactions.
      keep: the rule.

    Returns:
      New interactions in the order of the rows that were kept; the last note counts what was dropped.

    Raises:
      JaxrecError: an unknown rule, or "highest" or "lowest" where there are no ratings.

    >>> data = Interactions.from_arrays([1, 1, 1], [5, 5, 6], rating=[3, 4, 2], timestamp=[20, 10, 0])
    >>> deduplicate(data).rating, deduplicate(data, "highest").rating
    (array([3., 2.], dtype=float32), array([4., 2.], dtype=float32))
    """
    check_interactions(data)
    if keep not in KEEP:
        raise JaxrecError(f"keep is {keep!r}; pass 'last', 'first', 'highest' or 'lowest'")
    by_rating = keep in ("highest", "lowest", "max")
    if by_rating and data.rating is None:
        raise JaxrecError(f"keep is {keep!r} and the data have no ratings; pass 'last' or 'first'")
    pair = pair_codes(data)
    rows = np.flatnonzero(repeated(pair))
    keys = {name: column[rows] for name in ("rating", "timestamp") if (column := getattr(data, name)) is not None}
    if keep == "first" and "timestamp" in keys:
        keys["timestamp"] = -keys["timestamp"]
    if keep == "lowest":
        keys["rating"] = -keys["rating"]
    names = ("rating", "timestamp") if by_rating else ("timestamp", "rating")
    best_first = [-keys[name] for name in names if name in keys]
    if data.part is not None:
        best_first.append(data.part[rows])
    order = rows[np.lexsort((*reversed(best_first), pair[rows]))]
    later = np.zeros(len(order), dtype=bool)
    later[1:] = pair[order[1:]] == pair[order[:-1]]
    mask = np.ones(len(data), dtype=bool)
    mask[order[later]] = False
    if data.timestamp is not None and len(order):
        before = np.zeros(len(data), dtype=bool) if data.seen_before is None else data.seen_before.copy()
        starts = np.flatnonzero(~later)
        earliest = np.minimum.reduceat(data.timestamp[order], starts)
        before[order[starts]] |= earliest < data.timestamp[order[starts]]
        data = dataclasses.replace(data, seen_before=before)
    kept = data.select(mask).compact()
    return kept.with_note(f"one interaction a pair ({keep}): {_kept(data, kept)}")


def k_core(
    data: Interactions, k: int | None = None, *, user_k: int | None = None, item_k: int | None = None
) -> Interactions:
    """Keep the largest part with at least `user_k` interactions of every user and `item_k` of every item.

    Users and items below their bound are removed, round after round, until none is; the result does not depend on
    the order of removal. Repeated pairs count each time: de-duplicate first.

    Args:
      data: E interactions.
      k: the bound for both.
      user_k: the bound for users, instead of k.
      item_k: the bound for items, instead of k.

    Returns:
      New interactions, without the users and items that were removed; the last note counts them and the rounds.

    Raises:
      DataError: nothing is left; the message says how far it got and the largest k that leaves something.
      JaxrecError: no bound is given, or one is not a whole number >= 1.

    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3], [5, 6, 5, 6, 7])
    >>> k_core(data, 2).notes
    ('2-core: kept 4 of 5 interactions, 2 of 3 users, 2 of 3 items (1 round)',)
    """
    check_interactions(data)
    if k is None and user_k is None and item_k is None:
        raise JaxrecError("k_core needs k, user_k or item_k; pass one of them, for example k=5")
    default = 1 if k is None else k
    bounds = [default if value is None else value for value in (user_k, item_k)]
    need_user, need_item = check_bound(bounds[0], "user_k"), check_bound(bounds[1], "item_k")
    rows, path = core_rows(data, need_user, need_item)
    name = f"{need_user}-core" if need_user == need_item else f"core of {need_user} a user and {need_item} an item"
    if not len(rows):
        most = _largest_k(data, need_user, need_item)
        remedy = f"the largest k that leaves something is {most}" if most else "there was none before it"
        shown = [f"{left:,}" for left in path]
        shown = shown if len(shown) <= 8 else [*shown[:4], "...", *shown[-3:]]
        raise DataError(
            f"no interaction left in the {name}: {len(data):,} at the start, then "
            f"{', '.join(shown) or 0} after each round; {remedy}"
        )
    kept = data.select(rows).compact()
    rounds = f"{len(path)} round{'s' if len(path) != 1 else ''}"
    return kept.with_note(f"{name}: {_kept(data, kept)} ({rounds})")


def check_bound(bound: int, name: str) -> int:
    """Check that a k-core bound is a whole number of at least 1, and return it.

    >>> check_bound(5, "k")
    5
    """
    if isinstance(bound, bool) or not isinstance(bound, (int, np.integer)) or bound < 1:
        raise JaxrecError(f"k_core {name} is {bound!r}; pass a whole number of at least 1")
    return int(bound)


def core_rows(data: Interactions, user_k: int, item_k: int) -> tuple[np.ndarray, list[int]]:
    """Find the rows of the k-core [at most E], and the number of rows left after each round.

    >>> core_rows(Interactions.from_arrays([1, 1, 2, 2, 3], [5, 6, 5, 6, 7]), 2, 2)
    (array([0, 1, 2, 3]), [4])
    """
    rows, path = np.arange(len(data)), []
    while True:
        user, item = data.user[rows], data.item[rows]
        enough = (np.bincount(user, minlength=data.num_users) >= user_k)[user]
        enough &= (np.bincount(item, minlength=data.num_items) >= item_k)[item]
        if enough.all():
            return rows, path
        rows = rows[enough]
        path.append(len(rows))


def _largest_k(data: Interactions, user_k: int, item_k: int) -> int:
    """The largest k that leaves something when the bounds are lowered to it; 0 for empty data. Cores are nested."""
    low, high = 0, min(max(user_k, item_k), len(data) + 1)
    while high - low > 1:
        middle = (low + high) // 2
        found = len(core_rows(data, min(user_k, middle), min(item_k, middle))[0]) > 0
        low, high = (middle, high) if found else (low, middle)
    return low


# The arguments of `prepare` carry the names of the steps, so it calls them by these.
_min_rating, _deduplicate, _k_core = min_rating, deduplicate, k_core


def prepare(
    data: Interactions,
    *,
    min_rating: float | None = None,
    deduplicate: bool | Keep = True,
    k_core: int | None = None,
    keep: Keep | None = None,
) -> Interactions:
    """Apply the usual filters in their order: rating filter, de-duplication, k-core.

    They come before the split, as in most published work. So the k-core counts test interactions too: that a user or
    an item is in the data at all says that it has k interactions over all parts, which a system in use would not
    know. `split(..., k_core=k, k_core_on="train")` counts training interactions only.

    Args:
      data: E interactions.
      min_rating: see `min_rating`; None leaves the step out.
      deduplicate: the rule of `deduplicate`, True for "last"; False leaves the step out.
      k_core: see `k_core`; None leaves the step out.
      keep: the rule of `deduplicate`, instead of "last".

    Returns:
      New interactions, with one note a step.

    Raises:
      DataError, JaxrecError: see the steps.

    >>> data = Interactions.from_arrays([1, 1, 1, 2, 2], [5, 5, 6, 5, 6], rating=[5, 4, 4, 5, 5])
    >>> len(prepare(data, min_rating=4, k_core=2))
    4
    """
    check_interactions(data)
    if min_rating is not None:
        data = _min_rating(data, min_rating)
    if keep is not None and deduplicate is not True:
        raise JaxrecError(f"keep is {keep!r} and deduplicate is {deduplicate!r}; pass keep alone")
    if deduplicate:
        data = _deduplicate(data, (keep or "last") if deduplicate is True else deduplicate)
    if k_core is not None:
        data = _k_core(data, k_core)
    return data


def _kept(before: Interactions, after: Interactions) -> str:
    """How many of what were kept, as the notes say it."""
    return "kept " + ", ".join(
        f"{left:,} of {had:,} {what}"
        for what, left, had in (
            ("interactions", len(after), len(before)),
            ("users", after.num_users, before.num_users),
            ("items", after.num_items, before.num_items),
        )
    )
