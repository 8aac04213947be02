"""Features of items, from a mapping, a frame or a file, as a space in which lists have distances."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np

from jaxrec.api._cells import existing, first_bytes, is_number, layout_of, rows_of_cells
from jaxrec.api._list_files import parquet_frame
from jaxrec.api._list_order import counts_rows, mostly_numbers
from jaxrec.api._lists import as_cells, collected, column_labels
from jaxrec.data._ids import IdMap, as_ids
from jaxrec.data._row_columns import as_array
from jaxrec.data._texts import short
from jaxrec.data.reading._columns import find_columns
from jaxrec.errors import DataError, JaxrecError, MismatchError
from jaxrec.ranking._item_vectors import ItemSpace, feature_space

_LARGEST = 1e18
_ITEM_ALONE = {"user": None, "rating": None, "timestamp": None, "title": None}


def space_of(features: Any, items: IdMap) -> ItemSpace:
    """An item space from a space, a frame or file with a column of items, or a mapping from item to vector.

    Args:
      features: one of these. Of a frame or file the columns of numbers are taken, and named in the description.
      items: the catalog; items without features are not known in the space.

    Raises:
      MismatchError: a space of another catalog, vectors of different lengths, or features of none of its items.
      DataError: no column of numbers, a cell that is no finite number, an item that is there twice.
      JaxrecError: another form.

    >>> space_of({5: [1.0, 0.0]}, IdMap(np.array([5, 6]), "item")).known.tolist()
    [True, False]
    """
    if isinstance(features, ItemSpace):
        if features.num_items != len(items):
            raise MismatchError(
                f"item_features has {features.num_items:,} items and the catalog of train and truth {len(items):,}; "
                "pass the parts of the split that the space was made from"
            )
        return features
    features = collected(features)
    description = "item features of the caller"
    if isinstance(features, (str, os.PathLike)):
        ids, vectors, names = read_features(pathlib.Path(features))
        description = f"item features {', '.join(names)}"
    elif hasattr(features, "columns"):
        ids, vectors, names = _of_frame(features, "item_features")
        description = f"item features {', '.join(names)}"
    elif isinstance(features, Mapping):
        if not features:
            raise DataError("item_features is an empty mapping; pass a vector for each item")
        ids = as_ids(list(features), "item").tolist()
        vectors = _of_vectors(features)
    else:
        raise JaxrecError(
            "item_features must be a mapping from item to vector, a frame, a file or an ItemSpace, got "
            f"{type(features).__name__}"
        )
    if (large := np.abs(vectors).max(axis=1, initial=0) > _LARGEST).any():
        row = int(np.argmax(large))
        raise DataError(
            f"item_features: the vector of item {ids[row]!r} has a number beyond {_LARGEST:g}, whose square leaves the "
            "range of float32; scale the vectors"
        )
    place = np.array([items.find(one) for one in ids], np.int32)
    inside = np.flatnonzero(place >= 0)
    _check_ids(ids, inside, items)
    all_vectors, known = np.zeros((len(items), vectors.shape[1]), np.float32), np.zeros(len(items), bool)
    all_vectors[place[inside]], known[place[inside]] = vectors[inside], True
    return feature_space(cast(Any, all_vectors), known=known, description=description)


def read_features(path: pathlib.Path) -> tuple[list[Any], np.ndarray, list[str]]:
    """Read the items of a file and their columns of numbers; ids are taken as they are written.

    Args:
      path: Parquet, or delimited text with a header.

    Returns:
      (n ids, float32 [n, r], the names of the r columns).

    Raises:
      MissingFileError: no such file.
      DataError: it cannot be read, has no column of the item or of numbers, or a cell that is no number where the most
        of its column are.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "features.csv")
    ...     _ = path.write_text("item,year,name\\n007,1962,Dr. No\\n")
    ...     read_features(path)
    (['007'], array([[1962.]], dtype=float32), ['year'])
    """
    path = existing(path, "item_features")
    if first_bytes(path) == b"PAR1":
        return _of_frame(parquet_frame(path), str(path))
    layout = layout_of(path, lambda cells: _item_column(cells, "") is not None)
    if layout.header is None:
        raise DataError(f"{path}: cannot be read as a table: no column for the item in its first line; name it 'item'")
    names = layout.header
    at = _item_column(names, str(path))
    assert at is not None
    rows = []
    for row in rows_of_cells(path, layout):
        if len(row.cells) != len(names):
            raise DataError(
                f"{path}:{row.line}: {len(row.cells)} cells, expected {len(names)} ({', '.join(names[:6])})"
            )
        if not row.cells[at]:
            raise DataError(f"{path}:{row.line}: the item is missing; give every line one")
        rows.append(row)
    taken, columns = [], []
    for place in range(len(names)):
        cells = [row.cells[place] for row in rows]
        if place == at or counts_rows(names[place], cells) or not mostly_numbers(cells):
            continue  # a column of texts, a few of which may look like numbers
        if not all(good := list(map(is_number, cells))):
            row = rows[good.index(False)]
            raise DataError(
                f"{path}:{row.line}: {names[place]} is {row.cells[place][:40]!r}, no number; correct the cell, or "
                "leave the item or the column out"
            )
        taken.append(names[place])
        columns.append(np.array(list(map(float, cells)), np.float32))
    if not taken:
        raise DataError(f"{path}: no column of numbers beside the item; the columns are {', '.join(names[:6])}")
    return [row.cells[at] for row in rows], np.stack(columns, axis=1), taken


def _item_column(names: Sequence[str], where: str) -> int | None:
    try:
        return find_columns(names, _ITEM_ALONE, where, ("item",))["item"]
    except DataError:
        if where:
            raise
        return None


def _of_frame(frame: Any, where: str) -> tuple[list[Any], np.ndarray, list[str]]:
    labels = column_labels(frame)
    names = [str(name) for name in labels]
    at = _item_column(names, where)
    assert at is not None
    ids = as_ids(np.asarray(frame[labels[at]]), "item").tolist()
    columns = {name: np.asarray(frame[labels[place]]) for place, name in enumerate(names) if place != at}
    columns = {name: column for name, column in columns.items() if not counts_rows(name, column.tolist())}
    for name, column in columns.items():
        if column.dtype.kind in "OTU" and mostly_numbers(as_cells(column)):
            first = column.tolist()[0]
            raise DataError(
                f"{where}: {name} holds numbers as {type(first).__name__}, such as {short(repr(first))}; make its "
                "dtype one of numbers, or leave the column out"
            )
    columns = {name: column for name, column in columns.items() if column.dtype.kind in "fiub"}
    if not columns:
        raise DataError(f"{where} has no column of numbers beside the item")
    vectors = np.stack(list(columns.values()), axis=1).astype(np.float32)
    if not (finite := np.isfinite(vectors)).all():
        row, place = (int(one) for one in np.argwhere(~finite)[0])
        raise DataError(
            f"{where}: {list(columns)[place]} of item {ids[row]!r} is {vectors[row, place]}; leave items without "
            "features out"
        )
    return ids, vectors, list(columns)


def _of_vectors(features: Mapping[Any, Any]) -> np.ndarray:
    try:
        each = [as_array(vector, "item_features").astype(np.float32) for vector in features.values()]
    except (TypeError, ValueError) as error:
        raise DataError(f"item_features has a vector that is no list of numbers ({error})") from None
    odd = next((item for item, vector in zip(features, each, strict=True) if vector.ndim != 1), None)
    if odd is not None:
        raise DataError(
            f"item_features has {short(repr(features[odd]))} for item {odd!r}; pass a list of numbers for each item"
        )
    if not all(map(len, each)):
        empty = next(item for item, vector in zip(features, each, strict=True) if not len(vector))
        raise DataError(f"item_features has a vector without numbers for item {empty!r}; leave the item out")
    lengths = {len(vector) for vector in each}
    if len(lengths) > 1:
        raise MismatchError(f"item_features has vectors of different lengths, {sorted(lengths)}")
    vectors = np.array(each)
    if len(bad := np.flatnonzero(~np.isfinite(vectors).all(axis=1))):
        raise DataError(
            f"item_features: the vector of item {list(features)[bad[0]]!r} is not finite; leave the item out"
        )
    return vectors


def _check_ids(ids: Sequence[Any], inside: np.ndarray, items: IdMap) -> None:
    """Refuse an item that has two vectors, and features of none of the items."""
    seen: set[str] = set()
    for one in ids:  # by text, as ids are matched
        if str(one) in seen:
            raise DataError(f"item_features has item {one!r} twice; keep one row for each item")
        seen.add(str(one))
    if not len(inside):
        own = f"its ids are like {ids[0]!r}" if len(ids) else "it has no row"
        raise MismatchError(
            f"item_features has none of the {len(items):,} items of train and truth: {own}, theirs are like "
            f"{items.ids[0].item()!r}"
        )
