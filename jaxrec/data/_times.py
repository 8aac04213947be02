"""Times as whole numbers of the finest unit that they need: seconds, milliseconds, microseconds or nanoseconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxrec.errors import DataError

UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}  # parts of a second, in ascending order
UNIT_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_LARGEST = 2**63 - 1


def finest(dates: np.ndarray) -> tuple[np.ndarray, str]:
    """Turn NumPy dates into int64 counts since 1970 of the coarsest unit that loses nothing.

    Args:
      dates: datetime64 [E] without NaT, of any unit.

    Returns:
      int64 [E], and "s", "ms", "us" or "ns".

    Raises:
      DataError: a unit below nanoseconds with a time that needs it, or dates outside of 64 bits.

    >>> finest(np.array(["1970-01-01T00:00:01", "1970-01-01T00:00:01.250"], "datetime64[ns]"))
    (array([1000, 1250]), 'ms')
    """
    for unit in UNITS:
        counts = dates.astype(f"datetime64[{unit}]")
        if bool((counts.astype(dates.dtype) == dates).all()):
            return counts.astype(np.int64), unit
    raise DataError(f"timestamp has dates of unit {dates.dtype} that nanoseconds cannot hold; round them")


def of_decimals(digits: np.ndarray, decimals: np.ndarray) -> tuple[np.ndarray, str | None, int]:
    """Turn decimal numbers of seconds into whole numbers of the finest unit that they need and 64 bits hold.

    Args:
      digits: int64 [E], each number without its point.
      decimals: int64 [E], how many of the digits stand after the point; 0..18, trailing zeros not counted.

    Returns:
      int64 [E]; the unit, None where all numbers are whole, so that their unit is not known; and how many numbers lost
      digits, rounded down.

    >>> of_decimals(np.array([15, 3]), np.array([1, 0]))
    (array([1500, 3000]), 'ms', 0)
    """
    over = np.maximum(decimals - 18, 0)
    digits, decimals = digits // 10**over, decimals - over
    unit = decimal_unit(int(decimals.max(initial=0)), furthest(digits, decimals))
    if unit is None:
        return digits, None, 0
    return scaled(digits, decimals, unit), unit, int((decimals > len(str(UNITS[unit])) - 1).sum())


def furthest(digits: np.ndarray, decimals: np.ndarray) -> int:
    """The largest distance of decimal numbers from 0, rounded up; see `of_decimals`.

    >>> furthest(np.array([-25]), np.array([1]))
    4
    """
    return int(np.abs(digits // 10**decimals).max(initial=0)) + 1


def decimal_unit(most: int, furthest: int) -> str | None:
    """The finest unit that decimal numbers of seconds need and 64 bits hold; None for whole numbers.

    Args:
      most: the largest number of decimals.
      furthest: see `furthest`.

    >>> decimal_unit(2, 4), decimal_unit(9, 10**12)
    ('ms', 'us')
    """
    if not most:
        return None
    fitting = [unit for unit, parts in UNITS.items() if furthest * parts <= _LARGEST]
    return next((unit for unit in fitting if UNITS[unit] >= 10**most), fitting[-1] if fitting else "s")


def scaled(digits: np.ndarray, decimals: np.ndarray, unit: str) -> np.ndarray:
    """Turn decimal numbers of seconds into whole numbers of a unit, rounded down; see `of_decimals`.

    >>> scaled(np.array([15, 3]), np.array([1, 0]), "ms")
    array([1500, 3000])
    """
    places = len(str(UNITS[unit])) - 1
    kept = np.minimum(decimals, places)
    return digits // 10 ** (decimals - kept) * 10 ** (places - kept)


def in_unit(times: np.ndarray, unit: str, wanted: str) -> np.ndarray:
    """Turn whole numbers of one unit into a finer one.

    Raises:
      DataError: numbers that do not fit.

    >>> in_unit(np.array([2]), "s", "ms")
    array([2000])
    """
    factor = UNITS[wanted] // UNITS[unit]
    if len(times) and int(np.abs(times).max()) * factor > _LARGEST:
        raise DataError(f"timestamp {int(np.abs(times).max())} in {unit} does not fit in 64 bits as {wanted}; round it")
    return times * factor


def common_unit(parts: Mapping[str, tuple[np.ndarray, str | None]]) -> tuple[dict[str, np.ndarray], str | None]:
    """Bring the times of several parts to one unit, the finest of them.

    Numbers of an unknown unit are taken for seconds where another part is known and they are of its size, within a
    factor of 10: one file of a split may have whole seconds only. Otherwise they are refused.

    Args:
      parts: name of the part to its times and their unit.

    Raises:
      DataError: parts that cannot be of one unit.

    >>> common_unit({"train": (np.array([1500]), "ms"), "test": (np.array([2]), None)})
    ({'train': array([1500]), 'test': array([2000])}, 'ms')
    """
    known = {name: unit for name, (_, unit) in parts.items() if unit is not None}
    if not known:
        return {name: times for name, (times, _) in parts.items()}, None
    wanted = max(known.values(), key=list(UNITS).index)
    seconds = max(float(np.abs(parts[name][0]).max(initial=0)) / UNITS[unit] for name, unit in known.items())
    out = {}
    for name, (times, unit) in parts.items():
        largest = float(np.abs(times).max(initial=0))
        if unit is None and len(times) and not seconds / 10 - 10 <= largest <= seconds * 10 + 10:
            raise DataError(
                f"timestamp: {name} has numbers up to {largest:.0f} of an unknown unit, and {next(iter(known))} has "
                f"times in {known[next(iter(known))]}; state time_format, for example time_format='ms'"
            )
        out[name] = in_unit(times, unit or "s", wanted)
    return out, wanted


def check_unit(unit: Any) -> None:
    """Refuse what is no unit of times.

    >>> check_unit("hours")
    Traceback (most recent call last):
        ...
    jaxrec.errors.DataError: time_unit is 'hours'; pass 's', 'ms', 'us' or 'ns', or None where it is not known
    """
    if unit is not None and unit not in UNITS:
        raise DataError(f"time_unit is {unit!r}; pass 's', 'ms', 'us' or 'ns', or None where it is not known")
