"""Labels of users or items from a file, for `evaluate` and `score`."""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Iterator
from typing import Literal

from jaxrec.data._interactions import Interactions
from jaxrec.data.reading._columns import find_columns
from jaxrec.errors import DataError, JaxrecError, MissingFileError


def read_labels(name: str, what: Literal["user", "item"], flag: str) -> dict[str, str]:
    """Read the label of each id from a .csv file with two columns: the id, and its group.

    A first line such as "user,group" or "movieId,group" is the header and may be left out. Ids are texts: 007 is not 7.

    Args:
      name: the path.
      what: the kind of the ids.
      flag: the option that names the file, for messages.

    Raises:
      MissingFileError: no such file.
      DataError: a line without two columns, an empty cell, an id with two labels, no label at all, no UTF-8 text.
    """
    labels: dict[str, str] = {}
    for place, one, label in _rows(name, what, "group", flag):
        if labels.setdefault(one, label) != label:
            raise DataError(
                f"{place}: {what} {one!r} is in two groups, {labels[one]!r} and {label!r}; keep one line for each "
                f"{what}"
            )
    return labels


def read_categories(word: str, data: Interactions) -> str | dict[str, list[str]]:
    """The categories of items: from a .csv file, or the name of a column of the items.

    The file has lines "item,category". An item of several has several lines, or one with "a|b".

    Args:
      word: the path, or the name.
      data: the interactions, with the columns of their items.

    Raises:
      JaxrecError: neither a file nor a column.
      DataError: see `read_labels`.
    """
    if word in data.item_columns:
        return word
    if not pathlib.Path(word).expanduser().is_file():
        columns = f"the columns are {', '.join(data.item_columns)}" if data.item_columns else "there are no columns"
        raise JaxrecError(f"--item-categories {word!r} is neither a file nor a column of the items; {columns}")
    labels: dict[str, list[str]] = {}
    for _, item, label in _rows(word, "item", "category", "--item-categories"):
        labels.setdefault(item, []).extend(label.split("|"))
    return labels


def _is_header(cells: list[str], what: str, head: str) -> bool:
    """Whether the cells are the names of the two columns: one that ids have, and that of the labels."""
    if len(cells) != 2 or cells[1].lower() not in (head, f"{head}s", "label"):
        return False
    nothing = dict.fromkeys(("user", "item", "rating", "timestamp", "title"))
    try:
        return find_columns(cells, {**nothing, what: what}, "", (what,))[what] == 0
    except DataError:
        return False


def _rows(name: str, what: str, head: str, flag: str) -> Iterator[tuple[str, str, str]]:
    """Where each line is, and its two cells."""
    path = pathlib.Path(name).expanduser()
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file, as {flag} asks for")
    empty = True
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file)
            for row in lines:
                cells = [cell.strip() for cell in row]
                if not any(cells) or (lines.line_num == 1 and _is_header(cells, what, head)):
                    continue
                if len(cells) != 2 or not all(cells):
                    raise DataError(f"{path}:{lines.line_num}: expected `{what},{head}`, got {','.join(row)[:60]!r}")
                empty = False
                yield f"{path}:{lines.line_num}", cells[0], cells[1]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 text with two columns: {error}") from None
    if empty:
        raise DataError(f"{path}: no label; write one `{what},{head}` a line")
