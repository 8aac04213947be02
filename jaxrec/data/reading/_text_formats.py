"""The text formats: tables with one interaction a line, and the text of LightGCN with one user a line."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from jaxrec.data._ids import IdMap, factorize
from jaxrec.data._interactions import Interactions
from jaxrec.data._texts import is_text, short, text_array
from jaxrec.data.reading._columns import describe, find_columns
from jaxrec.data.reading._growing import Growing, InBlocks, Store, first_of_each, growing_columns
from jaxrec.data.reading._labels import labels
from jaxrec.data.reading._layouts import Layout, header_names
from jaxrec.data.reading._layouts import split_line as split_line  # where 0.1 had it
from jaxrec.data.reading._shares import Share, span_of
from jaxrec.data.reading._text_parsing import SEPARATOR, Piece, parse_integers, split, text_pieces, unquoted
from jaxrec.data.reading._values import Ratings, Times, absent, shown
from jaxrec.errors import DataError

_INT32_MAX = 2**31 - 1
_EPOCH = 1e8  # seconds: March 1973; ratings are smaller
_LONGEST_TITLE = 100_000


def read_table(
    path: Path,
    layout: Layout,
    columns: Mapping[str, str | int | None],
    share: Share | None = None,
    mapped: str | os.PathLike[str] | None = None,
) -> Interactions:
    """Read a file with one interaction a line, or a share of its lines.

    Args:
      path: the file.
      layout: how it is laid out.
      columns: role to column, as `find_columns` takes it; positions only where there is no header.
      share: the part of the lines to read; None for all.
      mapped: see `jaxrec.read`.

    Returns:
      The interactions in the order of the lines; the notes say the layout and the columns.

    Raises:
      DataError: see `jaxrec.read`; a share of a file that cannot be read in parts, of which one may be told of another
        line than it is.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "file")
    ...     _ = path.write_text("user;film\\nann;m1\\n")
    ...     read_table(path, Layout(";"), {"item": "film"}).notes
    ("separated by ';', with a header, utf-8", "columns: user = 'user', item = 'film'")
    """
    span = None if share is None else span_of(path, share, layout.encoding)
    begins = span is None or span[0] == 0
    pieces = text_pieces(path, layout.encoding, span=span if begins else None)
    names, found, pieces, assumed = _start(pieces, layout, columns, path)
    pieces = pieces if begins else text_pieces(path, layout.encoding, span=span)
    with growing_columns(mapped) as store, growing_columns(None) as beside:
        table = _Columns(store, beside, found, layout)
        rows, dropped, padded = _read_lines(path, pieces, layout, names, found, table, whole_lines=span is not None)
        if not rows:
            only = f"{dropped:,} rows without an id" if dropped else "a header" if layout.header else "empty lines"
            raise DataError(f"{path}: no interaction, only {only}")
        user_ids, item_ids, titles, unit, *notes = table.finish(path, names if layout.header else None, found, assumed)
    data = Interactions(
        _array(store, "user"),
        _array(store, "item"),
        IdMap(user_ids, "user"),
        IdMap(item_ids, "item"),
        store.array("rating"),
        store.array("timestamp"),
        titles=titles,
        time_unit=unit,
    )
    counted = [
        f"{role} ids: blanks around them are cut off, in {padded[role]:,} of {rows:,} rows"
        for role, ids in (("user", user_ids), ("item", item_ids))
        if padded[role] and is_text(ids)
    ]
    if dropped:
        counted.append(f"{dropped:,} rows left out, whose user or item is missing")
    layout_notes = [str(layout), f"columns: {describe(names, found, columns)}"]
    return dataclasses.replace(data, notes=(*layout_notes, *notes[0], *counted, *notes[1]))


def _array(store: Store, name: str) -> np.ndarray:
    array = store.array(name)
    assert array is not None
    return array


class _Columns:
    """The columns of a table while its lines come."""

    def __init__(self, store: Store, beside: Store, found: Mapping[str, int], layout: Layout) -> None:
        self.user, self.item = (labels(side, store.column(side, np.int32), integers=True) for side in ("user", "item"))
        self.rating = Ratings(layout.decimal, store.column("rating", np.float32)) if "rating" in found else None
        self.timestamp = self.title = None
        if "timestamp" in found:
            self.timestamp = Times(layout.decimal, layout.time_format, store.column("timestamp", np.int64))
        if "title" in found:
            # Of titles only the first of each item stays, so their codes are never mapped.
            self.title = labels("title", beside.column("title", np.int32), integers=False, longest=_LONGEST_TITLE)

    def finish(
        self, path: Path, names: list[str] | None, found: Mapping[str, int], assumed: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, str | None, list[str], list[str]]:
        """The ids, the titles, the unit of the times, the notes on ids and titles, and those on times and ratings.

        Args:
          path: the file.
          names: of the columns, where a header has them.
          found: role to column.
          assumed: whether the order of the columns is.
        """
        (user_ids, user_notes), (item_ids, item_notes) = (side.finish(str(path)) for side in (self.user, self.item))
        if names is not None:
            _refuse_header_again(path, names, found, (user_ids, self.user.column), (item_ids, self.item.column))
        titles, title_notes = None, []
        if self.title is not None:
            texts, _ = self.title.finish(str(path))
            titles, title_notes = _titles(self.item.column, texts, self.title.column, len(item_ids))
        rating_notes = [] if self.rating is None else self.rating.finish()
        unit, time_notes = (None, []) if self.timestamp is None else self.timestamp.finish()
        if assumed:
            _check_assumed(path, user_ids, self)
        id_notes = [*user_notes, *item_notes, *title_notes]
        return user_ids, item_ids, titles, unit, id_notes, [*time_notes, *rating_notes]


def _read_lines(
    path: Path,
    pieces: Iterator[Piece],
    layout: Layout,
    names: list[str],
    found: Mapping[str, int],
    table: _Columns,
    *,
    whole_lines: bool,
) -> tuple[int, int, dict[str, int]]:
    """Fill the columns; the rows, those that are left out, and on each side the ids with a blank beside them."""
    delimiter = layout.delimiter.encode()
    plain = ((piece, delimiter) for piece in pieces)
    split_pieces = unquoted(pieces, delimiter, len(names), layout.quotes is True) if layout.quoting else plain
    rows, width, dropped = 0, len(names), 0
    padded: dict[str, int] = {"user": 0, "item": 0}
    for piece, mark in split_pieces:
        if whole_lines and mark == SEPARATOR:
            raise DataError(f"{path}: quotes may enclose lines, so the file cannot be read in parts")
        if len(mark) > 1:
            piece, mark = piece._replace(data=piece.data.replace(mark, SEPARATOR)), SEPARATOR
        buffer, starts, ends, lines = split(piece.data, mark)
        if len(starts) != width * len(lines) or not np.array_equal(lines, np.arange(len(lines)) * width):
            counts = np.diff(lines, append=len(starts))
            at = int(np.flatnonzero(counts != width)[0])
            raise piece.error(
                int(starts[lines[at]]),
                f"{counts[at]:,} column{'' if counts[at] == 1 else 's'}, expected {width:,} "
                f"({_listed(names)}); columns are separated by {layout.delimiter!r}",
            )
        if not len(lines):
            continue
        wrong = _without_id(piece, buffer, starts, ends, width, found, layout.missing)
        if wrong is not None and wrong.any():
            kept = np.repeat(~wrong, width)
            starts, ends, dropped = starts[kept], ends[kept], dropped + int(wrong.sum())
            if not len(starts):
                continue
        rows += len(starts) // width
        for role in padded if mark != b" " else ():
            padded[role] += _padded(buffer, starts[found[role] :: width], ends[found[role] :: width], mark)
        for role, at in found.items():
            getattr(table, role).add(piece, buffer, starts[at::width], ends[at::width])
    return rows, dropped, padded


def _padded(buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray, mark: bytes) -> int:
    """The number of values with a blank, or a tab that separates no columns, before or after them."""
    beside = buffer[np.maximum(starts - 1, 0)], buffer[ends]
    before, after = ((each == 32) | ((each == 9) & (mark != b"\t")) for each in beside)
    return int(((before & (starts > 0)) | after).sum())


def _refuse_header_again(
    path: Path, names: list[str], found: Mapping[str, int], *sides: tuple[np.ndarray, Growing]
) -> None:
    """Refuse a row whose user and item are the names of their columns, as in files that were joined."""
    known = []
    for role, (ids, _) in zip(("user", "item"), sides, strict=True):
        known.append(np.flatnonzero(ids == names[found[role]]) if is_text(ids) else np.zeros(0, np.int64))
        if not len(known[-1]):
            return
    first, count, rows = 0, 0, 0
    for parts in zip(*(column.parts() for _, column in sides), strict=True):
        again = np.logical_and(*(part == place[0] for part, place in zip(parts, known, strict=True)))
        if again.any():
            first, count = first if count else rows + int(np.flatnonzero(again)[0]) + 1, count + int(again.sum())
        rows += len(again)
    if count:
        raise DataError(
            f"{path}: row {first:,} of the data is the header again, as where files were "
            f"joined ({count:,} in all); leave these rows out"
        )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 6:,} more" if len(names) > 6 else ""
    return ", ".join(map(short, names[:6])) + more


def _without_id(
    piece: Piece,
    buffer: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    width: int,
    found: Mapping[str, int],
    missing: str,
) -> np.ndarray | None:
    """The rows of a piece to leave out because their user or item is missing; refused where that is to be an error."""
    if missing == "keep":
        return None
    out = np.zeros(len(starts) // width, dtype=bool)
    for role in ("user", "item"):
        here = starts[found[role] :: width], ends[found[role] :: width]
        gone = absent(piece, buffer, *here)
        if gone.any() and missing == "raise":
            at = int(np.flatnonzero(gone)[0])
            start, end = int(here[0][at]), int(here[1][at])
            if start == end:
                raise piece.error(start, f"the {role} is missing; give every line one, or pass missing='drop'")
            raise piece.error(
                start,
                f"the {role} is {shown(piece.data[start:end])}, a word for a missing value; pass missing='drop' to "
                "leave such rows out, or missing='keep' if it is an id",
            )
        out |= gone
    return out


def _check_assumed(path: Path, ids: np.ndarray, table: _Columns) -> None:
    """Refuse the usual order of columns for a file without a header whose numbers tell of another order."""
    rating = [] if table.rating is None else [(part[0], part.min()) for part in table.rating.column.parts()]
    if rating and min(least for _, least in rating) >= _EPOCH:
        raise DataError(
            f"{path}: the third column is a rating in the usual order, and all are times, {rating[0][0]:.0f} and so "
            "on; state the columns, for example columns=('user', 'item', 'timestamp')"
        )
    # Rows that are counted have each number once, so the ids are as many as the rows, and in their order.
    if not (len(ids) == table.user.column.size > 2 and ids.dtype.kind == "i" and ids[0] in (0, 1)):
        return
    counting, rows = bool((np.diff(ids) == 1).all()), 0
    for part in table.user.column.parts():
        counting = counting and np.array_equal(part, np.arange(rows, rows + len(part)))
        rows += len(part)
    if counting and table.timestamp is not None and max(map(_farthest, table.timestamp.column.parts())) < _EPOCH:
        raise DataError(
            f"{path}: the first column only counts the rows, and the fourth holds no times; state the columns, for "
            "example columns=(None, 'user', 'item', 'rating')"
        )


def _farthest(times: np.ndarray) -> int:
    return int(np.abs(times).max())


def _start(
    pieces: Iterator[Piece], layout: Layout, columns: Mapping[str, str | int | None], path: Path
) -> tuple[list[str], dict[str, int], Iterator[Piece], bool]:
    """The names of the columns, those of each role, the pieces without the header, and whether the order is assumed."""
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
        return names, find_columns(names, columns, where), itertools.chain([rest], pieces), False
    names = [f"column {at}" for at in range(len(header_names(line, dataclasses.replace(layout, typed=False), where)))]
    stated = [value for value in columns.values() if isinstance(value, str) and value not in columns]
    if stated:
        raise DataError(f"{where}: column {stated[0]!r} is stated by name, but the file has no header; state positions")
    assumed = not any(isinstance(value, int) for value in columns.values())
    if assumed:
        if not 2 <= len(names) <= 4:
            raise DataError(
                f"{where}: {len(names):,} column{'' if len(names) == 1 else 's'} and no header; without stated columns "
                "there must be 2 to 4 (user, item, rating, timestamp); state the positions, for example "
                "columns={'user': 0, 'item': 1}, or another delimiter or format"
            )
        order = ("user", "item", "rating", "timestamp")[: len(names)]
        columns = {role: at for at, role in enumerate(order) if columns.get(role, role) is not None}
    return names, find_columns(names, columns, where), itertools.chain([piece], pieces), assumed


def first_texts(item: np.ndarray, texts: np.ndarray, text: np.ndarray, num_items: int) -> tuple[np.ndarray, list[str]]:
    """Choose the first text of each item that is not empty, or ""; a note counts items with several.

    Args:
      item: [E], the item of each row.
      texts: the different texts.
      text: [E], the place of each row's text among them.
      num_items: I.

    >>> first_texts(np.array([1, 1, 0]), np.array(["", "b", "c"]), np.array([0, 1, 2]), 2)
    (array(['c', 'b'], dtype='<U1'), [])
    """
    columns = InBlocks(np.int32), InBlocks(np.int32)
    for column, values in zip(columns, (item, text), strict=True):
        column.append(values)
    return _titles(columns[0], texts, columns[1], num_items)


def _titles(item: Growing, texts: np.ndarray, text: Growing, num_items: int) -> tuple[np.ndarray, list[str]]:
    """The same of columns."""
    empty = np.flatnonzero(texts == "")
    chosen, several = first_of_each(item, text, num_items, int(empty[0]) if len(empty) else -1)
    kinds = texts.tolist()
    out = text_array(["" if at < 0 else kinds[at] for at in chosen.tolist()])
    return out, [f"{several:,} items have several titles; the first is kept"] if several else []


def read_lightgcn(path: Path, encoding: str = "utf-8", share: Share | None = None) -> Interactions:
    """Read the text format of LightGCN: on each line a user and the items of that user, as whole numbers from 0.

    A user without items stays among the users. Items are those that occur.

    Args:
      path: the file.
      encoding: of the text.
      share: the part of the lines to read; None for all.

    Raises:
      DataError: see `jaxrec.read`; a share of a file that cannot be read in parts.

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
    for piece in text_pieces(path, encoding, span=None if share is None else span_of(path, share, encoding)):
        buffer, starts, ends, lines = split(piece.data, b" ")
        value, good = parse_integers(buffer, starts, ends)
        wrong = np.flatnonzero(~good | (value < 0) | (value >= _INT32_MAX))
        if wrong.size:
            at = int(wrong[0])
            text = shown(piece.data[starts[at] : ends[at]])
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
