"""Search of many short texts: whole matches, then beginnings, then parts; letter case and accents do not count."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_MARKS = dict.fromkeys(range(768, 880))  # the combining accents
_LETTERS = str.maketrans({"ø": "o", "đ": "d", "ł": "l", "ı": "i", "æ": "ae", "œ": "oe"})  # that have no accent to drop
_END = b"\0"


class Found(NamedTuple):
    """What a search gives.

    Attributes:
      places: of users or items, the best matches first.
      total: how many match.

    >>> Found([3], 1).total
    1
    """

    places: list[int]
    total: int


def folded(text: str) -> str:
    """The text as searches compare it: without case and accents, and without blanks around it.

    >>> folded(" Grüner Müller "), folded("STRASSE") == folded("Straße"), folded("Łódź, Øre")
    ('gruner muller', True, 'lodz, ore')
    """
    text = text.replace("\0", " ")  # which stands between two texts
    if text.isascii():
        return text.strip().lower()
    plain = unicodedata.normalize("NFKD", text).translate(_MARKS)
    return plain.casefold().translate(_MARKS).translate(_LETTERS).strip()


class Index:
    """Texts of users or items, ready to be searched.

    The texts of a field stand one after another in one array of bytes, which numpy looks through for the rarest byte of
    the search first: the time goes by the length of all texts, not by how many match.

    Args:
      fields: of each field the text of every place, such as titles and ids.
      before: of every place, which of two equally good matches comes first, the lower; no two are equal.

    >>> index = Index([["Grüner Tee", "Tee", "Kaffee"]], np.arange(3))
    >>> index.find("tee", 5), index.find("gruner", 5), index.find("fee", 5).places
    (Found(places=[1, 0], total=2), Found(places=[0], total=1), [2])
    """

    def __init__(self, fields: Sequence[Sequence[str]], before: np.ndarray) -> None:
        self._fields = [_Field(list(map(folded, texts))) for texts in fields]
        self._before = before.astype(np.int64)
        self._in_order = np.argsort(before, kind="stable")

    def find(self, words: str, most: int) -> Found:
        """The first matches, and how many there are; without words all match.

        Args:
          words: a part of a text.
          most: how many matches are wanted.
        """
        wanted = folded(words)
        if not wanted:
            return Found(self._in_order[:most].tolist(), len(self._in_order))
        grades = np.full(len(self._before), 2 + len(self._fields), np.int64)
        for at, field in enumerate(self._fields):
            places, grade = field.matches(wanted.encode("utf-8", "surrogatepass"))
            # A part of the second field comes after a part of the first.
            grades[places] = np.minimum(grades[places], np.where(grade == 2, 2 + at, grade))
        places = np.flatnonzero(grades < 2 + len(self._fields))
        rank = grades[places] * len(grades) + self._before[places]
        if len(places) > most:
            some = np.argpartition(rank, most)[:most]
            best = places[some[np.argsort(rank[some])]]
        else:
            best = places[np.argsort(rank)]
        return Found(best.tolist(), len(places))

    def nearest(self, name: str, most: int) -> list[int]:
        """What a name that nothing has may mean: the first matches of its longest beginning that has any.

        Args:
          name: as it was typed.
          most: how many are wanted.

        >>> Index([["Kaffee", "Kakao"]], np.arange(2)).nearest("kafee", 3)
        [0]
        """
        words = folded(name)
        # The longer a beginning is, the fewer texts have it, so the longest is found by halving.
        known, unknown = 2, len(words) + 1  # two letters say too little
        while unknown - known > 1:
            middle = (known + unknown) // 2
            if any(field.has(words[:middle].encode("utf-8", "surrogatepass")) for field in self._fields):
                known = middle
            else:
                unknown = middle
        return self.find(words[:known], most).places if known > 2 else []


class _Field:
    """Folded texts, and where in their bytes each begins."""

    def __init__(self, texts: Sequence[str]) -> None:
        parts = [text.encode("utf-8", "surrogatepass") for text in texts]
        self._whole = _END.join([b"", *parts, b""])
        self._bytes = np.frombuffer(self._whole, np.uint8)
        self._starts = np.cumsum([1, *(len(part) + 1 for part in parts)])
        self._counts = np.bincount(self._bytes, minlength=256)

    def has(self, wanted: bytes) -> bool:
        """Whether any text has some bytes."""
        return wanted in self._whole

    def matches(self, wanted: bytes) -> tuple[np.ndarray, np.ndarray]:
        """The places with some bytes, and of each 0 for a whole match, 1 for a beginning, 2 for a part."""
        if wanted not in self._whole:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        letters = np.frombuffer(wanted, np.uint8)
        order = np.argsort(self._counts[letters], kind="stable")
        at = np.flatnonzero(self._bytes == letters[order[0]]) - order[0]
        at = at[(at >= 0) & (at + len(letters) <= len(self._bytes))]
        for letter in order[1:]:
            at = at[self._bytes[at + letter] == letters[letter]]
        places = np.searchsorted(self._starts, at, side="right") - 1
        begins = at == self._starts[places]
        ends = at + len(letters) == self._starts[places + 1] - 1
        # Of several matches in one text the first is the best.
        first = np.ones(len(places), bool)
        first[1:] = places[1:] != places[:-1]
        return places[first], np.where(begins & ends, 0, np.where(begins, 1, 2))[first]
