"""Groups of users or items: a label for each, from the caller, from how active users are, or from popularity."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxrec.data._interactions import Interactions
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.metrics._novelty import long_tail
from jaxrec.text import natural_key


@dataclasses.dataclass(frozen=True, eq=False)
class Groups:
    """A group for each user or each item, the groups in an order of their own.

    Attributes:
      names: the labels of the G groups, in order.
      of: int32 [n], the group of each user or item, in 0..G-1.
      ids: [n], the caller's ids of them; None where the place is all that names them.
      other: the group of an id that is not among `ids`, in 0..G-1; None where there is none.

    Raises:
      JaxrecError: a group outside 0..G-1, or two labels that read alike.
      MismatchError: another number of ids than of groups.

    >>> Groups(("few", "many"), np.array([0, 1, 1])).sizes()
    array([1, 2])
    """

    names: tuple[Any, ...]
    of: np.ndarray
    ids: np.ndarray | None = None
    other: int | None = None

    def __post_init__(self) -> None:
        of = np.asarray(self.of, np.int32)
        if of.ndim != 1 or (of.size and not 0 <= of.min() <= of.max() < len(self.names)):
            raise JaxrecError(f"of must be groups in 0..{len(self.names) - 1}, one for each, got {self.of!r}")
        if self.ids is not None and len(self.ids) != len(of):
            raise MismatchError(f"ids has {len(self.ids):,} entries and of {len(of):,}; give one id each")
        if len({str(name) for name in self.names}) < len(self.names):
            raise JaxrecError(f"two groups have labels that read alike, among {self.names}; give each its own")
        object.__setattr__(self, "of", of)

    def sizes(self) -> np.ndarray:
        """How many are in each group, int [G]."""
        return np.bincount(self.of, minlength=len(self.names))

    def at(self, places: np.ndarray, ids: np.ndarray | None, what: str) -> np.ndarray:
        """The groups of some users or items, by id where both sides know ids, otherwise by index.

        Args:
          places: int32 [m], their indices.
          ids: [m], their ids, or None.
          what: "user" or "item", for messages.

        Returns:
          int32 [m].

        Raises:
          MismatchError: an id or an index that has no group.

        >>> Groups(("a", "b"), np.array([1, 0]), ids=np.array([10, 20])).at(np.array([5]), np.array([20]), "user")
        array([0], dtype=int32)
        """
        if self.ids is None or ids is None:
            if len(places) and int(np.max(places)) >= len(self.of):
                raise MismatchError(
                    f"the groups are of {len(self.of):,} {what}s, and {what} {int(np.max(places))} is not among them; "
                    "make them of the same data"
                )
            return self.of[places]
        # By text too, since ids that come from a file are text.
        by_text = dict(zip(map(str, self.ids.tolist()), self.of.tolist(), strict=True))
        other = -1 if self.other is None else self.other
        found = np.array([by_text.get(str(one), other) for one in ids.tolist()], np.int32)
        if (found < 0).any():
            raise MismatchError(_missing(ids[found < 0].tolist(), len(ids), what))
        return found


def as_groups(labels: Any, ids: np.ndarray | None, size: int, what: str) -> Groups:
    """The groups behind labels in any of their forms.

    Args:
      labels: `Groups`; or a mapping from an id to a label; or a sequence [n] of labels, one for each, in order. Labels
        are any values that can be dictionary keys; the groups come in natural order: 2 before 10.
      ids: [n], the ids of the n users or items; None where indices are their ids.
      size: n.
      what: "user" or "item", for messages.

    Returns:
      Groups of the n, by place.

    Raises:
      MismatchError: another number of labels, or a user or item without one.
      JaxrecError: a label that is missing (None or NaN) or cannot be a dictionary key, or two that read alike.

    >>> as_groups({7: "old", 8: "new"}, np.array([8, 7, 8]), 3, "user").names
    ('new', 'old')
    """
    if isinstance(labels, Groups):
        return Groups(labels.names, labels.at(np.arange(size), ids, what))
    own = np.arange(size).tolist() if ids is None else ids.tolist()
    if isinstance(labels, Mapping):
        by_text: dict[str, Any] = {}
        for key, label in labels.items():
            if by_text.setdefault(str(key), label) is not label and by_text[str(key)] != label:
                raise JaxrecError(
                    f"{what} {str(key)!r} has two labels, {by_text[str(key)]!r} and {label!r}, by number and by text; "
                    "keep one"
                )
        without = [one for one in own if one not in labels and str(one) not in by_text]
        if without:
            raise MismatchError(_missing(without, size, what))
        values = [labels[one] if one in labels else by_text[str(one)] for one in own]
    else:
        if isinstance(labels, (str, bytes)) or not hasattr(labels, "__len__"):
            raise JaxrecError(
                f"the {what} groups are {labels!r}; pass Groups, a mapping from an id to a label, or {size:,} labels"
            )
        # A frame's column iterates over its values, whatever its index is.
        values = labels.tolist() if isinstance(labels, np.ndarray) else list(labels)
        if len(values) != size:
            raise MismatchError(f"there are {len(values):,} labels of {size:,} {what}s; give one label each, in order")
    try:
        distinct = list(dict.fromkeys(values))
    except TypeError as error:
        raise JaxrecError(f"a label of a {what} cannot name a group: {error}; use text or numbers") from None
    for label in distinct:
        if label is None or label != label:
            at = next(at for at, value in enumerate(values) if value is label or value != value)
            raise JaxrecError(f'{what} {own[at]!r} has the label {label!r}; give it one, for example "other"')
    names = sorted(distinct, key=natural_key)
    place = {name: at for at, name in enumerate(names)}
    return Groups(tuple(names), np.array([place[value] for value in values], np.int32))


def activity_groups(train: Interactions, bounds: Sequence[int] = (10, 50)) -> Groups:
    """Users by how many interactions they have in training, such as 1 to 9, 10 to 49, and 50 or more.

    Users without any, and users whom the training part does not know, are in a first group "0".

    Args:
      train: what the models were trained on.
      bounds: the least number of each group after the first, ascending, at least 1.

    Returns:
      Groups of the U users, with ids. For groups of equal size pass quantiles of the counts as bounds.

    Raises:
      JaxrecError: bounds that are no ascending whole numbers of at least 1, or none.

    >>> train = Interactions.from_arrays(["a", "b", "b", "b"], [1, 1, 2, 3])
    >>> groups = activity_groups(train, bounds=(2, 3))
    >>> groups.names, groups.of.tolist()
    (('0', '1', '2', '3 or more'), [1, 3])
    """
    edges = list(bounds)
    whole = all(isinstance(edge, (int, np.integer)) and not isinstance(edge, bool) for edge in edges)
    if not edges or not whole or edges[0] < 1 or any(b <= a for a, b in itertools.pairwise(edges)):
        raise JaxrecError(f"bounds are {bounds!r}; pass ascending whole numbers of at least 1, for example (10, 50)")
    lows = [0, *([1] if edges[0] > 1 else []), *(int(edge) for edge in edges)]
    names = [str(low) if high == low + 1 else f"{low}-{high - 1}" for low, high in itertools.pairwise(lows)]
    counts = np.bincount(train.user, minlength=train.num_users)
    of = np.searchsorted(lows, counts, side="right") - 1
    return Groups((*names, f"{lows[-1]} or more"), of.astype(np.int32), train.users.ids, other=0)


def popularity_groups(train: Interactions, share: float = 0.8) -> Groups:
    """Items in the head, the fewest most popular ones that gather a share of the training interactions, or the tail.

    The tail is that of the metric `long_tail`; items without a training interaction belong to it.

    Args:
      train: what the models were trained on.
      share: of the interactions that the head gathers, between 0 and 1, both left out.

    Returns:
      Groups "head" and "tail" of the I items, with ids. An item that the training part does not know is in the tail.

    Raises:
      JaxrecError: a share outside.

    >>> train = Interactions.from_arrays([0, 1, 2, 3, 0], ["a", "a", "a", "a", "b"])
    >>> popularity_groups(train).of.tolist()
    [0, 1]
    """
    tail = np.asarray(
        long_tail(jnp.asarray(np.bincount(train.item, minlength=train.num_items).astype(np.int32)), share)
    )
    return Groups(("head", "tail"), tail.astype(np.int32), train.items.ids, other=1)


def _missing(without: Sequence[Any], size: int, what: str) -> str:
    return (
        f"{len(without):,} of {size:,} {what}s have no group, such as {without[0]!r}; give every {what} a label, for "
        'example "other"'
    )
