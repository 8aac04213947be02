"""The parts of a split: the container, the check that nothing leaks, and how parts are put together and counted."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from jaxrec.data._filters import check_bound, core_rows
from jaxrec.data._ids import IdMap
from jaxrec.data._interactions import TEST, TRAIN, VALID, Interactions
from jaxrec.data._pairs import is_among, pair_codes, repeated
from jaxrec.errors import DataError, MismatchError
from jaxrec.text import html_table, last_notes

FOLD_IN = 3  # a code beside TRAIN, VALID and TEST
_NAMES = {TRAIN: "train", VALID: "valid", TEST: "test", FOLD_IN: "fold_in"}


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """The parts of one data set, in one shared catalog of users and items.

    The splits of this library order the rows of each part by user, then item, so the order of the input rows does
    not show.

    Attributes:
      train: for training while settings are chosen.
      valid: for the choice of settings and epochs; may be empty.
      test: for the reported figures; its lists mask the items of train and valid.
      method: the name of the splitter.
      fold_in: for `user_kfold`, the held-out users' interactions as input of their recommendations; None otherwise.
      notes: the steps of the split, with counts; those before it are in `train.notes`.

    Raises:
      MismatchError: the parts have different catalogs, or a (user, item) pair is in two of the parts.

    >>> data = Interactions.from_arrays([1, 1, 2], [5, 6, 6])
    >>> parts = Split(data.select([0]), data.select([1]), data.select([2]), "by hand")
    >>> len(parts.fitted)
    2
    """

    train: Interactions
    valid: Interactions
    test: Interactions
    method: str
    fold_in: Interactions | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        earlier: list[tuple[str, np.ndarray]] = []
        for name, part in self.parts().items():
            if not part.same_catalog(self.train):
                raise MismatchError(f"{name} and train have different catalogs; take both from one Interactions")
            codes = _ascending(pair_codes(part))
            for other, theirs in earlier:
                both = _common(codes, theirs)
                if len(both):
                    user, item = divmod(int(both[0]), max(part.num_items, 1))
                    raise MismatchError(
                        f"{len(both):,} (user, item) pairs are in {other} and in {name}, for example user "
                        f"{part.users.ids[user].item()!r} with item {part.items.ids[item].item()!r}; a pair may be in "
                        "one part only, so remove it from one of them"
                    )
            earlier.append((name, codes))

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(part):,} {name}" for name, part in self.parts().items())
        lines = [
            f"Split ({self.method}): {sizes} interactions",
            f"{self.train.num_users:,} users, {self.train.num_items:,} items",
        ]
        return "\n  ".join([*lines, *(f"note: {note}" for note in last_notes(self.notes))])

    def _repr_html_(self) -> str:
        rows = [["part", "interactions", "users", "items"]]
        for name, part in self.parts().items():
            users, items = (len(np.unique(index)) for index in (part.user, part.item))
            rows.append([name, f"{len(part):,}", f"{users:,}", f"{items:,}"])
        catalog = f"{self.train.num_users:,} users, {self.train.num_items:,} items"
        return html_table(f"Split ({self.method}) of {catalog}", rows, last_notes(self.notes))

    def parts(self) -> dict[str, Interactions]:
        """Give the parts by name: train, valid, test and, for held-out users, fold_in.

        >>> data = Interactions.from_arrays([1, 1, 2], [5, 6, 6])
        >>> list(Split(data.select([0]), data.select([1]), data.select([2]), "by hand").parts())
        ['train', 'valid', 'test']
        """
        named = {name: getattr(self, name) for name in _NAMES.values()}
        return {name: part for name, part in named.items() if part is not None}

    @functools.cached_property
    def fitted(self) -> Interactions:
        """Train and valid in one: the data of the final fit, and the mask of the test lists.

        Where users are held out (`user_kfold`), the fold-in of the users of the valid part belongs to it too. The
        fold-in of the test users does not: it is masked in their lists, and no model is fitted on it.
        """
        parts = [self.train, self.valid]
        if self.fold_in is not None:
            validation_user = np.bincount(self.valid.user, minlength=self.valid.num_users) > 0
            parts.append(self.fold_in.select(validation_user[self.fold_in.user]))
        return _concatenate(parts)

    @functools.cached_property
    def whole(self) -> Interactions:
        """All parts in one, the test part too: what a model that goes into use is fitted on.

        >>> data = Interactions.from_arrays([0, 0, 0], [0, 1, 2])
        >>> len(Split(data.select([0]), data.select([1]), data.select([2]), "by hand").whole)
        3
        """
        return _concatenate(list(self.parts().values()))


def canonical(data: Interactions, *, repeats: bool = False) -> Interactions:
    """Sort the rows by content: by user, item, then time, rating and part. `order` keeps where they stood.

    Args:
      data: E interactions.
      repeats: whether a (user, item) pair may occur more than once.

    Raises:
      DataError: there is no interaction, or pairs repeat and may not.

    >>> canonical(Interactions.from_arrays([2, 1], [5, 6])).user
    array([0, 1], dtype=int32)
    """
    if not len(data):
        raise DataError("the data have no interaction to split; read or filter them differently")
    codes = pair_codes(data)
    twice = repeated(codes)
    if twice.any() and not repeats:
        raise DataError(
            f"{int(twice.sum()):,} of {len(data):,} interactions repeat a (user, item) pair, so a pair could be in two "
            "parts; keep one of each first: jaxrec.data.deduplicate(data)"
        )
    if not twice.any():
        ascending = bool((codes[1:] > codes[:-1]).all())
        return data if ascending else _in_place(data).select(np.argsort(codes))
    keys = [column for column in (data.part, data.rating, data.timestamp) if column is not None]
    return _in_place(data).select(np.lexsort((*keys, codes)))


def _in_place(data: Interactions) -> Interactions:
    """The data, in which each row knows its place."""
    return dataclasses.replace(data, order=np.arange(len(data), dtype=np.int32)) if data.order is None else data


def assemble(
    data: Interactions, codes: np.ndarray, method: str, *, tested: bool = True, notes: Sequence[str] = ()
) -> Split:
    """Make a `Split` from one part code a row, with counts in its notes.

    Args:
      data: E interactions in canonical order.
      codes: [E], TRAIN, VALID, TEST or FOLD_IN.
      method: how it was made.
      tested: whether an empty test part is an error.
      notes: further notes.

    Raises:
      DataError: no training interaction, or no test interaction where there must be some.

    >>> data = Interactions.from_arrays([1, 1], [5, 6])
    >>> assemble(data, np.array([TRAIN, TEST]), "by hand").notes[0]
    'by hand: 1 train, 0 valid, 1 test interactions'
    """
    plain = dataclasses.replace(data, part=None)
    parts = {name: plain.select(codes == code) for code, name in _NAMES.items()}
    fold_in = parts.pop("fold_in")
    if not len(parts["train"]):
        raise DataError(f"the {method} split leaves no training interaction; hold out less")
    if tested and not len(parts["test"]):
        raise DataError(
            f"the {method} split has nothing to hold out: too few interactions for a test part of the size asked for "
            "(and ties='together' keeps a tie in train as a whole); ask for a larger test part, or bring more data"
        )
    sizes = ", ".join(f"{len(part):,} {name}" for name, part in parts.items())
    notes = [
        f"{method}: {sizes}" + (f", {len(fold_in):,} fold-in" if len(fold_in) else "") + " interactions",
        *notes,
        *_without_training(plain, codes),
    ]
    if data.part is not None and method != "predefined":
        notes.append("the published parts of the data were left aside (method 'predefined' follows them)")
    return Split(**parts, method=method, fold_in=fold_in if len(fold_in) else None, notes=tuple(notes))


def train_core(split: Split, k: int) -> Split:
    """Apply a k-core to the training part, and remove the users and items outside it from all parts.

    Only training interactions count, so nothing about the held-out parts decides who is in the data. A k-core before
    the split is the default elsewhere because published results use it and because every user then has something to
    hold out. The held-out users of `user_kfold` have no training data by design, and stay.

    Args:
      split: any split.
      k: every user and every item keeps at least this many training interactions.

    Returns:
      A split with one smaller catalog; the last note counts what was removed from each part.

    Raises:
      DataError: nothing is left.

    >>> data = Interactions.from_arrays([1, 1, 2, 2, 3, 2], [5, 6, 5, 6, 7, 7])
    >>> parts = Split(data.select([0, 1, 2, 3, 4]), data.select([]), data.select([5]), "by hand")
    >>> train_core(parts, 2).notes
    ('2-core of train: removed 1 of 5 train, 0 of 0 valid, 1 of 1 test interactions, 1 of 3 users, 1 of 3 items',)
    """
    check_bound(k, "k")
    rows, _ = core_rows(split.train, k, k)
    if not len(rows):
        raise DataError(f"no interaction left in the {k}-core of train ({len(split.train):,} before it); lower k_core")
    keep_user, keep_item = (np.zeros(size, dtype=bool) for size in (split.train.num_users, split.train.num_items))
    keep_user[split.train.user[rows]] = True
    keep_item[split.train.item[rows]] = True
    if split.fold_in is not None:
        keep_user[split.fold_in.user] = True
    before = split.parts()
    catalog = dataclasses.replace(
        split.train.select(np.arange(0)),
        users=IdMap(split.train.users.ids[keep_user], "user"),
        items=IdMap(split.train.items.ids[keep_item], "item"),
        titles=None if split.train.titles is None else split.train.titles[keep_item],
        item_columns={name: column[keep_item] for name, column in split.train.item_columns.items()},
    )
    new_user, new_item = np.cumsum(keep_user) - 1, np.cumsum(keep_item) - 1
    after = {}
    for name, part in before.items():
        kept = part.select(keep_user[part.user] & keep_item[part.item])
        after[name] = dataclasses.replace(
            catalog,
            user=new_user[kept.user],
            item=new_item[kept.item],
            rating=kept.rating,
            timestamp=kept.timestamp,
            seen_before=kept.seen_before,
            order=kept.order,
            notes=part.notes,
        )
    removed = ", ".join(f"{len(before[name]) - len(after[name]):,} of {len(before[name]):,} {name}" for name in before)
    note = (
        f"{k}-core of train: removed {removed} interactions, {int((~keep_user).sum()):,} of {len(keep_user):,} users, "
        f"{int((~keep_item).sum()):,} of {len(keep_item):,} items"
    )
    return Split(**after, method=split.method, notes=(*split.notes, note))


def _without_training(data: Interactions, codes: np.ndarray) -> list[str]:
    """What the notes say about users and items without training data, and about users without test data."""
    out = []
    train, test = codes == TRAIN, codes == TEST
    for what, index, size in (("users", data.user, data.num_users), ("items", data.item, data.num_items)):
        untrained = np.bincount(index[train], minlength=size) == 0
        if untrained.any():
            out.append(
                f"{int(untrained.sum()):,} of {size:,} {what} have no training interaction and are kept; "
                f"{int(untrained[index[test]].sum()):,} of {int(test.sum()):,} test interactions are theirs"
            )
    untested = int((np.bincount(data.user[test], minlength=data.num_users) == 0).sum())
    if untested:
        out.append(f"{untested:,} of {data.num_users:,} users have no test interaction")
    return out


def _concatenate(parts: Sequence[Interactions]) -> Interactions:
    """All rows of parts of one catalog, by user and item; a column that a part lacks is left out."""

    def join(name: str) -> np.ndarray | None:
        columns = [getattr(part, name) for part in parts]
        return None if any(column is None for column in columns) else np.concatenate(columns)

    joined = dataclasses.replace(
        parts[0],
        user=join("user"),
        item=join("item"),
        rating=join("rating"),
        timestamp=join("timestamp"),
        part=None,
        seen_before=join("seen_before"),
        order=join("order"),
    )
    return joined.select(np.argsort(pair_codes(joined), kind="stable"))


def _ascending(codes: np.ndarray) -> np.ndarray:
    return codes if (codes[1:] > codes[:-1]).all() else np.unique(codes)


def _common(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The values in both of two ascending arrays; searching is several times faster than sorting them together."""
    small, large = (one, other) if len(one) < len(other) else (other, one)
    return small[is_among(small, large)]
