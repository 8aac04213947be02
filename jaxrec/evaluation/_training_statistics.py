"""What metrics beyond accuracy need of the training data: popularity, and the categories of each user's history."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import SeenItems
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.metrics._categories import category_shares
from jaxrec.text import natural_key

Categories = np.ndarray | Sequence[Any] | Mapping[Any, Any] | str
"""Categories of items, see `category_table`."""


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingStatistics:
    """Statistics of the training data.

    Attributes:
      popularity: int32 [I], the training interactions of each item.
      num_users: users with training data.
      item_categories: float32 [I, C], above 0 where the item is of the category, or None.
      history: float32 [U, C], the mean category distribution of each user's training items, or None.

    >>> TrainingStatistics(np.array([2, 1]), 2).item_categories is None
    True
    """

    popularity: np.ndarray
    num_users: int
    item_categories: np.ndarray | None = None
    history: np.ndarray | None = None

    def check(self, num_users: int, num_items: int) -> None:
        """Check that the statistics are of the same users and items as the test part.

        Raises:
          MismatchError: they are not.

        >>> TrainingStatistics(np.array([2, 1]), 2).check(num_users=5, num_items=2)
        """
        shapes = {"popularity": (self.popularity, num_items), "item_categories": (self.item_categories, num_items),
                  "history": (self.history, num_users)}  # fmt: skip
        for name, (array, size) in shapes.items():
            if array is not None and len(array) != size:
                raise MismatchError(
                    f"training.{name} has {len(array):,} rows and truth {size:,} "
                    f"{'users' if name == 'history' else 'items'}; make the statistics from the same split"
                )


def training_statistics(train: Interactions, item_categories: Categories | None = None) -> TrainingStatistics:
    """Count popularity, and with categories what each user's history is made of.

    A user's history is the mean over their training items that have a category; an item of several counts in equal
    shares.

    Args:
      train: what was trained on.
      item_categories: see `category_table`.

    Raises:
      MismatchError: categories of another number of items.
      JaxrecError: see `category_table`.

    >>> statistics = training_statistics(Interactions.from_arrays([0, 0, 1], [0, 1, 1]), ["war", "drama"])
    >>> statistics.popularity.tolist(), statistics.history.tolist()
    ([1, 2], [[0.5, 0.5], [1.0, 0.0]])
    """
    popularity = np.bincount(train.item, minlength=train.num_items).astype(np.int32)
    num_users = len(np.unique(train.user))
    if item_categories is None:
        return TrainingStatistics(popularity, num_users)
    categories, _ = category_table(item_categories, train)
    shares = np.asarray(category_shares(jnp.asarray(categories)))
    history = np.zeros((train.num_users, shares.shape[1]), np.float64)
    for column in range(shares.shape[1]):  # a column at a time, so that no [E, C] array is made
        history[:, column] = np.bincount(train.user, weights=shares[train.item, column], minlength=train.num_users)
    whole = history.sum(axis=1, keepdims=True)
    history = np.where(whole > 0, history / np.where(whole > 0, whole, 1), 0)
    return TrainingStatistics(popularity, num_users, categories, history.astype(np.float32))


def statistics_of_seen(seen: SeenItems, num_items: int) -> TrainingStatistics:
    """The statistics without categories, from each user's seen items.

    >>> statistics_of_seen(SeenItems(np.array([0, 1, 2]), np.array([1, 1])), 2).popularity.tolist()
    [0, 2]
    """
    popularity = np.bincount(np.asarray(seen.items), minlength=num_items).astype(np.int32)
    return TrainingStatistics(popularity, int((np.diff(np.asarray(seen.indptr)) > 0).sum()))


def category_table(categories: Categories, data: Interactions) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """The table of categories, from a table or from labels.

    Args:
      categories: a table of numbers [I, C], above 0 where the item is of the category; or labels: one or several for
        each item, in order, or a mapping from an item's id, where items may be missing; or the name of a column of
        `data.item_columns`. The labels of an item are a text such as "war|drama", or a list or set of texts. No label
        is "", None or NaN.
      data: the catalog.

    Returns:
      (float32 [I, C], the C labels in natural order; None where a table was given).

    Raises:
      MismatchError: another number of items.
      JaxrecError: a column that is not there, an id that the catalog does not know, or no label at all.

    >>> data = Interactions.from_arrays([0, 0, 1], [7, 8, 9])
    >>> table, labels = category_table({7: "war|drama", 9: {"drama"}}, data)
    >>> labels, table.tolist()
    (('drama', 'war'), [[1.0, 1.0], [0.0, 0.0], [1.0, 0.0]])
    """
    if isinstance(categories, str):
        if categories not in data.item_columns:
            raise JaxrecError(
                f"item_categories is {categories!r}, and the items have "
                + (f"the columns {', '.join(data.item_columns)}" if data.item_columns else "no columns")
                + "; pass labels, a table [I, C], or the name of a column"
            )
        categories = data.item_columns[categories].tolist()
    if isinstance(categories, Mapping):
        rows: list[Any] = [None] * data.num_items
        unknown = []
        for item, labels in categories.items():
            at = data.items.find(item)
            if at < 0:
                unknown.append(item)
            else:
                rows[at] = labels
        if len(unknown) == len(categories):
            raise JaxrecError(
                f"item_categories names none of the {data.num_items:,} items"
                + (f", but {unknown[0]!r} and the like" if unknown else "")
                + "; pass a mapping from an item's id to its labels"
            )
    else:
        array = np.asarray(categories) if hasattr(categories, "shape") else None
        if (array is not None and array.ndim != 1) or _is_table(categories):
            table = np.asarray(categories, np.float32)
            if table.ndim != 2 or len(table) != data.num_items:
                raise MismatchError(
                    f"item_categories has shape {table.shape}, expected [{data.num_items}, C]: one row for each item, "
                    "or labels"
                )
            return table, None
        rows = list(categories) if array is None else array.tolist()
        if len(rows) != data.num_items:
            raise MismatchError(
                f"item_categories has labels of {len(rows):,} items, expected {data.num_items:,}; give each its own, "
                '"" for none'
            )
    of_items = [_labels(row) for row in rows]
    names = sorted({label for labels in of_items for label in labels}, key=natural_key)
    if not names:
        raise JaxrecError("item_categories has no label; give at least one item a category")
    place = {name: at for at, name in enumerate(names)}
    table = np.zeros((data.num_items, len(names)), np.float32)
    for at, labels in enumerate(of_items):
        table[at, [place[label] for label in labels]] = 1
    return table, tuple(names)


def _is_table(rows: Any) -> bool:
    """Whether rows are lists of numbers."""
    first = next(iter(rows), None)
    return isinstance(first, (list, tuple)) and all(isinstance(one, (bool, int, float)) for one in first)


def _labels(row: Any) -> list[str]:
    """The labels of one item."""
    if row is None or row != row:
        return []
    several = (
        row.split("|") if isinstance(row, str) else row if isinstance(row, (list, tuple, set, frozenset)) else [row]
    )
    return list(dict.fromkeys(text for one in several if (text := str(one).strip())))
