"""The formats, and which of them a file is in: found from its first lines."""

from __future__ import annotations

import codecs
import dataclasses
import itertools
import re
from collections.abc import Mapping
from pathlib import Path

from jaxrec.data.reading._text_formats import Layout, split_line
from jaxrec.data.reading._text_parsing import text_pieces
from jaxrec.errors import DataError

FORMATS = ("auto", "movielens-data", "movielens-dat", "movielens-csv", "lightgcn", "recbole", "delimited", "parquet")
_LAYOUTS = (  # the formats whose layout is fixed
    Layout("movielens-data", "\t", header=False),
    Layout("movielens-dat", "::", header=False, encoding="iso-8859-1"),
    Layout("movielens-csv", ",", header=True),
    Layout("recbole", "\t", header=True),
)
_DELIMITERS = ("\t", "::", ",", ";", "|", " ")
_SAMPLE = 1 << 16  # bytes looked at to find the format


def find_layout(
    path: Path,
    start: bytes,
    format: str,
    wanted: Mapping[str, str | int | None],
    delimiter: str | None,
    header: bool | None,
    encoding: str | None,
) -> tuple[Layout, str]:
    """Find the layout of a text file from its first lines, as far as it is not stated.

    Args:
      path: the file.
      start: its first four bytes, unpacked.
      format: one of `FORMATS` other than "parquet".
      wanted: the stated columns, role to name or position.
      delimiter: as stated, or None.
      header: as stated, or None.
      encoding: as stated, or None.

    Returns:
      The layout, and words that describe it.

    Raises:
      DataError: no text, or text whose layout cannot be told.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "file")
    ...     _ = path.write_text("1::1193::5::978300760\\n")
    ...     find_layout(path, b"1::1", "auto", {}, None, None, None)[0].format
    'movielens-dat'
    """
    if start == b"PAR1":
        raise DataError(f"{path}: a Parquet file; state format='parquet' or leave format out")
    if start in (b"PK\3\4", b"\xfd7zX") or start.startswith(b"BZh"):
        raise DataError(f"{path}: an archive (zip, xz or bzip2); unpack it and pass the file of interactions in it")
    if encoding is None and start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    fixed = {layout.format: layout for layout in _LAYOUTS}
    if format == "lightgcn":
        layout = Layout(format, " ", header=False)
    elif format in fixed:
        layout = fixed[format]
    else:
        try:
            lines = _sample(path, encoding or "utf-8")
        except DataError:
            # The marks of this format are ASCII, so they are found in its own encoding too.
            lines = _sample(path, "iso-8859-1") if encoding is None else []
            if not all("::" in line for line in lines) or not lines:
                raise
        layout = _guess(path, lines, format, wanted, delimiter, header)
    if format != "auto":
        layout = dataclasses.replace(
            layout,
            delimiter=layout.delimiter if delimiter is None else delimiter,
            header=layout.header if header is None else bool(header),
        )
    layout = dataclasses.replace(layout, encoding=encoding or layout.encoding)
    mark = {"\t": "tabs", " ": "white space"}.get(layout.delimiter, repr(layout.delimiter))
    head = "with a header" if layout.header else "no header"
    return layout, f"{layout.format} (separated by {mark}, {head}, {layout.encoding})"


def _sample(path: Path, encoding: str) -> list[str]:
    """Up to a hundred lines from the start of a file, without empty ones."""
    lines: list[str] = []
    for piece in itertools.islice(text_pieces(path, encoding, _SAMPLE), 2):
        lines += [line.strip() for line in piece.data.decode().split("\n") if line.strip()]
    if not lines:
        raise DataError(f"{path}: the file is empty")
    return lines[:100]


def _guess(
    path: Path,
    lines: list[str],
    format: str,
    wanted: Mapping[str, str | int | None],
    delimiter: str | None,
    header: bool | None,
) -> Layout:
    """The layout of delimited text from its first lines."""
    first = lines[0]
    free = format == "auto" and delimiter is None and header is None
    if free and re.fullmatch(r"[^\t:]+:(token|float)(_seq)?(\t[^\t:]+:(token|float)(_seq)?)*", first):
        return Layout("recbole", "\t")
    if free and not wanted and _is_lightgcn(lines):
        return Layout("lightgcn", " ", header=False)
    mark = delimiter if delimiter is not None else _delimiter(lines, path)
    values = split_line(first, Layout("delimited", mark))
    if header is None:
        stated = [value for value in wanted.values() if value is not None]
        names_only = any(isinstance(value, str) and value in values for value in stated)
        header = names_only or not any(map(_is_number, values))
    if free and not header and mark == "\t" and 3 <= len(values) <= 4 and all(map(_is_number, values)) and not wanted:
        return Layout("movielens-data", "\t", header=False)
    if free and not header and mark == "::":
        return Layout("movielens-dat", "::", header=False, encoding="iso-8859-1")
    if free and header and mark == "," and values[:2] == ["userId", "movieId"]:
        return Layout("movielens-csv", ",")
    if free and not header and mark == " " and not wanted:
        raise DataError(
            f"{path}: numbers separated by white space, with a user on several lines: state format='lightgcn' if the "
            "numbers after the first of a line are items, else the columns (columns=('user', 'item', 'rating'))"
        )
    return Layout("delimited", mark, header=header)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text) is not None


def _is_lightgcn(lines: list[str]) -> bool:
    """Whether every line is whole numbers between white space, and no two lines start with the same one."""
    rows = [line.split() for line in lines if "\t" not in line]
    users = {row[0] for row in rows}
    # A minus sign is let through, so that the reader can say which line has a negative index.
    whole = all(re.fullmatch(r"-?[0-9]+", value) for row in rows for value in row)
    return len(rows) == len(lines) == len(users) and whole and any(len(row) > 1 for row in rows)


def _delimiter(lines: list[str], path: Path) -> str:
    """The delimiter that gives every line the same number of columns, or the first one of the first line."""
    present = [mark for mark in _DELIMITERS if mark in lines[0]]
    for mark in present:
        layout = Layout("delimited", mark)
        widths = {len(split_line(line, layout)) for line in lines}
        if len(widths) == 1 and widths != {1}:
            return mark
    if not present:
        raise DataError(
            f"{path}:1: one column only, {lines[0][:60]!r}; separate user and item by one of "
            f"{', '.join(map(repr, _DELIMITERS))}, or state the delimiter"
        )
    return present[0]
