"""Interactions from and to data frames: pandas, polars, Arrow tables and mappings of arrays."""

from __future__ import annotations

import decimal
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxrec._moved import old_name
from jaxrec.data._ids import IdMap, as_ids, factorize
from jaxrec.data._interactions import Interactions, check_interactions, check_rating
from jaxrec.data._notes import absent_ids, is_absent, low_ratings, mixed_units
from jaxrec.data._texts import short, some, text_array
from jaxrec.data._times import UNIT_NAMES, finest, of_decimals
from jaxrec.data.reading._columns import ROLES, Columns, describe, find_columns, wanted_columns
from jaxrec.data.reading._dates import in_finest_unit, parse_texts
from jaxrec.errors import DataError

PART_NAMES = ("train", "valid", "test")


def from_frame(
    frame: Any, *, columns: Columns | None = None, item_columns: Sequence[str] = (), **roles: Any
) -> Interactions:
    """Make interactions from a data frame with one interaction a row.

    Ids are all integers or all strings. Times are numbers, dates or texts of ISO 8601 dates (those without a time zone
    count as UTC), and keep their finest unit: `time_unit` of the result. Numbers with decimals are taken for seconds.

    Args:
      frame: a pandas or polars frame, an Arrow table, or a mapping of column name to array, with E rows.
      columns: role to column: a mapping of "user", "item", "rating", "timestamp" and "title" to a name or a position
        from 0, with None for "leave it out" and common names ("userId", "movie_id", "stars", ...) looked up for roles
        that are not in it; or a sequence with the role of each column, None for a column to skip. `jaxrec.read` takes
        the same.
      item_columns: further columns that describe the item (year, genres).
      **roles: the way of 0.1 to name columns, `user="customer"`; deprecated.

    Returns:
      The interactions in the order of the rows. Titles and item columns have the first value of each item.

    Raises:
      DataError: a column is missing or occurs twice, a user, item, rating or timestamp is missing (with its row), ids
        of mixed types, ratings that are no numbers, times that are no numbers or dates, no row at all.

    >>> data = from_frame({"userId": [7, 7], "film": [1, 2], "stars": [5.0, 3.5]}, columns={"item": "film"})
    >>> data.rating, data.notes
    (array([5. , 3.5], dtype=float32), ("columns: user = 'userId', item = 'film', rating = 'stars'",))
    """
    labels = _labels(frame)
    names = [str(label) for label in labels]
    wanted = wanted_columns(columns if not roles else _old_roles(columns, roles))
    if isinstance(item_columns, str):
        raise DataError(f"item_columns is the single text {item_columns!r}; pass a sequence of names")
    try:
        found = find_columns(names, wanted, "frame")
    except DataError as error:
        indexed = [str(name) for name in getattr(getattr(frame, "index", None), "names", ()) if name is not None]
        if not indexed:
            raise
        raise DataError(f"{error}; its index is {some(indexed, 3)}: pass frame.reset_index()") from None
    place = {name: at for at, name in reversed(list(enumerate(names)))}
    absent = [name for name in item_columns if name not in place]
    if absent:
        raise DataError(f"frame: no item column {absent[0]!r}; the columns are {some(names, 12)}")
    column = {role: _column(frame, labels[at], role, gaps=role == "title") for role, at in found.items()}
    user_ids, user_index = factorize(as_ids(column["user"][0], "user"))
    item_ids, item_index = factorize(as_ids(column["item"][0], "item"))
    if not len(user_index):
        raise DataError("frame: no row; pass a frame with at least one interaction")
    notes = [f"columns: {describe(names, {**found, **{name: place[name] for name in item_columns}}, wanted)}"]
    notes += [note for ids, role in ((user_ids, "user"), (item_ids, "item")) for note in absent_ids(ids, role)]
    ratings = check_rating(column["rating"][0], len(user_index)) if "rating" in column else None
    notes += low_ratings(ratings)
    times, unit = (
        _times(column["timestamp"][0], names[found["timestamp"]], notes) if "timestamp" in column else (None, None)
    )
    notes += [] if times is None or unit is not None else mixed_units([times])
    per_item = {}
    for name in ("title", *item_columns):
        if name in column or name in item_columns:
            values, missing = column[name] if name in column else _column(frame, labels[place[name]], name, gaps=True)
            per_item[name] = _first_of_item(item_index, values, missing, len(item_ids), name, notes)
    titles = per_item.pop("title", None)
    return Interactions(
        user_index,
        item_index,
        IdMap(user_ids, "user"),
        IdMap(item_ids, "item"),
        ratings,
        times,
        titles=titles,
        item_columns=per_item,
        notes=tuple(notes),
        time_unit=unit,
    )


def to_frame(data: Interactions) -> Any:
    """Make a pandas frame with one interaction a row, in the caller's ids.

    Args:
      data: the interactions.

    Returns:
      A `pandas.DataFrame` with the columns user and item and, where the data have them, rating, timestamp, part
      ("train", "valid" or "test"), title and the item columns. Users and items without an interaction have no row.

    Raises:
      DataError: pandas is not installed, or an item column has the name of another column.

    >>> data = from_frame({"user": ["ann", "bo"], "item": [3, 4], "rating": [5, 1]})
    >>> list(to_frame(data).columns)
    ['user', 'item', 'rating']
    """
    check_interactions(data)
    try:
        import pandas
    except ImportError:
        raise DataError("to_frame needs pandas; install it (pip install pandas)") from None
    columns: dict[str, Any] = {
        "user": _plain(data.users.ids)[data.user],
        "item": _plain(data.items.ids)[data.item],
        "rating": data.rating,
        "timestamp": data.timestamp,
        "part": None if data.part is None else np.array(PART_NAMES, dtype=object)[data.part],
        "title": None if data.titles is None else _plain(data.titles)[data.item],
    }
    for name, values in data.item_columns.items():
        if name in columns:
            raise DataError(f"item column {name!r} has the name of another column of the frame; rename it")
        columns[name] = _plain(values)[data.item]
    return pandas.DataFrame({name: values for name, values in columns.items() if values is not None})


def _old_roles(columns: Columns | None, roles: Mapping[str, Any]) -> dict[str, Any]:
    unknown = next((name for name in roles if name not in ROLES), None)
    if unknown is not None:
        raise DataError(f"from_frame has no argument {unknown!r}; it takes columns and item_columns")
    if columns is not None:
        raise DataError(f"{next(iter(roles))} and columns are both given; name all columns in columns")
    warnings.warn(
        f"naming columns one by one goes in 0.3; use from_frame(frame, columns={dict(roles)!r})",
        DeprecationWarning,
        stacklevel=3,
    )
    return dict(roles)


def _plain(values: np.ndarray) -> np.ndarray:
    """Strings as Python strings, which all rows of an item then share."""
    return np.array(values.tolist(), dtype=object) if values.dtype.kind in "UO" else values


def _labels(frame: Any) -> list[Any]:
    """The names of the columns, as the frame has them."""
    if hasattr(frame, "collect") and hasattr(frame, "lazy"):
        raise DataError("frame is lazy; pass frame.collect()")
    if hasattr(frame, "column_names") and hasattr(frame, "schema"):
        return list(frame.column_names)
    if hasattr(frame, "columns") and hasattr(frame, "__getitem__"):
        return list(frame.columns)
    if isinstance(frame, Mapping):
        return list(frame)
    raise DataError(f"frame is of type {type(frame).__name__}; pass a pandas or polars frame, or a mapping of arrays")


def _mask_of(series: Any) -> np.ndarray | None:
    """The mask of a masked array of NumPy; None for all else."""
    return np.ma.getmaskarray(series) if isinstance(series, np.ma.MaskedArray) else None


def _column(frame: Any, label: Any, role: str, *, gaps: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """The values of one column, and a mask of those that are missing (None where no value can be).

    Where there may be no gaps, a missing value is refused with its row.
    """
    series = frame[label]
    missing = _mask_of(series)
    for name in ("isna", "is_null"):  # pandas; polars and Arrow
        if hasattr(series, name):
            missing = np.asarray(getattr(series, name)(), dtype=bool)
            break
    if not gaps:
        _refuse_missing(missing, label, role)
    try:
        if hasattr(series, "dt") and getattr(getattr(series, "dtype", None), "tz", None) is not None:
            series = series.dt.tz_convert(None)  # pandas would give an array of objects
        if gaps and hasattr(series, "cat") and hasattr(series, "astype"):
            series = series.astype(object)  # pandas has no array for a category of numbers with a gap
        values = series.to_numpy() if hasattr(series, "to_numpy") else series
        if not isinstance(values, np.ndarray):
            # A list of numbers and texts would become an array of texts, in which 1 and "1" are the same.
            mixed = isinstance(values, (list, tuple)) and len({isinstance(value, str) for value in values}) > 1
            values = np.asarray(values, dtype=object if mixed else None)
    except Exception as error:  # frames of other libraries raise their own classes
        raise DataError(f"frame: column {label!r} ({role}) cannot be turned into an array: {error}") from None
    if values.ndim != 1:
        raise DataError(f"frame: column {label!r} ({role}) has shape {values.shape}; it must be one-dimensional")
    empty = None
    if values.dtype.kind == "f":
        empty = np.isnan(values)
    elif values.dtype.kind == "M":
        empty = np.isnat(values)
    elif values.dtype.kind == "O" and missing is None:
        empty = np.array([value is None or (isinstance(value, float) and value != value) for value in values.tolist()])
    if empty is not None:
        missing = empty if missing is None else missing | empty
    if not gaps:
        _refuse_missing(missing, label, role)
    return values, missing


def column_values(frame: Any, label: Any, role: str) -> np.ndarray:
    """The values of a column, each of which must be there.

    >>> column_values({"when": [3, 4]}, "when", "timestamp").tolist()
    [3, 4]
    """
    return _column(frame, label, role, gaps=False)[0]


def absent_values(frame: Any, label: Any, role: str) -> np.ndarray:
    """Mark the rows where a column has no value, an empty text or a word for a missing value; bool [E].

    >>> absent_values({"user": ["ann", "NULL", "", None]}, "user", "user").tolist()
    [False, True, True, True]
    """
    values, missing = _column(frame, label, role, gaps=True)
    out = np.zeros(len(values), bool) if missing is None else missing.copy()
    if values.dtype.kind in "OUT":
        texts = ((at, text.strip()) for at, text in enumerate(values.tolist()) if isinstance(text, str))
        out[[at for at, text in texts if not text or is_absent(text.encode("utf-8", "replace"))]] = True
    return out


def _refuse_missing(missing: np.ndarray | None, label: Any, role: str) -> None:
    if missing is not None and missing.any():
        rows = np.flatnonzero(missing)
        raise DataError(
            f"frame: column {label!r} has no {role} in row {rows[0]} (counted from 0), and in {len(rows):,} of "
            f"{len(missing):,} rows in all; drop these rows or fill them in"
        )


def _times(values: np.ndarray, name: str, notes: list[str]) -> tuple[np.ndarray, str | None]:
    """Times as int64 and their unit, None where it is not known."""
    if values.dtype.kind == "M":
        times, unit = finest(values)
        notes.append(f"dates in {name!r} became Unix {UNIT_NAMES[unit]}")
        return times, unit
    if values.dtype.kind == "f":
        return _of_floats(finite_times(values, name), name, notes)
    if values.dtype.kind in "iu":
        return (values.astype(np.int64) if values.dtype.kind == "i" else values), None
    if values.dtype.kind in "OUT" and all(isinstance(value, str) for value in values.tolist()):
        seconds, nanoseconds, good = parse_texts(values.tolist())
        if good.all():
            times, unit = in_finest_unit(seconds, nanoseconds)
            notes.append(f"dates in {name!r} became Unix {UNIT_NAMES[unit]}")
            return times, unit
        values = values[~good]
    raise no_times(values, name)


def no_times(values: np.ndarray, name: str) -> DataError:
    """Make the error of a column whose values are no times.

    >>> str(no_times(np.array(["noon"]), "when"))[:69]
    "frame: column 'when' (timestamp) has dtype <U4 (the first is 'noon');"
    """
    first = short(repr(values.tolist()[0]))
    return DataError(
        f"frame: column {name!r} (timestamp) has dtype {values.dtype} (the first is {first}); "
        "convert it to dates or to Unix seconds, for example with pandas.to_datetime, or pass "
        "columns={'timestamp': None}"
    )


def finite_times(values: np.ndarray, name: str, first: int = 0) -> np.ndarray:
    """Give numbers as float64 [n], each of which must be finite and of 64 bits; `first` is the row of the first.

    >>> finite_times(np.array([1.5], np.float32), "when")
    array([1.5])
    """
    number = values.astype(np.float64)
    wrong = np.flatnonzero(~(np.isfinite(number) & (np.abs(number) < 2.0**63)))
    if wrong.size:
        at = int(wrong[0])
        raise DataError(
            f"frame: column {name!r} (timestamp) has {values[at]} in row {first + at}; give it a finite time"
        )
    return number


def _of_floats(number: np.ndarray, name: str, notes: list[str]) -> tuple[np.ndarray, str | None]:
    times, unit, cut = of_decimals(*decimals_of_floats(number))
    if unit is not None:
        notes.append(f"times with decimals in {name!r}, taken for seconds, became whole numbers of {unit}")
    if cut:
        notes.append(f"{cut:,} times had more decimals than {unit} holds, which are cut off")
    return times, unit


def decimals_of_floats(number: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The digits of numbers as Python would write them, which is what was meant, and how many are decimals.

    >>> decimals_of_floats(np.array([0.5, 3.0]))
    (array([5, 3]), array([1, 0]))
    """
    whole = np.floor(number) == number
    digits, decimals = np.where(whole, number, 0).astype(np.int64), np.zeros(len(number), dtype=np.int64)
    for at in np.flatnonzero(~whole).tolist():
        exact = decimal.Decimal(repr(float(number[at])))
        shift = -int(exact.as_tuple().exponent)
        digits[at], decimals[at] = (
            int(exact.scaleb(min(shift, 12)).to_integral_value(decimal.ROUND_FLOOR)),
            min(shift, 12),
        )
    return digits, decimals


def _first_of_item(
    item: np.ndarray, values: np.ndarray, missing: np.ndarray | None, num_items: int, name: str, notes: list[str]
) -> np.ndarray:
    """The first value of each item that is not missing; "" or NaN where an item has none."""
    if values.dtype.kind in "OT":
        plain = [value if isinstance(value, (str, int, float)) else str(value) for value in values.tolist()]
        values = np.empty(len(plain), dtype=object)
        values[:] = plain
    present = np.arange(len(item)) if missing is None else np.flatnonzero(~missing)
    found, first = np.unique(item[present], return_index=True)
    rows = np.zeros(num_items, dtype=np.int64)
    rows[found] = present[first]
    several = np.unique(item[present][values[present] != values[rows[item[present]]]])
    if len(several):
        notes.append(f"{len(several):,} items have several values of {name}; the first is kept")
    out = values[rows]
    lacking = np.ones(num_items, dtype=bool)
    lacking[found] = False
    if out.dtype.kind == "O" or name == "title":
        each = list(zip(out.tolist(), lacking.tolist(), strict=True))
        numbers = name != "title" and all(no or not isinstance(value, str) for value, no in each)
        blank = np.nan if numbers else ""
        chosen = [blank if no else value for value, no in each]
        return np.array(chosen, dtype=np.float64) if numbers else text_array(list(map(str, chosen)))
    if lacking.any():
        if out.dtype.kind in "biu":
            out = out.astype(np.float64)
        out[lacking] = {"f": np.nan, "M": "NaT", "U": ""}.get(out.dtype.kind)
    return out


def __getattr__(name: str) -> Any:
    return old_name(__name__, name, ("jaxrec.data.reading",))
