"""Files of ranked lists: Parquet, and delimited text with one item or one user a line."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxrec.api._cells import (
    Block,
    Layout,
    Row,
    blocks_of_cells,
    existing,
    first_bytes,
    is_number,
    layout_of,
    rows_of_cells,
)
from jaxrec.api._list_json import rows_of_json
from jaxrec.api._list_order import counts_rows, find_order, mostly_like_numbers
from jaxrec.api._lists import Form, Rows, rows_of_frame
from jaxrec.data._notes import is_absent
from jaxrec.data.reading._columns import find_columns
from jaxrec.data.reading._text_parsing import parse_integers, parse_numbers
from jaxrec.errors import DataError

_LOOKED_AT = 200  # cells of a column in each block of rows
_MOST_COLUMNS = 4  # of one item a line without a header: user, item, score and one more
_NO_MORE = {"rating": None, "timestamp": None, "title": None}


def rows_of_file(path: Path, order: str | None, form: Form) -> Rows:
    """Rows of a file of lists; see `jaxrec.evaluate_rankings` for what it may hold.

    Raises:
      MissingFileError: no such file.
      DataError: it cannot be read, or in two ways.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "lists.csv")
    ...     _ = path.write_text("user,item,prediction\\nann,007,0.5\\n")
    ...     rows_of_file(path, None, None).item_ids.tolist()
    ['007']
    """
    path = existing(path, "recommendations")
    if path.suffix == ".json":
        _unused(path, "JSON", order, form)
        return rows_of_json(path)
    if first_bytes(path) == b"PAR1":
        _unused(path, "Parquet", None, form)
        return rows_of_frame(parquet_frame(path), order, str(path))
    layout = layout_of(path, lambda cells: _is_header(cells, form))
    if layout.header is not None and (form == "wide" or "item" not in _roles(layout.header)):
        return _with_items_beside(path, layout, form, order)
    if layout.header is not None:
        names, found = layout.header, _roles(layout.header)
        return _long(path, layout, names, (found["user"], found["item"]), order)
    facts = _facts(path, layout)
    if _is_wide(path, facts, form):
        if order is not None:
            raise DataError(
                f"{path}: order is {order!r}, and a line with all items of a user is in order; leave it out"
            )
        return _wide(path, layout)
    return _headerless(path, layout, facts, order)


def parquet_frame(path: Path) -> Any:
    """A Parquet file as a frame of pyarrow or polars.

    Raises:
      DataError: neither is installed, or a damaged file.
    """
    try:
        import pyarrow.parquet as library

        read: Callable[[Path], Any] = library.read_table
    except ImportError:
        try:
            import polars
        except ImportError:
            raise DataError(f"{path}: Parquet needs pyarrow or polars; install one (pip install pyarrow)") from None
        read = polars.read_parquet
    try:
        return read(path)
    except Exception as error:  # of the library's own classes
        told = (str(error).splitlines() or [type(error).__name__])[0][:100]
        raise DataError(f"{path}: not a Parquet file that can be read ({told})") from None


def _unused(path: Path, what: str, order: str | None, form: Form) -> None:
    for name, given in (("order", order), ("form", form)):
        if given is not None:
            raise DataError(f"{path}: {name} is {given!r}, which {what} has no use for; leave it out")


def _roles(names: Sequence[str]) -> dict[str, int]:
    """The places of the user and the item among the names of columns, as far as they are there."""
    found: dict[str, int] = {}
    for role, other in (("user", "item"), ("item", "user")):
        try:
            found |= find_columns(names, {**_NO_MORE, other: None}, "", (role,))
        except DataError:
            continue
    return found


def _is_header(cells: Sequence[str], form: Form) -> bool:
    found = _roles(cells)
    return len(found) == 2 or (form != "long" and found.get("user") == 0 and len(cells) > 1)


class _Facts(NamedTuple):
    """What decides between the two forms of a file without a header."""

    width: int  # of the longest line
    again: Row | None  # the first line of a user who has an earlier one
    uneven: Row | None  # the first line of another width than the first
    whole: bool  # whether all cells behind the second are whole numbers
    numbers: bool  # whether they are numbers of any kind
    places: bool  # whether the third cells of every user are 1..n or 0..n-1, as ranks are


def _facts(path: Path, layout: Layout) -> _Facts:
    width = first = 0
    again = uneven = None
    whole = numbers = True
    third: dict[str, _Counted] = {}
    for row in rows_of_cells(path, layout):
        user, more = row.cells[0], row.cells[2:]
        first = first or len(row.cells)
        width = max(width, len(row.cells))
        uneven = row if uneven is None and len(row.cells) != first else uneven
        again = row if again is None and user in third else again
        whole = whole and all(map(_is_whole, more))
        numbers = numbers and (whole or all(map(is_number, more)))
        counted = third.setdefault(user, _Counted())
        if whole and more:
            counted.add(int(more[0]))
    places = whole and again is not None and all(counted.is_permutation() for counted in third.values())
    return _Facts(width, again, uneven, whole, numbers, places)


def _is_whole(cell: str) -> bool:
    return cell.removeprefix("-").isdecimal() and len(cell) < 20


class _Counted:
    """Whole numbers that may be 0..n-1 or 1..n in some order: their count, ends, sum and sum of squares say so."""

    __slots__ = ("high", "low", "size", "squares", "total")

    def __init__(self) -> None:
        self.size = self.total = self.squares = self.low = self.high = 0

    def add(self, value: int) -> None:
        self.low, self.high = (min(self.low, value), max(self.high, value)) if self.size else (value, value)
        self.size, self.total, self.squares = self.size + 1, self.total + value, self.squares + value * value

    def is_permutation(self) -> bool:
        last = self.low + self.size - 1
        sums = [power(last) - power(self.low - 1) for power in (_sum_to, _squares_to)]
        return self.low in (0, 1) and self.high == last and [self.total, self.squares] == sums


def _sum_to(last: int) -> int:
    return last * (last + 1) // 2


def _squares_to(last: int) -> int:
    return last * (last + 1) * (2 * last + 1) // 6


def _is_wide(path: Path, facts: _Facts, form: Form) -> bool:
    """Whether a line has all items of a user; refused where it may be either way."""
    if form is not None:
        return form == "wide"
    width = facts.width
    if facts.again is not None:
        if facts.uneven is not None:
            raise DataError(
                f"{path}:{facts.uneven.line}: another number of cells than in the first line, and user "
                f"{facts.again.cells[0][:40]!r} has a second line ({facts.again.line}); write user, item, score a line"
            )
        return False
    if width == 2 or (width == 3 and facts.numbers and not facts.whole and facts.uneven is None):
        return False
    if facts.uneven is not None or width > _MOST_COLUMNS:
        return True
    raise DataError(
        f"{path}: every user has one line of {width} cells, which may be a user and {width - 1} items, or a user, an "
        "item and a score; pass form='wide' or form='long'"
    )


def _with_items_beside(path: Path, layout: Layout, form: Form, order: str | None) -> Rows:
    """Rows of a file whose header names a user, and beside it one column for each place of the list."""
    assert layout.header is not None
    found = _roles(layout.header)
    if form != "wide":
        names = ", ".join(map(repr, layout.header[:6]))
        raise DataError(
            f"{path}: no column for the item among {names}; pass form='wide' if a line has all items of a user"
        )
    if order is not None or found.get("user") != 0:
        what = f"order is {order!r}" if order is not None else f"the first column is {layout.header[0]!r}"
        raise DataError(f"{path}: {what}, and with form='wide' a line is a user and the items in order")
    return _wide(path, layout)


def _wide(path: Path, layout: Layout) -> Rows:
    users, items, sizes = _Ids("user"), _Ids("item"), []
    known: set[str] = set()
    for row in rows_of_cells(path, layout):
        user, listed = row.cells[0], row.cells[1:]
        while listed and not listed[-1]:  # a short list of a table of equal widths
            listed.pop()
        if not user or not all(listed):
            raise DataError(f"{path}:{row.line}: an empty cell in the list of user {user[:40]!r}; leave no gap")
        if user in known:
            raise DataError(f"{path}:{row.line}: user {user[:40]!r} has an earlier line; give each user one list")
        known.add(user)
        sizes.append(len(listed))
        users.add_texts([user])
        items.add_texts(listed)
    if not sum(sizes):
        raise DataError(f"{path}: no item, only users; pass at least one list that is not empty")
    users.check(path)
    items.check(path)
    codes = np.repeat(users.codes(), sizes)
    return Rows(users.ids(), codes, items.ids(), items.codes(), None, None, "as given, a line a user")


def _headerless(path: Path, layout: Layout, facts: _Facts, order: str | None) -> Rows:
    width = facts.width
    names = ["user", "item", *(f"column {at}" for at in range(3, width + 1))]
    if width < 2 or width > _MOST_COLUMNS or (width == _MOST_COLUMNS and order is None):
        raise DataError(
            f"{path}: {width} columns and no header; write a first line with their names, such as user,item,score"
        )
    if width == 3 and order is None:
        if facts.places:
            raise DataError(
                f"{path}: the third column counts the rows of each user, as ranks do; pass order='column 3:ascending' "
                "if 1 is the best, or order='column 3' if the highest is"
            )
        order = names[2]
    return _long(path, layout, names, (0, 1), order)


def _long(path: Path, layout: Layout, names: list[str], at: tuple[int, int], asked: str | None) -> Rows:
    chosen = find_order(names, at, lambda place: _numeric(names[place], place, layout.sample), asked, str(path))
    users, items = _Ids("user"), _Ids("item")
    numbers = {place: [] for place in (chosen.column, chosen.score) if place is not None}
    # What looked like no numbers in the first lines, and may hold some further down.
    unread: dict[int, list[str]] = {}
    if chosen.column is None and asked is None:
        unread = {place: [] for place in range(len(names)) if place not in at}
    width, header = len(names), layout.header is not None
    for block in blocks_of_cells(path, layout):
        short = np.flatnonzero(np.diff(block.lines, append=len(block.starts)) != width)
        if len(short):
            first = int(short[0])
            cells = int(np.diff(block.lines, append=len(block.starts))[first])
            raise block.error(block.lines[first], f"{cells} cells, expected {width} ({', '.join(names[:6])})")
        block, header = (block.rest(width), False) if header else (block, False)
        for ids, place in zip((users, items), at, strict=True):
            ids.add(block, place, width)
        for place, parts in numbers.items():
            parts.append(_numbers(block, place, width, names[place]))
        for place, cells in unread.items():
            cells += block.some(place, width, _LOOKED_AT)
    if unread:
        counting = [place for place in unread if counts_rows(names[place], _sampled(layout.sample, place))]
        find_order(names, [*at, *counting], lambda place: mostly_like_numbers(unread[place]), asked, str(path))
    if not users.parts or not sum(map(len, users.parts)):
        raise DataError(f"{path}: no row, only a header; pass at least one list that is not empty")
    users.check(path)
    items.check(path)
    values = {place: np.concatenate(parts) for place, parts in numbers.items()}
    order = None if chosen.column is None else values[chosen.column]
    if order is not None and not chosen.ascending:
        order = -order
    score = None if chosen.score is None else values[chosen.score]
    return Rows(users.ids(), users.codes(), items.ids(), items.codes(), order, score, chosen.told)


class _Ids:
    """Ids as texts, numbered as they come, and the numbers of all rows."""

    def __init__(self, role: str) -> None:
        self.role, self.parts = role, []
        self._places: defaultdict[str, int] = defaultdict(count().__next__)

    def check(self, path: Path) -> None:
        """Refuse words for a missing value."""
        if (word := next((one for one in self._places if is_absent(one.encode())), None)) is not None:
            raise DataError(f"{path}: {self.role} {word!r} is a word for a missing value; give every line an id")

    def add(self, block: Block, place: int, width: int) -> None:
        """Take a column of a block of rows."""
        starts, ends = block.starts[place::width], block.ends[place::width]
        if (starts == ends).any():
            row = int(np.flatnonzero(starts == ends)[0])
            raise block.error(row * width, f"the {self.role} is missing; give every line one")
        values, whole = parse_integers(block.buffer, starts, ends)
        if whole.all():  # written as Python writes them, so a number stands for its text
            found, index = np.unique(values, return_inverse=True)
            self.parts.append(self._numbered(map(str, found.tolist()), len(found))[index])
        else:
            self.parts.append(self._numbered(block.texts(place, width), len(starts)))

    def add_texts(self, texts: Sequence[str]) -> None:
        """Take some ids that are there as texts."""
        self.parts.append(self._numbered(texts, len(texts)))

    def ids(self) -> np.ndarray:
        return np.array(list(self._places), object)

    def codes(self) -> np.ndarray:
        return np.concatenate(self.parts)

    def _numbered(self, texts: Iterable[str], size: int) -> np.ndarray:
        return np.fromiter(map(self._places.__getitem__, texts), np.int32, size)


def _numbers(block: Block, place: int, width: int, name: str) -> np.ndarray:
    """A column of finite numbers, float64 [n]."""
    values = parse_numbers(block.piece, block.buffer, block.starts[place::width], block.ends[place::width])
    if len(bad := np.flatnonzero(~np.isfinite(values))):
        row = int(bad[0])
        text = next(itertools.islice(block.texts(place, width), row, None))
        what = "is missing" if not text else f"is {text[:40]!r}, no finite number"
        raise block.error(row * width, f"{name} {what}; every row needs one")
    return values


def _numeric(name: str, place: int, sample: Sequence[Row]) -> bool:
    cells = _sampled(sample, place)
    return mostly_like_numbers(cells) and not counts_rows(name, cells)


def _sampled(sample: Sequence[Row], place: int) -> list[str]:
    return [row.cells[place] for row in sample if place < len(row.cells)]
