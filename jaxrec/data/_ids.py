"""Maps between the caller's own ids and contiguous int32 indices."""

from __future__ import annotations

import dataclasses
import difflib
import functools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from jaxrec.data._row_columns import as_array
from jaxrec.data._texts import text_array
from jaxrec.errors import DataError, UnknownIdError


def as_ids(values: Any, name: str, first: int = 0) -> np.ndarray:
    """Turn a sequence of ids into an int64 or a unicode array.

    Args:
      values: one-dimensional sequence of integers or of strings; integral floats count as integers.
      name: what the ids are of ("user", "item"), used in messages.
      first: the position of the first of them, where they are a part of a column.

    Returns:
      Array [n] of dtype int64 or `<U`.

    Raises:
      DataError: ids that are missing (NaN, None), fractional, boolean, of other types, or of mixed types.

    >>> as_ids([3, 1], "user")
    array([3, 1])
    >>> as_ids(["a", "b"], "item").dtype.kind
    'U'
    """
    array = _array(values, name)
    if array.ndim != 1:
        raise DataError(f"{name} ids must be one-dimensional, got shape {array.shape}; pass one id per interaction")
    if array.dtype.kind in "iu":
        if array.dtype.kind == "u" and array.size and int(array.max()) > np.iinfo(np.int64).max:
            raise DataError(f"{name} ids must fit in 64 signed bits, got {int(array.max())}; pass them as strings")
        return array.astype(np.int64)
    if array.dtype.kind in "UO":  # objects are texts: `_array` looked at each
        return array
    if array.dtype.kind == "S":
        try:
            return np.char.decode(array, "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{name} ids of bytes are not UTF-8 ({error}); decode them to strings") from None
    if array.dtype.kind == "f":
        digits = np.finfo(array.dtype).nmant + 1  # below 2 to this power every whole number has a value of its own
        bad = ~np.isfinite(array) | (array != np.floor(array)) | (np.abs(array) >= 2.0**digits)
        if bad.any():
            at = int(np.flatnonzero(bad)[0])
            why = "is not a whole number"
            if np.isfinite(array[at]) and array[at] == np.floor(array[at]):
                why = f"is 2^{digits} or more, where {array.dtype} has one value for several ids"
            raise DataError(
                f"{name} id {float(array[at])} at position {first + at} {why}; pass integers or strings without gaps"
            )
        return array.astype(np.int64)
    raise DataError(f"{name} ids have dtype {array.dtype}; pass integers or strings")


def _array(values: Any, name: str) -> np.ndarray:
    """The ids as an array of one plain dtype, after a look at the type of every id where there may be several."""
    if isinstance(values, (str, bytes, Mapping)):
        kind = "mapping" if isinstance(values, Mapping) else "single text"
        raise DataError(f"{name} is the {kind} {_short(values)}; pass a sequence with one id per interaction")
    if hasattr(values, "__array__"):
        values = as_array(values, f"{name} id")
        if values.dtype.kind not in "OT" or values.ndim != 1:
            return values
    try:
        values = list(values)
    except TypeError:
        raise DataError(f"{name} is {values!r}; pass a sequence with one id per interaction") from None
    kinds = {}
    for kind in sorted(set(map(type, values)), key=str):
        sample = next(value for value in values if type(value) is kind)
        kinds[_kind(sample, name)] = sample
    if len(kinds) > 1:
        raise DataError(
            f"{name} ids are of mixed types (for example {', '.join(repr(_plain(v)) for v in kinds.values())}); "
            "make them all integers or all strings"
        )
    if not values:
        return np.zeros(0, dtype=np.int64)
    if "string" in kinds:
        # NumPy cuts NUL characters at the end of a string, which would make different ids equal.
        cut = next((value for value in values if value.endswith("\0")), None)
        if cut is not None:
            raise DataError(f"{name} id {cut!r} ends in a NUL character; remove it")
        return text_array(values)
    array = np.asarray(values)
    if array.dtype.kind == "O" or (array.dtype.kind == "f" and all(isinstance(v, (int, np.integer)) for v in values)):
        large = max(values, key=abs)
        raise DataError(f"{name} ids must fit in 64 signed bits, got {large}; pass them as strings")
    return array


def _kind(value: Any, name: str) -> str:
    if isinstance(value, (bool, np.bool_)) or value is None:
        raise DataError(f"{name} id {value!r} is neither an integer nor a string; every interaction needs an id")
    if isinstance(value, (int, np.integer, float, np.floating)):
        return "number"
    if isinstance(value, (str, np.str_)):
        return "string"
    raise DataError(f"{name} id {value!r} is of type {type(value).__name__}; pass integers or strings")


def id_list(values: Any, name: str) -> list[Any]:
    """Turn one id, a list, an array, a column or a table of one column into a plain list.

    Args:
      values: one id, or an iterable of ids; columns of pandas, polars and Arrow, and tables of one column, are taken.
      name: of the argument, used in messages.

    Raises:
      DataError: no ids, such as None, a table of several columns, or an array of several dimensions.

    >>> id_list(np.int64(7), "users"), id_list({"user": [1, 2]}.keys(), "users")
    ([7], ['user'])
    """
    if hasattr(values, "collect") and hasattr(values, "lazy"):  # a lazy frame of polars
        values = values.collect()
    labels = getattr(values, "column_names", getattr(values, "columns", None))  # Arrow's; those of pandas and polars
    if labels is not None and hasattr(values, "__getitem__"):
        labels = list(labels)
        if len(labels) != 1:
            shown = ", ".join(map(repr, labels[:6])) + (", ..." if len(labels) > 6 else "")
            raise DataError(f"{name} is a table with the columns {shown or 'none'}; pass one column of ids")
        values = values[labels[0]]
    if isinstance(values, Mapping):
        raise DataError(f"{name} is a mapping; pass a list of ids, for example list({name})")
    if isinstance(values, (str, bytes, int, float, np.generic)):
        return [_plain(values)]
    if hasattr(values, "as_py"):  # one value of Arrow
        return [values.as_py()]
    for way in ("to_pylist", "tolist", "to_list"):  # Arrow; NumPy, JAX and pandas; polars
        if hasattr(values, way):
            if getattr(values, "ndim", 1) > 1:
                raise DataError(f"{name} has shape {values.shape}; pass a one-dimensional list of ids")
            out = getattr(values, way)()
            return out if isinstance(out, list) else [out]
    try:
        return list(values)
    except TypeError:
        raise DataError(f"{name} is {_short(values)}; pass one id, or a list of ids") from None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"of type {type(value).__name__}"


def factorize(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sort ids without repeats, and find the place of each given id among them.

    Args:
      ids: array [E], int64 or unicode, as `as_ids` returns it.

    Returns:
      Array [n] of the n different ids in ascending order, and an int32 array [E] of indices into it.

    >>> factorize(np.array([30, 10, 30]))
    (array([10, 30]), array([1, 0, 1], dtype=int32))
    """
    if ids.size == 0:
        return ids, np.zeros(0, dtype=np.int32)
    if ids.dtype.kind in "UO":
        # Hashing visits each id once; sorting millions of strings costs many times more.
        values = ids.tolist()
        unique = text_array(sorted(dict.fromkeys(values)))
        place = {value: at for at, value in enumerate(unique.tolist())}
        return unique, np.fromiter(map(place.__getitem__, values), dtype=np.int32, count=len(values))
    low, span = int(ids.min()), int(ids.max()) - int(ids.min()) + 1
    if span <= 4 * ids.size + 1024:  # a table over the whole range is then smaller and faster than a sort
        offset = ids - low
        present = np.zeros(span, dtype=bool)
        present[offset] = True
        return np.flatnonzero(present) + low, (np.cumsum(present, dtype=np.int32) - np.int32(1))[offset]
    unique, index = np.unique(ids, return_inverse=True)
    return unique, index.astype(np.int32)


@dataclasses.dataclass(frozen=True, eq=False)
class IdMap:
    """The caller's ids, one for each index 0..n-1, and the way back.

    An id is looked up by value first (42 finds 42), then by text ("42" finds 42 where the ids are integers, and 42
    finds "42" where they are strings); anything else is an error that names the nearest ids.

    Attributes:
      ids: array [n], int64 or texts, without repeats; `ids[i]` is the id of index i.
      name: what the ids are of, "user" or "item"; used in messages.

    >>> users = IdMap(np.array([7, 42]), "user")
    >>> users.index([42, "7"])
    array([1, 0], dtype=int32)
    """

    ids: np.ndarray
    name: str

    def __post_init__(self) -> None:
        ids = as_ids(self.ids, self.name)
        if ids is self.ids and ids.flags.writeable:
            ids = ids.copy()
        if not (ids[1:] > ids[:-1]).all():  # ascending ids, as every reader gives them, need no sort
            values, counts = np.unique(ids, return_counts=True)
            if len(values) != len(ids):
                twice = _plain(values[counts > 1][0])
                raise DataError(f"{self.name} id {twice!r} is listed more than once; ids must be unique")
        ids.setflags(write=False)
        object.__setattr__(self, "ids", ids)

    def __len__(self) -> int:
        return len(self.ids)

    @functools.cached_property
    def _by_value(self) -> dict[Any, int]:
        return {value: at for at, value in enumerate(self.ids.tolist())}

    @functools.cached_property
    def _by_text(self) -> dict[str, int]:
        return {str(value): at for at, value in enumerate(self.ids.tolist())}

    def find(self, value: Any) -> int:
        """Find the index of one id; -1 for an unknown one.

        >>> IdMap(np.array(["a", "b"]), "item").find("z")
        -1
        """
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, (bool, type(None))):
            return -1
        try:
            found = self._by_value.get(value)
        except TypeError:  # an unhashable value can be no id
            return -1
        if found is None:
            if isinstance(value, float) and value.is_integer():
                value = int(value)
            found = self._by_text.get(str(value), -1)
        return found

    def index(self, values: Iterable[Any]) -> np.ndarray:
        """Find the indices of several ids.

        Args:
          values: n ids, or one.

        Returns:
          int32 array [n].

        Raises:
          UnknownIdError: an id is not in the map; the message names the nearest ones.

        >>> IdMap(np.array(["a", "b"]), "item").index(["b"])
        array([1], dtype=int32)
        """
        values = id_list(values, f"{self.name}s")
        found = np.array([self.find(value) for value in values], dtype=np.int32)
        if (found < 0).any():
            unknown = [value for value, at in zip(values, found, strict=True) if at < 0]
            raise UnknownIdError(self._unknown(unknown))
        return found

    def _unknown(self, unknown: list[Any]) -> str:
        some = ", ".join(repr(_plain(value)) for value in unknown[:3]) + (", ..." if len(unknown) > 3 else "")
        near = self._near(str(unknown[0]))
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        first = repr(_plain(self.ids[0])) if len(self) else "none"
        return f"unknown {self.name} {some}: not among the {len(self):,} {self.name} ids (the first is {first}){hint}"

    def _near(self, text: str) -> list[str]:
        """At most three ids that the text may be a slip of: near in value where ids are numbers, or in letters."""
        texts = list(self._by_text)[:20000]
        if self.ids.dtype.kind in "UO":
            return difflib.get_close_matches(text, texts, n=3, cutoff=0.6)
        near = [str(value) for value in self._neighbors(text)]
        # Short numbers with digits in common are no slips of one another.
        alike = difflib.get_close_matches(text, texts, n=3, cutoff=0.8) if len(text) > 3 else []
        return list(dict.fromkeys([*near, *alike]))[:3]

    def _neighbors(self, text: str) -> list[int]:
        try:
            value = int(text)
        except ValueError:
            return []
        return [other for other in (value - 1, value + 1) if other in self._by_value]

    def __repr__(self) -> str:
        shown = [repr(value) for value in (self.ids if len(self) <= 6 else self.ids[[0, 1, 2, -1]]).tolist()]
        if len(self) > 6:
            shown.insert(3, "...")
        return f"IdMap of {len(self):,} {self.name} ids: {', '.join(shown)}"


def is_missing(value: Any) -> bool:
    """Whether a value is None, NaN, NaT or pandas' NA.

    >>> is_missing(None), is_missing(float("nan")), is_missing(0), is_missing("")
    (True, True, False, False)
    """
    if value is None:
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError):  # pandas.NA has no truth value; an array has several
        return type(value).__name__ == "NAType"


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def check_columns(columns: Mapping[str, Any], size: int, what: str) -> dict[str, np.ndarray]:
    """Check extra columns for one value per id, and make them arrays without Python objects.

    >>> check_columns({"year": [1995, 1999]}, 2, "item")
    {'year': array([1995, 1999])}
    """
    out = {}
    for key, column in columns.items():
        array = np.asarray(column)
        if array.dtype.kind in "OT":
            array = text_array(["" if is_missing(value) else str(value) for value in array.tolist()])
        if array.shape != (size,):
            raise DataError(
                f"{what} column {key!r} has shape {array.shape}, expected ({size},): one value for each {what}"
            )
        out[str(key)] = array
    return out
