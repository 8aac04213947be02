"""A Parquet table read with pyarrow some rows at a time, into columns that need no more room than their values."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxrec.data._ids import IdMap
from jaxrec.data._interactions import Interactions
from jaxrec.data._notes import absent_ids
from jaxrec.data._texts import short
from jaxrec.data.reading._arrow_ids import Ids, Titles, absent_of
from jaxrec.data.reading._arrow_values import (
    Dates,
    FloatTimes,
    Ratings,
    StatedTimes,
    TextDates,
    TimeColumn,
    WholeTimes,
)
from jaxrec.data.reading._growing import CHUNK, Store, growing_columns
from jaxrec.errors import DataError

_BUFFER = 1 << 20  # bytes of a column that are read ahead, however long its row group is


def kinds_are_plain(schema: Any, taken: Mapping[str, str], stated: bool) -> bool:
    """Tell whether all columns are of kinds that are read in parts.

    Args:
      schema: of pyarrow.
      taken: role to the name of its column.
      stated: whether the form of the times is.

    >>> import pyarrow
    >>> schema = pyarrow.schema({"u": pyarrow.string(), "i": pyarrow.int16(), "x": pyarrow.list_(pyarrow.int8())})
    >>> kinds_are_plain(schema, {"user": "u", "item": "i"}, False)
    True
    >>> kinds_are_plain(schema, {"user": "u", "item": "x"}, False)
    False
    """
    import pyarrow.types as kinds

    def text(kind: Any) -> bool:
        return kinds.is_string(kind) or kinds.is_large_string(kind)

    def number(kind: Any) -> bool:
        return kinds.is_integer(kind) or kinds.is_floating(kind)

    def date(kind: Any) -> bool:
        return kinds.is_timestamp(kind) or kinds.is_date(kind)

    fits = {
        "user": lambda kind: text(kind) or number(kind),
        "item": lambda kind: text(kind) or number(kind),
        "rating": lambda kind: text(kind) or number(kind) or kinds.is_boolean(kind) or kinds.is_decimal(kind),
        "timestamp": lambda kind: text(kind) or number(kind) or date(kind),
        "title": text,
    }
    return all(fits[role](_kind(schema.field(name).type)) for role, name in taken.items())


def _kind(kind: Any) -> Any:
    """The kind of the values, of a dictionary those that it counts."""
    import pyarrow

    return kind.value_type if pyarrow.types.is_dictionary(kind) else kind


def read_parts(
    path: Path,
    taken: Mapping[str, str],
    columns_note: str,
    time_format: str | None,
    missing: str | None,
    mapped: str | os.PathLike[str] | None,
    share: tuple[int, int] | None = None,
) -> Interactions:
    """Read a Parquet table of plain kinds, or a share of its rows; see `jaxrec.read`.

    Args:
      path: the file.
      taken: role to the name of its column.
      columns_note: the first note.
      time_format: see `jaxrec.read`.
      missing: see `jaxrec.read`.
      mapped: see `jaxrec.read`.
      share: see `Parquet`.

    Raises:
      DataError: see `jaxrec.read`, or a share without a row. Where several columns are wrong, the one is told that
        `from_frame` would tell.
    """
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)
    except Exception as error:  # of the library's own classes
        raise DataError(f"{path}: damaged Parquet data ({str(error).splitlines()[0]})") from None
    with file, growing_columns(mapped) as store:
        if not file.metadata.num_rows:
            raise DataError(f"{path}: no interaction, only a header")
        process, count = share or (0, 1)
        start, stop = (file.metadata.num_rows * at // count for at in (process, process + 1))
        if start == stop:
            raise DataError(f"{path}: {file.metadata.num_rows:,} rows are too few for {count} processes")
        table = _Table(taken, file.schema_arrow, store, stop - start, time_format, missing)
        parts = _batches(file, list(taken.values()), start, stop)
        while True:
            try:
                part = next(parts, None)
            except Exception as error:
                raise DataError(f"{path}: damaged Parquet data ({str(error).splitlines()[0]})") from None
            if part is None:
                break
            try:
                table.add(part)
            except DataError as error:
                raise DataError(f"{path}: {error}") from None
        pyarrow.default_memory_pool().release_unused()
        try:
            user_ids, item_ids, titles, unit, notes = table.finish()
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
    user, item = store.array("user"), store.array("item")
    assert user is not None
    assert item is not None
    return Interactions(
        user,
        item,
        IdMap(user_ids, "user"),
        IdMap(item_ids, "item"),
        store.array("rating"),
        store.array("timestamp"),
        titles=titles,
        notes=(columns_note, *notes),
        time_unit=unit,
    )


def _batches(file: Any, columns: list[str], start: int, stop: int) -> Iterator[Any]:
    """The rows start..stop-1, some at a time; row groups without any of them are not read."""
    sizes = [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
    ends = np.cumsum(sizes)
    groups = [at for at, end in enumerate(ends) if end > start and end - sizes[at] < stop]
    at = int(ends[groups[0]]) - sizes[groups[0]]
    for part in file.iter_batches(batch_size=CHUNK, row_groups=groups, columns=columns):
        first, last = max(start - at, 0), min(stop - at, len(part))
        at += len(part)
        if first < last:
            yield part if last - first == len(part) else part.slice(first, last - first)
        if at >= stop:
            return


class _Table:
    """All columns of a table while its rows come."""

    def __init__(
        self,
        taken: Mapping[str, str],
        schema: Any,
        store: Store,
        rows: int,
        time_format: str | None,
        missing: str | None,
    ) -> None:
        self.taken, self.missing = taken, missing
        self.rows, self.dropped, self.seen = 0, 0, 0
        self.wrong_item: DataError | None = None
        self.items = store.column("item", np.int32, rows)
        self.user = Ids(taken["user"], "user", store.column("user", np.int32, rows))
        self.item = Ids(taken["item"], "item", self.items)
        self.rating = Ratings(taken["rating"], store, rows) if "rating" in taken else None
        self.stated = time_format is not None
        self.timestamp = None
        if "timestamp" in taken:
            kind = _kind(schema.field(taken["timestamp"]).type)
            self.timestamp = _times(taken["timestamp"], kind, store, rows, time_format)
        # Of titles only the first of each item stays, so their codes are never mapped.
        with growing_columns(None) as beside:
            self.title = Titles(taken["title"], beside.column("title", np.int32, rows)) if "title" in taken else None

    def add(self, part: Any) -> None:
        """Read the next rows, a record batch."""
        columns = {role: _decoded(part.column(name)) for role, name in self.taken.items()}
        if self.missing not in (None, "keep"):
            columns = self._with_ids(columns)
        self.seen += len(part)
        for role, values in columns.items():
            getattr(self, role).add(values, self.rows)
        self.rows += len(columns["user"])

    def _with_ids(self, columns: dict[str, Any]) -> dict[str, Any]:
        """The rows whose user and item are there; where they must be there, the first row without is told."""
        import pyarrow

        gone = np.zeros(len(columns["user"]), bool)
        for role in ("user", "item"):
            absent = absent_of(columns[role], self.taken[role], role)
            if absent.any() and self.missing == "raise":
                wrong = self._absent(role, columns[role], int(absent.argmax()))
                if role == "user":
                    raise wrong
                self.wrong_item = self.wrong_item or wrong
            gone |= absent
        if not gone.any():
            return columns
        self.dropped += int(gone.sum())
        kept = pyarrow.array(~gone)
        return {role: values.filter(kept) for role, values in columns.items()}

    def _absent(self, role: str, values: Any, at: int) -> DataError:
        word = values[at].as_py()
        what = f"is {short(repr(word))}, a word for a missing value" if word else "is missing"
        keep = ", or missing='keep' if it is an id" if word else ""
        return DataError(
            f"column {self.taken[role]!r}: the {role} of row {self.seen + at} (counted from 0) {what}; pass "
            f"missing='drop' to leave such rows out{keep}"
        )

    def finish(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, str | None, list[str]]:
        """The ids, the titles, the unit of the times and the notes; or the error that comes first."""
        if self.wrong_item is not None:
            raise self.wrong_item
        if not self.rows:
            raise DataError("no row has a user and an item")
        for column in (self.user, self.item, self.rating, None if self.stated else self.timestamp):
            if column is not None:
                column.gaps.refuse(self.rows)
        user_ids, item_ids = self.user.finish(), self.item.finish()
        notes = [*absent_ids(user_ids, "user"), *absent_ids(item_ids, "item")]
        notes += self.rating.finish() if self.rating is not None else []
        unit, time_notes = None, []
        if self.timestamp is not None:
            self.timestamp.gaps.refuse(self.rows)
            unit, time_notes = self.timestamp.finish()
        titles, title_notes = None, []
        if self.title is not None:
            titles, title_notes = self.title.finish(self.items, len(item_ids))
        notes += [*time_notes, *title_notes]
        if self.dropped:
            notes.append(f"{self.dropped:,} rows left out, whose user or item is missing")
        return user_ids, item_ids, titles, unit, notes


def _times(label: str, kind: Any, store: Store, rows: int, time_format: str | None) -> TimeColumn:
    """The reader of a column of times of an Arrow kind."""
    import pyarrow.types as kinds

    if time_format is not None:
        return StatedTimes(label, store, rows, time_format)
    ways = ((kinds.is_integer, WholeTimes), (kinds.is_floating, FloatTimes), (kinds.is_temporal, Dates))
    return next((way for fits, way in ways if fits(kind)), TextDates)(label, store, rows)


def _decoded(values: Any) -> Any:
    """The values themselves, where they are counted by a dictionary."""
    import pyarrow

    return values.dictionary_decode() if pyarrow.types.is_dictionary(values.type) else values
