"""The container of interactions: who acted on what, with ratings, times, and the caller's own ids."""

from __future__ import annotations

import dataclasses
import hashlib
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxrec.data._ids import IdMap, as_ids, check_columns, factorize, is_missing
from jaxrec.data._notes import absent_ids
from jaxrec.data._row_columns import as_array, check_dates, check_index, check_rating, check_timestamp
from jaxrec.data._texts import as_texts, is_text, text_array
from jaxrec.data._times import check_unit
from jaxrec.errors import DataError
from jaxrec.text import html_table, last_notes

TRAIN, VALID, TEST = 0, 1, 2  # the values of Interactions.part


@dataclasses.dataclass(frozen=True, eq=False)
class Interactions:
    """E interactions between U users and I items. Arrays are NumPy, on the host, and never written to.

    The catalog, `users` and `items`, may hold users and items without an interaction. So the parts of a split share
    one catalog.

    Attributes:
      user: int32 [E], the index of the user of each interaction, in 0..U-1.
      item: int32 [E], the index of the item, in 0..I-1.
      users: the ids of the U users.
      items: the ids of the I items.
      rating: float32 [E] on the data's own scale, or None.
      timestamp: int64 [E], larger is later (Unix seconds in MovieLens), or None.
      titles: texts [I], "" where an item has none; or None.
      item_columns: further item columns by name, each [I] (year, genres).
      part: uint8 [E], the part of a published split that each interaction belongs to (`TRAIN`, `VALID`, `TEST`), or
        None.
      notes: the steps so far, one sentence each, with counts.
      time_unit: of the timestamps, "s", "ms", "us" or "ns", the coarsest that loses nothing; None where it is not
        known. NumPy dates set it.
      seen_before: bool [E], whether the user had the item at an earlier time too, in an interaction that
        `deduplicate` dropped; or None.
      order: int32 [E], the place that each row had before rows were sorted, as the splits of this library do; None
        where the rows stand as they were given. It is what `user_order` goes by.

    Raises:
      DataError: arrays of different lengths, an index that is negative or too large, a rating that is not finite.

    >>> data = Interactions.from_arrays(["ann", "ann", "bo"], [10, 20, 10])
    >>> data.num_users, data.num_items, len(data)
    (2, 2, 3)
    >>> data.items.ids[data.item]
    array([10, 20, 10])
    """

    user: np.ndarray
    item: np.ndarray
    users: IdMap
    items: IdMap
    rating: np.ndarray | None = None
    timestamp: np.ndarray | None = None
    titles: np.ndarray | None = None
    item_columns: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    part: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    time_unit: str | None = None
    seen_before: np.ndarray | None = None
    order: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name, ids in (("users", self.users), ("items", self.items)):
            if not isinstance(ids, IdMap):
                raise DataError(f"{name} is of type {type(ids).__name__}; pass an IdMap, or use from_arrays")
        put = lambda name, value: object.__setattr__(self, name, _frozen(value, getattr(self, name)))  # noqa: E731
        put("user", check_index(self.user, len(self.users), "user"))
        put("item", check_index(self.item, len(self.items), "item"))
        size = len(self.user)
        if len(self.item) != size:
            raise DataError(f"user has {size} entries and item has {len(self.item)}; they must be of one length")
        if self.rating is not None:
            put("rating", check_rating(self.rating, size))
        check_unit(self.time_unit)
        if self.timestamp is not None:
            if getattr(self.timestamp, "dtype", np.dtype(object)).kind == "M":
                counts, unit = check_dates(self.timestamp, size)
                object.__setattr__(self, "timestamp", counts)
                object.__setattr__(self, "time_unit", unit)
            put("timestamp", check_timestamp(self.timestamp, size))
        if self.seen_before is not None:
            put("seen_before", np.asarray(self.seen_before, dtype=bool))
            if len(self.seen_before) != size:
                raise DataError(f"seen_before has {len(self.seen_before)} entries and user has {size}")
        if self.order is not None:
            put("order", check_index(self.order, 2**31 - 1, "order"))
            if len(self.order) != size:
                raise DataError(f"order has {len(self.order)} entries and user has {size}")
        if self.part is not None:
            put("part", check_index(self.part, 3, "part").astype(np.uint8))
            if len(self.part) != size:
                raise DataError(f"part has {len(self.part)} entries and user has {size}; they must be of one length")
        if self.titles is not None:
            put("titles", as_texts(check_columns({"title": self.titles}, len(self.items), "item")["title"]))
        columns = check_columns(self.item_columns, len(self.items), "item")
        given = self.item_columns.values()
        columns = {name: _frozen(columns[name], own) for name, own in zip(columns, given, strict=True)}
        object.__setattr__(self, "item_columns", columns)

    @classmethod
    def from_arrays(
        cls,
        user: Any,
        item: Any,
        rating: Any = None,
        timestamp: Any = None,
        *,
        titles: Mapping[Any, str] | None = None,
        item_columns: Mapping[str, Mapping[Any, Any]] | None = None,
    ) -> Interactions:
        """Make interactions from one array a column, in the caller's own ids.

        Indices follow the sorted ids, so they do not depend on the order of the rows.

        Args:
          user: E ids, all integers or all strings.
          item: E ids, all integers or all strings.
          rating: E finite numbers, or None.
          timestamp: E whole numbers or NumPy dates, or None.
          titles: item id, or its text, to title; items without one get "".
          item_columns: for each further column, item id to value.

        Raises:
          DataError: see the class; also mixed, missing or fractional ids.

        >>> Interactions.from_arrays([1, 2], ["x", "y"], [5, 3.5]).rating
        array([5. , 3.5], dtype=float32)
        """
        user_ids, user_index = factorize(as_ids(user, "user"))
        item_ids, item_index = factorize(as_ids(item, "item"))
        notes = [note for ids, role in ((user_ids, "user"), (item_ids, "item")) for note in absent_ids(ids, role)]
        columns = {}
        given = {"title": titles, **_mapping(item_columns or {}, "item_columns", "name to mapping")}
        for name, values in given.items():
            if values is not None:
                values = _mapping(values, "titles" if values is titles else name, "item id to value")
                texts = name == "title" or any(isinstance(value, str) for value in values.values())
                by_text, wanted = {str(item_id): value for item_id, value in values.items()}, item_ids.tolist()
                column = [values.get(item_id, by_text.get(str(item_id))) for item_id in wanted]
                if texts:
                    columns[name] = text_array(["" if is_missing(value) else str(value) for value in column])
                else:
                    columns[name] = np.array([np.nan if value is None else value for value in column])
                known = {*wanted, *map(str, wanted)}
                unused = sum(item_id not in known and str(item_id) not in known for item_id in values)
                if unused:
                    notes.append(f"{name}: {unused:,} of {len(values):,} are of items without interactions, left out")
        return cls(
            user_index,
            item_index,
            IdMap(user_ids, "user"),
            IdMap(item_ids, "item"),
            rating,
            None if timestamp is None else as_array(timestamp, "timestamp"),
            titles=columns.pop("title", None),
            item_columns=columns,
            notes=tuple(notes),
        )

    def __len__(self) -> int:
        return len(self.user)

    def _summary(self) -> tuple[str, str]:
        """The counts, and the further columns, each in a line."""
        have = []
        if self.rating is not None and len(self):
            have.append(f"rating {self.rating.min():g} to {self.rating.max():g}")
        if self.timestamp is not None and len(self):
            unit = "" if self.time_unit is None else f" {self.time_unit}"
            have.append(f"timestamp {self.timestamp.min()} to {self.timestamp.max()}{unit}")
        have += ["titles"] if self.titles is not None else []
        have += ["published parts"] if self.part is not None else []
        have += [f"item columns {', '.join(self.item_columns)}"] if self.item_columns else []
        counts = ", ".join(f"{count:,} {name}" for name, count in self.counts().items())
        return counts, "; ".join(have)

    def __repr__(self) -> str:
        counts, have = self._summary()
        lines = [f"Interactions: {counts}", *([have] if have else [])]
        return "\n  ".join([*lines, *(f"note: {note}" for note in last_notes(self.notes))])

    def _repr_html_(self) -> str:
        counts, have = self._summary()
        columns = {"user": self.users.ids[self.user[:5]], "item": self.items.ids[self.item[:5]]}
        columns |= {} if self.titles is None else {"title": self.titles[self.item[:5]]}
        columns |= {} if self.rating is None else {"rating": self.rating[:5]}
        columns |= {} if self.timestamp is None else {"timestamp": self.timestamp[:5]}
        rows = [list(columns), *zip(*(values.tolist() for values in columns.values()), strict=True)]
        more = ["..."] if len(self) > 5 else []
        return html_table(f"Interactions: {counts}", rows, [*more, *([have] if have else []), *last_notes(self.notes)])

    @property
    def num_users(self) -> int:
        """U, the number of users, those without an interaction included."""
        return len(self.users)

    @property
    def num_items(self) -> int:
        """I, the number of items, those without an interaction included."""
        return len(self.items)

    def select(self, rows: np.ndarray, note: str | None = None) -> Interactions:
        """Select the interactions at `rows` (a mask [E] or indices), in the same catalog.

        >>> data = Interactions.from_arrays([1, 1, 2], [5, 6, 6])
        >>> part = data.select(data.user == 0)
        >>> len(part), part.num_users
        (2, 2)
        """
        take = lambda column: None if column is None else column[rows]  # noqa: E731
        return dataclasses.replace(
            self,
            user=self.user[rows],
            item=self.item[rows],
            rating=take(self.rating),
            timestamp=take(self.timestamp),
            part=take(self.part),
            seen_before=take(self.seen_before),
            order=take(self.order),
            notes=self.notes if note is None else (*self.notes, note),
        )

    def compact(self) -> Interactions:
        """Drop the users and items without an interaction from the catalog.

        >>> data = Interactions.from_arrays([1, 1, 2], [5, 6, 6])
        >>> data.select(data.user == 0).compact().num_users
        1
        """
        kept_users, user = factorize(self.user)
        kept_items, item = factorize(self.item)
        return dataclasses.replace(
            self,
            user=user,
            item=item,
            users=IdMap(self.users.ids[kept_users], "user"),
            items=IdMap(self.items.ids[kept_items], "item"),
            titles=None if self.titles is None else self.titles[kept_items],
            item_columns={name: column[kept_items] for name, column in self.item_columns.items()},
        )

    def with_note(self, note: str) -> Interactions:
        """Add a sentence to `notes`.

        >>> Interactions.from_arrays([1], [2]).with_note("read from memory").notes
        ('read from memory',)
        """
        return dataclasses.replace(self, notes=(*self.notes, note))

    def same_catalog(self, other: Interactions) -> bool:
        """Compare the catalogs: the same users and items, in the same order.

        >>> data = Interactions.from_arrays([1, 1, 2], [5, 6, 6])
        >>> data.same_catalog(data.select([0]))
        True
        """
        return all(
            mine is theirs or np.array_equal(mine.ids, theirs.ids)
            for mine, theirs in ((self.users, other.users), (self.items, other.items))
        )

    def same_catalogue(self, other: Interactions) -> bool:
        """The name of 0.1 for `same_catalog`; deprecated."""
        told = "same_catalogue is a name of 0.1 and goes in 0.3; use same_catalog"
        warnings.warn(told, DeprecationWarning, stacklevel=2)
        return self.same_catalog(other)

    def counts(self) -> dict[str, int]:
        """Count users, items and interactions, as plain integers.

        >>> Interactions.from_arrays([1, 2], [5, 5]).counts()
        {'users': 2, 'items': 1, 'interactions': 2}
        """
        return {"users": self.num_users, "items": self.num_items, "interactions": len(self)}

    def fingerprint(self) -> str:
        """Hash ids, indices, ratings and times (SHA-256, hexadecimal); row order counts.

        >>> len(Interactions.from_arrays([1, 2], [5, 5]).fingerprint())
        64
        """
        digest = hashlib.sha256()
        for array in (self.users.ids, self.items.ids, self.user, self.item, self.rating, self.timestamp):
            if array is None:
                digest.update(b"none")
                continue
            text = is_text(array)
            if text:
                digest.update("\0".join(array.tolist()).encode("utf-8", "surrogatepass"))
            else:
                digest.update(np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<")).tobytes())
            digest.update(f"{array.shape}{'U' if text else array.dtype.kind}".encode())
        if self.time_unit not in (None, "s"):  # whole seconds hash as in 0.1
            digest.update(self.time_unit.encode())
        return digest.hexdigest()


def check_interactions(data: Any, name: str = "data") -> None:
    """Refuse anything but interactions.

    Raises:
      DataError: another kind of object.

    >>> check_interactions([1, 2])
    Traceback (most recent call last):
        ...
    jaxrec.errors.DataError: data is of type list; pass Interactions, as jaxrec.read or jaxrec.from_frame gives
    """
    if not isinstance(data, Interactions):
        raise DataError(
            f"{name} is of type {type(data).__name__}; pass Interactions, as jaxrec.read or jaxrec.from_frame gives"
        )


def _mapping(values: Any, name: str, of: str) -> Mapping[Any, Any]:
    values = values.to_dict() if hasattr(values, "to_dict") else values  # a series of pandas
    if not isinstance(values, Mapping):
        raise DataError(f"{name} is of type {type(values).__name__}; pass a mapping from {of}")
    return values


def _frozen(array: np.ndarray, given: Any) -> np.ndarray:
    """`array` made read-only; a copy of it where it is still the caller's own writable array."""
    if array.flags.writeable:
        if isinstance(given, np.ndarray) and np.may_share_memory(array, given):
            array = array.copy()
        array.setflags(write=False)
    return array
