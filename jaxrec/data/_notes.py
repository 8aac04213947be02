"""Notes that files, frames and matrices have in common."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from jaxrec.data._texts import is_text, some
from jaxrec.data._times import UNIT_NAMES

_ABSENT = re.compile(rb"[-+]?nan|null|none|n/a|#n/a|#na|<na>|<null>|\(null\)|\\n", re.IGNORECASE)
_LONGEST_WORD = 6  # of those here
_ABSENT_AS_WRITTEN = (b"NA", b"NaT", b"<NaT>")  # "na" and "nat" may be names
_STANDING_IN = frozenset(
    [
        "-",
        "--",
        "---",
        ".",
        "?",
        "??",
        "_",
        "*",
        "-1",
        "unknown",
        "(unknown)",
        "missing",
        "undefined",
        "anonymous",
        "guest",
        "n.a.",
        "nil",
        "(none)",
        "(blank)",
        "(empty)",
        "[null]",
        "{null}",
        "[]",
        "{}",
        "not available",
        "not applicable",
        "no data",
        "inf",
        "-inf",
        "infinity",
        # what spreadsheets and programs in C write for a failed computation
        "#value!",
        "#ref!",
        "#name?",
        "#div/0!",
        "#num!",
        "#null!",
        "#error!",
        "1.#qnan",
        "-1.#ind",
        "1.#inf",
    ]
)
_ROUNDED = re.compile(r"[-+]?\d(?:[.,]\d+)?[eE][+]?\d\d")  # how a spreadsheet shows a number of twelve digits and more

_SIZES = np.array([10**8, 10**11, 10**14, 10**17])  # Unix times since 1973 in each unit begin about here


def is_absent(text: bytes) -> bool:
    """Whether a text is a word that programs write where a value is missing.

    >>> [is_absent(text) for text in (b"NaN", b"NULL", b"NA", b"Nancy", b"7")]
    [True, True, True, False, False]
    """
    return text in _ABSENT_AS_WRITTEN or _ABSENT.fullmatch(text) is not None


def may_be_absent(text: str) -> bool:
    """Whether a text is blank, a word for a missing value, or one that may stand for it.

    >>> [may_be_absent(text) for text in (" ", "n/a", "-", "Unknown", "rating")]
    [True, True, True, True, False]
    """
    plain = text.strip()
    return not plain or is_absent(plain.encode("utf-8", "replace")) or plain.lower() in _STANDING_IN


def absent_ids(ids: np.ndarray, role: str) -> list[str]:
    """Count ids that are words for a missing value, blank, or padded with blanks, in a note.

    >>> absent_ids(np.array(["NULL", "ann"]), "user")
    ["user ids: 1 of 2 are words for a missing value, kept as ids ('NULL')"]
    >>> absent_ids(np.array(["", "ann"]), "user")
    ["user ids: 1 of 2 are blank, kept as ids ('')"]
    >>> absent_ids(np.array(["ann ", "ann"]), "user")
    ["user ids: 1 of 2 are padded with blanks, kept as ids ('ann ')"]
    """
    if ids.dtype.kind == "U" and len(
        ids
    ):  # of millions, few are as short as a word for a missing value, or look like trouble
        sizes = np.strings.str_len(ids)
        ids_looked_at = ids[(sizes <= _LONGEST_WORD) | _padded(ids, sizes) | _with_exponent(ids) | _words(ids)]
    else:
        ids_looked_at = ids if is_text(ids) else ids[:0]
    texts = list(map(str, ids_looked_at.tolist()))
    kinds = {
        "blank": [text for text in texts if not text.strip()],
        "padded with blanks": [text for text in texts if text.strip() and text != text.strip()],
        "words for a missing value": [text for text in texts if is_absent(text.encode("utf-8", "replace"))],
    }
    told = f"{role} ids: {{}} of {len(ids):,} are {{}}, kept as ids ({{}})"
    notes = [told.format(f"{len(found):,}", kind, some(found, 3)) for kind, found in kinds.items() if found]
    return notes + doubtful_ids(texts, role, len(ids))


def doubtful_ids(texts: Iterable[str], role: str, of: int) -> list[str]:
    """Count ids that may stand for a missing value, and numbers that a spreadsheet has rounded, in a note.

    Args:
      texts: ids, or the short ones of them.
      role: "user" or "item".
      of: how many ids there are.

    >>> doubtful_ids(["-", "ann"], "user", 2)
    ["user ids: 1 of 2 may stand for a missing value, kept as ids ('-')"]
    >>> print(doubtful_ids(["1.23457E+17"], "item", 7)[0])
    item ids: 1 of 7 are numbers that a spreadsheet rounded, several ids in one ('1.23457E+17'); export them as text
    """
    texts = list(texts)
    stand = [text for text in texts if text.strip().lower() in _STANDING_IN]
    rounded = [text for text in texts if _ROUNDED.fullmatch(text.strip())]
    told = []
    if stand:
        what = f"may stand for a missing value, kept as ids ({some(stand, 3)})"
        told.append(f"{role} ids: {len(stand):,} of {of:,} {what}")
    if rounded:
        what = f"numbers that a spreadsheet rounded, several ids in one ({some(rounded, 3)})"
        told.append(f"{role} ids: {len(rounded):,} of {of:,} are {what}; export them as text")
    return told


def mixed_units(times: Iterable[np.ndarray]) -> list[str]:
    """Say in a note that times are of the size of several units, as where exports of two programs were joined.

    Args:
      times: whole numbers, in pieces of any length.

    >>> mixed_units([np.array([1_600_000_000, 1_600_000_000_000])])
    ['timestamp: 1 of the size of seconds, 1 of milliseconds: bring them to one unit, they have no order']
    >>> mixed_units([np.array([0, 1_600_000_000]), np.array([7])])
    []
    """
    counts = np.zeros(len(_SIZES) + 1, np.int64)
    for piece in times:
        counts += np.bincount(np.searchsorted(_SIZES, piece, side="right"), minlength=len(counts))
    found = [(int(count), unit) for count, unit in zip(counts[1:], UNIT_NAMES.values(), strict=True) if count]
    if len(found) < 2:
        return []
    told = ", ".join(f"{count:,} of {'the size of ' * (at == 0)}{unit}" for at, (count, unit) in enumerate(found))
    return [f"timestamp: {told}: bring them to one unit, they have no order"]


def _padded(ids: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Whether the first or the last character of texts is white space of ASCII."""
    if not ids.dtype.itemsize:
        return np.zeros(len(ids), bool)
    characters = np.ascontiguousarray(ids).view(np.uint32).reshape(len(ids), -1)
    ends = (characters[:, 0], characters[np.arange(len(ids)), np.maximum(sizes - 1, 0)])
    first, last = ((each == 32) | ((each >= 9) & (each <= 13)) for each in ends)
    return first | last


def _with_exponent(ids: np.ndarray) -> np.ndarray:
    """Whether texts have an E before a plus."""
    out = np.zeros(len(ids), bool)
    if not ids.dtype.itemsize:
        return out
    characters = np.ascontiguousarray(ids).view(np.uint32).reshape(len(ids), -1)
    for at in range(0, len(ids), 1 << 16):
        part = characters[at : at + (1 << 16)]
        out[at : at + len(part)] = (((part[:, :-1] | 32) == ord("e")) & (part[:, 1:] == ord("+"))).any(axis=1)
    return out


def _words(ids: np.ndarray) -> np.ndarray:
    """Whether sorted texts are words that stand for a missing value, in lower case, in upper case or capitalized."""
    words = [way(word) for word in _STANDING_IN for way in (str.lower, str.upper, str.capitalize)]
    found = np.minimum(np.searchsorted(ids, words), len(ids) - 1)
    out = np.zeros(len(ids), bool)
    out[found[ids[found] == np.array(words)]] = True
    return out


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
