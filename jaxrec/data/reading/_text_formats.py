"""The text formats: tables with one interaction a line, and the text of LightGCN with one user a line."""

from __future__ import annotations

import collections
import contextlib
import csv
import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from jaxrec.data._ids import IdMap, factorize
from jaxrec.data._interactions import Interactions
from jaxrec.data.reading._columns import describe, find_columns
from jaxrec.data.reading._text_parsing import (
    SEPARATOR,
    Piece,
    parse_integers,
    parse_numbers,
    split,
    text_pieces,
    unquoted,
)
from jaxrec.errors import DataError

_LONGEST_TEXT = 1000  # an array of strings is as wide as its longest, so one runaway value would fill the memory
_INT32_MAX = 2**31 - 1
_RECBOLE_TYPES = ("token", "token_seq", "float", "float_seq")


@dataclasses.dataclass(frozen=True)
class Layout:
    """The layout of a text file.

    Attributes:
      delimiter: between the columns, one or more characters; " " stands for any run of white space.
      header: whether the first line names the columns.
      encoding: the name of the encoding.
      quotes: whether a value may stand in double quotes; RecBole and MovieLens' older files take quotes as they are.
      typed: whether the names of the columns carry a type, as RecBole's do.

    >>> str(Layout("\\t", header=False))
    'separated by tabs, no header, utf-8'
    """

    delimiter: str = ","
    header: bool = True
    encoding: str = "utf-8"
    quotes: bool = True
    typed: bool = False

    @property
    def quoting(self) -> bool:
        """Whether double quotes are looked at: only a delimiter of one character other than a space can be quoted."""
        return self.quotes and len(self.delimiter) == 1 and self.delimiter != " "

    def __str__(self) -> str:
        mark = {"\t": "tabs", " ": "white space"}.get(self.delimiter, repr(self.delimiter))
        return f"separated by {mark}, {'with a header' if self.header else 'no header'}, {self.encoding}"


def split_line(line: str, layout: Layout) -> list[str]:
    """Split one line, such as the header, into its values.

    >>> split_line('user,"the item"', Layout())
    ['user', 'the item']
    """
    if layout.delimiter == " ":
        return line.split()
    values = line.split(layout.delimiter)
    if layout.quoting and '"' in line:
        # What is not valid CSV stays split at each delimiter; reading the rows says what is wrong.
        with contextlib.suppress(csv.Error):
            values = next(csv.reader([line], delimiter=layout.delimiter), [])
    return [value.strip() for value in values]


def header_names(line: str, layout: Layout, where: str) -> list[str]:
    """Split the header into names; the types of a RecBole header are checked and removed.

    Raises:
      DataError: a RecBole column without a known type.

    >>> header_names("user_id:token\\trating:float", Layout("\\t", typed=True), "FILE:1")
    ['user_id', 'rating']
    """
    names = split_line(line, layout)
    if not layout.typed:
        return names
    for name in names:
        if name.rpartition(":")[2] not in _RECBOLE_TYPES or ":" not in name:
            raise DataError(f"{where}: column {name!r} has no type; write it as name:type with {_RECBOLE_TYPES}")
    return [name.rpartition(":")[0] for name in names]


def read_table(path: Path, layout: Layout, columns: Mapping[str, str | int | None]) -> Interactions:
    """Read a file with one interaction a line.

    Args:
      path: the file.
      layout: how it is laid out.
      columns: role to column, as `find_columns` takes it; positions only where there is no header.

    Returns:
      The interactions in the order of the lines; the notes say the layout and the columns.

    Raises:
      DataError: see `jaxrec.read`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "file")
    ...     _ = path.write_text("user;film\\nann;m1\\n")
    ...     read_table(path, Layout(";"), {"item": "film"}).notes
    ("separated by ';', with a header, utf-8", "columns: user = 'user', item = 'film'")
    """
    pieces = text_pieces(path, layout.encoding)
    names, found, pieces = _start(pieces, layout, columns, path)
    user, item = (_Labels(role, integers=True) for role in ("user", "item"))
    columns_of = {"user": user, "item": item, "rating": _Ratings(), "timestamp": _Times()}
    columns_of["title"] = title = _Labels("title", integers=False)
    delimiter = layout.delimiter.encode()
    split_pieces = unquoted(pieces, delimiter) if layout.quoting else ((piece, delimiter) for piece in pieces)
    rows, width = 0, len(names)
    for piece, mark in split_pieces:
        if len(mark) > 1:
            piece, mark = piece._replace(data=piece.data.replace(mark, SEPARATOR)), SEPARATOR
        buffer, starts, ends, lines = split(piece.data, mark)
        if len(starts) != width * len(lines) or not np.array_equal(lines, np.arange(len(lines)) * width):
            counts = np.diff(lines, append=len(starts))
            at = int(np.flatnonzero(counts != width)[0])
            raise piece.error(
                int(starts[lines[at]]),
                f"{counts[at]} column{'' if counts[at] == 1 else 's'}, expected {width} ({', '.join(names)}); "
                f"columns are separated by {layout.delimiter!r}",
            )
        if not len(lines):
            continue
        rows += len(lines)
        for role, at in found.items():
            columns_of[role].add(piece, buffer, starts[at::width], ends[at::width])
    if not rows:
        raise DataError(f"{path}: no interaction, only {'a header' if layout.header else 'empty lines'}")
    user_ids, user_index, user_notes = user.finish()
    item_ids, item_index, item_notes = item.finish()
    rating, timestamp = columns_of["rating"], columns_of["timestamp"]
    titles, title_notes = None, []
    if "title" in found:
        texts, text_index, _ = title.finish()
        titles, title_notes = first_texts(item_index, texts[text_index], len(item_ids))
    notes = [str(layout), f"columns: {describe(names, found)}", *user_notes, *item_notes, *title_notes]
    return Interactions(
        user_index,
        item_index,
        IdMap(user_ids, "user"),
        IdMap(item_ids, "item"),
        rating.finish() if "rating" in found else None,
        timestamp.finish() if "timestamp" in found else None,
        titles=titles,
        notes=(*notes, *timestamp.notes),
    )


def _start(
    pieces: Iterator[Piece], layout: Layout, columns: Mapping[str, str | int | None], path: Path
) -> tuple[list[str], dict[str, int], Iterator[Piece]]:
    """The names of the columns, those of each role, and the pieces without the header."""
    for piece in pieces:
        body = piece.data.lstrip()
        if body:
            break
    else:
        raise DataError(f"{path}: the file is empty")
    begin = piece.data.rfind(b"\n", 0, len(piece.data) - len(body)) + 1
    end = piece.data.index(b"\n", begin)
    number = piece.line + piece.data.count(b"\n", 0, begin)
    line, where = piece.data[begin:end].decode(), f"{path}:{number}"
    if layout.header:
        names = header_names(line, layout, where)
        rest = Piece(piece.data[end + 1 :], number + 1, piece.path)
        return names, find_columns(names, columns, where), itertools.chain([rest], pieces)
    names = [f"column {at}" for at in range(len(split_line(line, layout)))]
    stated = [value for value in columns.values() if isinstance(value, str) and value not in columns]
    if stated:
        raise DataError(f"{where}: column {stated[0]!r} is stated by name, but the file has no header; state positions")
    if not any(isinstance(value, int) for value in columns.values()):
        if not 2 <= len(names) <= 4:
            raise DataError(
                f"{where}: {len(names)} column{'' if len(names) == 1 else 's'} and no header; without stated columns "
                "there must be 2 to 4 (user, item, rating, timestamp); state the positions, for example "
                "columns={'user': 0, 'item': 1}, or another delimiter or format"
            )
        order = ("user", "item", "rating", "timestamp")[: len(names)]
        columns = {role: at for at, role in enumerate(order) if columns.get(role, role) is not None}
    return names, find_columns(names, columns, where), itertools.chain([piece], pieces)


def first_texts(item: np.ndarray, texts: np.ndarray, num_items: int) -> tuple[np.ndarray, list[str]]:
    """Choose the first text of each item that is not empty, or ""; a note counts items with several.

    >>> first_texts(np.array([1, 1, 0]), np.array(["", "b", "c"]), 2)
    (array(['c', 'b'], dtype='<U1'), [])
    """
    rows = np.flatnonzero(texts != "")
    found, first = np.unique(item[rows], return_index=True)
    out = np.zeros(num_items, dtype=texts.dtype)
    out[found] = texts[rows[first]]
    several = len(np.unique(item[rows][texts[rows] != out[item[rows]]]))
    return out, [f"{several:,} items have several titles; the first is kept"] if several else []


def read_lightgcn(path: Path, encoding: str = "utf-8") -> Interactions:
    """Read the text format of LightGCN: on each line a user and the items of that user, as whole numbers from 0.

    A user without items stays among the users. Items are those that occur.

    Raises:
      DataError: see `jaxrec.read`.

    References:
      The data files of He et al., "LightGCN", SIGIR 2020.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "train.txt")
    ...     _ = path.write_text("0 5 7\\n1\\n")
    ...     read_lightgcn(path).counts()
    {'users': 2, 'items': 2, 'interactions': 2}
    """
    owners: list[np.ndarray] = []
    sizes: list[np.ndarray] = []
    items: list[np.ndarray] = []
    for piece in text_pieces(path, encoding):
        buffer, starts, ends, lines = split(piece.data, b" ")
        value, good = parse_integers(buffer, starts, ends)
        wrong = np.flatnonzero(~good | (value < 0) | (value >= _INT32_MAX))
        if wrong.size:
            at = int(wrong[0])
            text = _shown(piece.data[starts[at] : ends[at]])
            reason = "not a whole number" if not good[at] else "negative" if value[at] < 0 else "too large"
            raise piece.error(
                int(starts[at]),
                f"{'user' if at in lines else 'item'} {text} is {reason}; "
                f"the format lightgcn has indices from 0 to {_INT32_MAX - 1} (state another format if it is not this)",
            )
        owners.append(value[lines])
        sizes.append(np.diff(lines, append=len(starts)) - 1)
        items.append(np.delete(value, lines))
    if not owners or not sum(map(len, owners)):
        raise DataError(f"{path}: the file is empty")
    if not sum(map(len, items)):
        raise DataError(f"{path}: no interaction, only users without items")
    user_ids, owner = factorize(np.concatenate(owners))
    item_ids, item = factorize(np.concatenate(items))
    size = np.concatenate(sizes)
    notes = []
    idle = len(user_ids) - len(np.unique(owner[size > 0]))
    if idle:
        notes.append(f"{idle:,} users have no item; they stay among the users")
    if len(owner) > len(user_ids):
        notes.append(
            f"{len(owner) - len(user_ids):,} lines go on with a user of an earlier line; their items are added"
        )
    user = np.repeat(owner, size)
    return Interactions(user, item, IdMap(user_ids, "user"), IdMap(item_ids, "item"), notes=tuple(notes))


def _shown(text: bytes) -> str:
    """The text as it is shown in a message, cut where it is long."""
    shown = text[:60].decode(errors="replace")
    return repr(shown) + ("..." if len(text) > 60 else "")


class _Labels:
    """Ids or titles, piece by piece: whole numbers as long as all are, texts from the first other one on."""

    def __init__(self, role: str, *, integers: bool) -> None:
        self.role, self.integers = role, integers
        self.parts: list[np.ndarray] = []
        self.table: dict[bytes, int] = collections.defaultdict(itertools.count().__next__)  # numbers as they come

    def add(self, piece: Piece, buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> None:
        if self.role != "title" and (starts == ends).any():
            raise piece.error(int(starts[starts == ends][0]), f"the {self.role} is missing; give every line one")
        if self.integers:
            value, good = parse_integers(buffer, starts, ends)
            if good.all():
                self.parts.append(value)
                return
            self.integers = False
            if self.parts:
                numbers, index = factorize(np.concatenate(self.parts))
                self.parts = [index]
                for number in numbers.tolist():
                    self.table[str(number).encode()]
        if int((ends - starts).max()) > _LONGEST_TEXT:
            at = int(np.argmax(ends - starts))
            raise piece.error(int(starts[at]), f"a {self.role} of more than {_LONGEST_TEXT:,} bytes; is it one?")
        # One hash look-up a value: measured faster than sorting the values of each piece with np.unique.
        data = piece.data
        texts = [data[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        self.parts.append(np.fromiter(map(self.table.__getitem__, texts), dtype=np.int32, count=len(texts)))

    def finish(self) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """The sorted values, the index of each row's value, and a note where numbers and texts are mixed."""
        every = np.concatenate(self.parts)
        if self.integers:
            return *factorize(every), []
        texts = np.array([text.decode() for text in self.table], dtype=str)
        order = np.argsort(texts)
        place = np.empty(len(texts), dtype=np.int32)
        place[order] = np.arange(len(texts), dtype=np.int32)
        notes = []
        numbers = sum(text.isdigit() for text in self.table)
        if numbers and self.role != "title":
            other = next((text for text in self.table if not text.isdigit()), None)
            why = (
                "some of them with leading zeros or too many digits"
                if other is None
                else f"others are not (the first is {_shown(other)})"
            )
            notes.append(f"{self.role} ids: {numbers:,} of {len(texts):,} are digits only, {why}, so all are strings")
        return texts[order], place[every], notes


class _Ratings:
    """Ratings, piece by piece."""

    def __init__(self) -> None:
        self.parts: list[np.ndarray] = []

    def add(self, piece: Piece, buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> None:
        number = parse_numbers(piece, buffer, starts, ends)
        with np.errstate(over="ignore"):  # what is too large for float32 is infinite and refused here
            self.parts.append(number.astype(np.float32))
        _check_finite(piece, self.parts[-1], starts, ends, "rating", "correct the line, or leave it out")

    def finish(self) -> np.ndarray:
        return np.concatenate(self.parts)


class _Times:
    """Times in seconds, piece by piece; fractions are cut off and counted."""

    def __init__(self) -> None:
        self.parts: list[np.ndarray] = []
        self.cut = 0

    def add(self, piece: Piece, buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> None:
        value, good = parse_integers(buffer, starts, ends)
        if not good.all():
            number = parse_numbers(piece, buffer, starts, ends)
            number[np.abs(number) >= 2.0**63] = np.inf
            remedy = "convert dates to Unix seconds, or leave the column out with columns={'timestamp': None}"
            _check_finite(piece, number, starts, ends, "timestamp", remedy)
            self.cut += int((number != np.floor(number)).sum())
            value = np.where(good, value, np.floor(number).astype(np.int64))
        self.parts.append(value)

    def finish(self) -> np.ndarray:
        return np.concatenate(self.parts)

    @property
    def notes(self) -> list[str]:
        return [f"{self.cut:,} timestamps had a fraction of a second, which is cut off"] if self.cut else []


def _check_finite(
    piece: Piece, number: np.ndarray, starts: np.ndarray, ends: np.ndarray, role: str, remedy: str
) -> None:
    wrong = np.flatnonzero(~np.isfinite(number))
    if wrong.size:
        at = int(wrong[0])
        text = piece.data[starts[at] : ends[at]]
        what = f"the {role} is missing" if not text else f"{role} {_shown(text)} is not a finite number"
        raise piece.error(int(starts[at]), f"{what}; {remedy}")
