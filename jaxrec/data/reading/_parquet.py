"""Parquet tables of interactions."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np

from jaxrec.data._interactions import Interactions
from jaxrec.data._texts import short
from jaxrec.data._times import UNITS
from jaxrec.data.reading._arrow_table import kinds_are_plain, read_parts
from jaxrec.data.reading._columns import Columns, describe, find_columns, wanted_columns
from jaxrec.data.reading._dates import check_format
from jaxrec.data.reading._frames import absent_values, column_values, from_frame
from jaxrec.data.reading._growing import InBlocks, map_columns
from jaxrec.data.reading._shares import Share, check_share
from jaxrec.data.reading._values import MISSING, Times
from jaxrec.errors import DataError
from jaxrec.protocols import Reader


@dataclasses.dataclass(frozen=True)
class Parquet(Reader):
    """A Parquet table with one interaction a row; needs pyarrow or polars.

    With pyarrow, columns of numbers, texts and dates are read a quarter of a million rows at a time, in the memory that
    the result takes and the ids take once. Other columns (lists, binary, times of a day) are read whole, and so are all
    with polars.

    Attributes:
      columns: see `jaxrec.read`.
      time_format: see `jaxrec.read`; of a column of numbers or texts.
      missing: see `jaxrec.read`. By default a null is refused, and a word such as NULL is an id, with a note: a table
        with nulls needs no words for them.
      mapped: see `jaxrec.read`.
      share: (p, n) for the p-th of n parts of the rows alone, p from 0, which processes that read one file together
        take; the parts differ by one row at most. Of columns that cannot be read in parts it is refused.

    >>> Parquet().reads("x.parquet", b"PAR1...")
    True
    """

    columns: Columns | None = None
    time_format: str | None = None
    missing: str | None = None
    mapped: str | os.PathLike[str] | None = None
    share: Share | None = None

    def __post_init__(self) -> None:
        wanted_columns(self.columns)
        check_format(self.time_format)
        if self.missing not in (None, *MISSING):
            raise DataError(f"missing is {self.missing!r}; pass 'raise', 'drop' or 'keep'")
        check_share(self.share)

    def reads(self, name: str, start: bytes) -> bool:
        """The four bytes that Parquet files start with."""
        return start.startswith(b"PAR1")

    def __call__(self, path: Path) -> Interactions:
        """Read the columns that are used."""
        try:
            import pyarrow.parquet as library
        except ImportError:
            library = None
        try:
            if library is not None:
                columns = list(library.read_schema(path).names)
            else:
                import polars

                columns = list(polars.read_parquet_schema(path))
        except ImportError:
            raise DataError(f"{path}: Parquet needs pyarrow or polars; install one (pip install pyarrow)") from None
        except Exception as error:  # of the library's own classes
            raise DataError(f"{path}: not a Parquet file that can be read ({str(error).splitlines()[0]})") from None
        found = find_columns(columns, wanted_columns(self.columns), str(path))
        taken: dict[str, Any] = {role: columns[at] for role, at in found.items()}
        if library is not None and kinds_are_plain(library.read_schema(path), taken, self.time_format is not None):
            note = f"columns: {describe(columns, found, wanted_columns(self.columns))}"
            return read_parts(path, taken, note, self.time_format, self.missing, self.mapped, self.share)
        if self.share is not None:
            raise DataError(f"{path}: a share of the rows needs pyarrow, and columns of numbers, texts and dates")
        data = self._whole(path, columns, found, taken, library)
        return data if self.mapped is None else map_columns(data, self.mapped)

    def _whole(
        self, path: Path, columns: list[str], found: dict[str, int], taken: dict[str, Any], library: Any
    ) -> Interactions:
        """Read all rows as one frame."""
        try:
            if library is not None:
                frame: Any = library.read_table(path, columns=list(taken.values()))
            else:
                import polars

                frame = polars.read_parquet(path, columns=list(taken.values()))
        except Exception as error:
            raise DataError(f"{path}: damaged Parquet data ({str(error).splitlines()[0]})") from None
        if not len(frame):
            raise DataError(f"{path}: no interaction, only a header")
        stated = self.time_format is not None and "timestamp" in taken
        roles = {"rating": None, "timestamp": None, "title": None, **taken}
        try:
            frame, dropped = self._with_ids(frame, {role: taken[role] for role in ("user", "item")})
            data = from_frame(frame, columns=roles | ({"timestamp": None} if stated else {}))
            if stated:
                times, unit = _stated(column_values(frame, taken["timestamp"], "timestamp"), str(self.time_format))
                data = dataclasses.replace(data, timestamp=times, time_unit=unit)
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
        # The frame has only what is taken; what is left of the file is told too.
        notes = [f"columns: {describe(columns, found, wanted_columns(self.columns))}", *data.notes[1:]]
        if dropped:
            notes.append(f"{dropped:,} rows left out, whose user or item is missing")
        return dataclasses.replace(data, notes=tuple(notes))

    def _with_ids(self, frame: Any, taken: dict[str, str]) -> tuple[Any, int]:
        """The rows whose user and item are there, and how many are not."""
        if self.missing in (None, "keep"):
            return frame, 0
        gone = np.zeros(len(frame), bool)
        for role, name in taken.items():
            absent = absent_values(frame, name, role)
            if absent.any() and self.missing == "raise":
                row = int(np.flatnonzero(absent)[0])
                word = frame[name][row]
                word = word.as_py() if hasattr(word, "as_py") else word
                what = f"is {short(repr(word))}, a word for a missing value" if word else "is missing"
                keep = ", or missing='keep' if it is an id" if word else ""
                raise DataError(
                    f"column {name!r}: the {role} of row {row} (counted from 0) {what}; pass missing='drop' to leave "
                    f"such rows out{keep}"
                )
            gone |= absent
        if gone.all():
            raise DataError("no row has a user and an item")
        return (frame.filter(_mask(frame, ~gone)), int(gone.sum())) if gone.any() else (frame, 0)


def _stated(values: np.ndarray, time_format: str) -> tuple[np.ndarray, str | None]:
    """Times of a column in the form that was stated: int64, and their unit."""
    if values.dtype.kind == "M":
        raise DataError(f"the timestamps are dates already; leave time_format={time_format!r} out")
    if values.dtype.kind in "iu" and time_format in UNITS:
        return values.astype(np.int64), time_format
    column = InBlocks(np.int64)
    times = Times(".", time_format, column)
    times.add_texts(values.tolist(), 0)
    unit, _ = times.finish()
    return column.array(), unit


def _mask(frame: Any, rows: np.ndarray) -> Any:
    """A mask of rows as the library of a frame takes it."""
    if hasattr(frame, "column_names"):
        import pyarrow

        return pyarrow.array(rows)
    import polars

    return polars.Series(rows)
