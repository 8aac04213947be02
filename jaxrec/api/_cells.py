"""Delimited text as rows of cells, each cell as it is written: for lists and features, whose ids are texts."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxrec.data.reading._text_parsing import SEPARATOR, Piece, open_bytes, split, text_pieces, unquoted
from jaxrec.errors import DataError, MissingFileError

_MARKS = ("\t", "::", ",", ";", "|", " ")
_SAMPLE = 100  # lines that are looked at
_TYPE = re.compile(r":(token|float)(_seq)?$")  # behind the names of RecBole's columns
_PACKED = (b"PK\3\4", b"\xfd7zX", b"BZh")


class Row(NamedTuple):
    """A line of a file: its number from 1, and its cells without the white space around them.

    >>> Row(1, ["user", "item"]).line
    1
    """

    line: int
    cells: list[str]


class Layout(NamedTuple):
    """How the rows of a file are laid out.

    Attributes:
      mark: between the cells; " " stands for any run of white space.
      header: the names of the columns, or None where the first line is a row.
      encoding: of the text.
      sample: the first rows.

    >>> Layout(",", ["user", "item"], "utf-8", []).mark
    ','
    """

    mark: str
    header: list[str] | None
    encoding: str
    sample: list[Row]


class Block(NamedTuple):
    """Some rows of a file as bytes, and where their n cells are.

    Attributes:
      piece: the bytes, with their place in the file.
      buffer: the same as uint8.
      starts: int [n], the first byte of each cell.
      ends: int [n], the byte after its last.
      lines: int, the cell that each row begins with.

    >>> piece = Piece(b"a,b\\n", 1, "FILE")
    >>> list(Block(piece, *split(piece.data, b",")).texts(1, 2))
    ['b']
    """

    piece: Piece
    buffer: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    lines: np.ndarray

    def rest(self, cells: int) -> Block:
        """The block without its first cells."""
        return self._replace(starts=self.starts[cells:], ends=self.ends[cells:], lines=self.lines[1:] - cells)

    def texts(self, place: int, width: int) -> Iterator[str]:
        """The cells of a column of rows of one width."""
        data = self.piece.data
        for start, end in zip(self.starts[place::width].tolist(), self.ends[place::width].tolist(), strict=True):
            yield data[start:end].decode()

    def some(self, place: int, width: int, count: int) -> list[str]:
        """At most so many cells of a column, evenly spaced."""
        starts, ends, data = self.starts[place::width], self.ends[place::width], self.piece.data
        rows = range(0, len(starts), -(-len(starts) // count) or 1)
        return [data[starts[row] : ends[row]].decode() for row in rows]

    def error(self, cell: int, message: str) -> DataError:
        """An error with the file and the line of a cell."""
        return self.piece.error(int(self.starts[cell]), message)


def existing(path: Path, what: str) -> Path:
    """The path of a file that is there.

    Raises:
      MissingFileError: it is not, or is a folder.

    >>> existing(Path("no-such.csv"), "--item-features")
    Traceback (most recent call last):
        ...
    jaxrec.errors.MissingFileError: no-such.csv: no such file, as --item-features asks for
    """
    path = path.expanduser()
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file, as {what} asks for")
    return path


def is_number(text: str) -> bool:
    """Whether a cell is a number, as other programs write it.

    >>> is_number("-1.5e3"), is_number("1_000"), is_number("nan"), is_number("")
    (True, False, False, False)
    """
    return re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text) is not None


def layout_of(path: Path, is_header: Callable[[Sequence[str]], bool]) -> Layout:
    """Find what separates the cells of a file, and whether its first line names the columns.

    Args:
      path: the file; may be gzip.
      is_header: whether some cells are the names of the columns.

    Raises:
      DataError: no text, one column only, or two delimiters that would both do.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "file")
    ...     _ = path.write_text("item;year\\n007;1990\\n")
    ...     layout_of(path, lambda cells: "item" in cells)[:2]
    (';', ['item', 'year'])
    """
    encoding = _encoding(path)
    lines = [(number, line) for number, line in itertools.islice(_lines(path, encoding), 10 * _SAMPLE) if line.strip()]
    lines = lines[:_SAMPLE]
    if not lines:
        raise DataError(f"{path}: the file is empty")
    first = lines[0][1]
    named = [mark for mark in _MARKS if mark in first.strip() and is_header(_names(first, mark))]
    mark = named[0] if named else _mark(path, [line for _, line in lines])
    header = _names(first, mark) if named else None
    sample = list(itertools.islice(rows_of_cells(path, Layout(mark, header, encoding, [])), _SAMPLE))
    return Layout(mark, header, encoding, sample)


def rows_of_cells(path: Path, layout: Layout) -> Iterator[Row]:
    """Iterate over the rows of a file, without its header and its empty lines.

    Raises:
      DataError: text that is not of the encoding, or quotes that do not close, with the line.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "file")
    ...     _ = path.write_text('item,title\\n007,"Bond, James"\\n')
    ...     list(rows_of_cells(path, Layout(",", ["item", "title"], "utf-8", [])))
    [Row(line=2, cells=['007', 'Bond, James'])]
    """
    rows = _rows(path, layout)
    if layout.header is not None:
        next(rows, None)
    return rows


def blocks_of_cells(path: Path, layout: Layout) -> Iterator[Block]:
    """Iterate over a file in blocks of rows, its header included, for columns that are read all at once.

    Raises:
      DataError: see `rows_of_cells`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "file")
    ...     _ = path.write_text("1,2\\n3,4\\n")
    ...     [list(block.texts(0, 2)) for block in blocks_of_cells(path, Layout(",", None, "utf-8", []))]
    [['1', '3']]
    """
    mark, pieces = layout.mark.encode(), _pieces(path, layout.encoding)
    quoted = len(mark) == 1 and mark != b" "
    for piece, between in unquoted(pieces, mark) if quoted else ((piece, mark) for piece in pieces):
        if len(between) > 1:
            piece, between = piece._replace(data=piece.data.replace(between, SEPARATOR)), SEPARATOR
        block = Block(piece, *split(piece.data, between))
        if len(block.lines):
            yield block


def _rows(path: Path, layout: Layout) -> Iterator[Row]:
    mark = layout.mark
    if len(mark) > 1 or mark == " ":
        for number, line in _lines(path, layout.encoding):
            if line.strip():
                yield Row(number, line.split() if mark == " " else [cell.strip() for cell in line.split(mark)])
        return
    reader = csv.reader(map(itemgetter(1), _lines(path, layout.encoding)), delimiter=mark, strict=True)
    line = 1
    try:
        for cells in reader:
            cells = list(map(str.strip, cells))
            if any(cells):
                yield Row(line, cells)
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}:{line}: not valid CSV from here on: {error}") from None


def _lines(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    for piece in _pieces(path, encoding):
        # Not str.splitlines, which also cuts at form feeds and the like.
        yield from enumerate(io.StringIO(piece.data.decode(), newline="\n"), start=piece.line)


def _pieces(path: Path, encoding: str) -> Iterator[Piece]:
    try:
        yield from text_pieces(path, encoding)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    except DataError as error:  # which speaks of options that `read` has
        told, state, _ = str(error).partition("; state ")
        raise DataError(f"{told}; save the file as UTF-8 text" if state else told) from None


def first_bytes(path: Path) -> bytes:
    """The first four bytes of a file, unpacked where it is gzip; they say what is Parquet and what an archive.

    Raises:
      DataError: it cannot be read.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "file")
    ...     _ = path.write_bytes(b"PAR1...")
    ...     first_bytes(path)
    b'PAR1'
    """
    try:
        with open_bytes(path) as file:
            return file.read(4)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None


def _encoding(path: Path) -> str:
    start = first_bytes(path)
    if start.startswith(_PACKED):
        raise DataError(f"{path}: an archive (zip, xz or bzip2); unpack it and pass the file in it")
    return "utf-16" if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8"


def _names(line: str, mark: str) -> list[str]:
    return [_TYPE.sub("", cell) for cell in _cells(line, mark)]


def _cells(line: str, mark: str) -> list[str]:
    if mark == " ":
        return line.split()
    if len(mark) == 1 and '"' in line:
        try:
            return [cell.strip() for cell in next(csv.reader([line], delimiter=mark), [])]
        except csv.Error:
            pass  # reading the rows says what is wrong, with its line
    return [cell.strip() for cell in line.split(mark)]


def _mark(path: Path, lines: list[str]) -> str:
    """The delimiter of lines without a header."""
    widths = {mark: {len(_cells(line, mark)) for line in lines} for mark in _MARKS}
    for good in (lambda some: len(some) == 1 and some != {1}, lambda some: some != {1}):
        fit = [mark for mark, some in widths.items() if good(some)]
        if len(fit) > 1:  # white space is also within texts
            fit = [mark for mark in fit if mark != " "]
        if len(fit) == 1:
            return fit[0]
        if fit:
            one, other = fit[:2]
            raise DataError(
                f"{path}:1: {one!r} and {other!r} could both separate the cells of {lines[0].strip()[:40]!r}; write a "
                "first line with the names of the columns"
            )
    raise DataError(f"{path}:1: one column only, {lines[0].strip()[:40]!r}; separate the cells by commas or tabs")
