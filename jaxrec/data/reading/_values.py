"""The columns of a text file as they are read, piece by piece: ids and titles, ratings, times."""

from __future__ import annotations

import collections
import itertools
import re
from collections.abc import Iterable

import numpy as np

from jaxrec.data._ids import factorize
from jaxrec.data._notes import doubtful_ids, is_absent
from jaxrec.data._texts import short, some, text_array
from jaxrec.data._times import UNIT_NAMES, UNITS, of_decimals
from jaxrec.data.reading._dates import in_finest_unit, parse_iso, parse_stated
from jaxrec.data.reading._text_parsing import Piece, parse_decimals, parse_integers, parse_numbers, with_room
from jaxrec.errors import DataError

MISSING = ("raise", "drop", "keep")
LONGEST_ID = 1000  # bytes; one runaway value is more likely than such an id
_ZEROS_AFTER = re.compile(r"([+-]?[0-9]+)\.0+")


def absent(piece: Piece, buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Mark the values [n] that are missing: empty ones, and the words of `is_absent`."""
    size = ends - starts
    first = buffer[starts]
    likely = (size == 0) | ((size <= 6) & np.isin(first, np.frombuffer(b"nN#<(\\-+", dtype=np.uint8)))
    out = size == 0
    for at in np.flatnonzero(likely & ~out).tolist():
        out[at] = is_absent(piece.data[starts[at] : ends[at]])
    return out


def look_alike(texts: Iterable[str]) -> tuple[str, str] | None:
    """Find a number that is written as 7 and as 7.0, which would be two ids.

    >>> look_alike(["7", "8.0", "7.0"])
    ('7.0', '7')
    """
    texts = set(texts)
    for text in sorted(texts):
        whole = _ZEROS_AFTER.fullmatch(text)
        if whole and whole[1].lstrip("+") in texts:
            return text, whole[1].lstrip("+")
    return None


class Labels:
    """Ids or titles: whole numbers as long as all are, texts from the first other one on."""

    def __init__(self, role: str, *, integers: bool, longest: int = LONGEST_ID) -> None:
        self.role, self.integers, self.longest = role, integers, longest
        self.parts: list[np.ndarray] = []
        self.table: dict[bytes, int] = collections.defaultdict(itertools.count().__next__)  # numbers as they come

    def add(self, piece: Piece, buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> None:
        """Read the values of a piece."""
        if self.role != "title" and (starts == ends).any():
            raise piece.error(int(starts[starts == ends][0]), f"the {self.role} is missing; give every line one")
        if self.integers:
            value, good = parse_integers(buffer, starts, ends)
            if good.all():
                small = value.astype(np.int32)
                self.parts.append(small if np.array_equal(small, value) else value)
                return
            self.integers = False
            if self.parts:
                numbers, index = factorize(np.concatenate(self.parts))
                self.parts = [index]
                for number in numbers.tolist():
                    self.table[str(number).encode()]
        if int((ends - starts).max()) > self.longest:
            at = int(np.argmax(ends - starts))
            raise piece.error(int(starts[at]), f"a {self.role} of more than {self.longest:,} bytes; is it one?")
        # One hash look-up a value: measured faster than sorting the values of each piece with np.unique.
        data = piece.data
        texts = [data[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        self.parts.append(np.fromiter(map(self.table.__getitem__, texts), dtype=np.int32, count=len(texts)))

    def finish(self, path: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """The sorted values, the index of each row's value, and notes on ids that may not be meant.

        Raises:
          DataError: one number written in two ways.
        """
        every = np.concatenate(self.parts)
        self.parts.clear()
        if self.integers:
            ids, index = factorize(every)
            return ids.astype(np.int64), index, []
        texts = [text.decode() for text in self.table]
        order = np.array(sorted(range(len(texts)), key=texts.__getitem__), dtype=np.int64)
        place = np.empty(len(texts), dtype=np.int32)
        place[order] = np.arange(len(texts), dtype=np.int32)
        values = text_array([texts[at] for at in order.tolist()])
        return values, place[every], [] if self.role == "title" else self._notes(texts, path)

    def _notes(self, texts: list[str], path: str) -> list[str]:
        twice = look_alike(texts)
        if twice:
            raise DataError(
                f"{path}: the {self.role}s {twice[0]!r} and {twice[1]!r} are of one number; write it in one way"
            )
        notes = []
        digits = [text for text in texts if text.isdigit()]
        if digits:
            other = next((text for text in texts if not text.isdigit()), None)
            why = (
                "some of them with leading zeros or too many digits"
                if other is None
                else f"others are not (the first is {short(other)!r})"
            )
            notes.append(
                f"{self.role} ids: {len(digits):,} of {len(texts):,} are digits only, {why}, so all are strings"
            )
        for found, told in (
            ([text for text in texts if _ZEROS_AFTER.fullmatch(text)], "whole numbers with a point, read as strings"),
            ([text for text in texts if text[0] in "\"'" or text[-1] in "\"'"], "in quotes, which are part of the id"),
            ([text for text in texts if is_absent(text.encode())], "words for a missing value, kept as ids"),
        ):
            if found:
                notes.append(f"{self.role} ids: {len(found):,} of {len(texts):,} are {told} ({some(found, 3)})")
        return notes + doubtful_ids(texts, self.role, len(texts))


class Ratings:
    """Ratings."""

    def __init__(self, decimal: str) -> None:
        self.decimal = decimal
        self.parts: list[np.ndarray] = []

    def add(self, piece: Piece, buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> None:
        """Read the values of a piece."""
        number = parse_numbers(piece, buffer, starts, ends, self.decimal)
        with np.errstate(over="ignore"):  # what is too large for float32 is infinite and refused here
            self.parts.append(number.astype(np.float32))
        wrong = np.flatnonzero(~np.isfinite(self.parts[-1]))
        if wrong.size:
            at = int(wrong[0])
            text = piece.data[starts[at] : ends[at]]
            remedy = "correct the line, or leave it out, or the whole column with columns={'rating': None}"
            if self.decimal == "." and re.fullmatch(rb"-?[0-9]*,[0-9]+", text):
                remedy = "state decimal=',' if the comma stands before decimals"
            what = f"rating {shown(text)} is not a finite number" if text else "the rating is missing"
            raise piece.error(int(starts[at]), f"{what}; {remedy}")

    def finish(self) -> np.ndarray:
        """The ratings of all pieces."""
        return np.concatenate(self.parts)


class Times:
    """Times: numbers, or dates of ISO 8601 or of a stated format; one of these in all lines."""

    def __init__(self, decimal: str, time_format: str | None) -> None:
        self.decimal, self.time_format = decimal, time_format
        self.unit = time_format if time_format in UNITS else None
        self.dates: bool | None = True if time_format is not None and self.unit is None else None
        self.parts: list[tuple[np.ndarray, np.ndarray | None]] = []  # no second one where all of it is 0
        self.notes: list[str] = []

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
            remedy = f"state time_format (time_format='%d.%m.%Y'), or {leave}"
            raise piece.error(int(starts[at]), f"timestamp {shown(text)} {what}; {remedy}")
        self.parts.append((first, second if second.any() else None))

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

    def finish(self) -> tuple[np.ndarray, str | None]:
        """The times of all pieces and their unit."""
        first = np.concatenate([part for part, _ in self.parts])
        if not self.dates and self.unit is None and all(part is None for _, part in self.parts):
            return first, None
        second = np.concatenate([np.zeros(len(part), np.int64) if rest is None else rest for part, rest in self.parts])
        self.parts.clear()
        if self.dates:
            times, unit = in_finest_unit(first, second)
            self.notes.append(f"dates became Unix {UNIT_NAMES[unit]}")
            return times, unit
        if self.unit is not None:
            second = second + (len(str(UNITS[self.unit])) - 1)
        times, unit, cut = of_decimals(first, second)
        if unit is not None and self.unit is None:
            self.notes.append(f"times with decimals, taken for seconds, became whole numbers of {unit}")
        if cut:
            self.notes.append(f"{cut:,} times had more decimals than {unit} holds, which are cut off")
        return times, unit or self.unit


def shown(text: bytes) -> str:
    """The text as it is shown in a message, cut where it is long.

    >>> shown(b"ann")
    "'ann'"
    """
    return repr(short(text[:240].decode(errors="replace")))
