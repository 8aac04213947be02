"""Arrays of text that one long value does not widen, and values that messages show in part."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

_FAIR_BYTES = 32 << 20  # an array of this size is never worth another layout
_OBJECT_BYTES = 64  # of one Python string beside its characters, about


def text_array(values: Sequence[str]) -> np.ndarray:
    """Make an array [n] of texts: as wide as its longest, or of objects where that would be much larger.

    One id of 1,000 characters among 100,000 of 6 makes 400 MB of an array as wide as its longest, and 20 MB of one of
    objects. The objects are `numpy.str_`, so that `array[i].item()` is a `str` in both layouts.

    Args:
      values: n texts.

    Returns:
      Unicode [n] where that takes at most 32 MB or 8 times what objects take, else objects.

    >>> text_array(["a", "bc"])
    array(['a', 'bc'], dtype='<U2')
    >>> text_array(["a"] * 100_000 + ["b" * 1_000]).dtype
    dtype('O')
    """
    sizes = [len(value) for value in values]
    if is_wide(len(sizes), max(sizes, default=0), sum(sizes)):
        return np.array(values, dtype=str)
    made = {value: np.str_(value) for value in dict.fromkeys(values)}
    out = np.empty(len(sizes), dtype=object)
    out[:] = [made[value] for value in values]
    return out


def is_wide(count: int, longest: int, together: int) -> bool:
    """Whether texts are to be an array as wide as the longest.

    Args:
      count: of the texts.
      longest: characters of the longest.
      together: characters of all.

    >>> is_wide(1_000_000, 13, 13_000_000), is_wide(1_000_000, 1_000, 13_000_000)
    (True, False)
    """
    return 4 * count * longest <= max(_FAIR_BYTES, 8 * (together + _OBJECT_BYTES * count))


def as_texts(array: np.ndarray) -> np.ndarray:
    """Turn an array of any kind into one of texts; a text array stays as it is.

    >>> as_texts(np.array([1, 20]))
    array(['1', '20'], dtype='<U2')
    """
    return array if is_text(array) else text_array([str(value) for value in array.tolist()])


def is_text(array: np.ndarray) -> bool:
    """Whether an array holds texts, in either layout of `text_array`.

    >>> is_text(np.array(["a"])), is_text(np.array([1]))
    (True, False)
    """
    if array.dtype.kind == "U":
        return True
    return array.dtype.kind == "O" and all(isinstance(value, str) for value in array.tolist())


def storable(array: Any) -> Any:
    """Give what a file holds of an array without Python objects: objects become their bytes and where each ends.

    >>> storable(np.array(["ann", "bo"], dtype=object))["ends"].tolist()
    [3, 5]
    """
    if array is None or array.dtype.kind != "O":
        return array
    each = [value.encode("utf-8", "surrogatepass") for value in array.tolist()]
    return {
        "bytes": np.frombuffer(b"".join(each), dtype=np.uint8),
        "ends": np.cumsum([len(value) for value in each], dtype=np.int64),
    }


def from_stored(stored: Any) -> Any:
    """Give back what was made `storable`.

    Raises:
      ValueError: ends that do not ascend to the number of bytes, or bytes that are not UTF-8.

    >>> from_stored(storable(np.array(["ann", "bo"], dtype=object))).tolist()
    ['ann', 'bo']
    """
    if not isinstance(stored, dict):
        return stored
    content, ends = stored["bytes"].astype(np.uint8).tobytes(), stored["ends"]
    starts = np.concatenate([[0], ends[:-1]])
    if ends.dtype.kind != "i" or (ends < starts).any() or (len(ends) and ends[-1] != len(content)):
        raise ValueError("texts whose ends do not fit their bytes")
    each = zip(starts.tolist(), ends.tolist(), strict=True)
    return text_array([content[start:end].decode("utf-8", "surrogatepass") for start, end in each])


def some(values: Iterable[Any], limit: int = 6) -> str:
    """Show the first values, and how many more there are: a message stays short whatever the file holds.

    >>> some(["user", "item"]), some(range(9), 2)
    ("'user', 'item'", '0, 1 and 7 more')
    """
    values = list(values)
    shown = ", ".join(repr(short(value)) if isinstance(value, str) else repr(value) for value in values[:limit])
    return shown + (f" and {len(values) - limit:,} more" if len(values) > limit else "")


def short(text: str, limit: int = 60) -> str:
    """Cut a long text.

    >>> short("abcdef", 3)
    'abc...'
    """
    return text if len(text) <= limit else f"{text[:limit]}..."
