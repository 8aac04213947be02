"""Dates in text: ISO 8601 parsed with NumPy, all at once, and stated formats one by one."""

from __future__ import annotations

import calendar
import datetime
import re
from collections.abc import Sequence

import numpy as np

from jaxrec.data._times import UNITS
from jaxrec.errors import DataError

_ZERO = np.uint8(ord("0"))
_LONGEST = 35  # 2024-05-01T10:00:00.123456789+02:00


def check_format(time_format: object) -> None:
    """Refuse what is no format of times.

    >>> check_format("%d.%m.%Y"), check_format("ms")
    (None, None)
    >>> check_format("days")
    Traceback (most recent call last):
        ...
    jaxrec.errors.DataError: time_format is 'days'; pass a unit (s, ms, us, ns) or a form such as '%d.%m.%Y %H:%M'
    >>> check_format("%d.%m. %H:%M")
    Traceback (most recent call last):
        ...
    jaxrec.errors.DataError: time_format is '%d.%m. %H:%M', which has no year; add one, such as %Y
    """
    if time_format is None or (isinstance(time_format, str) and time_format in UNITS):
        return
    if isinstance(time_format, str) and "%" in time_format:
        parts = set(re.findall("%(.)", time_format))
        if parts.isdisjoint("YyGcx"):
            raise DataError(f"time_format is {time_format!r}, which has no year; add one, such as %Y")
        if "p" in parts and "I" not in parts:
            raise DataError(f"time_format is {time_format!r}; with %p hours are of 12, so write %I in place of %H")
        if "I" in parts and "p" not in parts:
            raise DataError(f"time_format is {time_format!r}; %I counts to 12 and needs %p, or write %H")
        return
    raise DataError(f"time_format is {time_format!r}; pass a unit (s, ms, us, ns) or a form such as '%d.%m.%Y %H:%M'")


def parse_iso(buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Parse ISO 8601 dates and times: 2024-05-01, 2024-05-01 10:00, 2024-05-01T10:00:00.25Z, ...+02:00.

    Those without a time zone count as UTC; digits below a nanosecond are not read.

    Returns:
      int64 [n], seconds since 1970; int64 [n], nanoseconds after them; and bool [n], whether the value is such a date.

    >>> text = b"1970-01-02 00:00:01.5,1970-01-01T01:00+01:00,1970-02-30,"
    >>> ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord(","))
    >>> seconds, nanoseconds, good = parse_iso(np.frombuffer(text, np.uint8), np.array([0, 22, 45]), ends)
    >>> seconds[:2].tolist(), nanoseconds[:2].tolist(), good.tolist()
    ([86401, 0], [500000000, 0], [True, True, False])
    """
    size = np.minimum(ends - starts, _LONGEST + 1)
    last = len(buffer) - 1
    text = np.zeros((_LONGEST + 2, len(starts)), dtype=np.uint8)  # one row a place; 0 after the end of a value
    for place in range(min(int(size.max(initial=0)), _LONGEST + 1)):
        text[place] = np.where(place < size, buffer[np.minimum(starts + place, last)], 0)
    good = size <= _LONGEST

    def number(first: int, places: int) -> tuple[np.ndarray, np.ndarray]:
        digits = text[first : first + places] - _ZERO
        value = np.zeros(len(starts), dtype=np.int64)
        for digit in digits:
            value = value * 10 + digit
        return value, np.asarray((digits <= 9).all(axis=0))

    def mark(place: int, *characters: str) -> np.ndarray:
        return np.isin(text[place], [ord(character) for character in characters])

    (year, a), (month, b), (day, c) = number(0, 4), number(5, 2), number(8, 2)
    good &= a & b & c & mark(4, "-") & mark(7, "-") & (month >= 1) & (month <= 12) & (day >= 1)
    months = (year - 1970) * 12 + month - 1
    starts_of = (months + np.arange(2)[:, None]).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    good &= day <= starts_of[1] - starts_of[0]
    seconds = (starts_of[0] + day - 1) * 86_400
    timed = size > 10
    (hour, a), (minute, b), (second, c) = number(11, 2), number(14, 2), number(17, 2)
    to_second = timed & mark(16, ":")
    good &= ~timed | (a & b & mark(10, "T", " ") & mark(13, ":") & (hour <= 23) & (minute <= 59))
    good &= ~to_second | (c & (second <= 59))
    seconds = seconds + np.where(timed, hour * 3_600 + minute * 60, 0) + np.where(to_second, second, 0)
    at = np.where(~timed, 10, np.where(to_second, 19, 16))
    columns = np.arange(len(starts))
    nanoseconds = np.zeros(len(starts), dtype=np.int64)
    inside = to_second & ((text[at, columns] == ord(".")) | (text[at, columns] == ord(",")))
    fraction, places = inside, 0
    at = at + inside
    while inside.any() and places < 9:
        digit = text[np.minimum(at, _LONGEST), columns] - _ZERO
        inside = inside & (digit <= 9)
        good &= (places > 0) | ~fraction | inside
        places += 1
        nanoseconds += np.where(inside, digit.astype(np.int64) * 10 ** (9 - places), 0)
        at = at + inside
    zone, left = text[np.minimum(at, _LONGEST), columns], size - at
    utc = timed & (left == 1) & ((zone == ord("Z")) | (zone == ord("z")))
    shifted = timed & ((zone == ord("+")) | (zone == ord("-"))) & ((left == 6) | (left == 5) | (left == 3))
    good &= (left == 0) | utc | shifted
    if shifted.any():
        offset, fine = _offsets(text, at, left, columns)
        good &= ~shifted | fine
        seconds = seconds - np.where(shifted, offset, 0)
    return seconds, nanoseconds, good


def _offsets(text: np.ndarray, at: np.ndarray, left: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The seconds of +02:00, +0200 or +02 at a place of each value, and whether they are digits."""
    digit = lambda place: text[np.minimum(at + place, _LONGEST + 1), columns].astype(np.int64) - 48  # noqa: E731
    colon = np.where(left == 6, 1, 0)
    hour = digit(1) * 10 + digit(2)
    minute = np.where(left == 3, 0, digit(3 + colon) * 10 + digit(4 + colon))
    fine = (digit(1) >= 0) & (digit(2) >= 0) & (hour <= 23) & (minute >= 0) & (minute <= 59) & (digit(2) <= 9)
    fine &= (left != 6) | (digit(3) == ord(":") - 48)
    return np.where(digit(0) == ord("-") - 48, -1, 1) * (hour * 3_600 + minute * 60), fine


def parse_stated(texts: Sequence[bytes], time_format: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Parse dates of a stated format (`datetime.strptime`); those without a time zone count as UTC.

    Returns:
      As `parse_iso`.

    >>> parse_stated([b"02.01.1970", b"x"], "%d.%m.%Y")
    (array([86400,     0]), array([0, 0]), array([ True, False]))
    """
    met: dict[bytes, tuple[int, int, bool]] = {}
    for text in texts:
        if text not in met:
            try:
                date = datetime.datetime.strptime(text.decode(), time_format)
                offset = date.utcoffset() or datetime.timedelta()
                met[text] = calendar.timegm((date - offset).timetuple()), date.microsecond * 1_000, True
            except (ValueError, OverflowError):
                met[text] = 0, 0, False
    columns = zip(*(met[text] for text in texts), strict=True) if len(texts) else ([], [], [])
    seconds, nanoseconds, good = columns
    return np.array(seconds, np.int64), np.array(nanoseconds, np.int64), np.array(good, bool)


def parse_texts(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Parse ISO dates from texts, as `parse_iso` does from bytes.

    >>> parse_texts(["1970-01-01T00:01"])[0]
    array([60])
    """
    each = [text.strip().encode("utf-8", "replace") for text in texts]
    ends = np.cumsum([len(text) for text in each], dtype=np.int64)
    starts = ends - np.array([len(text) for text in each], dtype=np.int64)
    return parse_iso(np.frombuffer(b"".join(each) + b"\0", dtype=np.uint8), starts, ends)


def in_finest_unit(seconds: np.ndarray, nanoseconds: np.ndarray) -> tuple[np.ndarray, str]:
    """Put seconds and nanoseconds together in the coarsest unit that loses nothing.

    Raises:
      DataError: times that need nanoseconds and lie further than 292 years from 1970.

    >>> in_finest_unit(np.array([1]), np.array([250_000_000]))
    (array([1250]), 'ms')
    """
    unit = fine_unit([nanoseconds], int(np.abs(seconds).max(initial=0)))
    return in_unit_of(seconds, nanoseconds, unit), unit


def fine_unit(nanoseconds: Sequence[np.ndarray], furthest: int) -> str:
    """The coarsest unit that loses nothing; see `in_finest_unit`.

    Args:
      nanoseconds: after whole seconds, in parts.
      furthest: the largest distance of a second from 1970.

    >>> fine_unit([np.array([0]), np.array([250_000_000])], 1)
    'ms'
    """
    unit = next(
        unit for unit, parts in UNITS.items() if not any((part % (10**9 // parts)).any() for part in nanoseconds)
    )
    if furthest >= (2**63 - 1) // UNITS[unit] - 1:
        raise DataError(f"timestamp has dates too far from 1970 for 64 bits in {unit}; round them, or leave them out")
    return unit


def in_unit_of(seconds: np.ndarray, nanoseconds: np.ndarray, unit: str) -> np.ndarray:
    """Put seconds and nanoseconds together in a unit.

    >>> in_unit_of(np.array([1]), np.array([250_000_000]), "ms")
    array([1250])
    """
    return seconds * UNITS[unit] + nanoseconds // (10**9 // UNITS[unit])
