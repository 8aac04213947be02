"""Columns with one value an interaction: checked, and made NumPy arrays of one plain dtype."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxrec.data._times import finest
from jaxrec.errors import DataError


def as_array(values: Any, name: str) -> np.ndarray:
    """Make an array of values, or refuse them: rows of different lengths, and a NumPy mask, which would be lost.

    >>> as_array([1, 2], "user")
    array([1, 2])
    """
    if np.ma.is_masked(values):
        at = int(np.flatnonzero(np.ma.getmaskarray(values))[0])
        raise DataError(f"{name} at position {at} is masked; leave the rows that are masked out of all columns")
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:  # rows of different lengths
        raise DataError(f"{name} is not an array: {error}") from None


def check_index(values: Any, size: int, name: str) -> np.ndarray:
    """Check that `values` are whole numbers in 0..size-1, and return them as an int32 array [E].

    Raises:
      DataError: another dtype or rank, or an index that is negative or not below `size`.

    >>> check_index([0, 2], 3, "item")
    array([0, 2], dtype=int32)
    """
    array = as_array(values, name)
    if array.size == 0:
        array = array.astype(np.int32)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise DataError(f"{name} must be one-dimensional and of whole numbers, got shape {array.shape}, {array.dtype}")
    if size > np.iinfo(np.int32).max:
        raise DataError(
            f"{size:,} {name}s do not fit in int32 indices; at most {np.iinfo(np.int32).max:,} are possible"
        )
    for at in (int(array.argmin()), int(array.argmax())) if array.size else ():
        if not 0 <= array[at] < size:
            raise DataError(
                f"{name} index {array[at]} at position {at} is outside 0..{size - 1}; "
                "pass the caller's ids to Interactions.from_arrays, or raise the size of the catalog"
            )
    return array.astype(np.int32, copy=False)


def check_rating(values: Any, size: int, first: int = 0) -> np.ndarray:
    """Check that `values` are `size` finite numbers, and return them as float32 [E].

    Where they are a part of a column, `first` is the position of the first of them.

    >>> check_rating([5, 4], 2)
    array([5., 4.], dtype=float32)
    """
    array = as_array(values, "rating")
    try:
        if array.dtype.kind == "O":
            texts = [value for value in array.ravel().tolist() if isinstance(value, (str, bytes))]
            if texts:
                raise TypeError(f"got the text {texts[0]!r}")
            array = array.astype(np.float64)
        if array.dtype.kind not in "biuf":
            raise TypeError(f"got dtype {array.dtype}")
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"rating must be numbers: {error}") from None
    with np.errstate(over="ignore"):  # too large for float32 becomes infinite and is refused below
        small = array.astype(np.float32, copy=False)
    if small.shape != (size,):
        raise DataError(f"rating has shape {small.shape}, expected ({size},): one rating for each interaction")
    if not np.isfinite(small).all():
        at = int(np.flatnonzero(~np.isfinite(small))[0])
        raise DataError(f"rating at position {first + at} is {array[at]}; remove the row or give it a finite rating")
    if len(lost := np.flatnonzero((small == 0) & (array != 0))):
        at = int(lost[0])
        raise DataError(f"rating at position {first + at} is {array[at]}, which float32 holds as 0; scale the ratings")
    return small


def check_dates(values: Any, size: int) -> tuple[np.ndarray, str]:
    """Check that `values` are `size` NumPy dates, and return them as int64 [E] with their unit, see `finest`.

    >>> check_dates(np.array(["1970-01-01T00:00:00.5"], "datetime64[ns]"), 1)
    (array([500]), 'ms')
    """
    array = as_array(values, "timestamp")
    if array.shape != (size,):
        raise DataError(f"timestamp has shape {array.shape}, expected ({size},): one time for each interaction")
    if np.isnat(array).any():
        at = int(np.flatnonzero(np.isnat(array))[0])
        raise DataError(f"timestamp at position {at} is missing (NaT); remove the row or give it a time")
    return finest(array)


def check_timestamp(values: Any, size: int, first: int = 0) -> np.ndarray:
    """Check that `values` are `size` whole numbers or NumPy dates of whole seconds, and return them as int64 [E].

    Where they are a part of a column, `first` is the position of the first of them.

    >>> check_timestamp([10, 20], 2)
    array([10, 20])
    """
    array = as_array(values, "timestamp")
    if array.size == 0:
        array = array.astype(np.int64)
    if array.shape != (size,):
        raise DataError(f"timestamp has shape {array.shape}, expected ({size},): one time for each interaction")
    if array.dtype.kind == "M":
        counts, unit = check_dates(array, size)
        if unit != "s":
            raise DataError(f"timestamp has dates of {unit}; pass them to Interactions, which keeps the unit")
        return counts
    if array.dtype.kind not in "iuf":
        raise DataError(f"timestamp must be whole numbers or dates, got dtype {array.dtype}")
    if array.dtype.kind != "i":
        whole = array < 2.0**63
        if array.dtype.kind == "f":
            whole &= (array >= -(2.0**63)) & (np.floor(array) == array)
        if not whole.all():
            at = int(np.flatnonzero(~whole)[0])
            raise DataError(
                f"timestamp at position {first + at} is {array[at]}, which is not a whole number of 64 bits; "
                "round the times to whole seconds, or leave them out"
            )
    return array.astype(np.int64, copy=False)
