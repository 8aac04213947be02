"""Objects in words: `low_pass(rank=64)` is the class of a name, called with values; for options that take several."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Mapping
from typing import Any

from jaxrec import registry
from jaxrec._checks import check_kinds
from jaxrec.errors import JaxrecError


def with_objects(owner: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Put objects in place of texts, in the options of a class whose fields' metadata name the kind of "objects".

    Raises:
      JaxrecError: no text, or see `object_of`.

    >>> from jaxrec.models import GraphFilter
    >>> with_objects(GraphFilter, {"terms": ("one_hop",), "tolerance": 0.1})["terms"]
    (OneHop(weight=1.0, users=1.0, own=0.5, scored=0.2, power=1.0),)
    """
    made = dict(values)
    for field in dataclasses.fields(owner) if dataclasses.is_dataclass(owner) else ():
        kind = field.metadata.get("objects")
        if kind is None:
            continue
        if not made[field.name]:
            flag = f"--{field.name.replace('_', '-')}"
            raise JaxrecError(f"{flag} has nothing after it; write for example {flag} {_example(kind)}")
        made[field.name] = tuple(object_of(kind, text) for text in made[field.name])
    return made


def object_of(kind: str, text: str) -> Any:
    """Make the object that a text calls for.

    Args:
      kind: of the registry; an option within is an object itself where its field's metadata name an "object".
      text: a name or a place, "package.module:Class", alone or with values in brackets, as in Python.

    Raises:
      JaxrecError: no such name, no call, an option that the class does not have, or a value that it refuses.

    >>> object_of("term", "low_pass(rank=64)")
    LowPass(weight=0.4, rank=64, own=0.5, scored=-0.2)
    >>> object_of("term", "chebyshev(response=sharpened(0.5), order=2)").response
    Sharpened(amount=0.5)
    """
    word, opened, values = text.strip().partition("(")
    try:
        call = ast.parse(f"_{opened}{values}" if opened else "_()", mode="eval").body
    except (SyntaxError, ValueError):
        raise JaxrecError(f"{text!r} is no {kind}; write for example {_example(kind)}") from None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):  # such as a sum
        raise JaxrecError(f"{text!r} is no {kind}; write for example {_example(kind)}")
    return _made(kind, word.strip(), call, text)


def text_of(kind: str, thing: Any) -> str:
    """Return the text that `object_of` makes an equal object of.

    >>> from jaxrec.models import LowPass
    >>> text_of("term", LowPass()), text_of("term", LowPass(rank=64))
    ('low_pass', 'low_pass(rank=64)')
    """
    changed = []
    for field in dataclasses.fields(thing):
        value = getattr(thing, field.name)
        if value != field.default:
            inner = field.metadata.get("object")
            changed.append(f"{field.name}={text_of(inner, value) if inner else repr(value)}")
    return registry.name_of(kind, thing) + (f"({', '.join(changed)})" if changed else "")


def _made(kind: str, word: str, call: ast.Call, text: str) -> Any:
    made = registry.find(kind, word, outside=True)
    if not dataclasses.is_dataclass(made):
        raise JaxrecError(f"{text!r}: {word} is no class with options; write for example {_example(kind)}")
    fields = {field.name: field for field in dataclasses.fields(made)}
    if len(call.args) > len(fields):
        raise JaxrecError(f"{text!r}: {word} takes {len(fields)} values, {', '.join(fields)}; got {len(call.args)}")
    given: dict[str, Any] = {}
    for name, node in [*zip(fields, call.args, strict=False), *((each.arg, each.value) for each in call.keywords)]:
        if name not in fields:
            raise JaxrecError(f"{text!r}: {word} has no option {name or '**'}; it takes {', '.join(fields)}")
        if name in given:
            raise JaxrecError(f"{text!r}: {name} is given twice")
        given[name] = _value(fields[name], node, text)
    thing = registry.make(kind, made, options=given)
    check_kinds(thing)
    return thing


def _value(field: dataclasses.Field[Any], node: ast.expr, text: str) -> Any:
    inner = field.metadata.get("object")
    if inner is not None:
        call = ast.Call(node, [], []) if isinstance(node, ast.Name) else node
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
            return _made(inner, call.func.id, call, text)
        names = ", ".join(registry.names(inner))
        is_now = f"{text!r}: {field.name} is {ast.unparse(node)}"
        raise JaxrecError(f"{is_now}; write one of {names}, with values in brackets")
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise JaxrecError(f"{text!r}: {field.name} is {ast.unparse(node)}, which is no value") from None


def _example(kind: str) -> str:
    """The first name as a word, or as a call where it has to have a value."""
    name = registry.names(kind)[0]
    needed = [
        field.name for field in dataclasses.fields(registry.find(kind, name)) if field.default is dataclasses.MISSING
    ]
    return f"{name}({', '.join(f'{each}=...' for each in needed)})" if needed else name
