"""Notes that files, frames and matrices have in common."""

from __future__ import annotations

import re

import numpy as np

from jaxrec.data._texts import is_text, some

_ABSENT = re.compile(rb"[-+]?nan|null|none|n/a|#n/a|#na|<na>|<null>|\(null\)|\\n", re.IGNORECASE)
_LONGEST_WORD = 6  # of those here
_ABSENT_AS_WRITTEN = (b"NA", b"NaT", b"<NaT>")  # "na" and "nat" may be names


def is_absent(text: bytes) -> bool:
    """Whether a text is a word that programs write where a value is missing.

    >>> [is_absent(text) for text in (b"NaN", b"NULL", b"NA", b"Nancy", b"7")]
    [True, True, True, False, False]
    """
    return text in _ABSENT_AS_WRITTEN or _ABSENT.fullmatch(text) is not None


def absent_ids(ids: np.ndarray, role: str) -> list[str]:
    """Count ids that are words for a missing value, blank, or padded with blanks, in a note.

    >>> absent_ids(np.array(["NULL", "ann"]), "user")
    ["user ids: 1 of 2 are words for a missing value, kept as ids ('NULL')"]
    >>> absent_ids(np.array(["", "ann"]), "user")
    ["user ids: 1 of 2 are blank, kept as ids ('')"]
    >>> absent_ids(np.array(["ann ", "ann"]), "user")
    ["user ids: 1 of 2 are padded with blanks, kept as ids ('ann ')"]
    """
    if ids.dtype.kind == "U":  # of millions, few are as short as such a word, or padded
        sizes = np.strings.str_len(ids)
        ids_looked_at = ids[(sizes <= _LONGEST_WORD) | _padded(ids, sizes)]
    else:
        ids_looked_at = ids if is_text(ids) else ids[:0]
    texts = list(map(str, ids_looked_at.tolist()))
    kinds = {
        "blank": [text for text in texts if not text.strip()],
        "padded with blanks": [text for text in texts if text.strip() and text != text.strip()],
        "words for a missing value": [text for text in texts if is_absent(text.encode("utf-8", "replace"))],
    }
    told = f"{role} ids: {{}} of {len(ids):,} are {{}}, kept as ids ({{}})"
    return [told.format(f"{len(found):,}", kind, some(found, 3)) for kind, found in kinds.items() if found]


def _padded(ids: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Whether the first or the last character of texts is white space of ASCII."""
    if not ids.dtype.itemsize:
        return np.zeros(len(ids), bool)
    characters = np.ascontiguousarray(ids).view(np.uint32).reshape(len(ids), -1)
    ends = (characters[:, 0], characters[np.arange(len(ids)), np.maximum(sizes - 1, 0)])
    first, last = ((each == 32) | ((each >= 9) & (each <= 13)) for each in ends)
    return first | last


def low_ratings(ratings: np.ndarray | None) -> list[str]:
    """Count ratings of 0 or less in a note: a matrix leaves out what is stored as 0, a table does not.

    >>> low_ratings(np.array([0, 1, 5], dtype=np.float32))
    ['1 of 3 ratings are 0 or less and are kept as interactions; min_rating leaves them out']
    """
    return [] if ratings is None else low_count(int((ratings <= 0).sum()), len(ratings))


def low_count(low: int, count: int) -> list[str]:
    """The same of a count.

    >>> low_count(0, 7)
    []
    """
    told = f"{low:,} of {count:,} ratings are 0 or less and are kept as interactions; min_rating leaves them out"
    return [told] if low else []
