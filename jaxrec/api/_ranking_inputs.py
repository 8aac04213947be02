"""What lists of other systems are measured against, in whatever form it comes, as interactions of one catalog."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np

from jaxrec.api._item_features import space_of as space_of
from jaxrec.api._lists import Rows as Rows
from jaxrec.api._lists import collected
from jaxrec.api._lists import rows_of as rows_of
from jaxrec.data._ids import IdMap
from jaxrec.data._interactions import Interactions
from jaxrec.data.reading._columns import Columns
from jaxrec.data.reading._frames import from_frame
from jaxrec.data.reading._readers import read
from jaxrec.errors import JaxrecError, MismatchError

Known = Interactions | str | os.PathLike[str] | Any
"""Interactions, a file that `jaxrec.read` reads, a frame, or (users [E], items [E]) of ids, and ratings [E] if any."""


def interactions_of(known: Known, name: str, columns: Columns | None = None) -> Interactions:
    """Interactions from interactions, a file, a frame or arrays of ids.

    Raises:
      JaxrecError: another form; `name` says which argument it was, and `columns` is for files and frames.

    >>> len(interactions_of(([1, 1], [5, 6]), "truth"))
    2
    """
    if isinstance(known, Interactions):
        return known
    if isinstance(known, (str, os.PathLike)):
        return read(known, items=None, columns=columns)
    known = collected(known)
    if hasattr(known, "columns"):
        return from_frame(known, columns=columns)
    if isinstance(known, list) and known and all(isinstance(row, tuple) for row in known):
        raise JaxrecError(
            f"{name} is a list of tuples, the first is {known[0]!r}; pass (users, items), for example "
            "tuple(map(list, zip(*rows)))"
        )
    if isinstance(known, (tuple, list)) and len(known) in (2, 3):
        return Interactions.from_arrays(*known)
    raise JaxrecError(
        f"{name} must be interactions, a file, a frame, (users, items) or (users, items, ratings), got "
        f"{type(known).__name__}"
    )


def has_columns(known: Any) -> bool:
    """Whether something is read by its columns: a file or a frame.

    >>> has_columns("truth.csv"), has_columns(([1], [5])), has_columns(None)
    (True, False, False)
    """
    return known is not None and not isinstance(known, (Interactions, tuple, list))


def one_catalog(truth: Interactions, train: Interactions, *, texts: bool = False) -> tuple[Interactions, Interactions]:
    """Both with the same users and items: as they are for parts of one split, else with the ids of both.

    Args:
      truth: what users chose later.
      train: what was trained on.
      texts: whether ids of different kinds are all texts, as those of a file are.

    Raises:
      MismatchError: ids of different kinds.

    >>> one, other = (Interactions.from_arrays([1], [item]) for item in (5, 6))
    >>> [part.num_items for part in one_catalog(one, other)]
    [2, 2]
    """
    same = [np.array_equal(a.ids, b.ids) for a, b in ((truth.users, train.users), (truth.items, train.items))]
    if all(same):
        return truth, train
    maps = []
    truth, train = (_with_text_ids(part, other) if texts else part for part, other in ((truth, train), (train, truth)))
    for a, b in ((truth.users, train.users), (truth.items, train.items)):
        if a.ids.dtype.kind != b.ids.dtype.kind:
            raise MismatchError(
                f"the {a.name} ids of truth and train differ in kind, {a.ids[0].item()!r} and {b.ids[0].item()!r}; "
                "give both as numbers or both as text"
            )
        maps.append(IdMap(np.unique(np.concatenate([a.ids, b.ids])), a.name))
    return tuple(
        Interactions(
            user=_places(maps[0].ids, part.users.ids)[part.user],
            item=_places(maps[1].ids, part.items.ids)[part.item],
            users=maps[0],
            items=maps[1],
            rating=part.rating,
        )
        for part in (truth, train)
    )  # pyright: ignore[reportReturnType]


def _with_text_ids(part: Interactions, other: Interactions) -> Interactions:
    """The part with whole numbers as texts where the other one has texts."""
    return dataclasses.replace(
        part,
        **{
            side: IdMap(mine.ids.astype(str), mine.name)
            for side, mine, theirs in (("users", part.users, other.users), ("items", part.items, other.items))
            if mine.ids.dtype.kind != "U" and theirs.ids.dtype.kind == "U"
        },
    )


def _places(sorted_ids: np.ndarray, ids: np.ndarray) -> np.ndarray:
    return np.searchsorted(sorted_ids, ids).astype(np.int32)
