"""Checks of options that callers give: whole numbers and numbers, by kind and by range, and addresses."""

from __future__ import annotations

import dataclasses
import functools
import ipaddress
import math
import re
import types
import typing
from collections.abc import Collection
from typing import Any

import numpy as np

from jaxrec.errors import JaxrecError

MOST_WHOLE = 2**31 - 1  # sizes and counts are int32 on the device
_MOST_DIGITS = 640  # so many become a number whatever Python is told of long ones
_ADDRESS = re.compile(r"(?:\[([^\[\]]*)\]|[^\s:/\[\]]+):([0-9]{1,5})")


def whole(name: str, value: Any, least: int, most: int = MOST_WHOLE) -> int:
    """Check that an option is a whole number in a range, and give it as Python's own.

    NumPy's integers and arrays of one integer are whole numbers; True, 2.0 and "2" are none.

    Args:
      name: of the option, for the message.
      value: what the caller gave.
      least: the lowest that goes.
      most: the highest that goes.

    Raises:
      JaxrecError: another kind of value, or one out of range.

    >>> whole("epochs", np.int64(5), 1)
    5
    >>> whole("epochs", 1.5, 1)
    Traceback (most recent call last):
        ...
    jaxrec.errors.JaxrecError: epochs must be a whole number of at least 1, got 1.5
    """
    is_whole = isinstance(value, (int, np.integer)) or (
        isinstance(value, np.ndarray) and value.ndim == 0 and value.dtype.kind in "iu"
    )
    if isinstance(value, bool) or not is_whole or int(value) < least:
        raise JaxrecError(f"{name} must be a whole number of at least {least}, got {shown(value)}")
    if int(value) > most:
        raise JaxrecError(f"{name} must be at most {most:,}, got {shown(value)}")
    return int(value)


def digits(text: str) -> int | None:
    """The number that a text of the digits 0 to 9 is; None for any other text.

    Characters such as "²" are digits for `str.isdigit` and none for `int`.

    >>> digits("16"), digits("²"), digits("-1"), digits("")
    (16, None, None, None)
    """
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS else None


def address(name: str, value: Any) -> str:
    """Check that an option is the address of a process, HOST:PORT, and give it back.

    Args:
      name: of the option, for the message.
      value: what the caller gave; an IPv6 address is in brackets.

    Raises:
      JaxrecError: no host, no port, or a port that there is not.

    >>> address("coordinator", "[::1]:4000")
    '[::1]:4000'
    >>> address("coordinator", "10.0.0.1")
    Traceback (most recent call last):
        ...
    jaxrec.errors.JaxrecError: coordinator must be HOST:PORT, with a port from 1 to 65535, got '10.0.0.1'; write it ...
    """
    found = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    if found is None or not 1 <= int(found[2]) <= 65_535 or not (found[1] is None or _is_ipv6(found[1])):
        raise JaxrecError(
            f"{name} must be HOST:PORT, with a port from 1 to 65535, got {shown(value)}; write it as 10.0.0.1:4000 or "
            "[::1]:4000"
        )
    return value


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def number(name: str, value: Any, low: float = -math.inf, high: float = math.inf, *, above: bool = False) -> float:
    """Check that an option is a finite number in a range, and give it as a float.

    Args:
      name: of the option, for the message.
      value: what the caller gave; NumPy's numbers will do, True and "0.1" will not.
      low: the lowest that goes.
      high: the highest that goes.
      above: whether `low` itself does not go.

    Raises:
      JaxrecError: another kind of value, NaN or an infinity, or one out of range.

    >>> number("tolerance", np.float32(0.5), 0)
    0.5
    >>> number("memory_mb", float("inf"), 0, above=True)
    Traceback (most recent call last):
        ...
    jaxrec.errors.JaxrecError: memory_mb must be a finite number above 0, got inf
    """
    scalar = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    within = scalar and math.isfinite(value) and low <= value <= high and not (above and value == low)
    if not within:
        bounds = [] if low == -math.inf else [f"{'above' if above else 'of at least'} {low:g}"]
        bounds += [] if high == math.inf else [f"{'and ' if bounds else ''}at most {high:g}"]
        raise JaxrecError(
            f"{name} must be a finite number{' ' if bounds else ''}{' '.join(bounds)}, got {shown(value)}"
        )
    return float(value)


def check_kinds(options: Any, *, finite: bool = True, only: Collection[str] | None = None) -> None:
    """Check the kinds of the fields of an options object by their annotations, as the command line does.

    Fields of int take whole numbers, fields of float finite numbers, fields of bool True and False, each also with None
    where the annotation has it. Fields of other types are left to the class, and so are arrays and traced values.

    Args:
      options: a dataclass object, such as a model, a loss or an optimizer; anything else is let through.
      finite: whether NaN and infinities are refused too, and not left to the class.
      only: the fields that are looked at; by default all.

    Raises:
      JaxrecError: a value of another kind.

    >>> import jaxrec
    >>> check_kinds(jaxrec.MF(dim=1.5))
    Traceback (most recent call last):
        ...
    jaxrec.errors.JaxrecError: MF: dim must be a whole number, got 1.5
    """
    if not dataclasses.is_dataclass(options) or isinstance(options, type):
        return
    for name in _words(type(options)):
        value = getattr(options, name)
        if isinstance(value, np.ndarray) and value.ndim:
            raise JaxrecError(f"{type(options).__name__}: {name} must be one word or number, got {shown(value)}")
    for name, (kind, optional) in _kinds(type(options)).items():
        value = getattr(options, name)
        if only is not None and name not in only:
            continue
        if (value is None and optional) or (hasattr(value, "shape") and not isinstance(value, np.generic)):
            continue
        good, what = _KINDS[kind]
        if not good(value) and (finite or not isinstance(value, (float, np.floating)) or kind is int):
            raise JaxrecError(f"{type(options).__name__}: {name} must be {what}, got {shown(value)}")


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number, of Python or NumPy; True and False are none.

    >>> is_whole(3), is_whole(True), is_whole(3.0)
    (True, False, False)
    """
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    return (is_whole(value) or isinstance(value, (float, np.floating))) and math.isfinite(value)


_KINDS: types.MappingProxyType[type, tuple[Any, str]] = types.MappingProxyType(
    {
        int: (is_whole, "a whole number"),
        float: (_is_finite, "a finite number"),
        bool: (lambda value: isinstance(value, (bool, np.bool_)), "True or False"),
    }
)


def kind_of(options: Any, name: str) -> type | None:
    """The kind of a field that is a plain number or switch, by its annotation; None for any other.

    >>> import jaxrec
    >>> kind_of(jaxrec.MF(), "dim"), kind_of(jaxrec.MF(), "initializer")
    (<class 'int'>, None)
    """
    known = dataclasses.is_dataclass(options) and not isinstance(options, type)
    return _kinds(type(options)).get(name, (None, False))[0] if known else None


@functools.cache
def _kinds(cls: type) -> dict[str, tuple[type, bool]]:
    """The kind of each field that is a plain number or switch, and whether it may be None."""
    try:
        hints = typing.get_type_hints(cls)
    except (NameError, TypeError):  # a class from outside whose annotations cannot be read
        return {}
    out = {}
    for field in dataclasses.fields(cls):
        hint = hints.get(field.name)
        some = [one for one in typing.get_args(hint) if one is not type(None)] or [hint]
        if len(some) == 1 and some[0] in _KINDS and typing.get_origin(hint) in (None, types.UnionType, typing.Union):
            out[field.name] = (some[0], type(None) in typing.get_args(hint))
    return out


@functools.cache
def _words(cls: type) -> tuple[str, ...]:
    """The fields that are one word, number or switch, which a NumPy array is not."""
    try:
        hints = typing.get_type_hints(cls)
    except (NameError, TypeError):
        return ()
    out = []
    for field in dataclasses.fields(cls):
        hint = hints.get(field.name)
        several = typing.get_origin(hint) in (types.UnionType, typing.Union)
        some = [one for one in typing.get_args(hint) if one is not type(None)] if several else [hint]
        if some and all(one in (*_KINDS, str) or typing.get_origin(one) is typing.Literal for one in some):
            out.append(field.name)
    return tuple(out)


def shown(value: Any, width: int = 60) -> str:
    """A value as a message shows it: its repr, or its type where that is long.

    >>> shown("4"), shown([0] * 100)
    ("'4'", 'a value of type list')
    """
    try:
        text = repr(value)
    except Exception:  # of a class of the caller
        text = ""
    return text if text and len(text) <= width and "\n" not in text else f"a value of type {type(value).__name__}"
