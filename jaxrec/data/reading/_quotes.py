"""Quotes around the values of text: whether any value needs them, and whether they are stray."""

from __future__ import annotations

import numpy as np

from jaxrec.data._texts import short
from jaxrec.errors import DataError

SEPARATOR = b"\x1f"  # stands for a delimiter of several characters, and for that of a quoted line, once it is split
NEWLINE = np.uint8(ord("\n"))


def need_no_quotes(data: bytes, delimiter: bytes) -> bool:
    """Whether each quote of some lines is at an end of a value, and none encloses a delimiter, line end or quote.

    >>> [need_no_quotes(line, b",") for line in (b'"a",1\\n', b'"a,b",1\\n', b'a"b,1\\n')]
    [True, False, False]
    """
    if len(delimiter) > 1 or b"\r" in data or SEPARATOR in data:
        return False
    text = np.frombuffer(data, np.uint8)
    quotes = np.flatnonzero(text == ord('"'))
    first, last = quotes[::2], quotes[1::2]
    if len(first) > len(last):
        return False
    between = (text == NEWLINE) | (is_space(text) if delimiter == b" " else text == ord(delimiter))
    if not (between[last + 1].all() and ((first == 0) | between[first - 1]).all()):
        return False
    places = np.flatnonzero(between)
    return np.array_equal(np.searchsorted(places, first), np.searchsorted(places, last))


def refuse_stray(row: list[str], delimiter: str, width: int, where: str) -> None:
    """Refuse a row over several lines if one after the first, split at each delimiter, is a row by itself.

    >>> refuse_stray(["a\\nb"], ",", 2, "FILE:1")
    """
    for at, value in enumerate(row):
        _, *later = value.split("\n")
        for place, line in enumerate(later, start=1):
            after = len(row) - 1 - at if place == len(later) else 0
            if line.count(delimiter) + after + 1 == width:
                raise DataError(
                    f"{where}: quotes that enclose several lines, {short(value)!r}, each of which may be a row; pass "
                    "quotes=False if the quotes are part of the values, or quotes=True if a value has several lines"
                )


def is_space(characters: np.ndarray) -> np.ndarray:
    """Whether bytes are white space of ASCII.

    >>> is_space(np.frombuffer(b"a \\t", np.uint8))
    array([False,  True,  True])
    """
    return (characters == 32) | ((characters >= 9) & (characters <= 13))
