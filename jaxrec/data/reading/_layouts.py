"""The layout of a text file as its first lines show it: delimiter and header, refused where two readings fit."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence

from jaxrec.data._notes import may_be_absent
from jaxrec.data._texts import short
from jaxrec.data.reading._columns import familiar
from jaxrec.errors import DataError

DELIMITERS = ("\t", "::", ",", ";", "|", " ")
MOST_COLUMNS = 100_000
_RECBOLE_TYPES = ("token", "token_seq", "float", "float_seq")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9:.]+.*)?|[0-9]{1,4}[./][0-9]{1,2}[./][0-9]{1,4}( [0-9:.]+)?")
_OF_IDS = "-_.@/#+\"'()[]{}"  # which separate parts of an id, or enclose it, more often than columns
_BETWEEN_NUMBERS = "_@/#+"  # those of them that separate columns where all parts are numbers
_WHOLE = re.compile(r"-?[0-9]+")
_TIME_DIGITS = range(9, 14)  # of a Unix time since 1973, in seconds or milliseconds


@dataclasses.dataclass(frozen=True)
class Layout:
    """The layout of a text file.

    Attributes:
      delimiter: between the columns, one or more characters; " " stands for any run of white space.
      header: whether the first line names the columns.
      encoding: the name of the encoding.
      quotes: whether a value may stand in double quotes; RecBole and MovieLens' older files take quotes as they are.
        None looks at them, and refuses what fits both readings.
      typed: whether the names of the columns carry a type, as RecBole's do.
      decimal: what stands before the decimals of a number, "." or ",".
      time_format: see `jaxrec.read`.
      missing: see `jaxrec.read`.

    >>> str(Layout("\\t", header=False))
    'separated by tabs, no header, utf-8'
    """

    delimiter: str = ","
    header: bool = True
    encoding: str = "utf-8"
    quotes: bool | None = None
    typed: bool = False
    decimal: str = "."
    time_format: str | None = None
    missing: str = "raise"

    @property
    def quoting(self) -> bool:
        """Whether double quotes are looked at: only a delimiter of one character other than a space can be quoted."""
        return self.quotes is not False and len(self.delimiter) == 1 and self.delimiter != " "

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
      DataError: a RecBole column without a known type, or more columns than any table has.

    >>> header_names("user_id:token\\trating:float", Layout("\\t", typed=True), "FILE:1")
    ['user_id', 'rating']
    """
    if line.count(layout.delimiter) >= MOST_COLUMNS:
        raise DataError(f"{where}: more than {MOST_COLUMNS:,} columns; state the delimiter, or another format")
    names = split_line(line, layout)
    if not layout.typed:
        return names
    for name in names:
        if name.rpartition(":")[2] not in _RECBOLE_TYPES or ":" not in name:
            raise DataError(f"{where}: column {short(name)!r} has no type; write it as name:type with {_RECBOLE_TYPES}")
    return [name.rpartition(":")[0] for name in names]


def is_number(text: str) -> bool:
    """Whether a text is a number with a decimal point.

    >>> is_number("-3.5"), is_number("3,5")
    (True, False)
    """
    return _NUMBER.fullmatch(text) is not None


def is_value(text: str) -> bool:
    """Whether a text is a number or a date in any usual form, so that it names no column.

    >>> [is_value(text) for text in ("3", "4,5", "2024-05-01", "1.5.2024", "rating")]
    [True, True, True, True, False]
    """
    return is_number(text) or _DECIMAL_COMMA.fullmatch(text) is not None or _DATE.fullmatch(text) is not None


def find_delimiter(lines: Sequence[str], where: str, decimal: str | None = None) -> str:
    """Find the delimiter that gives every line the same number of columns.

    Values hold blanks more often than other delimiters, so a blank gives way unless the columns beside it would be
    rows of numbers; a tab is in no value.

    Args:
      lines: the first lines of the file that are not empty.
      where: the file, for messages.
      decimal: what stands before decimals, where it is stated: that comma then separates no columns.

    Returns:
      The delimiter; the first of the first line where none gives equal lines, or "" where there is none.

    Raises:
      DataError: two delimiters fit.

    >>> find_delimiter(["1;10;4.5", "1;11;3.0"], "FILE")
    ';'
    >>> find_delimiter(["1;10;4,5", "1;11;3,0"], "FILE")
    Traceback (most recent call last):
        ...
    jaxrec.errors.DataError: FILE: ',' gives 2 columns and ';' 3; state delimiter=';' (with decimal=',') or ...
    """
    present = [mark for mark in DELIMITERS if mark in lines[0]]
    fits = {mark: width for mark in present if (width := common_width(lines, mark)) > 1}
    if "," in fits:
        fits |= {mark: common_width(lines, mark) for mark in _unusual(lines[0]) if _may_separate(lines, mark)}
    if decimal == "," and len(fits) > 1:
        fits.pop(",", None)
    for mark in ("\t", "::"):
        if mark in fits:
            return mark
    if len(fits) > 1 and " " in fits and not any(_rows_of_numbers(lines, mark) for mark in fits if mark != " "):
        del fits[" "]
    if not fits:
        return next((mark for mark in present if mark != " "), present[0]) if present else ""
    if len(fits) == 1:
        return next(iter(fits))
    first, other = list(fits)[:2]
    told = f"delimiter={other!r}"
    if first == "," and _commas_are_decimal(lines, other):
        told += " (with decimal=',')"
    raise DataError(
        f"{where}: {first!r} gives {fits[first]} columns and {other!r} {fits[other]}; state {told} or "
        f"delimiter={first!r}"
    )


def _unusual(line: str) -> list[str]:
    """What no file of `DELIMITERS` has between its columns, and a file with a decimal comma may have."""
    some = set(_OF_IDS) - set(_BETWEEN_NUMBERS)
    marks = dict.fromkeys(one for one in line if not one.isalnum() and not one.isspace() and one not in some)
    return [*(mark for mark in marks if mark not in DELIMITERS), ", "]


def _may_separate(lines: Sequence[str], mark: str) -> bool:
    """Whether lines split at `mark` are a user, an item and numbers with a decimal comma, and no ids as urn:user:7."""
    if common_width(lines, mark) < 3 or not _commas_are_decimal(lines, mark):
        return False
    rows = [split_line(line, Layout(mark)) for line in lines]
    if mark in _BETWEEN_NUMBERS and not all(map(is_value, itertools.chain(*rows))):
        return False
    return len(rows) == 1 or len({tuple(row[:2]) for row in rows}) > 1


def common_width(lines: Iterable[str], mark: str) -> int:
    """The number of columns that all lines have in common when they are split at `mark`, else 0.

    >>> common_width(["1,2", "3,4"], ","), common_width(["1,2", "3"], ",")
    (2, 0)
    """
    width, layout = 0, Layout(mark)
    for line in lines:
        found = len(split_line(line, layout))
        if width not in (0, found):
            return 0
        width = found
    return width


def _rows_of_numbers(lines: Sequence[str], mark: str) -> bool:
    """Whether the columns at `mark` hold several values each between blanks, or the mark stands for a decimal point."""
    if mark == "," and _commas_are_decimal(lines, " "):
        return True
    rows = [split_line(line, Layout(mark)) for line in lines]
    return any(
        all(len(row[at].split()) > 1 and all(map(is_value, row[at].split())) for row in rows)
        for at in range(len(rows[0]))
    )


def _commas_are_decimal(lines: Sequence[str], mark: str) -> bool:
    """Whether, split at `mark`, commas stand between the digits of numbers only."""
    values = [value for line in lines for value in split_line(line, Layout(mark)) if "," in value]
    return bool(values) and all(map(_DECIMAL_COMMA.fullmatch, values))


def has_header(rows: Sequence[Sequence[str]], wanted: Mapping[str, str | int | None]) -> bool | None:
    """Tell whether the first row names the columns; None where it may be data as well.

    It does if it holds a stated name, or familiar names of user and item, or a word above a column of numbers or
    dates. It does not if it holds a number or a date. Where columns are stated by their places, a name that is none
    would not be missed, so a text with a digit above the numbers of ids is no name, as 080442957X may be an id, and
    neither is a word for a missing value.

    Args:
      rows: the first rows of the file, the first one included.
      wanted: the stated columns, role to name or place.

    >>> has_header([["who", "when"], ["ann", "30"]], {}), has_header([["ann", "30"], ["bo", "40"]], {})
    (True, False)
    >>> has_header([["ann", "jaws"], ["bo", "heat"]], {}) is None
    True
    >>> by_place = {"user": 0, "item": 1, "rating": 2}
    >>> has_header([["ann", "080442957X"], ["bo", "0439023481"]], by_place) is None
    True
    >>> has_header([["ann", "jaws", "n/a"], ["bo", "heat", "4"]], by_place) is None
    True
    """
    first, rest = rows[0], rows[1:]
    stated = set(wanted.values())
    if not stated.isdisjoint(first) or {"user", "item"} <= familiar(first):
        return True
    if any(map(is_value, first)):
        counts = [str(at) for at in range(len(first))]
        counted = len(first) > 2 and list(first) in (counts, ["", *counts[:-1]])
        return None if counted else False  # pandas names columns 0, 1, 2 where they have no names
    by_place = any(isinstance(place, int) for place in stated)
    numbers = {wanted.get("rating"), wanted.get("timestamp")} - {None}
    for at, text in enumerate(first):
        below = [row[at] for row in rest if at < len(row) and row[at]]
        if by_place and (may_be_absent(text) or (at not in numbers and any(map(str.isdigit, text)))):
            continue
        if below and all(map(is_value, below)):
            return True
    return None


def table_or_lists(lines: Sequence[str]) -> str:
    """Tell whether whole numbers between blanks are a table or LightGCN's lists of one user a line.

    Lines of one length from 3 columns on may be either: user, item and rating, or a user with two items. So may lines
    of which several end with a number of the size of a Unix time, as no list of indices does.

    Returns:
      "lists", "table", "either", or "" where the lines are no whole numbers between blanks.

    >>> table_or_lists(["0 5 7", "1 5"]), table_or_lists(["1 10", "1 11"]), table_or_lists(["1 10 5", "2 11 3"])
    ('lists', 'table', 'either')
    """
    rows = [line.split() for line in lines if "\t" not in line]
    # A minus sign is let through, so that the reader can say which line has a negative index.
    if len(rows) < len(lines) or not all(_WHOLE.fullmatch(value) for row in rows for value in row):
        return ""
    widths = [len(row) for row in rows]
    if max(widths, default=0) < 2:
        return ""
    once = len({row[0] for row in rows}) == len(rows)
    if set(widths) == {2}:
        return "lists" if once else "table"  # the same pairs either way
    usual = max(set(widths), key=widths.count)
    nearly_all = widths.count(usual) >= 0.95 * len(rows) and len(rows) >= 20
    times = sum(len(row) in (3, 4) and len(row[-1]) in _TIME_DIGITS for row in rows)
    if len(set(widths)) == 1 or times > 1 or (nearly_all and usual in (3, 4)) or not once:
        return "either"
    return "lists"
