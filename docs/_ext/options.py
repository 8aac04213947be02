"""The options of a class, as its fields and its docstring have them; warnings, as the code gives them. No Sphinx."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import pathlib
import re
from typing import Any

_SIZES = ("num_users", "num_items", "name", "parent")


@dataclasses.dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
      name: of the field.
      default: as Python writes it; empty where there is none.
      flag: of the command line, or empty.
      text: what the docstring says.
    """

    name: str
    default: str
    flag: str
    text: str


def options_of(cls: type) -> list[Option]:
    """The options of a frozen class in the order of its fields; sizes that `jaxrec.fit` sets are left out."""
    made = []
    for field in dataclasses.fields(cls):
        if field.name in _SIZES or not field.init:
            continue
        flag = field.metadata.get("flag", field.name)
        made.append(
            Option(field.name, _default(field), f"--{flag.replace('_', '-')}" if flag else "", _text(cls, field.name))
        )
    return made


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return repr(field.default)
    return repr(field.default_factory()) if field.default_factory is not dataclasses.MISSING else ""


def _text(cls: type, name: str) -> str:
    """What the class or the nearest base says of a field."""
    for owner in cls.__mro__:
        own = attributes_of(vars(owner).get("__doc__") or "")
        if name in own:
            return own[name]
    return ""


def attributes_of(docstring: str) -> dict[str, str]:
    """The entries of the section "Attributes" of a docstring; one entry may be of several names."""
    section = re.search(r"^Attributes:\n(.*?)(?=^\S|\Z)", inspect.cleandoc(docstring), re.MULTILINE | re.DOTALL)
    found: dict[str, str] = {}
    entry = ""
    for line in (section[1] if section else "").splitlines():
        head = re.match(r"  ([\w, ]+): (.*)", line)
        if head:
            entry = head[1]
            found[entry] = head[2]
        elif line.strip() and entry:
            found[entry] += " " + line.strip()
    return {name.strip(): text for names, text in found.items() for name in names.split(",")}


@dataclasses.dataclass(frozen=True)
class Told:
    """A warning that the code gives.

    Attributes:
      room: where it is given.
      category: its class.
      message: its text, with the names of what is filled in between angle brackets.
    """

    room: str
    category: str
    message: str


def warnings_of(folder: pathlib.Path) -> list[Told]:
    """Every call of `warnings.warn` with a text, without those for renamed names."""
    found = set()
    for path in sorted(folder.rglob("*.py")):
        room = ".".join(
            part for part in path.relative_to(folder.parent).with_suffix("").parts if not part.startswith("_")
        )
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "warnings.warn" and node.args:
                category = ast.unparse(node.args[1]) if len(node.args) > 1 else "UserWarning"
                message = _words(node.args[0])
                if message and category != "DeprecationWarning":
                    found.add(Told(room, category, message))
    return sorted(found, key=lambda one: (one.room, one.message))


def _words(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if not isinstance(node, ast.JoinedStr):
        return ""
    parts = []
    for part in node.values:
        if isinstance(part, ast.Constant):
            parts.append(str(part.value))
        elif isinstance(part, ast.FormattedValue):
            parts.append(f"<{ast.unparse(part.value)}>")
    return "".join(parts)
