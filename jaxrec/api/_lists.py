"""Ranked lists of other systems, in whatever form they come, as rows of ids with what orders them."""

from __future__ import annotations

import numbers
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from jaxrec.api._list_order import Order, counts_rows, find_order, mostly_like_numbers, orders
from jaxrec.api._suggestions import Recommendations
from jaxrec.data._ids import as_ids, factorize
from jaxrec.data.reading._columns import find_columns
from jaxrec.errors import DataError, JaxrecError, MismatchError

Form = Literal["long", "wide"] | None
"""Of a file: one item a line ("long"), or a user and all their items a line ("wide"); None finds it."""


class Rows(NamedTuple):
    """Lists as E rows.

    Attributes:
      user_ids: [n], each once.
      user: int32 [E], places in `user_ids`.
      item_ids: [m], each once.
      item: int32 [E], places in `item_ids`.
      order: float64 [E], what orders the rows of a user, ascending; None for the order of the rows.
      score: float64 [E], where ties are looked for, high is better; None for none.
      told: what orders the lists, in words.

    >>> Rows(np.array([7]), np.zeros(1), np.array([3]), np.zeros(1), None, None, "as given").order is None
    True
    """

    user_ids: np.ndarray
    user: np.ndarray
    item_ids: np.ndarray
    item: np.ndarray
    order: np.ndarray | None
    score: np.ndarray | None
    told: str

    def ids_at(self, row: int) -> tuple[Any, Any]:
        """The user and the item of a row, for messages."""
        user, item = self.user_ids[self.user[row]], self.item_ids[self.item[row]]
        return getattr(user, "item", lambda: user)(), getattr(item, "item", lambda: item)()


def rows_of(recommendations: Any, order: str | None = None, form: Form = None) -> Rows:
    """Ranked lists as rows of ids, from a mapping, arrays, a frame, a file or what `jaxrec.recommend` gives.

    Args:
      recommendations: see `jaxrec.evaluate_rankings`.
      order: of a frame or a file, the column that orders the lists; see `jaxrec.api._list_order.find_order`.
      form: of a file.

    Raises:
      DataError: no item, a user who is named twice, a rank or score that is not finite, a file that cannot be read, or
        whose columns can be read in two ways.
      MismatchError: not as many lists as users.
      JaxrecError: another form.

    >>> rows_of({7: {3: 0.5, 4: 0.9}}).order.tolist()
    [-0.5, -0.9]
    """
    if form not in (None, "long", "wide"):
        raise JaxrecError(f'form must be "long", "wide" or None, got {form!r}')
    if isinstance(recommendations, (str, os.PathLike)):
        from jaxrec.api._list_files import rows_of_file

        return rows_of_file(pathlib.Path(recommendations), order, form)
    recommendations = collected(recommendations)
    if form is not None:
        raise JaxrecError(f"form is {form!r}, which is for files; leave it out")
    if hasattr(recommendations, "columns"):
        return rows_of_frame(recommendations, order, "recommendations")
    if order is not None:
        raise JaxrecError(f"order is {order!r}, which is for frames and files with columns; leave it out")
    if isinstance(recommendations, Recommendations):
        return rows_of_lists(
            {user: [(one.item, one.score) for one in listed] for user, listed in recommendations}, True
        )
    if isinstance(recommendations, Mapping):
        return rows_of_lists(recommendations)
    if isinstance(recommendations, (tuple, list)) and len(recommendations) == 2:
        users, lists = recommendations
        if len(users) != len(lists):
            raise MismatchError(f"recommendations has {len(users)} users and {len(lists)} lists; pass a list each")
        lists = getattr(lists, "to_pylist", lambda: lists)()
        ids = as_ids(users, "user")
        if len(np.unique(ids)) != len(users):
            raise DataError("recommendations names a user twice; pass one list for each user")
        return rows_of_lists(dict(zip(ids.tolist(), lists, strict=True)))
    raise JaxrecError(
        "recommendations must be a mapping from user to items, (users, lists), a frame or a file, got "
        f"{type(recommendations).__name__}"
    )


def rows_of_lists(lists: Mapping[Any, Any], in_order: bool = False) -> Rows:
    """Rows of a mapping from a user to their items: the best first, or with scores by which they are ordered.

    Args:
      lists: from a user to items, to pairs (item, score), or to a mapping from an item to its score.
      in_order: whether scored items stand in order already, so that scores say ties only.

    Raises:
      DataError: no item, items with and without scores, a score that is not finite.

    >>> rows_of_lists({"ann": [("x", 0.1), ("y", 0.9)]}).told
    'by score, the highest first'
    """
    users: list[Any] = []
    items: list[Any] = []
    scores: list[Any] = []
    for user, listed in lists.items():
        some, theirs = _listed(user, listed)
        users += [user] * len(some)
        items += some
        scores += theirs
    if not items:
        raise DataError("recommendations has no item; pass at least one list that is not empty")
    if scores and len(scores) != len(items):
        raise DataError("recommendations has items with a score and items without; give all a score, or none")
    ids = (*factorize(as_ids(users, "user")), *factorize(as_ids(items, "item")))
    if not scores:
        return Rows(*ids, None, None, "as given, the best first")
    score = finite(scores, "score", lambda row: f"item {items[row]!r} of user {users[row]!r}", "recommendations")
    if in_order:
        return Rows(*ids, None, score, "as given, the best first")
    return Rows(*ids, -score, score, "by score, the highest first")


def _listed(user: Any, given: Any) -> tuple[list[Any], list[Any]]:
    """The items of a list, and their scores if there are any."""
    listed = given
    if isinstance(listed, Mapping):
        return list(listed), list(listed.values())
    if isinstance(listed, (str, bytes)) or not isinstance(listed, Iterable) or getattr(listed, "ndim", 1) == 0:
        raise DataError(f"the list of user {user!r} is {_short(listed)}; pass a list of items, the best first")
    if isinstance(listed, (set, frozenset)):
        raise DataError(f"the list of user {user!r} is a set, which has no order; pass a list, the best first")
    kind = getattr(getattr(listed, "dtype", None), "kind", "")
    if hasattr(listed, "to_dict") and kind == "f":  # a series of scores by item
        raise DataError(f"the list of user {user!r} is a series of fractions; pass its items, or series.to_dict()")
    as_list: Any = getattr(listed, "tolist", None) or getattr(listed, "to_pylist", None)  # of Arrow
    items = list(listed) if as_list is None else as_list()
    if items and all(isinstance(one, (tuple, list)) and len(one) == 2 for one in items):
        return [one[0] for one in items], [one[1] for one in items]
    return items, []


def rows_of_frame(frame: Any, order: str | None, where: str) -> Rows:
    """Rows of a table with a user and an item column.

    Raises:
      DataError: see `rows_of`.

    >>> import pandas
    >>> rows_of_frame(pandas.DataFrame({"uid": [1], "iid": [2], "est": [0.5]}), None, "frame").told
    "by 'est', the highest first"
    """
    labels = column_labels(frame)
    names = [str(label) for label in labels]
    others = {"rating": None, "timestamp": None, "title": None}
    found = find_columns(names, others, where, remedy="call the columns of the lists user and item")
    columns = [np.asarray(frame[label]) for label in labels]
    for name in getattr(getattr(frame, "index", None), "names", ()):  # of pandas
        if name is not None and orders(str(name)) and str(name) not in names:
            raise DataError(f"{where}: the index is {str(name)!r}, and no column is; pass frame.reset_index()")

    def numeric(at: int) -> bool:
        values = columns[at]
        if values.dtype.kind in "OTU":
            return mostly_like_numbers(as_cells(values))
        return values.dtype.kind in "iuf" and not counts_rows(names[at], values.tolist())

    chosen = find_order(names, list(found.values()), numeric, order, where)
    ids = [as_ids(columns[found[role]], role) for role in ("user", "item")]
    if not len(ids[0]):
        raise DataError(f"{where}: no row; pass at least one list that is not empty")

    def values(at: int | None) -> np.ndarray | None:
        return None if at is None else finite(columns[at], names[at], lambda row: f"row {row}", where)

    return ordered(ids[0], ids[1], chosen, values)


def ordered(
    user: np.ndarray, item: np.ndarray, chosen: Order, values: Callable[[int | None], np.ndarray | None]
) -> Rows:
    """Rows of ids [E], with the values of the columns that an order names.

    >>> rows = ordered(np.array([1]), np.array([2]), Order(None, True, None, "as the rows stand"), lambda at: None)
    >>> rows.told
    'as the rows stand'
    """
    order, score = values(chosen.column), None
    if chosen.score is not None:
        score = order if chosen.score == chosen.column else values(chosen.score)
    if order is not None and not chosen.ascending:
        order = -order
    return Rows(*factorize(user), *factorize(item), order, score, chosen.told)


def finite(values: Sequence[Any] | np.ndarray, name: str, place: Callable[[int], str], where: str) -> np.ndarray:
    """Values as float64, each a finite number.

    Args:
      values: numbers, or texts of numbers.
      name: of the column.
      place: from a row to where it is, for messages.
      where: the start of each message.

    Raises:
      DataError: a value that is missing or no finite number.

    >>> finite(["0.5", 2], "score", lambda row: f"row {row}", "frame")
    array([0.5, 2. ])
    """
    array = values if isinstance(values, np.ndarray) else np.array(values, object)
    if array.dtype.kind in "iuf":
        out = array.astype(np.float64)
    else:
        out = np.array([_as_number(one) for one in array.tolist()], np.float64)  # None becomes NaN
    if len(bad := np.flatnonzero(~np.isfinite(out))):
        at = int(bad[0])
        raise DataError(f"{where}: {name} is {_short(array[at])} in {place(at)}; every row needs a finite number")
    return out


def as_cells(values: np.ndarray) -> list[str]:
    """The values of a column of objects as cells of a file: texts, numbers, and "None" for all else.

    >>> as_cells(np.array(["0,5", 2, None, (1,)], object))
    ['0,5', '2.0', 'None', 'None']
    """
    return [one if isinstance(one, str) else str(_as_number(one)) for one in values.tolist()]


def _as_number(value: Any) -> float | None:
    """A number or the text of one as a float; None for all else."""
    if isinstance(value, bool) or not isinstance(value, (numbers.Number, str)):
        return None
    if isinstance(value, str) and "_" in value:  # which Python reads and no other program writes
        return None
    try:
        return float(value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError, OverflowError):
        return None


def collected(frame: Any) -> Any:
    """A lazy frame of polars as a frame; all else as it is.

    >>> collected(7)
    7
    """
    return frame.collect() if hasattr(frame, "collect") and hasattr(frame, "lazy") else frame


def column_labels(frame: Any) -> list[Any]:
    """The names of the columns, as the frame has them.

    >>> import pandas
    >>> column_labels(pandas.DataFrame({"user": [1]}))
    ['user']
    """
    return list(getattr(frame, "column_names", frame.columns))  # the columns of an Arrow table are its data


def _short(value: Any) -> str:
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= 40 else f"{text[:37]}..."
