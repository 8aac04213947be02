"""A share of a file: which one it is, and the bytes of a text file that are it."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Any, BinaryIO

from jaxrec.errors import DataError

Share = tuple[int, int]
"""(p, n): the part p, from 0, of n parts."""

SMALLEST = 1 << 16
"""Bytes of a text file; less is not worth a share."""

_BLOCK = 1 << 16
_LINES_BY_BYTE = ("utf-8", "ascii", "iso8859-1", "iso8859-15", "cp1252")  # the byte of "\n" is in no other character


def check_share(share: Any) -> None:
    """Refuse what is no share.

    Raises:
      DataError: it is none.

    >>> check_share((0, 4)), check_share(None)
    (None, None)
    """
    pair = isinstance(share, tuple) and [type(one) for one in share] == [int, int]
    if share is not None and not (pair and 0 <= share[0] < share[1]):
        raise DataError(f"share is {share!r}; pass (p, n) with p from 0 to n - 1, such as (0, 4)")


def span_of(path: Path, share: Share, encoding: str) -> tuple[int, int]:
    """The first byte of a share of the lines of a text file, and the byte after its last one.

    The parts have the same number of bytes, up to a line, and are the whole file together.

    Raises:
      DataError: a file that is packed, too small for shares, or of an encoding whose lines bytes do not show.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "file")
    ...     _ = path.write_bytes(b"12345\\n" * 50_000)
    ...     [span_of(path, (part, 4), "utf-8") for part in range(4)]
    [(0, 75000), (75000, 150000), (150000, 225000), (225000, 300000)]
    """
    part, parts = share
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        size = file.seek(0, 2)
        if packed or size < parts * SMALLEST or codecs.lookup(encoding).name not in _LINES_BY_BYTE:
            raise DataError(
                f"{path}: a share of the rows needs plain text in UTF-8 or Latin-1, with {SMALLEST:,} bytes a part"
            )
        return _line_from(file, size * part // parts, size), _line_from(file, size * (part + 1) // parts, size)


def _line_from(file: BinaryIO, place: int, size: int) -> int:
    """The first byte of the first line that begins at a place or after it; the size where there is none."""
    if not 0 < place < size:
        return place
    at = place - 1
    file.seek(at)
    while block := file.read(_BLOCK):
        found = block.find(b"\n")
        if found >= 0:
            return at + found + 1
        at += len(block)
    return size
