"""Ratings and times of text, piece by piece, and the values that are missing."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from jaxrec.data._notes import is_absent, low_count, mixed_units
from jaxrec.data._texts import short
from jaxrec.data._times import UNIT_NAMES, UNITS, decimal_unit, furthest, scaled
from jaxrec.data.reading._dates import fine_unit, in_unit_of, parse_iso, parse_stated
from jaxrec.data.reading._growing import Growing, change_beside
from jaxrec.data.reading._text_parsing import Piece, parse_decimals, parse_integers, parse_numbers, with_room
from jaxrec.errors import DataError

MISSING = ("raise", "drop", "keep")


def absent(piece: Piece, buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Mark the values [n] that are missing: empty ones, and the words of `is_absent`."""
    size = ends - starts
    first = buffer[starts]
    likely = (size == 0) | ((size <= 6) & np.isin(first, np.frombuffer(b"nN#<(\\-+", dtype=np.uint8)))
    out = size == 0
    for at in np.flatnonzero(likely & ~out).tolist():
        out[at] = is_absent(piece.data[starts[at] : ends[at]])
    return out


class Ratings:
    """Ratings."""

    def __init__(self, decimal: str, column: Growing) -> None:
        self.decimal, self.column = decimal, column
        self._low = 0

    def add(self, piece: Piece, buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> None:
        """Read the values of a piece."""
        number = parse_numbers(piece, buffer, starts, ends, self.decimal)
        with np.errstate(over="ignore"):  # what is too large for float32 is infinite and refused here
            ratings = number.astype(np.float32)
        wrong = np.flatnonzero(~np.isfinite(ratings))
        if wrong.size:
            at = int(wrong[0])
            text = piece.data[starts[at] : ends[at]]
            remedy = "correct the line, or leave it out, or the whole column with columns={'rating': None}"
            if self.decimal == "." and re.fullmatch(rb"-?[0-9]*,[0-9]+", text):
                remedy = "state decimal=',' if the comma stands before decimals"
            what = f"rating {shown(text)} is not a finite number" if text else "the rating is missing"
            raise piece.error(int(starts[at]), f"{what}; {remedy}")
        self._low += int((ratings <= 0).sum())
        self.column.append(ratings)

    def finish(self) -> list[str]:
        """The notes."""
        return low_count(self._low, self.column.size)


class Times:
    """Times: numbers, or dates of ISO 8601 or of a stated format; one of these in all lines.

    The column holds digits or seconds until the unit is known; decimals or nanoseconds wait beside it, where there are
    some.
    """

    def __init__(self, decimal: str, time_format: str | None, column: Growing) -> None:
        self.decimal, self.time_format, self.column = decimal, time_format, column
        self.unit = time_format if time_format in UNITS else None
        self.dates: bool | None = True if time_format is not None and self.unit is None else None
        # Numbers of a stated unit are seconds with so many decimals more.
        self._more = 0 if self.unit is None else len(str(UNITS[self.unit])) - 1
        self._beside: list[np.ndarray] = []
        self._furthest = 0

    def add(self, piece: Piece, buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> None:
        """Read the values of a piece."""
        first, second, good = self._parse(piece, buffer, starts, ends)
        if not good.all() and self.dates is None:
            first_is_number = bool(good[0])
            if not first_is_number and (self.unit is None):
                self.dates = True
                first, second, good = self._parse(piece, buffer, starts, ends)
        self.dates = bool(self.dates)
        if not good.all():
            at = int(np.flatnonzero(~good)[0])
            text = piece.data[starts[at] : ends[at]]
            leave = "leave the column out with columns={'timestamp': None}"
            if not text:
                raise piece.error(int(starts[at]), f"the timestamp is missing; correct the line, or {leave}")
            if self.time_format is not None:
                what = f"is not of time_format={self.time_format!r}"
            elif self.dates:
                what = "is no date such as 2024-05-01 10:00:00"
            else:
                what = "is not a finite number"
            remedy = f"pass time_format='%d.%m.%Y', or {leave}"
            raise piece.error(int(starts[at]), f"timestamp {shown(text)} {what}; {remedy}")
        self.column.append(first)
        # At most 10^9 - 1 nanoseconds. One zero stands for many, and takes no room for each.
        self._beside.append(
            second.astype(np.int32) if second.any() else np.broadcast_to(np.zeros(1, np.int32), second.shape)
        )
        far = int(np.abs(first).max(initial=0)) if self.dates else furthest(*self._of_seconds(first, second))
        self._furthest = max(self._furthest, far)

    def add_texts(self, values: Iterable[object], first: int) -> None:
        """Read the values of rows from row `first` on, as a file with a value a line is read.

        Raises:
          DataError: a value that is no such time, with its row.
        """
        each = [str(value).strip().replace("\n", " ").encode("utf-8", "replace") for value in values]
        data = b"".join(text + b"\n" for text in each)
        sizes = np.array([len(text) for text in each], np.int64)
        ends = np.cumsum(sizes + 1) - 1
        try:
            self.add(Piece(data, first, "row"), with_room(data), ends - sizes, ends)
        except DataError as error:
            raise DataError(str(error).replace("row:", "row ", 1)) from None

    def _parse(
        self, piece: Piece, buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Digits and decimals, or seconds and nanoseconds; and whether the values are such."""
        if not self.dates:
            value, good = parse_integers(buffer, starts, ends)
            none = np.zeros(len(value), dtype=np.int64)
            return (value, none, good) if good.all() else parse_decimals(piece, buffer, starts, ends, self.decimal)
        if self.time_format is None:
            return parse_iso(buffer, starts, ends)
        each = zip(starts.tolist(), ends.tolist(), strict=True)
        return parse_stated([piece.data[start:end] for start, end in each], self.time_format)

    def finish(self) -> tuple[str | None, list[str]]:
        """Bring the column to whole numbers of one unit, and give the unit and the notes."""
        if self.dates:
            unit = fine_unit(self._beside, self._furthest)
            change_beside(self.column, self._beside, lambda seconds, rest: in_unit_of(seconds, rest, unit))
            return unit, [f"dates became Unix {UNIT_NAMES[unit]}"]
        most = max(int(part.max(initial=0)) for part in self._beside)
        unit = decimal_unit(min(most + self._more, 18), self._furthest)
        if unit is None:
            return self.unit, [] if self.unit else mixed_units(self.column.parts())
        kept, cut = len(str(UNITS[unit])) - 1, 0
        if most or unit != self.unit:
            change_beside(
                self.column, self._beside, lambda first, second: scaled(*self._of_seconds(first, second), unit)
            )
            cut = sum(int((np.minimum(part + self._more, 18) > kept).sum()) for part in self._beside)
        notes = [] if self.unit else [f"times with decimals, taken for seconds, became whole numbers of {unit}"]
        return unit, notes + ([f"{cut:,} times had more decimals than {unit} holds, which are cut off"] if cut else [])

    def _of_seconds(self, digits: np.ndarray, decimals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the stated unit as decimal numbers of seconds."""
        decimals = decimals + self._more
        over = np.maximum(decimals - 18, 0)
        return digits // 10**over, decimals - over


def shown(text: bytes) -> str:
    """The text as it is shown in a message, cut where it is long.

    >>> shown(b"ann")
    "'ann'"
    """
    return repr(short(text[:240].decode(errors="replace")))
