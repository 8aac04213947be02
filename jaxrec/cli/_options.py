"""The options of a command as rows for people: flags, what stands after them, what they do, and their defaults."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tyro import conf

_WORDS = {int: "INT", float: "FLOAT", str: "TEXT", bool: "{True,False}", type(None): "{None}"}


@dataclasses.dataclass(frozen=True)
class Row:
    """One option.

    Attributes:
      name: of the field.
      flags: as they are written, with what stands after them: "-k K ..., --k K ...", or a word without a flag.
      text: what it does; "" where the docstring says nothing.
      hint: its default, or that it is required; "" where that says nothing.
      group: the field of the command that it belongs to; "" for the command's own.
      owner: the class that has the field.
    """

    name: str
    flags: str
    text: str
    hint: str
    group: str
    owner: type

    @property
    def positional(self) -> bool:
        """Whether it has no flag."""
        return not self.flags.startswith("-")


def rows_of(options: type) -> list[Row]:
    """The options of a command's class, those of its groups too.

    Args:
      options: a dataclass of options; a field that is a dataclass itself is a group.

    >>> @dataclasses.dataclass
    ... class Command:
    ...     '''A command.
    ...
    ...     Attributes:
    ...       run: the run folder.
    ...       dim: d, the width.
    ...     '''
    ...
    ...     run: typing.Annotated[str, conf.Positional, conf.arg(metavar="RUN")]
    ...     dim: int = 8
    >>> [(row.flags, row.text, row.hint) for row in rows_of(Command)]
    [('RUN', 'the run folder.', '(required)'), ('--dim INT', 'd, the width.', '(default: 8)')]
    """
    return list(_rows(options, "", "", None))


def _rows(options: type, group: str, prefix: str, default: Any) -> Iterator[Row]:
    hints = typing.get_type_hints(options, include_extras=True)
    for field in dataclasses.fields(options):
        if not field.init:
            continue
        hint, metadata = _plain(hints[field.name])
        value = _default(field) if default is None else getattr(default, field.name)
        if inspect.isclass(hint) and dataclasses.is_dataclass(hint):
            own = prefix if conf.OmitArgPrefixes in metadata else f"{prefix}{_dashed(field.name)}."
            yield from _rows(hint, group or field.name, own, None if value is dataclasses.MISSING else value)
            continue
        flags, said = _flags(field.name, hint, metadata, prefix, value)
        owner = next(one for one in reversed(options.__mro__) if field.name in inspect.get_annotations(one))
        yield Row(field.name, flags, text_of(options, field.name), said, group, owner)


def _plain(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """A type without what is annotated, and that."""
    return (hint.__origin__, hint.__metadata__) if hasattr(hint, "__metadata__") else (hint, ())


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _flags(name: str, hint: Any, metadata: Sequence[Any], prefix: str, value: Any) -> tuple[str, str]:
    """The flags of an option with what stands after them, and its default in words."""
    said = next((one for one in metadata if hasattr(one, "metavar")), None)  # of `conf.arg`
    given = "" if said is None else said.metavar or ""
    metavar = "" if hint is bool else given or metavar_of(hint)
    shown = _hint(said, value)
    if conf.Positional in metadata:
        return given or name.upper(), shown
    own = _dashed((said and said.name) or name)
    flag = f"--{prefix}{own}"
    if hint is bool and conf.FlagCreatePairsOff not in metadata:
        return f"{flag}, --{prefix}no-{own}", shown
    if hint is bool:
        return flag, ""
    flags = [*((said and said.aliases) or ()), flag]
    return ", ".join(f"{one} {metavar}" for one in flags), shown


def _hint(said: Any, value: Any) -> str:
    if value is dataclasses.MISSING or type(value).__module__.startswith("tyro"):  # of a group that lacks a default
        return "(required)"
    if said is not None and said.help_behavior_hint == "":
        return ""
    words = value if isinstance(value, (tuple, list)) else (value,)
    return f"(default: {' '.join(map(str, words))})" if words else ""


def metavar_of(hint: Any) -> str:
    """What stands after a flag of a type.

    >>> metavar_of(int | None), metavar_of(tuple[float, ...]), metavar_of(typing.Literal["mean", "sum"])
    ('{None}|INT', 'FLOAT ...', '{mean,sum}')
    """
    hint, _ = _plain(hint)
    origin, given = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return "{" + ",".join(map(str, given)) + "}"
    if origin in (typing.Union, types.UnionType):
        words = [metavar_of(one) for one in sorted(given, key=lambda one: one is not type(None))]
        return "|".join(dict.fromkeys(words))
    if origin in (tuple, list):
        several = len(given) == 1 or given[-1] is Ellipsis
        return f"{metavar_of(given[0])} ..." if several else " ".join(map(metavar_of, given))
    return _WORDS.get(hint, "VALUE")


def text_of(options: type, name: str) -> str:
    """What a class of options, or the nearest base, says of a field; "" for nothing.

    >>> text_of(Row, "positional"), text_of(Row, "hint")[:12]
    ('', 'its default,')
    """
    for owner in options.__mro__:
        own = attributes_in(vars(owner).get("__doc__") or "")
        if name in own:
            return own[name]
    return ""


def first_clause(text: str) -> str:
    """What is said of an option, up to the first colon, semicolon or full stop.

    >>> first_clause("the run folder; by default a new one."), first_clause("package.module:Class.")
    ('the run folder', 'package.module:Class')
    """
    return re.split(r"[;:.](?:\s|$)", text)[0]


@functools.cache
def attributes_in(docstring: str) -> Mapping[str, str]:
    """The entries of the section "Attributes" of a docstring; one may be of several names.

    >>> attributes_in("Options.\\n\\nAttributes:\\n  dim: d.\\n  low, high: the\\n    ends.\\n")
    {'dim': 'd.', 'low': 'the ends.', 'high': 'the ends.'}
    """
    section = inspect.cleandoc(docstring).partition("Attributes:\n")[2]
    found: dict[str, str] = {}
    names: list[str] = []
    first = re.match(r"( +)", section)
    indent = first[1] if first else ""
    for line in section.splitlines():
        if line.strip() and not line.startswith(" "):
            break
        head = re.match(rf"{indent}(\w+(?:, \w+)*): (.*)", line) if indent else None
        if head:
            names = head[1].split(", ")
            found |= dict.fromkeys(names, head[2].strip())
        elif line.strip():
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found
