"""Ids and titles of text, piece by piece: every row a code by the values that there are, sorted at the end."""

from __future__ import annotations

import abc
import collections
import importlib.util
import itertools
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from jaxrec.data._ids import factorize
from jaxrec.data._notes import doubtful_ids, is_absent
from jaxrec.data._texts import short, some, text_array
from jaxrec.data.reading._arrow_ids import Codes, numbers_of, python_texts, texts_of
from jaxrec.data.reading._growing import Growing
from jaxrec.data.reading._text_parsing import Piece, parse_integers
from jaxrec.errors import DataError

LONGEST_ID = 1000  # bytes; one runaway value is more likely than such an id
_ZEROS_AFTER = re.compile(r"[+-]?[0-9]+\.0+")


def labels(role: str, column: Growing, *, integers: bool, longest: int = LONGEST_ID) -> Labels:
    """Begin the ids of a side, or the titles.

    With pyarrow no text becomes a Python object before all are known, and where the column is not in memory a row takes
    none.

    Args:
      role: "user", "item" or "title".
      column: int32, which gets the code of each row.
      integers: whether the values are whole numbers where all look like it.
      longest: bytes of a value.
    """
    kind = NumberedByPython if importlib.util.find_spec("pyarrow") is None else NumberedByArrow
    return kind(role, column, integers=integers, longest=longest)


def look_alike(texts: Iterable[str]) -> tuple[str, str] | None:
    """Find a number that is written as 7 and as 7.0, which would be two ids.

    >>> look_alike(["7", "8.0", "7.0"])
    ('7.0', '7')
    """
    texts = set(texts)
    for text in sorted(filter(_has_zeros_after, texts)):
        whole = text.partition(".")[0].lstrip("+")
        if whole in texts:
            return text, whole
    return None


def _has_zeros_after(text: str) -> bool:
    return text[-1:] == "0" and _ZEROS_AFTER.fullmatch(text) is not None


class Labels(abc.ABC):
    """Ids or titles: whole numbers as long as all are, texts from the first other one on."""

    def __init__(self, role: str, column: Growing, *, integers: bool, longest: int) -> None:
        self.role, self.column, self.integers, self.longest = role, column, integers, longest

    def add(self, piece: Piece, buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> None:
        """Read the values of a piece."""
        if self.role != "title" and (starts == ends).any():
            raise piece.error(int(starts[starts == ends][0]), f"the {self.role} is missing; give every line one")
        if self.integers:
            value, good = parse_integers(buffer, starts, ends)
            if good.all():
                self._add_numbers(value)
                return
            self.integers = False
            self._numbers_to_texts()
        if int((ends - starts).max()) > self.longest:
            at = int(np.argmax(ends - starts))
            raise piece.error(int(starts[at]), f"a {self.role} of more than {self.longest:,} bytes; is it one?")
        self._add_texts(piece, buffer, starts, ends)

    def finish(self, path: str) -> tuple[np.ndarray, list[str]]:
        """Number the rows by the sorted values, and give these, with notes on ids that may not be meant.

        Raises:
          DataError: one number written in two ways.
        """
        values, texts = self._sorted()
        return values, [] if self.integers or self.role == "title" else self._notes(texts, path)

    @abc.abstractmethod
    def _add_numbers(self, values: np.ndarray) -> None: ...

    @abc.abstractmethod
    def _numbers_to_texts(self) -> None: ...

    @abc.abstractmethod
    def _add_texts(self, piece: Piece, buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> None: ...

    @abc.abstractmethod
    def _sorted(self) -> tuple[np.ndarray, list[str]]:
        """The sorted values, whose places the column gets; and of texts each once, in the order of the first rows."""

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
            (list(filter(_has_zeros_after, texts)), "whole numbers with a point, read as strings"),
            ([text for text in texts if text[0] in "\"'" or text[-1] in "\"'"], "in quotes, which are part of the id"),
            ([text for text in texts if is_absent(text.encode())], "words for a missing value, kept as ids"),
        ):
            if found:
                notes.append(f"{self.role} ids: {len(found):,} of {len(texts):,} are {told} ({some(found, 3)})")
        return notes + doubtful_ids(texts, self.role, len(texts))


class NumberedByPython(Labels):
    """Numbers as they are until the end, texts by a dictionary."""

    def __init__(self, role: str, column: Growing, *, integers: bool, longest: int) -> None:
        super().__init__(role, column, integers=integers, longest=longest)
        self._numbers: list[np.ndarray] = []
        self._table: dict[bytes, int] = collections.defaultdict(itertools.count().__next__)  # numbers as they come

    def _add_numbers(self, values: np.ndarray) -> None:
        small = values.astype(np.int32)
        self._numbers.append(small if np.array_equal(small, values) else values)

    def _number(self, *, first_rows: bool) -> np.ndarray:
        """Give the column the places of the numbers among them: sorted, or in the order of the first rows."""
        ids, index = factorize(np.concatenate(self._numbers))
        if first_rows:
            order = np.argsort(np.unique(index, return_index=True)[1])
            place = np.empty(len(ids), np.int32)
            place[order] = np.arange(len(ids), dtype=np.int32)
            ids, index = ids[order], place[index]
        for part in np.split(index, np.cumsum([len(part) for part in self._numbers])[:-1]):
            self.column.append(part)
        self._numbers = []
        return ids.astype(np.int64)

    def _numbers_to_texts(self) -> None:
        for number in self._number(first_rows=True).tolist() if self._numbers else ():
            self._table[str(number).encode()]

    def _add_texts(self, piece: Piece, buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> None:
        # One hash look-up a value: measured faster than sorting the values of each piece with np.unique.
        data = piece.data
        texts = [data[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        self.column.append(np.fromiter(map(self._table.__getitem__, texts), dtype=np.int32, count=len(texts)))

    def _sorted(self) -> tuple[np.ndarray, list[str]]:
        if self.integers:
            return self._number(first_rows=False), []
        texts = [text.decode() for text in self._table]
        order = sorted(range(len(texts)), key=texts.__getitem__)
        place = np.empty(len(texts), dtype=np.int32)
        place[order] = np.arange(len(texts), dtype=np.int32)
        self.column.change(0, self.column.size, place.take)
        return text_array([texts[at] for at in order]), texts


class NumberedByArrow(NumberedByPython):
    """Texts by the tables of Arrow, and numbers too where the column is not in memory, so that they should not be."""

    def __init__(self, role: str, column: Growing, *, integers: bool, longest: int) -> None:
        super().__init__(role, column, integers=integers, longest=longest)
        self._codes = Codes(column)

    def _add_numbers(self, values: np.ndarray) -> None:
        if self.column.in_memory:
            super()._add_numbers(values)
        else:
            self._codes.add(_arrow_numbers(values))

    def _numbers_to_texts(self) -> None:
        import pyarrow

        if self._numbers:
            self._codes.begin(_arrow_numbers(self._number(first_rows=True)))
        numbers = self._codes.merge()
        self._codes.begin(None if numbers is None else numbers.cast(pyarrow.large_string()))

    def _add_texts(self, piece: Piece, buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> None:
        import pyarrow

        bounds = np.zeros(len(starts) + 1, np.int64)
        np.cumsum(ends - starts, out=bounds[1:])
        content = buffer[np.repeat(starts - bounds[:-1], ends - starts) + np.arange(bounds[-1])]
        self._codes.add(
            pyarrow.LargeStringArray.from_buffers(len(starts), pyarrow.py_buffer(bounds), pyarrow.py_buffer(content))
        )

    def _sorted(self) -> tuple[np.ndarray, list[str]]:
        if self._numbers:
            return super()._sorted()
        first_rows = self._codes.merge()
        known = self._codes.sort()
        if self.integers:
            return numbers_of(known), []
        texts = [] if self.role == "title" else python_texts(first_rows, self.role, self.role)
        return texts_of(known, self.role, self.role), texts


def _arrow_numbers(values: np.ndarray) -> Any:
    """An Arrow array of int64, without the import of pandas that `pyarrow.array` begins with."""
    import pyarrow

    return pyarrow.Array.from_buffers(pyarrow.int64(), len(values), [None, pyarrow.py_buffer(values)])
