"""Item files beside a file of ratings: titles, genres and further columns of MovieLens and RecBole."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from jaxrec._checks import digits
from jaxrec.data._interactions import Interactions
from jaxrec.data._notes import is_absent
from jaxrec.data._texts import as_texts, short, some, text_array
from jaxrec.data.reading._columns import find_columns
from jaxrec.data.reading._labels import look_alike
from jaxrec.data.reading._layouts import Layout, header_names
from jaxrec.data.reading._unpacking import open_bytes, reading
from jaxrec.errors import DataError

_NO_GENRES = "(no genres listed)"  # how MovieLens writes an empty list
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")  # no leading zeros: those are codes, not numbers
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def sibling_item_file(path: Path) -> Path | None:
    """Find the item file that belongs to a file of ratings by its name; None without one.

    movies.csv belongs to ratings.csv, movies.dat to ratings.dat, u.item to u.data, u1.base, ua.test and so on, and
    NAME.item to NAME.inter. Each may have .gz behind it.

    >>> sibling_item_file(Path("no-such-folder/ratings.csv")) is None
    True
    """
    name = path.name.removesuffix(".gz")
    if name in ("ratings.csv", "ratings.dat"):
        stem = "movies" + name[len("ratings") :]
    elif re.fullmatch(r"u\.data|u[1-5ab]\.(base|test)", name):
        stem = "u.item"
    elif name.endswith(".inter"):
        stem = re.sub(r"(\.(train|valid|test))?\.inter$", ".item", name)
    else:
        return None
    return next((found for end in ("", ".gz") if (found := path.with_name(stem + end)).is_file()), None)


def add_items(
    data: Interactions,
    path: Path,
    encoding: str | None = None,
    item_columns: Mapping[str, str | int | None] | None = None,
) -> Interactions:
    """Give interactions the titles and further columns of an item file.

    Items are matched by the text of their ids. Items of the file without an interaction are left out and counted.

    Args:
      data: the interactions.
      path: u.item, a `.dat` file with `::`, a RecBole `.item` file, or delimited text; may be gzip. The header of
        delimited text names an item and a title column; without a header, recognized by an id of the data or a whole
        number in the place of the item, the columns are those of `item_columns`, or item, title and others.
      encoding: of the text; by default UTF-8, and ISO-8859-1 where u.item or a `.dat` file is not UTF-8.
      item_columns: "item" and "title" to a column of delimited text, by name or position from 0.

    Returns:
      The same interactions with `titles`, `item_columns` and a note.

    Raises:
      DataError: the file cannot be understood, with file and line.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "movies.dat")
    ...     _ = path.write_text("7::Heat (1995)::Action|Crime\\n")
    ...     data = add_items(Interactions.from_arrays(["ann"], [7]), path)
    >>> data.titles.tolist(), data.item_columns["genres"].tolist()
    (['Heat (1995)'], ['Action|Crime'])
    """
    try:
        names, rows, notes = _read(path, encoding, set(map(str, data.items.ids.tolist())), item_columns)
    except DataError as error:
        raise DataError(f"{error}; or pass items=None to read the interactions without this file") from None
    place: dict[str, int] = {}
    for at, row in enumerate(rows):
        place.setdefault(row[0], at)
    if len(place) < len(rows):
        notes.append(f"{len(rows) - len(place):,} lines repeat an item of an earlier line; the first is kept")
    at = [place.get(str(item), -1) for item in data.items.ids.tolist()]
    hits = sum(row >= 0 for row in at)
    columns = {
        name: _typed([rows[row][column] if row >= 0 else "" for row in at])
        for column, name in enumerate(names)
        if column
    }
    titles = columns.pop("title", None)
    words = [] if titles is None else [word for word in map(str, titles.tolist()) if is_absent(word.encode())]
    if words:
        notes.append(f"titles: {len(words):,} are words for a missing value, kept as titles ({some(words, 3)})")
    what = ", ".join(short(name, 30) for name in names[1:9]) or "nothing"
    what += f" and {len(names) - 9:,} more columns" if len(names) > 9 else ""
    note = f"items: {what} from {path.name} for {hits:,} of {data.num_items:,} items"
    if hits < len(place):
        note += f"; {len(place) - hits:,} more without an interaction are left out"
        twice = None if hits else look_alike([*place, *map(str, data.items.ids.tolist())])
        note += f"; {twice[0]!r} is not {twice[1]!r}: write ids in one way" if twice else ""
    return dataclasses.replace(
        data,
        titles=data.titles if titles is None else as_texts(titles),
        item_columns={**data.item_columns, **columns},
        notes=(*data.notes, note, *notes),
    )


def _typed(values: Sequence[str]) -> np.ndarray:
    """Texts as integers where all are, as floats where all are numbers or empty, else as they are."""
    if all(map(_INTEGER.fullmatch, values)):
        return np.array(values).astype(np.int64)
    if any(values) and all(not value or _NUMBER.fullmatch(value) for value in values):
        return np.array([float(value or "nan") for value in values])
    return text_array(values)


def _refuse_stray(row: list[str], delimiter: str, known: set[str], where: str) -> None:
    """Refuse a value over several lines of which one begins with the id of an item, as a row does."""
    for value in row:
        for line in value.split("\n")[1:]:
            item, mark, _ = line.partition(delimiter)
            if mark and item.strip().strip('"') in known:
                raise DataError(
                    f"{where}: quotes that enclose several lines, {short(value)!r}, of which one begins with the item "
                    f"{short(item)!r}; correct the quotes"
                )


def _read(
    path: Path, encoding: str | None, known: set[str], columns: Mapping[str, str | int | None] | None
) -> tuple[list[str], list[list[str]], list[str]]:
    """The names of the columns (the item first, "title" for the title), the rows, and notes."""
    name = path.name.removesuffix(".gz")
    old = name == "u.item" or name.endswith(".dat")
    if old and columns:
        raise DataError(
            f"{path}: the columns of this file are known; leave item_columns out, which is for delimited text"
        )
    text, notes = _decode(path, encoding, fall_back=old)
    if name == "u.item":
        genres = _genre_names(path)
        if genres is None:
            notes.append("no u.genre beside u.item, so genres are left out")
        return ["item", "title", "release_date", *(["genres"] if genres else [])], _flags(text, path, genres), notes
    if name.endswith(".dat"):
        return ["item", "title", "genres"], _positional(text, path), notes
    return *_delimited(text, path, name, known, notes, columns or {}), notes


def _decode(path: Path, encoding: str | None, fall_back: bool) -> tuple[str, list[str]]:
    with reading(path), open_bytes(path) as file:
        data = file.read()
    try:
        return data.decode(encoding or "utf-8").removeprefix("\ufeff"), []
    except UnicodeError as error:
        if encoding is None and fall_back:
            return data.decode("iso-8859-1"), [f"{path.name} is not UTF-8 and was read as ISO-8859-1"]
        line = 1 + data.count(b"\n", 0, getattr(error, "start", 0))
        message = f"not {encoding or 'UTF-8'} ({error}); state the encoding, for example encoding='latin-1'"
        raise DataError(f"{path}:{line}: {message}") from None


def _lines(text: str) -> list[tuple[int, str]]:
    lines = enumerate(text.split("\n"), start=1)
    return [(number, line.rstrip("\r")) for number, line in lines if line.strip()]


def _genre_names(path: Path) -> list[str] | None:
    """The genres of u.genre beside u.item, in the order of their flags."""
    for end in ("", ".gz"):
        beside = path.with_name("u.genre" + end)
        if beside.is_file():
            rows = [line.rpartition("|") for _, line in _lines(_decode(beside, None, fall_back=True)[0])]
            if all(digits(number.strip()) is not None for _, _, number in rows):
                return [name for name, _, _ in sorted(rows, key=lambda row: int(row[2]))]
            raise DataError(f"{beside}: a line is not NAME|NUMBER")
    return None


def _flags(text: str, path: Path, genres: list[str] | None) -> list[list[str]]:
    """The rows of u.item: id, title, release date, video date, address, and one flag for each genre."""
    rows = []
    for number, line in _lines(text):
        values = line.split("|")
        flags = values[5:]
        expected = 5 + (19 if genres is None else len(genres))
        if len(values) != expected or not set(flags) <= {"0", "1"}:
            raise DataError(
                f"{path}:{number}: {len(values)} columns, expected {expected}, the last {expected - 5} of them genre "
                f"flags of 0 or 1"
            )
        row = [values[0].strip(), values[1].strip(), values[2].strip()]
        if genres:
            row.append("|".join(genre for genre, flag in zip(genres, flags, strict=True) if flag == "1"))
        rows.append(row)
    return rows


def _positional(text: str, path: Path) -> list[list[str]]:
    """The rows of movies.dat: id::title::genres."""
    rows = []
    for number, line in _lines(text):
        values = [value.strip() for value in line.split("::")]
        if len(values) != 3:
            raise DataError(f"{path}:{number}: {len(values)} columns, expected 3 (item::title::genres)")
        rows.append([values[0], values[1], "" if values[2] == _NO_GENRES else values[2]])
    return rows


def _delimited(
    text: str,
    path: Path,
    name: str,
    known: set[str],
    notes: list[str],
    columns: Mapping[str, str | int | None],
) -> tuple[list[str], list[list[str]]]:
    """Names and rows of delimited text."""
    number, first = next(iter(_lines(text)), (0, ""))
    if not first:
        raise DataError(f"{path}: the file is empty")
    recbole = name.endswith(".item")
    delimiter = "\t" if recbole else next((mark for mark in (",", "\t", ";", "|") if mark in first), ",")
    layout = Layout(delimiter, quotes=not recbole, typed=recbole)
    header = header_names(first, layout, f"{path}:{number}")
    other = [role for role in columns if role not in ("item", "title")]
    if other:
        raise DataError(
            f"{path}: item_columns names {other[0]!r}; its roles are item and title, and others stay as they are"
        )
    wanted = {"user": None, "rating": None, "timestamp": None, **columns}
    of_item = columns.get("item")
    place = of_item if isinstance(of_item, int) and 0 <= of_item < len(header) else 0
    headless = not recbole and (header[place] in known or _INTEGER.fullmatch(header[place]) is not None)
    if headless:
        header = _by_place(len(header), place, columns.get("title", 1 if place == 0 else None))
        wanted |= {
            role: role for role in header if not isinstance(columns.get(role), str) and role in ("item", "title")
        }
        notes.append(f"{path.name} has no header: its columns are taken for {', '.join(header)}")
    found = _found(header, wanted, f"{path}:{number}")
    order = [found["item"], *([found["title"]] if "title" in found else [])]
    order += [at for at in range(len(header)) if at not in order]
    names = ["item", *(["title"] if "title" in found else []), *(header[at] for at in order[len(found) :])]
    quoting = csv.QUOTE_NONE if recbole else csv.QUOTE_MINIMAL
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True)
    rows: list[list[str]] = []
    line = 1
    try:
        for row in reader:
            if row and any(row):
                if len(row) != len(header):
                    raise DataError(f"{path}:{line}: {len(row)} columns, expected {len(header)}")
                if found["item"] == 0 and reader.line_num > line:
                    _refuse_stray(row, delimiter, known, f"{path}:{line}")
                rows.append(["" if row[at] == _NO_GENRES else row[at].strip() for at in order])
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}:{line}: not valid CSV from here on: {error}; correct the quotes") from None
    return names, rows if headless else rows[1:]


def _by_place(count: int, item: int, title: str | int | None) -> list[str]:
    """Names for the columns of a file without a header, where the item and perhaps the title are known by place."""
    names = [f"column {at}" for at in range(count)]
    names[item] = "item"
    if isinstance(title, int) and 0 <= title < count and title != item:
        names[title] = "title"
    return names


def _found(header: list[str], wanted: Mapping[str, str | int | None], where: str) -> dict[str, int]:
    """The columns of the item and the title, told in the words of `item_columns`."""
    try:
        return find_columns(header, wanted, where, required=("item",))
    except DataError as error:
        if len(set(header)) < len(header):
            raise  # another choice of columns would not help
        example = {"item": header[0], **({"title": header[1]} if len(header) > 1 else {})}
        raise DataError(f"{error}; say the columns of this file, for example item_columns={example!r}") from None
