"""The public names of jaxrec: which room documents each, and what is missing of its documentation. Needs no Sphinx."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import types
from typing import Any, get_origin

import jaxrec

# What an example would say nothing about: protocols say it in their own, types of values are one line.
_VALUE_MODULES = ("typing", "collections.abc", "types", "jaxtyping")


@dataclasses.dataclass(frozen=True)
class Symbol:
    """A public name at its home.

    Attributes:
      room: the module whose page has it.
      name: in that module.
      thing: the object.
      also: the other modules that have it.
    """

    room: str
    name: str
    thing: Any
    also: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        return f"{self.room}.{self.name}"

    @property
    def kind(self) -> str:
        """The directive that documents it: class, exception, function, module or data."""
        thing = self.thing
        if isinstance(thing, types.ModuleType):
            return "module"
        if inspect.isclass(thing) and get_origin(thing) is None:
            return "exception" if issubclass(thing, BaseException) else "class"
        return "function" if callable(thing) and get_origin(thing) is None and _has_signature(thing) else "data"


def rooms() -> dict[str, types.ModuleType]:
    """The public modules, by name: `jaxrec` first, then the rooms in alphabetical order."""
    found = sorted(one.name for one in pkgutil.walk_packages(jaxrec.__path__, "jaxrec."))
    public = [name for name in found if "._" not in name and name != "jaxrec.__main__"]
    return {name: importlib.import_module(name) for name in ["jaxrec", *public]}


def names_of(module: types.ModuleType) -> list[str]:
    """The names of a face, which lists them, or of a module of one file, which defines them."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return list(listed)
    defined = [name for name, thing in vars(module).items() if getattr(thing, "__module__", None) == module.__name__]
    return [name for name in defined if not name.startswith("_")]


def symbols() -> list[Symbol]:
    """Every public name once, at its home: the room whose files define it, or else the first that lists it."""
    places: dict[tuple[int, str], list[tuple[str, str, Any]]] = {}
    for room, module in rooms().items():
        for name in names_of(module):
            thing = getattr(module, name)
            if not isinstance(thing, types.ModuleType):
                key = (id(thing), "" if hasattr(thing, "__module__") else name)
                places.setdefault(key, []).append((room, name, thing))
    made = []
    for found in places.values():
        defined = getattr(found[0][2], "__module__", None) or ""
        within = [one for one in found if defined == one[0] or defined.startswith(f"{one[0]}._")]
        room, name, thing = max(within, key=lambda one: len(one[0]), default=found[-1])
        also = tuple(f"{other}.{alias}" for other, alias, _ in found if (other, alias) != (room, name))
        made.append(Symbol(room, name, thing, also))
    return sorted(made, key=lambda one: (one.room, one.name.lower(), one.name))


def faults(found: list[Symbol]) -> list[str]:
    """What the documentation of public names lacks, one line each: a docstring, an example, types."""
    lines = []
    for symbol in found:
        kind = symbol.kind
        if kind == "data" or _is_foreign(symbol.thing):
            continue
        text = inspect.getdoc(symbol.thing) or ""
        if not text:
            lines.append(f"{symbol.path}: no docstring")
        if _wants_example(symbol.thing) and ">>>" not in text:
            lines.append(f"{symbol.path}: no example")
        lines += [f"{symbol.path}{member}: {what}" for member, what in _untyped(symbol.thing, kind)]
    return lines


def _is_foreign(thing: Any) -> bool:
    """Whether another library defines it, such as the matrices of JAX."""
    return (getattr(thing, "__module__", None) or "").partition(".")[0] in ("jax", "numpy", "scipy", "networkx")


def _wants_example(thing: Any) -> bool:
    return (
        callable(thing)
        and getattr(thing, "__module__", None) not in _VALUE_MODULES
        and not getattr(thing, "_is_protocol", False)
    )


def _untyped(thing: Any, kind: str) -> list[tuple[str, str]]:
    """The arguments and results without a type, of a function or of the methods that a class defines."""
    if kind == "function":
        return _without_types("", thing)
    lines = []
    for name, member in vars(thing).items():
        function = member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
        # The arguments of tests are fixtures, which pytest finds by their names.
        if isinstance(function, types.FunctionType) and not name.startswith(("_", "test_")):
            lines += _without_types(f".{name}", function, bound=not isinstance(member, staticmethod))
    return lines


def _without_types(place: str, function: Any, bound: bool = False) -> list[tuple[str, str]]:
    signature = inspect.signature(function)
    own = list(signature.parameters.values())[1 if bound else 0 :]
    bare = [one.name for one in own if one.annotation is inspect.Parameter.empty]
    lines = [(place, f"argument {name!r} without a type") for name in bare]
    if signature.return_annotation is inspect.Signature.empty:
        lines.append((place, "result without a type"))
    return lines


def _has_signature(thing: Any) -> bool:
    try:
        inspect.signature(thing)
    except (TypeError, ValueError):
        return False
    return isinstance(thing, types.FunctionType) or hasattr(thing, "__wrapped__") or inspect.isroutine(thing)
