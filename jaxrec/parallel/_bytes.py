"""Bytes that devices send one another: stated from what is traced, and counted in what was compiled."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
from jax.extend import core

KINDS = ("all-gather", "all-reduce", "reduce-scatter", "all-to-all", "collective-permute", "collective-broadcast")
_OPENS = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\{$")
_DOES = re.compile(r"^(?:ROOT )?%?[\w.\-]+ = (?P<type>.*?) (?P<op>[a-z][a-z\-]*[a-z0-9]*)\((?P<rest>.*)$")
_ARRAY = re.compile(r"(pred|[a-z]+\d+)[\w]*\[([\d,]*)\]")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
_CALLED = re.compile(r"(body|calls|to_apply|condition|true_computation|false_computation)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")


class Gathered(NamedTuple):
    """What the products of a program gather on each device, in bytes.

    Attributes:
      total: of all of them.
      largest: of the one that gathers most at a time.

    >>> Gathered(total=40, largest=8).largest
    8
    """

    total: int
    largest: int


class MeshStep(NamedTuple):
    """What a model that is solved on a mesh repeats, for stating its bytes.

    Attributes:
      program: a function of the arguments.
      arguments: shapes with their shardings: the matrix, and the tables that devices share.
      what: the program in words.

    >>> MeshStep(lambda matrix, table: table, (None, None), "nothing").what
    'nothing'
    """

    program: Callable[..., Any]
    arguments: tuple[Any, ...]
    what: str


def gathered_bytes(function: Callable[..., Any], *arguments: Any) -> Gathered:
    """State what the products of a program gather on each device, in bytes: the results of its `all_gather`s.

    Nothing is compiled and nothing runs; shapes will do for arguments. What the compiler adds is not in it, such as
    the sums of the rows of a batch over devices.

    Args:
      function: of arrays.
      arguments: arrays, or their shapes.

    >>> gathered_bytes(lambda x: 2 * x, jax.numpy.ones(3))
    Gathered(total=0, largest=0)
    """
    return _of_jaxpr(jax.make_jaxpr(function)(*arguments).jaxpr)


def _of_jaxpr(jaxpr: Any) -> Gathered:
    total = largest = 0
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        if name == "all_gather":
            size = sum(math.prod(out.aval.shape) * out.aval.dtype.itemsize for out in equation.outvars)
            total, largest = total + size, max(largest, size)
            continue
        inner = [_of_jaxpr(each) for each in _inner(equation.params)]
        sizes = [each.total for each in inner]
        largest = max([largest, *(each.largest for each in inner)])
        times = equation.params["length"] if name == "scan" else 1
        total += max(sizes, default=0) if name == "cond" else sum(sizes) * times
    return Gathered(total, largest)


def _inner(params: Mapping[str, Any]) -> Iterator[Any]:
    for value in params.values():
        for each in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(each, core.ClosedJaxpr):
                yield each.jaxpr
            elif isinstance(each, core.Jaxpr):
                yield each


def communicated_bytes(text: str) -> dict[str, int]:
    """Count what a device gets in the collectives of a compiled program, in bytes of their results, by kind.

    A collective in a loop stands in the text once, and is counted as often as the loop says that it runs. Of the
    branches of a conditional the largest counts.

    Args:
      text: what `compiled.as_text()` gives.

    Raises:
      ValueError: a loop with collectives that does not say how often it runs.

    >>> program = jax.jit(lambda x: 2 * x).lower(jax.numpy.ones(3)).compile()
    >>> communicated_bytes(program.as_text())
    {}
    """
    computations: dict[str, list[re.Match[str]]] = {}
    entry, lines = "", None
    for line in text.splitlines():
        opened = None if line.startswith(" ") else _OPENS.match(line)
        if opened:
            lines = computations.setdefault(opened[1], [])
            entry = opened[1] if line.startswith("ENTRY") else entry
        elif lines is not None and (does := _DOES.match(line.strip())):
            lines.append(does)
    known: dict[str, Counter[str]] = {}

    def of(name: str) -> Counter[str]:
        if name not in known:
            known[name] = Counter()
            for does in computations.get(name, ()):
                known[name] += _of_instruction(does, of)
        return known[name]

    return {kind: number for kind, number in sorted(of(entry).items()) if number}


def _of_instruction(does: re.Match[str], of: Callable[[str], Counter[str]]) -> Counter[str]:
    op, rest = does["op"], does["rest"]
    kind = op.removesuffix("-done")
    if kind in KINDS:  # of a pair of start and done, what is done counts
        return Counter({kind: _size(does["type"])})
    called = dict(_CALLED.findall(rest))
    if op == "while":
        inside = of(called["body"])
        trips = _TRIPS.search(rest)
        if inside and trips is None:
            raise ValueError(f"a loop of the program does not say how often it runs: {called['body']}")
        return Counter({kind: number * int(trips[1]) for kind, number in inside.items()} if trips else {})
    branches = _BRANCHES.search(rest)
    named = [each.strip().lstrip("%") for each in branches[1].split(",")] if branches else []
    named += [called[which] for which in ("true_computation", "false_computation") if which in called]
    if named:
        return max((of(each) for each in named), key=lambda one: sum(one.values()))
    found: Counter[str] = Counter()
    for which in ("calls", "to_apply"):
        if which in called:
            found += of(called[which])
    return found


def _size(kind: str) -> int:
    """The bytes of a type as the text has it, "f32[2,3]{1,0}" or a tuple of such."""
    total = 0
    for name, shape in _ARRAY.findall(kind):
        bits = 8 if name == "pred" else int(re.sub(r"\D", "", name))
        total += math.prod(map(int, filter(None, shape.split(",")))) * bits // 8
    return total
