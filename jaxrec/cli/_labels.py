"""Labels of users or items from a file, for `evaluate` and `score`."""

from __future__ import annotations

import csv
import pathlib
from typing import Literal

from jaxrec.errors import DataError, MissingFileError


def read_labels(name: str, what: Literal["user", "item"], flag: str) -> dict[str, str]:
    """The label of each id, from a .csv file with two columns: the id, and its group.

    A first line "user,group" (or "item,group") is the header and may be left out.

    Args:
      name: the path.
      what: what the ids are of.
      flag: the option that names the file, for messages.

    Raises:
      MissingFileError: no such file.
      DataError: a line without two columns, an empty cell, an id with two labels, no label at all, no UTF-8 text.
    """
    path = pathlib.Path(name).expanduser()
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file, as {flag} asks for")
    labels: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file)
            for row in lines:
                cells = [cell.strip() for cell in row]
                if not any(cells) or (lines.line_num == 1 and [cell.lower() for cell in cells] == [what, "group"]):
                    continue
                if len(cells) != 2 or not all(cells):
                    raise DataError(f"{path}:{lines.line_num}: expected `{what},group`, got {','.join(row)!r}")
                if labels.setdefault(cells[0], cells[1]) != cells[1]:
                    raise DataError(
                        f"{path}:{lines.line_num}: {what} {cells[0]!r} is in two groups, {labels[cells[0]]!r} and "
                        f"{cells[1]!r}; keep one line for each {what}"
                    )
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as UTF-8 text with two columns: {error}") from None
    if not labels:
        raise DataError(f"{path}: no label; write one `{what},group` a line")
    return labels
