"""Maps between the caller's own ids and contiguous int32 indices."""

from __future__ import annotations

import dataclasses
import difflib
import functools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from jaxrec.errors import DataError, UnknownIdError


def as_ids(values: Any, name: str) -> np.ndarray:
    """Turn a sequence of ids into an int64 or a unicode array.

    Args:
      values: one-dimensional sequence of integers or of strings; integral floats count as integers.
      name: what the ids are of ("user", "item"), used in messages.

    Returns:
      Array [n] of dtype int64 or `<U`.

    Raises:
      DataError: ids that are missing (NaN, None), fractional, boolean, of other types, or of mixed types.

    >>> as_ids([3, 1], "user")
    array([3, 1])
    >>> as_ids(["a", "b"], "item").dtype.kind
    'U'
    """
    if not isinstance(values, np.ndarray):
        values = list(values)
        kinds = {_kind(value, name) for value in values}
        if len(kinds) > 1:
            sample = {_kind(value, name): value for value in reversed(values)}
            raise DataError(
                f"{name} ids are of mixed types (for example {', '.join(repr(v) for v in sample.values())}); "
                "make them all integers or all strings"
            )
        values = np.asarray(values, dtype=str if kinds == {"string"} else None)
        if values.size == 0:
            values = values.astype(np.int64)
    if values.ndim != 1:
        raise DataError(f"{name} ids must be one-dimensional, got shape {values.shape}; pass one id per interaction")
    if values.dtype.kind == "O" or values.dtype.kind == "T":
        return as_ids(values.tolist(), name)
    if values.dtype.kind in "iu":
        if values.dtype.kind == "u" and values.size and int(values.max()) > np.iinfo(np.int64).max:
            raise DataError(f"{name} ids must fit in 64 signed bits, got {int(values.max())}; pass them as strings")
        return values.astype(np.int64)
    if values.dtype.kind == "U":
        return values
    if values.dtype.kind == "S":
        return np.char.decode(values, "utf-8")
    if values.dtype.kind == "f":
        bad = ~np.isfinite(values) | (values != np.floor(values)) | (np.abs(values) > 2**53)
        if bad.any():
            at = int(np.flatnonzero(bad)[0])
            raise DataError(
                f"{name} id {values[at]!r} at position {at} is not a whole number; pass integers or strings without gaps"
            )
        return values.astype(np.int64)
    raise DataError(f"{name} ids have dtype {values.dtype}; pass integers or strings")


def _kind(value: Any, name: str) -> str:
    if isinstance(value, (bool, np.bool_)) or value is None:
        raise DataError(f"{name} id {value!r} is neither an integer nor a string; every interaction needs an id")
    if isinstance(value, (int, np.integer, float, np.floating)):
        return "number"
    if isinstance(value, (str, np.str_)):
        return "string"
    raise DataError(f"{name} id {value!r} is of type {type(value).__name__}; pass integers or strings")


@dataclasses.dataclass(frozen=True, eq=False)
class IdMap:
    """The caller's ids, one for each index 0..n-1, and the way back.

    An id is looked up by value first (42 finds 42), then by text ("42" finds 42 where the ids are integers, and 42
    finds "42" where they are strings); anything else is an error that names the nearest ids.

    Attributes:
      ids: array [n], int64 or unicode, without repeats; `ids[i]` is the id of index i.
      name: what the ids are of, "user" or "item"; used in messages.

    >>> users = IdMap(np.array([7, 42]), "user")
    >>> users.index([42, "7"])
    array([1, 0], dtype=int32)
    """

    ids: np.ndarray
    name: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", as_ids(self.ids, self.name))
        if len(np.unique(self.ids)) != len(self.ids):
            values, counts = np.unique(self.ids, return_counts=True)
            raise DataError(f"{self.name} id {values[counts > 1][0]!r} is listed more than once; ids must be unique")
        self.ids.setflags(write=False)

    def __len__(self) -> int:
        return len(self.ids)

    @functools.cached_property
    def _by_value(self) -> dict[Any, int]:
        return {value: at for at, value in enumerate(self.ids.tolist())}

    @functools.cached_property
    def _by_text(self) -> dict[str, int]:
        return {str(value): at for at, value in enumerate(self.ids.tolist())}

    def find(self, value: Any) -> int:
        """The index of one id, or -1 where the map does not have it.

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
        """The indices of several ids.

        Args:
          values: n ids.

        Returns:
          int32 array [n].

        Raises:
          UnknownIdError: an id is not in the map; the message names the nearest ones.

        >>> IdMap(np.array(["a", "b"]), "item").index(["b"])
        array([1], dtype=int32)
        """
        if isinstance(values, (str, bytes)):
            values = [values]
        values = list(values)
        found = np.array([self.find(value) for value in values], dtype=np.int32)
        if (found < 0).any():
            unknown = [value for value, at in zip(values, found, strict=True) if at < 0]
            raise UnknownIdError(self._unknown(unknown))
        return found

    def _unknown(self, unknown: list[Any]) -> str:
        some = ", ".join(repr(_plain(value)) for value in unknown[:3]) + (", ..." if len(unknown) > 3 else "")
        near = difflib.get_close_matches(str(unknown[0]), list(self._by_text)[:20000], n=3, cutoff=0.6)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        first = repr(_plain(self.ids[0])) if len(self) else "none"
        return f"unknown {self.name} {some}: not among the {len(self):,} {self.name} ids (the first is {first}){hint}"


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def check_columns(columns: Mapping[str, Any], size: int, what: str) -> dict[str, np.ndarray]:
    """Check that every extra column has one value for each id, and keep it as an array that needs no pickle.

    >>> check_columns({"year": [1995, 1999]}, 2, "item")
    {'year': array([1995, 1999])}
    """
    out = {}
    for key, column in columns.items():
        array = np.asarray(column)
        if array.dtype.kind in "OT":
            array = np.array(["" if value is None or value != value else str(value) for value in array.tolist()], dtype=str)
        if array.shape != (size,):
            raise DataError(f"{what} column {key!r} has shape {array.shape}, expected ({size},): one value for each {what}")
        out[str(key)] = array
    return out
