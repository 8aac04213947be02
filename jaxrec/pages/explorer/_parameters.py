"""The parameters of a request: their kinds, and their values from a query string or a JSON document."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import urllib.parse
from collections.abc import Mapping
from typing import Any, Protocol

from jaxrec.pages.explorer._limits import Refused

_MOST_FIELDS = 20_000  # of a query string, which is cut by its bytes before


class Parameter(Protocol):
    """What one parameter may be."""

    @property
    def several(self) -> bool:
        """Whether it is a list, which a query string writes as the parameter again and again."""
        ...

    def read(self, text: str) -> Any:
        """The value that a text of a query string stands for; the text itself where it stands for none."""
        ...

    def checked(self, name: str, value: Any) -> Any:
        """The value, or `Refused`."""
        ...


@dataclasses.dataclass(frozen=True)
class Text:
    """One text of at most so many letters.

    >>> Text(3).checked("q", "abc")
    'abc'
    """

    most: int
    several: bool = False

    def read(self, text: str) -> Any:
        """The text."""
        return text

    def checked(self, name: str, value: Any) -> str:
        """See `Parameter`."""
        if not isinstance(value, str):
            raise Refused(f"{name} is {shown(value)}; pass a text")
        if len(value) > self.most:
            raise Refused(f"{name} has {len(value):,} letters; pass at most {self.most}")
        return value


@dataclasses.dataclass(frozen=True)
class Word:
    """One of a few words.

    >>> Word(("mmr", "dpp")).checked("reranker", "dpp")
    'dpp'
    """

    words: tuple[str, ...]
    several: bool = False

    def read(self, text: str) -> Any:
        """The text."""
        return text

    def checked(self, name: str, value: Any) -> str:
        """See `Parameter`."""
        if not isinstance(value, str) or value not in self.words:
            raise Refused(f"{name} is {shown(value)}; pass {' or '.join(map(repr, self.words))}")
        return value


@dataclasses.dataclass(frozen=True)
class Texts:
    """A list of texts, each once or more, of at most so many.

    >>> Texts(2).checked("history", ["1", "7"])
    ('1', '7')
    """

    most: int
    letters: int = 1000
    several: bool = True

    def read(self, text: str) -> Any:
        """The text of one entry."""
        return text

    def checked(self, name: str, value: Any) -> tuple[str, ...]:
        """See `Parameter`."""
        if not isinstance(value, list):
            raise Refused(f"{name} is {shown(value)}; pass a list of texts")
        if len(value) > self.most:
            raise Refused(f"{name} has {len(value):,} entries; pass at most {self.most:,}")
        each = Text(self.letters)
        return tuple(each.checked(f"{name}[{at}]", one) for at, one in enumerate(value))


@dataclasses.dataclass(frozen=True)
class Whole:
    """A whole number of a range.

    >>> Whole(1, 64).checked("k", Whole(1, 64).read("10"))
    10
    """

    least: int
    most: int
    several: bool = False

    def read(self, text: str) -> Any:
        """The number, where it is one."""
        return int(text) if re.fullmatch(r"-?[0-9]{1,9}", text) else text

    def checked(self, name: str, value: Any) -> int:
        """See `Parameter`."""
        if isinstance(value, bool) or not isinstance(value, int) or not self.least <= value <= self.most:
            raise Refused(f"{name} is {shown(value)}; pass a whole number from {self.least} to {self.most}")
        return value


@dataclasses.dataclass(frozen=True)
class Number:
    """A finite number of a range.

    >>> Number(0, 1).checked("diversity", 0.5)
    0.5
    """

    least: float
    most: float
    several: bool = False

    def read(self, text: str) -> Any:
        """The number, where it is one."""
        return float(text) if re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]{0,30})?|-?\.[0-9]{1,30}", text) else text

    def checked(self, name: str, value: Any) -> float:
        """See `Parameter`."""
        fits = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if not fits or not self.least <= value <= self.most:
            raise Refused(f"{name} is {shown(value)}; pass a number from {self.least:g} to {self.most:g}")
        return float(value)


@dataclasses.dataclass(frozen=True)
class Switch:
    """True or false.

    >>> Switch().checked("details", Switch().read("true"))
    True
    """

    several: bool = False

    def read(self, text: str) -> Any:
        """Whether it is true, where it is one of the two words."""
        return {"true": True, "false": False}.get(text, text)

    def checked(self, name: str, value: Any) -> bool:
        """See `Parameter`."""
        if not isinstance(value, bool):
            raise Refused(f"{name} is {shown(value)}; pass true or false")
        return value


def from_query(query: bytes, parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    """Read the values of a query string.

    Args:
      query: what follows the question mark, as it came.
      parameters: what each may be.

    Raises:
      Refused: text that is not UTF-8, an unknown parameter, a value twice, or one of the wrong kind.

    >>> from_query(b"k=5&history=1&history=7", {"k": Whole(1, 64), "history": Texts(2)})
    {'k': 5, 'history': ('1', '7')}
    """
    try:
        pairs = urllib.parse.parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
        )
    except ValueError:  # UnicodeDecodeError is one
        raise Refused("the query string is not UTF-8 text with percent signs; encode it as addresses are") from None
    values: dict[str, Any] = {}
    for name, text in pairs:
        kind = _known(name, parameters)
        if kind.several:
            values.setdefault(name, []).append(kind.read(text))
        elif name in values:
            raise Refused(f"{name} is given twice; give it once")
        else:
            values[name] = kind.read(text)
    return _checked(values, parameters)


def from_json(body: bytes, parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    """Read the values of a JSON document; null stands for a parameter that is not given.

    Args:
      body: as it came.
      parameters: what each may be.

    Raises:
      Refused: no JSON, another document than an object, an unknown parameter, or a value of the wrong kind.

    >>> from_json(b'{"k": 5}', {"k": Whole(1, 64)})
    {'k': 5}
    """
    try:
        document = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except Refused:
        raise
    except UnicodeDecodeError:
        raise Refused("the body is not UTF-8; send JSON in UTF-8") from None
    except json.JSONDecodeError as error:
        raise Refused(f"the body is no JSON: {error.msg} at letter {error.pos}") from None
    except (ValueError, RecursionError):  # a number of thousands of digits, or brackets without end
        raise Refused("the body is no JSON that can be read; send plain numbers and at most two levels") from None
    if not isinstance(document, dict):
        raise Refused(f"the body is {shown(document)}; send an object with the parameters by name")
    for name in document:
        _known(name, parameters)
    return _checked({name: value for name, value in document.items() if value is not None}, parameters)


def shown(value: Any) -> str:
    """A value as a message shows it, cut where it is long.

    >>> shown("a" * 50)
    "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa..."
    """
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, int) and abs(value) >= 10**30:  # Python may refuse to write it out
        return "a number of over 30 digits"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _known(name: str, parameters: Mapping[str, Parameter]) -> Parameter:
    if name not in parameters:
        raise Refused(f"there is no parameter {shown(name)}; the parameters are {', '.join(parameters)}")
    return parameters[name]


def _checked(values: Mapping[str, Any], parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    return {name: parameters[name].checked(name, value) for name, value in values.items()}


def _no_constant(text: str) -> Any:
    raise Refused(f"the body has the number {text}, which JSON does not know; send finite numbers")
