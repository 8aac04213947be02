"""Short texts of Arrow as rows of 64-bit words, which are numbered in a third of the time that texts take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Int, UInt64

from jaxrec.data.reading._growing import CHUNK, Growing

WORDS = 5
"""The most of one text: 40 bytes, as a UUID in hexadecimal digits has 36."""
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio, the multiplier of Fibonacci hashing
_HALF = np.uint64(32)
_FEWEST = 1 << 14  # rows that wait until they are numbered, however few texts are known

Words = UInt64[np.ndarray, "n w"]


class ShortTexts:
    """The distinct texts of a column, in the order of their first rows, and for each row the place of its text.

    The words of rows wait until there are twice as many rows as known texts; only then the column gets their codes.

    Args:
      column: takes the codes.
      known: words of the texts that the codes in the column count already.

    >>> import pyarrow
    >>> from jaxrec.data.reading._growing import InBlocks
    >>> texts = ShortTexts(InBlocks(np.int32))
    >>> texts.add(pyarrow.array(["b", "a", "b"], pyarrow.large_string())), texts.merge()
    (True, True)
    >>> texts.known().to_pylist(), texts.column.array().tolist()
    (['b', 'a'], [0, 1, 0])
    """

    def __init__(self, column: Growing, known: Words | None = None) -> None:
        self.column = column
        self._known = np.zeros((0, 1), np.uint64) if known is None else known
        self._waiting: list[np.ndarray] = []

    def add(self, values: Any) -> bool:
        """Take the next values; False, and none is taken, where they are no short texts or two before have one hash."""
        words = words_of(values)
        if words is None:
            return False
        if sum(map(len, self._waiting)) > max(_FEWEST, 2 * len(self._known)) and not self.merge():
            return False
        self._waiting.append(words)
        return True

    def merge(self) -> bool:
        """Give the column the codes of all rows; False, and nothing is done, where two texts have one hash."""
        if any(map(len, self._waiting)):
            words = joined([self._known, *self._waiting])
            self._waiting = [words[len(self._known) :]]  # as one array, not twice
            found = numbered(words)
            if found is None:
                return False
            index, first = found
            self.column.append(index[len(self._known) :])
            self._known, self._waiting = words[first], []  # the known ones come first, so their codes stay
        return True

    def known(self) -> Any:
        """The texts that have a number, an Arrow array of `large_string`; None for none."""
        return unpacked(self._known) if len(self._known) else None

    def waiting(self) -> Iterator[Any]:
        """The texts of the rows that wait, part by part."""
        return map(unpacked, self._waiting)


def words_of(values: Any) -> Words | None:
    """The words of an Arrow array, see `packed`; None where it is of another kind than `large_string` too."""
    import pyarrow.types as kinds

    return packed(values) if kinds.is_large_string(values.type) else None


def packed(texts: Any) -> Words | None:
    """The bytes of each text, with zeros after them, in as many words as the longest needs; None where that fails.

    It fails for texts of more than 8 `WORDS` bytes, for nulls, and where a text has a NUL character, since texts that
    differ in those at their ends would have equal words. Equal words are equal texts.

    Args:
      texts: an Arrow array of `large_string` [n].

    >>> import pyarrow
    >>> packed(pyarrow.array(["ann", "a long name"], pyarrow.large_string())).shape
    (2, 2)
    >>> packed(pyarrow.array(["ann", None], pyarrow.large_string())) is None
    True
    """
    if texts.null_count:
        return None
    if not len(texts):
        return np.zeros((0, 1), np.uint64)
    ends = np.frombuffer(texts.buffers()[1], np.int64)[texts.offset :][: len(texts) + 1]
    held = texts.buffers()[2]
    content = np.zeros(0, np.uint8) if held is None else np.frombuffer(held, np.uint8)[ends[0] : ends[-1]]
    sizes = np.diff(ends)
    longest = int(sizes.max())
    if longest > 8 * WORDS or not content.all():
        return None
    room = 8 * max(1, -(-longest // 8))
    out = np.zeros((len(texts), room), np.uint8)
    if longest == sizes.min():
        out[:, :longest] = content.reshape(len(texts), longest)
    else:
        out[np.arange(room) < sizes[:, None]] = content
    return out.view(np.uint64)


def unpacked(words: Words) -> Any:
    """The texts again, an Arrow array of `large_string` [n].

    >>> import pyarrow
    >>> unpacked(packed(pyarrow.array(["ann", "", "a long name"], pyarrow.large_string()))).to_pylist()
    ['ann', '', 'a long name']
    """
    import pyarrow

    content = np.ascontiguousarray(words).view(np.uint8)
    inside = content != 0
    ends = np.zeros(len(words) + 1, np.int64)
    np.cumsum(np.count_nonzero(inside, axis=1), out=ends[1:])
    buffers = pyarrow.py_buffer(ends), pyarrow.py_buffer(content[inside])
    return pyarrow.LargeStringArray.from_buffers(len(words), *buffers)


def joined(parts: list[np.ndarray]) -> Words:
    """Words of several parts, as wide as the widest.

    >>> joined([np.ones((1, 1), np.uint64), np.ones((1, 2), np.uint64)]).tolist()
    [[1, 0], [1, 1]]
    """
    out = np.zeros((sum(map(len, parts)), max(part.shape[1] for part in parts)), np.uint64)
    at = 0
    for part in parts:
        out[at : at + len(part), : part.shape[1]] = part
        at += len(part)
    return out


def numbered(words: Words) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " d"]] | None:
    """The place of each row among the different ones, in the order of their first rows; None where it is not found.

    Rows of several words are hashed to 64 bits, and each is compared with the first of its hash: where one differs,
    two rows have the same hash.

    Args:
      words: rows of words.

    Returns:
      int32 [n], and the first row of each of the d different ones.

    >>> numbered(np.array([[7, 0], [5, 1], [7, 0]], np.uint64))
    (array([0, 1, 0], dtype=int32), array([0, 1]))
    """
    import pyarrow

    keys = np.ascontiguousarray(words[:, 0]) if words.shape[1] == 1 else _hashed(words)
    encoded = pyarrow.Array.from_buffers(pyarrow.uint64(), len(keys), [None, pyarrow.py_buffer(keys)])
    index = np.frombuffer(encoded.dictionary_encode().indices.buffers()[1], np.int32)[: len(keys)]
    # Places are given as they are needed, so a row is the first of its kind where the largest so far grows.
    first = np.flatnonzero(np.diff(np.maximum.accumulate(index), prepend=np.int32(-1)))
    if words.shape[1] > 1:
        for column in words.T:  # measured faster than rows of several words
            of_first = column[first]
            for at in range(0, len(column), CHUNK):
                if not np.array_equal(of_first[index[at : at + CHUNK]], column[at : at + CHUNK]):
                    return None
    return index, first


def _hashed(words: Words) -> UInt64[np.ndarray, " n"]:
    keys = words[:, 0].copy()
    for column in words.T[1:]:
        keys ^= keys >> _HALF
        keys *= _FACTOR  # modulo 2^64
        keys += column
    return keys
