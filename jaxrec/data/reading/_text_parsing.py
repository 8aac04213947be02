"""Text in pieces of whole lines, and the values in a piece: found and turned into numbers with NumPy, all at once."""

from __future__ import annotations

import codecs
import csv
import decimal
import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxrec.data.reading._quotes import NEWLINE, SEPARATOR, is_space, need_no_quotes, refuse_stray
from jaxrec.data.reading._unpacking import open_bytes, reading
from jaxrec.errors import DataError

_PIECE = 1 << 18  # bytes parsed at a time: the arrays of one piece stay in the processor's cache
_LONGEST_LINE = 1 << 26
_MINUS, _ZERO = (np.uint8(ord(character)) for character in "-0")


class Piece(NamedTuple):
    """Whole lines of a file: UTF-8 with "\\n" at every line's end, and the number of the first line."""

    data: bytes
    line: int
    path: str

    def error(self, position: int, message: str) -> DataError:
        """Make an error with the file and the line of the byte at `position`.

        >>> Piece(b"a\\nb\\n", 10, "FILE").error(2, "wrong")
        DataError('FILE:11: wrong')
        """
        line = self.line + self.data.count(b"\n", 0, position)
        return DataError(f"{self.path}:{line}: {message}")


def check_encoding(encoding: str) -> str:
    """Check the name of a text encoding.

    Raises:
      DataError: no such encoding.

    >>> check_encoding("latin-1")
    'latin-1'
    """
    try:
        codecs.getincrementaldecoder(encoding)()
        b"a".decode(encoding, "replace")
    except (LookupError, TypeError, ValueError):
        message = f"encoding is {encoding!r}, which is no text encoding; use for example 'utf-8' or 'latin-1'"
        raise DataError(message) from None
    return encoding


def text_pieces(
    path: Path, encoding: str = "utf-8", size: int = _PIECE, span: tuple[int, int] | None = None
) -> Iterator[Piece]:
    """Iterate over the text of a file in pieces of whole lines, about `size` bytes each.

    Args:
      path: the file.
      encoding: of the text.
      size: of a piece.
      span: the first byte and the byte after the last one of whole lines, of a file that is not packed; None for all.
        Lines are counted from the first one of them.

    Raises:
      DataError: a byte that is not of the encoding, a NUL byte, damaged gzip data, or a line beyond all measure.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "file")
    ...     _ = path.write_bytes(b"a\\r\\nb\\nc")
    ...     [(piece.data, piece.line) for piece in text_pieces(path, size=4)]
    [(b'a\\n', 1), (b'b\\n', 2), (b'c\\n', 3)]
    """
    decoder = None if codecs.lookup(encoding).name == "utf-8" else codecs.getincrementaldecoder(encoding)()
    line, rest, raw, first = 1, b"", b"-", span is None or span[0] == 0
    with reading(path), open_bytes(path) as file:
        if span is not None:
            file.seek(span[0])
        while raw:
            try:
                raw = file.read(size if span is None else min(size, span[1] - file.tell()))
                new = raw if decoder is None else decoder.decode(raw, not raw).encode()
            except UnicodeError as error:
                raise Piece(rest, line, str(path)).error(
                    len(rest),
                    f"this line or one soon after it is not {encoding} ({error}); "
                    "state the encoding, for example encoding='latin-1'",
                ) from None
            if first and new.startswith(codecs.BOM_UTF8):
                new = new[len(codecs.BOM_UTF8) :]
            first = first and not new
            rest += new
            if b"\0" in new:
                raise Piece(rest, line, str(path)).error(
                    rest.index(b"\0"),
                    "a NUL byte, so this is not plain text; state the format if it is binary, "
                    "or the encoding (encoding='utf-16') if it is text",
                )
            cut = rest.rfind(b"\n") + 1 if raw else len(rest)
            if len(rest) - cut > _LONGEST_LINE:
                raise DataError(f"{path}:{line}: a line of more than {_LONGEST_LINE:,} bytes; this is no list of rows")
            block, rest = rest[:cut], rest[cut:]
            if not block:
                continue
            if not block.endswith(b"\n"):
                block += b"\n"
            if decoder is None and not block.isascii():
                try:
                    block.decode()
                except UnicodeDecodeError as error:
                    raise Piece(block, line, str(path)).error(
                        error.start,
                        f"byte 0x{block[error.start]:02x} is not UTF-8; "
                        "state the encoding, for example encoding='latin-1'",
                    ) from None
            yield Piece(block.replace(b"\r\n", b"\n"), line, str(path))
            line += block.count(b"\n")


def unquoted(
    pieces: Iterator[Piece], delimiter: bytes, width: int = 0, sure: bool = False
) -> Iterator[tuple[Piece, bytes]]:
    """Turn quoted columns into plain ones: pieces, each with the delimiter of its columns.

    Where quotes only enclose whole values that need none, they are left out. From the first piece with others on, the
    rows go through the csv module and come back with a separator that no column holds. A row keeps its place: one that
    spans several lines is followed by as many empty ones.

    Args:
      pieces: of the file.
      delimiter: one character.
      width: the number of columns.
      sure: whether quotes are known to enclose values.

    Raises:
      DataError: a row that is not valid CSV; where it is not sure, one over several lines of which one is a whole row
        by itself, so that the quotes may be stray.

    >>> next(unquoted(iter([Piece(b'1,"a, b"\\n', 1, "FILE")]), b","))[0].data
    b'1\\x1fa, b\\n'
    """
    for piece in pieces:
        if b'"' not in piece.data:
            yield piece, delimiter
            continue
        if need_no_quotes(piece.data, delimiter):
            yield piece._replace(data=piece.data.replace(b'"', b"")), delimiter
            continue

        def lines(first: Piece) -> Iterator[str]:
            yield from io.StringIO(first.data.decode(), newline="\n")
            for later in pieces:
                yield from io.StringIO(later.data.decode(), newline="\n")

        reader = csv.reader(lines(piece), delimiter=delimiter.decode(), strict=True)
        mark, space = SEPARATOR.decode(), str.maketrans("\n\r\x1f", "   ")
        rows, start, done = [], 0, 0
        try:
            for row in reader:
                text = mark.join(row)
                if reader.line_num - done > 1 and not sure:
                    refuse_stray(row, delimiter.decode(), width, f"{piece.path}:{piece.line + done}")
                if "\n" in text or "\r" in text or text.count(mark) != max(len(row) - 1, 0):
                    text = mark.join(value.translate(space) for value in row)
                rows.append(text + "\n" * (reader.line_num - done))
                done = reader.line_num
                if len(rows) == 10_000:
                    yield Piece("".join(rows).encode(), piece.line + start, piece.path), SEPARATOR
                    rows, start = [], done
        except csv.Error as error:
            raise DataError(
                f"{piece.path}:{piece.line + done}: not valid CSV from here on: {error}; if the quotes are part of the "
                "values, pass quotes=False"
            ) from None
        yield Piece("".join(rows).encode(), piece.line + start, piece.path), SEPARATOR


def with_room(data: bytes) -> np.ndarray:
    """The bytes as uint8, with room after the end: the longest number may be looked for from the last value on.

    >>> with_room(b"7").shape
    (25,)
    """
    return np.frombuffer(data + bytes(24), dtype=np.uint8)


def split(data: bytes, delimiter: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Find the values in some lines, without those of empty lines and without white space around them.

    Returns:
      The bytes as uint8, with room after the end; the first byte of each of n values; the byte after its last one; and
      the place among the values of the first of each line.

    >>> buffer, starts, ends, lines = split(b"12,3\\n\\n4,5\\n", b",")
    >>> starts, ends, lines
    (array([0, 3, 6, 8]), array([2, 4, 7, 9]), array([0, 2]))
    """
    buffer = with_room(data)
    text = buffer[: len(data)]
    if delimiter == b" ":
        inside = np.zeros(len(data) + 2, dtype=bool)
        inside[1:-1] = ~is_space(text)
        edges = np.flatnonzero(inside[1:] != inside[:-1])
        starts, ends = edges[::2], edges[1::2]
        line = np.searchsorted(np.flatnonzero(text == NEWLINE), starts)
        return buffer, starts, ends, np.flatnonzero(np.diff(line, prepend=-1))
    ends = np.flatnonzero((text == np.uint8(delimiter[0])) | (text == NEWLINE))
    starts = np.empty_like(ends)
    starts[:1] = 0
    starts[1:] = ends[:-1] + 1
    last = text[ends] == NEWLINE
    first = np.ones_like(last)
    first[1:] = last[:-1]
    if b" " in data or b"\r" in data or (delimiter != b"\t" and b"\t" in data):
        ends = ends.copy()
        _trim(buffer, starts, ends)
    blank = first & last & (starts == ends)
    if blank.any():
        starts, ends, first = starts[~blank], ends[~blank], first[~blank]
    return buffer, starts, ends, np.flatnonzero(first)


def _trim(buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> None:
    at = np.flatnonzero((starts < ends) & is_space(buffer[starts]))
    while at.size:
        starts[at] += 1
        at = at[(starts[at] < ends[at]) & is_space(buffer[starts[at]])]
    at = np.flatnonzero((starts < ends) & is_space(buffer[ends - 1]))
    while at.size:
        ends[at] -= 1
        at = at[(starts[at] < ends[at]) & is_space(buffer[ends[at] - 1])]


def parse_integers(buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Parse values as whole numbers of 64 bits.

    Returns:
      int64 [n]; and bool [n], whether the value is one, written as Python writes it (no "+", no leading zero), so that
      number and text are the same id.

    >>> buffer, starts, ends, _ = split(b"12,-3,007,x\\n", b",")
    >>> parse_integers(buffer, starts, ends)[1]
    array([ True,  True, False, False])
    """
    negative = buffer[starts] == _MINUS
    at = starts + negative
    length = ends - at
    good = (length > 0) & (length <= 19)
    value = np.zeros(len(starts), dtype=np.uint64)
    for place in range(min(int(length.max(initial=0)), 19)):
        digit = buffer[at + place] - _ZERO
        inside = place < length
        good &= (digit <= 9) | ~inside
        value = np.where(inside, value * np.uint64(10) + digit, value)
    good &= (value <= np.uint64(2**63 - 1)) & ((buffer[at] != _ZERO) | ((length == 1) & ~negative))
    signed = value.astype(np.int64)
    return np.where(negative, -signed, signed), good


def parse_numbers(
    piece: Piece, buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray, point: str = "."
) -> np.ndarray:
    """Parse values as numbers: float64 [n], rounded correctly, NaN where a value is none.

    Args:
      piece: the text.
      buffer: see `split`; likewise starts and ends.
      starts: see `split`.
      ends: see `split`.
      point: what stands before the decimals, "." or ",".

    >>> text = Piece(b"12,-3.25,1e3,x\\n", 1, "file")
    >>> parse_numbers(text, *split(text.data, b",")[:3])
    array([ 12.  ,  -3.25, 1000.  ,    nan])
    """
    negative, value, decimals, digits = _fixed_point(buffer, starts, ends, point, 16)
    good = digits <= 15
    # Both numbers are exact in float64 up to 15 digits, so one division gives the nearest value.
    number = np.where(negative, -1.0, 1.0) * value / 10.0**decimals
    for place in np.flatnonzero(~good).tolist():  # exponents, and what is no number
        text = pointed(piece.data[starts[place] : ends[place]], point)
        try:
            number[place] = float(text)
        except ValueError:
            number[place] = np.nan
    return number


def _fixed_point(
    buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray, point: str, longest: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Whether each value is negative, its digits as a whole number, how many of them are decimals, and how many there
    are: 99 for what is no such number, or is longer."""
    mark = np.uint8(ord(point))
    negative = buffer[starts] == _MINUS
    at = starts + negative
    length = ends - at
    good = (length > 0) & (length <= longest)
    value = np.zeros(len(starts), dtype=np.int64)
    digits, decimals = np.zeros_like(value), np.zeros_like(value)
    dotted = np.zeros(len(starts), dtype=bool)
    for place in range(min(int(length.max(initial=0)), longest)):
        inside = place < length
        character = buffer[at + place]
        digit = character - _ZERO
        is_digit = inside & (digit <= 9)
        is_dot = inside & (character == mark) & ~dotted
        good &= is_digit | is_dot | ~inside
        value = np.where(is_digit, value * 10 + digit, value)
        digits += is_digit
        decimals += is_digit & dotted
        dotted |= is_dot
    return negative, value, decimals, np.where(good & (digits > 0), digits, 99)


def pointed(text: bytes, point: str) -> bytes:
    """Write a number as Python does; what is none in a file becomes no number for Python either.

    >>> pointed(b"4,5", ","), pointed(b"1.234,5", ","), pointed(b"1_0", ".")
    (b'4.5', b'?', b'?')
    """
    if b"_" in text or (point == "," and b"." in text) or len(text) > 400:
        return b"?"
    return text.replace(b",", b".") if point == "," else text


def parse_decimals(
    piece: Piece, buffer: np.ndarray, starts: np.ndarray, ends: np.ndarray, point: str = "."
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Parse values as decimal numbers, exactly.

    Returns:
      int64 [n], the digits without the point; int64 [n], how many of them are decimals, the trailing zeros not counted;
      and bool [n], whether the value is such a number. Decimals after the 18th are cut off.

    >>> text = Piece(b"12,-3.250,1.5e3,x\\n", 1, "file")
    >>> parse_decimals(text, *split(text.data, b",")[:3])
    (array([  12, -325, 1500,    0]), array([0, 2, 0, 0]), array([ True,  True,  True, False]))
    """
    negative, digits, decimals, size = _fixed_point(buffer, starts, ends, point, 20)
    good = size <= 18
    digits = np.where(good, np.where(negative, -digits, digits), 0)
    decimals = np.where(good, decimals, 0)
    while (zero := (decimals > 0) & (digits % 10 == 0)).any():
        digits, decimals = np.where(zero, digits // 10, digits), decimals - zero
    for place in np.flatnonzero(~good).tolist():
        try:
            number = decimal.Decimal(pointed(piece.data[starts[place] : ends[place]], point).decode())
        except (decimal.InvalidOperation, UnicodeDecodeError):
            continue
        if not number.is_finite() or not -60 < number.adjusted() < 19:
            good[place] = number.is_finite() and not number
            continue
        sign, shown, exponent = number.as_tuple()
        assert isinstance(exponent, int)
        value = int("".join(map(str, shown)))
        while exponent < 0 and (value % 10 == 0 or exponent < -18 or value >= 2**63):
            value, exponent = -(-value // 10) if sign else value // 10, exponent + 1
        value *= 10 ** max(exponent, 0)
        if value < 2**63:
            digits[place], decimals[place], good[place] = -value if sign else value, max(-exponent, 0), True
    return digits, decimals, good
