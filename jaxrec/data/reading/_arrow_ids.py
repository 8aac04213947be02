"""Ids and titles of Arrow columns, part by part: every row a code, every id stored once and never a Python object."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from jaxrec.data._ids import as_ids
from jaxrec.data._notes import is_absent
from jaxrec.data._texts import is_wide, text_array
from jaxrec.data.reading._growing import Growing, first_of_each
from jaxrec.data.reading._short_texts import ShortTexts, words_of
from jaxrec.errors import DataError

_FEWEST = 1 << 18  # ids that wait until they are looked up among those that are known
# What `is_absent` may be true of, white space around it included; a text that is not ASCII may have other white space.
_LIKELY_ABSENT = r"(?i)^\s*([-+]?nan|null|none|n/a|#n/a|#na|<na>|<null>|\(null\)|\\n|na|nat|<nat>)?\s*$"


class Gaps:
    """The rows of a column that have no value: how many are null and how many NaN, and the first of each."""

    def __init__(self, label: str, role: str) -> None:
        self.label, self.role = label, role
        self._found: dict[str, tuple[int, int]] = {}  # the first row, and how many

    def add(self, values: Any, start: int) -> bool:
        """Count those of an Arrow array, the first of which is row `start`; whether there was one so far."""
        import pyarrow

        kinds = {"null": False, "nan": True} if values.null_count or pyarrow.types.is_floating(values.type) else {}
        for kind, nan in kinds.items():
            missing = values.is_null(nan_is_null=nan)
            count = missing.true_count
            if count:
                first, before = self._found.get(kind, (start + int(np.asarray(missing).argmax()), 0))
                self._found[kind] = first, before + count
        return bool(self._found)

    def refuse(self, rows: int) -> None:
        """Raise where there was one, of so many rows in all. Where there are nulls, NaN is not looked for.

        >>> Gaps("who", "user").refuse(10)
        """
        for first, count in [self._found[kind] for kind in ("null", "nan") if kind in self._found][:1]:
            raise DataError(
                f"frame: column {self.label!r} has no {self.role} in row {first} (counted from 0), and in "
                f"{count:,} of {rows:,} rows in all; drop these rows or fill them in"
            )


class Codes:
    """The distinct values of a column, and for each row the place of its value among them, -1 for a null.

    Short texts are numbered as words, see `ShortTexts`, until a value comes that is none. From then on each part is
    encoded on its own, and the values of a part wait until there are as many as are known. Either way all rows
    are hashed about twice, however many parts there are.
    """

    def __init__(self, column: Growing) -> None:
        self.column = column
        self._short: ShortTexts | None = ShortTexts(column)
        self._known: Any = None  # an Arrow array of the distinct values, in the order of their first rows
        self._waiting: list[tuple[int, int, Any]] = []  # first and last row, and the values that its codes count
        self._count = 0

    def begin(self, known: Any) -> None:
        """Say which values, an Arrow array, the codes that the column has already count; None for no value."""
        words = None if known is None else words_of(known)
        self._short = ShortTexts(self.column, words) if known is None or words is not None else None
        self._known = known if self._short is None else None

    def add(self, values: Any) -> Any:
        """Take the next values, an Arrow array; those that differ, or None where all are texts without NUL."""
        if self._short is not None:
            if self._short.add(values):
                return None
            self._end_short()
        return self._encode(values)

    def merge(self) -> Any:
        """Bring all rows to one numbering; the distinct values, None where there are no rows."""
        if self._short is not None:
            if self._short.merge():
                return self._short.known()
            self._end_short()
        return self._merge()

    def sort(self) -> Any:
        """Bring all rows to the numbering of the sorted values; these."""
        known = self.merge()
        order = _compute().sort_indices(known)  # bytes of UTF-8 sort as the characters do
        place = np.empty(len(known), np.int32)
        place[numbers_of(order)] = np.arange(len(known), dtype=np.int32)
        self.column.change(0, self.column.size, place.take)
        ordered = known.take(order)
        self.begin(ordered)
        return ordered

    def _end_short(self) -> None:
        """Go on with values as they are: those that have a number, and then those that wait for one."""
        short, self._short = self._short, None
        assert short is not None
        self._known = short.known()
        for values in short.waiting():
            self._encode(values)

    def _encode(self, values: Any) -> Any:
        encoded = values.dictionary_encode()
        start = self.column.size
        indices = encoded.indices
        self.column.append(numbers_of(indices.fill_null(-1) if indices.null_count else indices))
        self._waiting.append((start, self.column.size, encoded.dictionary))
        self._count += len(encoded.dictionary)
        if self._count > max(_FEWEST, 0 if self._known is None else len(self._known)):
            self._merge()
        return encoded.dictionary

    def _merge(self) -> Any:
        import pyarrow

        known = [] if self._known is None else [self._known]
        if not known and len(self._waiting) == 1:
            self._known = self._waiting[0][2]
        elif self._waiting:
            encoded = pyarrow.concat_arrays([*known, *(values for *_, values in self._waiting)]).dictionary_encode()
            places, at = numbers_of(encoded.indices), len(known[0]) if known else 0
            for start, stop, values in self._waiting:
                table = np.append(places[at : at + len(values)], np.int32(-1))  # its last place is that of -1
                self.column.change(start, stop, table.take)
                at += len(values)
            self._known = encoded.dictionary  # the known ones come first, so their codes stay
        self._waiting, self._count = [], 0
        return self._known


class Ids:
    """Ids: each row a code, by the sorted ids, as `factorize` gives them."""

    def __init__(self, label: str, role: str, column: Growing) -> None:
        self.gaps, self._role, self._label = Gaps(label, role), role, label
        self._codes = Codes(column)
        self._error: DataError | None = None
        self._largest = 0

    def add(self, values: Any, start: int) -> None:
        """Read the next rows, from row `start` on. What is wrong is kept for `gaps.refuse` and `finish`."""
        if self.gaps.add(values, start) or self._error is not None:
            return
        try:
            distinct = self._codes.add(self._plain(values, start))
            if distinct is not None:
                _refuse_nul(distinct, self._role)
        except DataError as error:
            self._error = error

    def _plain(self, values: Any, start: int) -> Any:
        """Whole numbers of 64 bits, or texts with offsets of 64 bits: all ids together may have over 2 GB."""
        import pyarrow

        if pyarrow.types.is_floating(values.type):
            return pyarrow.array(as_ids(numbers_of(values), self._role, start))
        if not pyarrow.types.is_integer(values.type):
            return values.cast(pyarrow.large_string())
        if pyarrow.types.is_uint64(values.type) and len(values):
            self._largest = max(self._largest, _compute().max(values).as_py())
        return values.cast(pyarrow.int64(), safe=False)

    def finish(self) -> np.ndarray:
        """Number the rows by the sorted ids, and give these.

        Raises:
          DataError: what `as_ids` refuses.
        """

        if self._error is not None:
            raise self._error
        if self._largest > np.iinfo(np.int64).max:
            raise DataError(f"{self._role} ids must fit in 64 signed bits, got {self._largest}; pass them as strings")
        known = self._codes.sort()
        ids = numbers_of(known) if _is_whole(known.type) else texts_of(known, self._label, self._role)
        ids.setflags(write=False)  # so that the map of ids needs no copy
        return ids


class Titles:
    """Texts of which each item has the first that there is."""

    def __init__(self, label: str, column: Growing) -> None:
        self._label, self._codes = label, Codes(column)

    def add(self, values: Any, start: int) -> None:
        """Read the next rows."""
        import pyarrow

        self._codes.add(values.cast(pyarrow.large_string()))

    def finish(self, items: Growing, num_items: int) -> tuple[np.ndarray, list[str]]:
        """The title of each item, "" where it has none, and a note where items have several.

        Args:
          items: the item of each row.
          num_items: I.
        """
        known = self._codes.merge()
        chosen, count = first_of_each(items, self._codes.column, num_items)
        texts = texts_of(known.take(chosen[chosen >= 0]), self._label, "title").tolist()
        of_item = np.full(num_items, "", object)
        of_item[chosen >= 0] = texts
        note = f"{count:,} items have several values of title; the first is kept"
        return text_array(of_item.tolist()), [note] if count else []


def numbers_of(values: Any) -> np.ndarray:
    """The values of an Arrow array. What `to_numpy` begins with is an import of pandas, which takes seconds.

    >>> import pyarrow
    >>> numbers_of(pyarrow.array([4, 5, 6], pyarrow.int16())[1:])
    array([5, 6], dtype=int16)
    """
    import pyarrow.types as kinds

    kind = values.type
    if values.null_count or not (kinds.is_integer(kind) or kinds.is_floating(kind)):
        return values.to_numpy(zero_copy_only=False)
    content = values.buffers()[1]
    letter = "f" if kinds.is_floating(kind) else "u" if kinds.is_unsigned_integer(kind) else "i"
    dtype = np.dtype(f"{letter}{kind.bit_width // 8}")
    return np.zeros(0, dtype) if content is None else np.frombuffer(content, dtype)[values.offset :][: len(values)]


def absent_of(values: Any, label: str, role: str) -> np.ndarray:
    """Mark the values [n] that are null, NaN, an empty text or a word for a missing value.

    >>> import pyarrow
    >>> absent_of(pyarrow.array(["ann", "NULL", " ", None]), "who", "user").tolist()
    [False, True, True, True]
    """
    import pyarrow

    missing = np.asarray(values.is_null(nan_is_null=True))
    if pyarrow.types.is_floating(values.type) or pyarrow.types.is_integer(values.type):
        return missing
    encoded = values.cast(pyarrow.large_string()).dictionary_encode()
    distinct = encoded.dictionary
    likely = _compute().or_(
        _compute().match_substring_regex(distinct, _LIKELY_ABSENT),
        _compute().invert(_compute().string_is_ascii(distinct)),
    )
    places = np.flatnonzero(np.asarray(likely))
    texts = [text.strip() for text in python_texts(distinct.take(places), label, role)]
    gone = np.zeros(len(distinct) + 1, bool)  # its last place is that of -1
    gone[places] = [not text or is_absent(text.encode("utf-8", "replace")) for text in texts]
    return gone[numbers_of(encoded.indices.fill_null(-1))] | missing


def texts_of(texts: Any, label: str, role: str) -> np.ndarray:
    """Make the array of an Arrow array of texts that `text_array` makes of them, without Python objects if it can.

    >>> import pyarrow
    >>> texts_of(pyarrow.array(["a", "bc"], pyarrow.large_string()), "who", "user")
    array(['a', 'bc'], dtype='<U2')
    """

    sizes = numbers_of(_compute().binary_length(texts))
    longest = int(sizes.max(initial=0))
    ascii = _compute().all(_compute().string_is_ascii(texts)).as_py()
    if not longest or not ascii or not is_wide(len(sizes), longest, int(sizes.sum())):
        return text_array(python_texts(texts, label, role))
    ends = np.cumsum(sizes)
    first = int(np.frombuffer(texts.buffers()[1], np.int64)[texts.offset])
    content = np.frombuffer(texts.buffers()[2], np.uint8)[first : first + int(ends[-1])]
    out = np.zeros((len(sizes), longest), np.uint32)  # a character of a NumPy text has four bytes
    for at in range(0, len(sizes), 1 << 16):
        size = sizes[at : at + (1 << 16)]
        begin = int(ends[at] - sizes[at])
        inside = np.arange(longest) < size[:, None]
        out[at : at + len(size)][inside] = content[begin : int(ends[at + len(size) - 1])]
    return out.view(f"U{longest}")[:, 0]


def python_texts(texts: Any, label: str, role: str) -> list[str]:
    """The texts of an Arrow array as Python's, for those that are few.

    Raises:
      DataError: bytes that are not UTF-8.

    >>> import pyarrow
    >>> python_texts(pyarrow.array(["a"]), "who", "user")
    ['a']
    """
    try:
        return texts.to_pylist()
    except UnicodeDecodeError as error:
        raise DataError(f"frame: column {label!r} ({role}) cannot be turned into an array: {error}") from None


def _compute() -> Any:
    """The functions of Arrow, which it makes when it is imported, so that type checkers know none of them."""
    return importlib.import_module("pyarrow.compute")


def _is_whole(kind: Any) -> bool:
    import pyarrow

    return pyarrow.types.is_integer(kind)


def _refuse_nul(distinct: Any, role: str) -> None:
    """Refuse what NumPy would cut: NUL characters at the end, which would make different ids equal."""
    import pyarrow

    if pyarrow.types.is_integer(distinct.type):
        return
    cut = _compute().ends_with(distinct, "\0")
    if _compute().any(cut).as_py():
        first = distinct[int(np.flatnonzero(np.asarray(cut))[0])].as_py()
        raise DataError(f"{role} id {first!r} ends in a NUL character; remove it")
