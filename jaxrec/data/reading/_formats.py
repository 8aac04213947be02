"""The formats that `read` knows: each a reader with its own options, and the one that a file is in."""

from __future__ import annotations

import codecs
import dataclasses
import itertools
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from jaxrec.data._interactions import Interactions
from jaxrec.data._texts import short
from jaxrec.data.reading._columns import Columns, wanted_columns
from jaxrec.data.reading._dates import check_format
from jaxrec.data.reading._layouts import (
    DELIMITERS,
    MOST_COLUMNS,
    Layout,
    common_width,
    find_delimiter,
    has_header,
    is_number,
    split_line,
    table_or_lists,
)
from jaxrec.data.reading._shares import Share, check_share
from jaxrec.data.reading._text_formats import read_lightgcn, read_table
from jaxrec.data.reading._text_parsing import check_encoding, text_pieces
from jaxrec.data.reading._unpacking import open_bytes
from jaxrec.data.reading._values import MISSING
from jaxrec.errors import DataError
from jaxrec.protocols import Reader
from jaxrec.registry import BUILT_IN, find, make, names, options_of

FORMATS = ("auto", *BUILT_IN["reader"])
_SAMPLE = 1 << 16  # bytes looked at to find the format
_LINES = 100  # lines looked at to find the delimiter and the header


def find_reader(path: Path, options: Mapping[str, Any]) -> Reader:
    """Find the reader of a file: the first with all stated options that recognizes it.

    Readers from outside are asked before those of the library.

    Args:
      path: the file.
      options: those that are stated, by name.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "file")
    ...     _ = path.write_text("1::1193::5::978300760\\n")
    ...     find_reader(path, {})
    MovieLensDat(columns=None, encoding=None, decimal='.', time_format=None, missing='raise')

    Raises:
      UnsureFormatError: two formats fit.
    """
    with open_bytes(path) as file:
        start = file.read(_SAMPLE)
    for name in sorted(names("reader"), key=lambda name: name in BUILT_IN["reader"]):
        if set(options) <= set(options_of(find("reader", name))):
            reader = make("reader", name, options=options)
            if reader.reads(path.name, start):
                return reader
    lines = _first_lines(start, options.get("encoding"))
    if set(options) <= {"encoding"} and table_or_lists(lines) == "either":
        width = len(lines[0].split())
        roles = ("user", "item", "rating", "timestamp")[:width] if width < 5 else ("user", "item")
        raise UnsureFormatError(
            f"{path}: rows of numbers between blanks are a table, or a user and items: pass columns={roles!r}, or "
            "format='lightgcn' if all numbers after the first of a line are items"
        )
    return Delimited(**options)


class UnsureFormatError(DataError):
    """Two formats fit a file."""


@dataclasses.dataclass(frozen=True)
class _Table(Reader):
    """Text with one interaction a line.

    Attributes:
      columns: see `jaxrec.read`.
      encoding: see `jaxrec.read`.
      decimal: see `jaxrec.read`.
      time_format: see `jaxrec.read`.
      missing: see `jaxrec.read`.
      mapped: see `jaxrec.read`.
      share: (p, n) reads the part p, from 0, of n parts of the lines, for several processes; of text that is not
        packed and has no quotes around a delimiter, a line end or a quote.
    """

    layout_notes: ClassVar[int] = 2
    """How many notes are of the layout, and count nothing."""

    columns: Columns | None = None
    encoding: str | None = None
    decimal: str = "."
    time_format: str | None = None
    missing: str = "raise"
    mapped: str | os.PathLike[str] | None = dataclasses.field(default=None, kw_only=True, repr=False)
    share: Share | None = dataclasses.field(default=None, kw_only=True, repr=False)
    layout: ClassVar[Layout]

    def __post_init__(self) -> None:
        wanted_columns(self.columns)
        if self.encoding is not None:
            check_encoding(self.encoding)
        if self.decimal not in (".", ","):
            raise DataError(f"decimal is {self.decimal!r}; pass '.' or ','")
        check_format(self.time_format)
        if self.missing not in MISSING:
            raise DataError(f"missing is {self.missing!r}; pass 'raise', 'drop' or 'keep'")
        check_share(self.share)

    def layout_of(self, path: Path) -> Layout:
        """Give the layout, with the encoding that the first bytes of the file show."""
        return self._with_options(self.layout, _encoding(path, self.encoding) or self.layout.encoding)

    def _with_options(self, layout: Layout, encoding: str) -> Layout:
        return dataclasses.replace(
            layout,
            encoding=encoding,
            decimal=self.decimal,
            time_format=self.time_format,
            missing=self.missing,
        )

    def __call__(self, path: Path) -> Interactions:
        """Read the file."""
        return read_table(path, self.layout_of(path), wanted_columns(self.columns), self.share, self.mapped)


class MovieLensData(_Table):
    """MovieLens 100K (u.data, u1.base): user, item, rating and timestamp, separated by tabs, no header.

    >>> MovieLensData().reads("u.data", b"196\\t242\\t3\\t881250949\\n")
    True
    """

    layout = Layout("\t", header=False, quotes=False)

    def reads(self, name: str, start: bytes) -> bool:
        """Three or four numbers between tabs."""
        lines = _first_lines(start, self.encoding)
        values = lines[0].split("\t") if lines else []
        return 3 <= len(values) <= 4 and all(map(is_number, values)) and common_width(lines[:_LINES], "\t") > 1


class MovieLensDat(_Table):
    """MovieLens 1M and 10M (ratings.dat): user::item::rating::timestamp, ISO-8859-1, no header.

    >>> MovieLensDat().reads("ratings.dat", b"1::1193::5::978300760\\n")
    True
    """

    layout = Layout("::", header=False, encoding="iso-8859-1", quotes=False)

    def reads(self, name: str, start: bytes) -> bool:
        """Values of which one is a number, between double colons."""
        lines = _first_lines(start, self.encoding)
        marked = bool(lines) and "::" in lines[0] and common_width(lines[:_LINES], "::") > 1
        return marked and any(is_number(value.strip()) for value in lines[0].split("::"))


class MovieLensCSV(_Table):
    """MovieLens since 2015 (ratings.csv): a header userId,movieId,rating,timestamp.

    >>> MovieLensCSV().reads("ratings.csv", b"userId,movieId,rating,timestamp\\n1,2,3.5,4\\n")
    True
    """

    layout = Layout(",")

    def reads(self, name: str, start: bytes) -> bool:
        """A header that starts with userId,movieId."""
        lines = _first_lines(start, self.encoding)
        return bool(lines) and split_line(lines[0], self.layout)[:2] == ["userId", "movieId"]


class RecBole(_Table):
    """RecBole's atomic files (`.inter`): separated by tabs after a header of name:type.

    >>> RecBole().reads("x.inter", b"user_id:token\\titem_id:token\\n1\\t2\\n")
    True
    """

    layout = Layout("\t", quotes=False, typed=True)

    def reads(self, name: str, start: bytes) -> bool:
        """A header of names with types."""
        lines = _first_lines(start, self.encoding)
        form = r"[^\t:]+:(token|float)(_seq)?(\t[^\t:]+:(token|float)(_seq)?)*"
        return bool(lines) and re.fullmatch(form, lines[0]) is not None


@dataclasses.dataclass(frozen=True)
class LightGCNText(Reader):
    """LightGCN's text (train.txt): on each line a user and all items of that user, as numbers from 0.

    Attributes:
      encoding: see `jaxrec.read`.
      share: (p, n) reads the part p, from 0, of n parts of the lines, for several processes.

    >>> LightGCNText().reads("train.txt", b"0 5 7\\n1 5\\n")
    True
    """

    layout_notes: ClassVar[int] = 0
    in_one_share: ClassVar[tuple[str, ...]] = ("user",)
    """The sides of which each id is in one share alone, where the shares may be joined."""

    encoding: str | None = None
    share: Share | None = dataclasses.field(default=None, kw_only=True, repr=False)

    def __post_init__(self) -> None:
        if self.encoding is not None:
            check_encoding(self.encoding)
        check_share(self.share)

    def reads(self, name: str, start: bytes) -> bool:
        """Whole numbers between blanks, each first number on one line only, and lines that are no table."""
        return table_or_lists(_first_lines(start, self.encoding)) == "lists"

    def __call__(self, path: Path) -> Interactions:
        """Read the file."""
        return read_lightgcn(path, _encoding(path, self.encoding) or "utf-8", self.share)


@dataclasses.dataclass(frozen=True)
class Delimited(_Table):
    """Delimited text; the first lines show the part of its layout that is not stated.

    Attributes:
      columns: see `jaxrec.read`.
      encoding: see `jaxrec.read`.
      decimal: see `jaxrec.read`.
      time_format: see `jaxrec.read`.
      missing: see `jaxrec.read`.
      delimiter: what separates the columns, one or more characters; " " is any run of white space.
      header: whether the first line that is not empty names the columns.
      quotes: whether double quotes enclose values; see `jaxrec.read`.

    >>> Delimited(delimiter="").header
    Traceback (most recent call last):
        ...
    jaxrec.errors.DataError: delimiter is ''; pass one or more characters other than a line end or a quote
    """

    delimiter: str | None = None
    header: bool | None = None
    quotes: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.header not in (None, True, False):
            raise DataError(f"header is {self.header!r}; pass True or False, or None to find it")
        if self.quotes not in (None, True, False):
            raise DataError(f"quotes is {self.quotes!r}; pass True or False, or None to find it")
        mark = self.delimiter
        if mark is not None and (not isinstance(mark, str) or not mark or set(mark) & set('\n\r"\0')):
            raise DataError(f"delimiter is {mark!r}; pass one or more characters other than a line end or a quote")

    def layout_of(self, path: Path) -> Layout:
        """Find the layout in the first lines of a file, as far as it is not stated.

        Raises:
          DataError: no text, or text whose layout cannot be told.
        """
        encoding = _encoding(path, self.encoding) or "utf-8"
        lines: list[str] = []
        for piece in itertools.islice(text_pieces(path, encoding, _SAMPLE), 2):
            lines += [line.strip() for line in piece.data.decode().split("\n") if line.strip()]
        if not lines:
            raise DataError(f"{path}: the file is empty")
        if len(lines[0]) > MOST_COLUMNS:
            lines = lines[:1]
        decimal = self.decimal if self.decimal != "." else None
        mark = self.delimiter if self.delimiter is not None else find_delimiter(lines[:_LINES], f"{path}", decimal)
        if not mark:
            raise DataError(
                f"{path}:1: one column only, {lines[0][:60]!r}; separate user and item by one of "
                f"{', '.join(map(repr, DELIMITERS))}, or state the delimiter"
            )
        layout = self._with_options(Layout(mark, quotes=self.quotes), encoding)
        header = self._header(lines, layout, path) if self.header is None else self.header
        return dataclasses.replace(layout, header=header)

    def _header(self, lines: list[str], layout: Layout, path: Path) -> bool:
        rows = [split_line(line, layout) for line in lines[:_LINES]]
        header = has_header(rows, wanted_columns(self.columns))
        if header is None:
            first = ", ".join(short(value, 20) for value in rows[0][:4])
            raise DataError(
                f"{path}:1: the first row ({first}) may be a header or data; pass header=True or header=False"
            )
        return header


_BEGINNING = 4096  # bytes, in which a line ends
_NO_TABLES: Mapping[tuple[bytes, ...], str] = {
    (b"PAR1",): "a Parquet file; state format='parquet', without delimiter, header and encoding",
    (b"PK\3\4", b"\xfd7zX", b"BZh", b"\x28\xb5\x2f\xfd"): (
        "an archive (zip, xz, bzip2 or zstd); unpack it and pass the file of interactions in it"
    ),
    (b"version https://git-lfs",): "a pointer of Git LFS in place of the file; fetch it with `git lfs pull`",
    (
        b"<!doctype",
        b"<!DOCTYPE",
        b"<html",
        b"<HTML",
        b"<?xml",
    ): "a page of HTML or XML, no table; download the file of interactions itself",
    (b'{"', b'[{"', b"{\n", b"[\n"): "JSON; make a table of it, as in jaxrec.from_frame(pandas.read_json(path))",
    (b"\x89HDF", b"SQLite format 3", b"\x80\x03", b"\x80\x04", b"\x80\x05"): (
        "HDF5, SQLite or a pickle; load the table with a library of that format and pass it to jaxrec.from_frame"
    ),
}
"""What files of other kinds begin with, and what they are."""


def _encoding(path: Path, stated: str | None) -> str | None:
    """The encoding of a text file as stated, or as its first bytes say; what is no text is refused."""
    with open_bytes(path) as file:
        start = file.read(_BEGINNING)
    for marks, what in _NO_TABLES.items():
        if start.lstrip().startswith(marks):
            raise DataError(f"{path}: {what}")
    if b"\r" in start and b"\n" not in start and b"\0" not in start:
        raise DataError(f"{path}: lines end with CR alone; write the file with LF, or CR and LF, at the ends of lines")
    if stated is None and start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return stated


def _first_lines(start: bytes, encoding: str | None) -> list[str]:
    """The whole lines that are not empty; bytes of another encoding are left to the reader to tell."""
    if encoding is None:
        encoding = "utf-16" if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    lines = start.decode(encoding, "replace").split("\n")
    if len(start) >= _SAMPLE:
        lines.pop()
    return [line.strip() for line in lines if line.strip()]
