"""Reading interactions from files: the format is found from content and name, or stated."""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from jaxrec.data._filters import Keep, deduplicate
from jaxrec.data._interactions import Interactions
from jaxrec.data.reading._columns import Columns
from jaxrec.data.reading._formats import LightGCNText, UnsureFormatError, find_reader
from jaxrec.data.reading._growing import check_mapped, map_columns
from jaxrec.data.reading._item_files import add_items, sibling_item_file
from jaxrec.data.reading._published_parts import join_parts, separate_parts
from jaxrec.data.reading._shared import read_shared
from jaxrec.data.reading._text_parsing import check_encoding
from jaxrec.data.reading._unpacking import open_bytes, reading
from jaxrec.errors import DataError, JaxrecError, MissingFileError
from jaxrec.protocols import ProcessGroup, Reader
from jaxrec.registry import make, name_of, options_of

PathLike = str | os.PathLike[str]


def read(
    path: PathLike,
    *,
    format: str | Reader = "auto",
    columns: Columns | None = None,
    delimiter: str | None = None,
    header: bool | None = None,
    encoding: str | None = None,
    items: PathLike | None = "auto",
    item_columns: Mapping[str, str | int | None] | None = None,
    quotes: bool | None = None,
    decimal: str | None = None,
    time_format: str | None = None,
    missing: Literal["raise", "drop", "keep"] | None = None,
    keep: Keep | None = None,
    mapped: PathLike | None = None,
    group: ProcessGroup | None = None,
) -> Interactions:
    """Read interactions from a file, which may be gzip.

    | format | a line | found by | options |
    |---|---|---|---|
    | movielens-data | user, item, rating, timestamp (u.data, u1.base) | tabs, numbers, no header | of a table |
    | movielens-dat | user::item::rating::timestamp, ISO-8859-1 | `::`, no header | of a table |
    | movielens-csv | userId,movieId,rating,timestamp | a header of these names | of a table |
    | lightgcn | a user and all items of that user, as numbers from 0 | blanks, lines of several lengths | encoding |
    | recbole | separated by tabs (`.inter`) | a header of name:type | of a table |
    | parquet | - (needs pyarrow or polars) | its first four bytes | columns, time_format, missing |
    | delimited | any delimited text | otherwise | of a table, delimiter, header, quotes |

    The options of a table are columns, encoding, decimal, time_format and missing.

    Where two readings fit, the file is refused and the message names the option that decides: rows of numbers between
    blanks may be a table or LightGCN's lists, two delimiters may give equal rows, a first row of texts above texts may
    be a header or data, quotes may enclose lines or be part of the values.

    An id column is integers if all its values are whole numbers as Python writes them (no leading zero), otherwise
    strings, so 007 is not 7; a note says so where it was mixed. White space around values is cut off, and empty lines
    are skipped. Without a header, two to four columns are user, item, rating and timestamp. Times are numbers or ISO
    8601 dates, and keep their finest unit (`Interactions.time_unit`): numbers with decimals are taken for seconds, and
    dates without a time zone count as UTC. The notes of the result say what was found.

    Args:
      path: the file.
      format: one of the above, a reader of your own (see `jaxrec.protocols.Reader`) or the place of one,
        "package.module:Class"; "auto" finds the format.
      columns: role to column: a mapping of "user", "item", "rating", "timestamp" and "title" to a name or a position
        from 0, with None for "leave it out" and common names looked up for roles that are not in it; or a sequence
        with the role of each column, None for a column to skip. `jaxrec.from_frame` takes the same.
      delimiter: what separates the columns, one or more characters; " " is any run of white space.
      header: whether the first line that is not empty names the columns.
      encoding: of the text; by default UTF-8, or the one of the format.
      items: a file with titles and further item columns (movies.csv, movies.dat, u.item, `.item`, or delimited text
        with a header); "auto" takes the one that belongs to `path` by its name (movies.csv beside ratings.csv); None
        is none.
      item_columns: "item" and "title" to the column of that file, by name or position from 0, where they have other
        names, such as {"item": "sku", "title": "label"}.
      quotes: whether double quotes enclose values, as in CSV, or are part of them; by default they enclose, and what
        may be either is refused.
      decimal: what stands before the decimals of ratings and times, "." by default, or ",".
      time_format: the unit of times that are numbers ("s", "ms", "us", "ns"), or the form of dates that are not ISO
        8601, as `datetime.strptime` takes it ("%d.%m.%Y %H:%M").
      missing: what to do with a row whose user or item is empty or a word for a missing value (NaN, NA, NULL, None):
        "raise" refuses the file, and is the default of text; "drop" leaves such rows out, and "keep" takes the words
        for ids, both with a note. Parquet has nulls, so there words are ids by default, with a note.
      keep: which of the interactions of one user and item is kept, see `jaxrec.data.deduplicate`; by default all.
      mapped: a folder, made where it is missing, for the columns as `.npy` files (user, item, rating, timestamp). The
        columns of the result are mapped to them, so they take pages of the file cache in place of memory. Parquet and
        tables of text are read into them with pyarrow, some rows at a time; what other readers give, and what is read
        without pyarrow, is written at the end, and so is what a group reads, each process in its own folder in this
        one, such as `process-0`.
      group: of processes that read the file together, `jaxrec.parallel.Processes()`; all of them make this call. Each
        reads its part of the rows of Parquet or of the lines of a text, and has the whole from the others; needs
        pyarrow. Packed files, text of less than 64 KiB a process or with quotes around a delimiter, a line end or a
        quote are read by each, and so are lists of which one user's are in two parts. A file with something wrong, or
        with a note that counts rows, is read by each as well, so all is told as ever.

    Returns:
      The interactions in the order of the file. MovieLens' titles carry the year: "Toy Story (1995)".

    Raises:
      MissingFileError: no such file.
      DataError: a folder, an empty or binary file, a file that two readings fit, a line with a wrong number of columns,
        a rating that is no finite number, a time that is neither number nor date, an id that is missing, an index of
        LightGCN text that is negative or too large, a column that is missing or occurs twice, bytes that are not of
        the encoding, an unknown format, an option that the format does not have, gzip data that unpack to over 100
        times their size. The message starts with the file, and the line where there is one.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "ratings.csv")
    ...     _ = path.write_text("userId,movieId,rating\\n7,32,4.5\\n7,50,3\\n")
    ...     data = read(path)
    >>> data.items.ids[data.item], data.rating
    (array([32, 50]), array([4.5, 3. ], dtype=float32))
    """
    path = _existing(path, "path")
    beside = _item_file(items, path, item_columns)
    if encoding is not None:
        check_encoding(encoding)
    options = {"columns": columns, "delimiter": delimiter, "header": header, "encoding": encoding, "quotes": quotes}
    options |= {"decimal": decimal, "time_format": time_format, "missing": missing}
    _check_group(group)
    if mapped is not None:
        mapped = check_mapped(mapped)
        # Several processes may share a disk, and none may take the files from under another.
        mapped = mapped if group is None or group.count == 1 else check_mapped(mapped / f"process-{group.process}")
    # Rows that are left out leave columns in memory, so what is mapped is what is kept.
    in_parts = mapped if keep is None and group is None else None
    data, is_mapped = _read_file(path, format, options, in_parts, group)
    data = data if beside is None else add_items(data, beside, encoding, item_columns)
    data = data if keep is None else deduplicate(data, keep)
    return data if mapped is None or is_mapped else map_columns(data, mapped)


def read_split(
    train_path: PathLike,
    test_path: PathLike,
    valid_path: PathLike | None = None,
    *,
    format: str | Reader = "auto",
    columns: Columns | None = None,
    delimiter: str | None = None,
    header: bool | None = None,
    encoding: str | None = None,
    items: PathLike | None = "auto",
    item_columns: Mapping[str, str | int | None] | None = None,
    quotes: bool | None = None,
    decimal: str | None = None,
    time_format: str | None = None,
    missing: Literal["raise", "drop", "keep"] | None = None,
    overlap: Literal["raise", "drop", "keep"] = "raise",
    group: ProcessGroup | None = None,
) -> Interactions:
    """Read a published split, one file a part, into interactions that share one catalog.

    Args:
      train_path: the file of the training part.
      test_path: the file of the test part.
      valid_path: the file of the validation part, or None.
      format: of all files, as in `read`; so are the options after it. Rows of numbers that may be a table or
        LightGCN's lists are lists if another part can be nothing else.
      columns: see `read`.
      delimiter: see `read`.
      header: see `read`.
      encoding: see `read`.
      items: see `read`; "auto" looks beside `train_path`.
      quotes: see `read`.
      decimal: see `read`.
      time_format: see `read`.
      missing: see `read`.
      overlap: what to do when a pair of user and item is in two parts. "raise" refuses; "drop" keeps it in the earlier
        part only (train before valid before test); "keep" leaves both, for uses other than `jaxrec.split`, which
        refuses them. The last two count the pairs in a note.
      group: see `read`; each file is read in shares.

    Returns:
      Interactions whose `part` says `TRAIN`, `VALID` or `TEST`: first those of train, then valid, then test. The id
      maps hold every id of any file.

    Raises:
      MissingFileError: no such file.
      DataError: see `read`; also a pair in two parts, and parts of which only some have ratings or timestamps.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     train, test = pathlib.Path(folder, "train.txt"), pathlib.Path(folder, "test.txt")
    ...     _ = train.write_text("0 0 1\\n1 1\\n"), test.write_text("0 2\\n1\\n")
    ...     data = read_split(train, test)
    >>> data.part, data.num_items
    (array([0, 0, 0, 2], dtype=uint8), 3)
    """
    if overlap not in ("raise", "drop", "keep"):
        raise DataError(f"overlap is {overlap!r}; use 'raise', 'drop' or 'keep'")
    given = {"train": train_path, "valid": valid_path, "test": test_path}
    _check_group(group)
    paths = {name: _existing(path, f"{name}_path") for name, path in given.items() if path is not None}
    beside = _item_file(items, paths["train"], item_columns)
    if encoding is not None:
        check_encoding(encoding)
    options = {"columns": columns, "delimiter": delimiter, "header": header, "encoding": encoding, "quotes": quotes}
    options |= {"decimal": decimal, "time_format": time_format, "missing": missing}
    format = _format_of_all(paths, format, options)
    parts = {name: _read_file(path, format, options, group=group)[0] for name, path in paths.items()}
    data = separate_parts(join_parts(parts), overlap, paths)
    return data if beside is None else add_items(data, beside, encoding, item_columns)


def _check_group(group: Any) -> None:
    if group is not None and not callable(getattr(group, "gather", None)):
        raise DataError(f"group is {group!r:.60}; pass jaxrec.parallel.Processes(), or None for one process")


_NEAR = 0.75  # of the letters of two names in common


def _existing(path: Any, name: str) -> Path:
    """The path of a file that is there and is a file."""
    try:
        found = Path(path).expanduser()
        if "\0" in str(found):
            raise ValueError("it holds a NUL character")
        if found.is_file():
            return found
        if found.is_dir():
            raise DataError(f"{found}: a folder; {name} must be one file in it ({_some(found) or 'it is empty'})")
        if found.exists():
            raise DataError(f"{found}: not a regular file; {name} must be a file on disk")
        near = _nearest(found)
    except JaxrecError:
        raise
    except (TypeError, ValueError, RuntimeError, OSError) as error:
        shown = repr(path) if len(repr(path)) < 100 else f"of type {type(path).__name__}"
        frame = "; from_frame reads frames" if hasattr(path, "columns") else ""
        raise DataError(f"{name} is {shown}, which is no path ({error}); pass the path of a file{frame}") from None
    hint = f"did you mean {near}?" if near else "check the path"
    raise MissingFileError(f"{found}: no such file; {hint}")


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []


def _nearest(path: Path) -> str | None:
    """The name beside a path that is nearest to its own, of those that are near without their endings too."""
    stem = path.name.partition(".")[0].lower()
    alike = [
        name
        for name in _names(path.parent)
        if difflib.SequenceMatcher(None, stem, name.partition(".")[0].lower()).ratio() >= _NEAR
    ]
    near = difflib.get_close_matches(path.name, alike, n=1)
    return near[0] if near else None


def _some(folder: Path) -> str:
    names = _names(folder)
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")


def _item_file(items: Any, path: Path, columns: Any) -> Path | None:
    """The item file, the one beside the interactions by default; None for none."""
    if columns is not None and not isinstance(columns, Mapping):
        raise DataError(f"item_columns must map roles to columns, such as {{'item': 'sku'}}, got {columns!r}")
    chosen = isinstance(items, str) and items == "auto"
    found = None if items is None else sibling_item_file(path) if chosen else _existing(items, "items")
    if found is None and columns is not None:
        raise DataError("item_columns is given, and there is no item file; pass items=FILE, or leave item_columns out")
    return found


def _read_file(
    path: Path,
    format: str | Reader,
    options: Mapping[str, Any],
    mapped: PathLike | None = None,
    group: ProcessGroup | None = None,
) -> tuple[Interactions, bool]:
    """Read one file, of a stated or found format; and whether the reader mapped its columns."""
    stated = {name: value for name, value in options.items() if value is not None}
    found = isinstance(format, str) and format == "auto"
    with reading(path):
        with open_bytes(path) as file:
            if not file.read(1):
                raise DataError(f"{path}: the file is empty")
        reader = find_reader(path, stated) if found else _stated_reader(format, stated)
        maps = mapped is not None and "mapped" in options_of(type(reader))
        if maps:
            reader = dataclasses.replace(reader, mapped=mapped)  # pyright: ignore[reportArgumentType]
        data = reader(path) if group is None else read_shared(reader, path, group)
    if not isinstance(data, Interactions):
        raise DataError(f"{path}: the reader {reader!r} gave {type(data).__name__}; let it return Interactions")
    name = name_of("reader", reader)
    note = f"{len(data):,} interactions read from {path.name}, format {name} ({'found' if found else 'stated'})"
    return dataclasses.replace(data, notes=(note, *data.notes)), maps


def _format_of_all(paths: Mapping[str, Path], format: str | Reader, options: Mapping[str, Any]) -> str | Reader:
    """LightGCN's lists, where a part can be nothing else and another may be a table too; else the format as given."""
    if not isinstance(format, str) or format != "auto":
        return format
    stated = {name: value for name, value in options.items() if value is not None}
    sure, unsure = False, False
    for path in paths.values():
        try:
            with reading(path):
                sure |= isinstance(find_reader(path, stated), LightGCNText)
        except UnsureFormatError:
            unsure = True
    return "lightgcn" if sure and unsure else format


def _stated_reader(format: Any, options: Mapping[str, Any]) -> Reader:
    if not isinstance(format, str) and not callable(format):
        raise DataError(f"format is {format!r}; pass the name of a format, or a reader")
    try:
        return make("reader", format, outside=True, options=options)
    except DataError:
        raise
    except JaxrecError as error:
        raise DataError(f"format is {format!r}: {error}") from None
