"""Which column of a table of lists orders them: by its name, and refused where two columns could or none is known."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Callable, Sequence

from jaxrec.data._notes import is_absent
from jaxrec.errors import DataError

# Names in lower case without spaces and punctuation.
_RANKS = ("rank", "ranks", "position", "place", "itemrank", "rankposition")
_SCORES = (
    *("score", "scores", "prediction", "predictions", "predicted", "pred", "preds", "est", "estimate", "estimated"),
    *("estimatedrating", "predictedrating", "predictedscore", "ratingprediction", "ratingpred", "predrating"),
    *("predictionscore", "recommendationscore", "modelscore", "itemscore", "ypred", "yhat", "logit", "probability"),
)
_RATINGS = ("rating", "ratings", "stars", "overall")  # a system may write its predictions under such a name
_TRUTHS = ("rui", "truerating", "trueratings", "actual", "actualrating", "label", "labels", "target", "truth", "ytrue")
_TIMES = ("timestamp", "time", "ts", "unixtime", "unixreviewtime")
_ROWS = "rows"
_ROW_NUMBERS = ("", "index", "unnamed: 0", "__index_level_0__")
_NUMBER = re.compile(r"[+-]?[0-9]*[.,]?[0-9]+[.]?([eE][+-]?[0-9]+)?( ?%|/[0-9]+)?")
_PLAIN = r"(?:[0-9]{1,3}(?:[., '_][0-9]{3})+(?:[.,][0-9]*)?|[0-9]*[.,]?[0-9]+[.,]?)(?:[eE][+-]?[0-9]+)?"
_AFTER = r" ?%|/[0-9]+| ?[$€£¥]| ?[^\W\d_]{2,5}"
_LIKE_A_NUMBER = re.compile(
    rf"[$€£¥]? ?[+-]?(?:{_PLAIN}|inf(?:inity)?|∞)(?: ?(?:±|\+/?-) ?{_PLAIN})?(?:{_AFTER})?", re.IGNORECASE
)
_WRAPPED = re.compile(r"(?:[A-Za-z_][\w.]*)?[\[({<](.*?)(?:, ?[a-z_]+=.*)?[\])}>]")
_SIGNS = str.maketrans({"−": "-", "‐": "-", "–": "-", "٫": ".", "٬": ",", "’": "'"})
_SUFFIXES = {":ascending": True, ":descending": False}


@dataclasses.dataclass(frozen=True)
class Order:
    """What orders the rows of a user.

    Attributes:
      column: its place in the table; None for the order of the rows.
      ascending: whether the lowest value is the best, as of ranks.
      score: the place of a column of scores in which ties are looked for; None where there is none.
      told: the same in words, for the report.

    >>> Order(2, False, 2, "by 'score', the highest first").ascending
    False
    """

    column: int | None
    ascending: bool
    score: int | None
    told: str


def mostly_numbers(texts: Sequence[str]) -> bool:
    """Whether more than half of some cells are numbers in any usual form, so that one that is none hides no score.

    Empty cells and words for a missing value do not count.

    >>> mostly_numbers(["0,5", "n/a", ""]), mostly_numbers(["12%", "-3", "?"]), mostly_numbers(["300", "Heat"])
    (True, True, False)
    """
    there = [text for text in map(str.strip, texts) if text and not is_absent(text.encode("utf-8", "replace"))]
    return 2 * sum(_NUMBER.fullmatch(text) is not None for text in there) > len(there)


def mostly_like_numbers(texts: Sequence[str]) -> bool:
    """Whether more than half of some cells are like numbers, so that they may be scores that a reader would not know.

    Beside what `mostly_numbers` takes, these are infinities, groups of thousands, digits and signs of other scripts,
    and numbers with a unit, an error, a currency, or the words of a program around them.

    >>> [mostly_like_numbers([text]) for text in ("1.000,5", "−9.5", "-inf", "[0.1]", "tensor(0.1)", "1.5 pts", "٣٫٥")]
    [True, True, True, True, True, True, True]
    >>> [mostly_like_numbers([text]) for text in ("Heat", "300 spartans", "1984-05-01", "A12", "12A")]
    [False, False, False, False, False]
    """
    there = [text for text in map(str.strip, texts) if text and not is_absent(text.encode("utf-8", "replace"))]
    return 2 * sum(map(_is_like_a_number, there)) > len(there)


def _is_like_a_number(text: str) -> bool:
    plain = "".join(str(unicodedata.digit(one, one)) for one in unicodedata.normalize("NFKC", text))
    plain = plain.translate(_SIGNS).strip(" \"'")
    while wrapped := _WRAPPED.fullmatch(plain):
        plain = wrapped[1].strip(" \"'")
    return _LIKE_A_NUMBER.fullmatch(plain) is not None


def counts_rows(name: str, values: Sequence[object]) -> bool:
    """Whether a column counts the rows, as the index of a frame does in a file that was made of it.

    >>> counts_rows("Unnamed: 0", ["0", "1", "2"]), counts_rows("", [3, 4]), counts_rows("index", ["7", "3"])
    (True, True, False)
    """
    if name.lower() not in _ROW_NUMBERS:
        return False
    first = str(values[0]) if len(values) else ""
    return first.isdecimal() and list(map(str, values)) == [str(int(first) + at) for at in range(len(values))]


def orders(name: str) -> bool:
    """Whether a column of this name is known to order lists.

    >>> orders("Rank"), orders("predicted_rating"), orders("user")
    (True, True, False)
    """
    return _plain(name) in (*_RANKS, *_SCORES, *_RATINGS)


def find_order(
    names: Sequence[str], taken: Sequence[int], numeric: Callable[[int], bool], asked: str | None, where: str
) -> Order:
    """Find the column that orders lists.

    Args:
      names: of all columns, in order.
      taken: the places of the user and the item.
      numeric: whether the column at a place holds numbers, see `mostly_like_numbers`.
      asked: the caller's choice: a name, with ":ascending" or ":descending" behind it if need be, or "rows" for the
        order of the rows; None to look for a known name.
      where: what the table is, the start of each message.

    Raises:
      DataError: two columns that could order the lists, numbers beside no known score, no such column.

    >>> find_order(["uid", "iid", "r_ui", "est"], [0, 1], lambda place: True, None, "lists").told
    "by 'est', the highest first"
    >>> find_order(["user", "item", "svd"], [0, 1], lambda place: True, None, "lists")
    Traceback (most recent call last):
        ...
    jaxrec.errors.DataError: lists: 'svd' holds numbers and is no known score; pass order='svd', or order='rows' to ...
    """
    if asked is not None:
        return _asked(names, asked, where)
    plain = {at: _plain(name) for at, name in enumerate(names) if at not in taken}
    ranks, scores, ratings = (
        [at for at, name in plain.items() if name in some] for some in (_RANKS, _SCORES, _RATINGS)
    )
    for several in (ranks, scores):
        if len(several) > 1:
            one, other = (names[at] for at in several[:2])
            raise DataError(f"{where}: {one!r} and {other!r} could both order the lists; pass order={one!r} or another")
    if ranks:
        return _by(names, ranks[0], True, scores[0] if scores else None)
    if scores:
        return _by(names, scores[0], False)
    known = [*ratings, *(at for at, name in plain.items() if ratings and name in _TIMES)]
    others = [at for at, name in plain.items() if at not in known and (name in _TRUTHS or numeric(at))]
    if others:
        name = names[others[0]]
        what = "is what users gave" if plain[others[0]] in _TRUTHS else "holds numbers and is no known score"
        more = f", beside {names[ratings[0]]!r}" if ratings else ""
        raise DataError(
            f"{where}: {name!r} {what}{more}; pass order={name!r}, or order='rows' to take the rows in order"
        )
    if len(ratings) > 1:
        one, other = (names[at] for at in ratings[:2])
        raise DataError(f"{where}: {one!r} and {other!r} could both order the lists; pass order={one!r} or another")
    return _by(names, ratings[0], False) if ratings else Order(None, True, None, "as the rows stand")


def _asked(names: Sequence[str], asked: str, where: str) -> Order:
    if not isinstance(asked, str):
        raise DataError(f"order is {asked!r}; pass the name of a column, or 'rows'")
    word, ascending = asked, None
    for suffix, lowest in _SUFFIXES.items():
        if asked not in names and asked.endswith(suffix):
            word, ascending = asked.removesuffix(suffix), lowest
    if word not in names:
        if asked == _ROWS:
            return Order(None, True, None, "as the rows stand")
        have = ", ".join(map(repr, names[:6])) + (", ..." if len(names) > 6 else "")
        raise DataError(f"{where}: order is {asked!r}, and the columns are {have}; name one of them, or 'rows'")
    at = list(names).index(word)
    return _by(names, at, _plain(word) in _RANKS if ascending is None else ascending)


def _by(names: Sequence[str], at: int, ascending: bool, score: int | None = None) -> Order:
    told = f"by {names[at]!r}, the {'lowest' if ascending else 'highest'} first"
    return Order(at, ascending, score if ascending else at, told)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
