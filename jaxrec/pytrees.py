"""Frozen objects that carry options: dataclasses that are pytrees, with numbers as leaves and words as structure."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, TypeGuard, TypeVar, dataclass_transform

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec._checks import check_kinds
from jaxrec.errors import MismatchError

__all__ = ["Counted", "is_number", "options", "register", "stack", "static", "stored", "structure_of", "values_of"]

T = TypeVar("T")


def static(**kwargs: Any) -> Any:
    """A field of an options class that belongs to its structure: a word, a size, a switch.

    Another value is another program. The arguments are those of `dataclasses.field`.

    >>> @options
    ... class Scaled:
    ...     by: float = 2.0
    ...     size: int = static(default=3)
    >>> jax.tree.leaves(Scaled())
    [2.0]
    """
    return dataclasses.field(metadata={**kwargs.pop("metadata", {}), "static": True}, **kwargs)


@dataclass_transform(frozen_default=True, field_specifiers=(static, dataclasses.field))
def options(cls: type[T]) -> type[T]:
    """Make a class a frozen dataclass and a pytree: fields are leaves, but for those made with `static`.

    So a jitted function that takes such an object as an argument is compiled once for all numbers, several objects can
    be stacked and mapped over, and an object of plain numbers can be hashed and compared.

    >>> @options
    ... class Power:
    ...     exponent: float = 2.0
    >>> jax.jit(lambda power, x: x**power.exponent)(Power(3.0), 2.0).item()
    8.0
    """
    check = getattr(cls, "__post_init__", None)

    def __post_init__(self: Any) -> None:
        words = set()
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.metadata.get("static"):
                words.add(field.name)
            # 1 and np.float64(0.5) are the same kind of argument as 1.0 and 0.5, and compile nothing anew.
            elif is_number(value):
                object.__setattr__(self, field.name, float(value))
        # Words and sizes are what the caller gave; leaves may be anything, since trees are mapped over.
        check_kinds(self, finite=False, only=words)
        if check is not None:
            check(self)

    cls.__post_init__ = __post_init__  # pyright: ignore[reportAttributeAccessIssue]
    return register(dataclasses.dataclass(frozen=True)(cls))


def register(cls: type[T]) -> type[T]:
    """Register a frozen dataclass as a pytree: fields are leaves or subtrees, but for those made with `static`.

    It is `jax.tree_util.register_dataclass` but for one thing. There, in jax 0.10, the structures of two classes with
    equal fields compare as equal, so a jitted function may run the program of one class on an object of the other. Here
    they differ.

    >>> @register
    ... @dataclasses.dataclass(frozen=True)
    ... class One:
    ...     by: float
    >>> @register
    ... @dataclasses.dataclass(frozen=True)
    ... class Other:
    ...     by: float
    >>> jax.tree.structure(One(1.0)) == jax.tree.structure(Other(1.0))
    False
    """
    fields = [field for field in dataclasses.fields(cls) if field.init]  # pyright: ignore[reportArgumentType]
    data = tuple(field.name for field in fields if not field.metadata.get("static"))
    meta = tuple(field.name for field in fields if field.metadata.get("static"))
    keys = tuple(jax.tree_util.GetAttrKey(name) for name in data)

    counted = {name for name in data if isinstance(vars(cls).get(name), Counted)}

    def flatten(thing: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        leaves = tuple(vars(thing)[name] if name in counted else getattr(thing, name) for name in data)
        return leaves, tuple(getattr(thing, name) for name in meta)

    def flatten_with_keys(thing: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        values, structure = flatten(thing)
        return tuple(zip(keys, values, strict=True)), structure

    def unflatten(structure: tuple[Any, ...], values: Iterable[Any]) -> Any:
        return cls(**dict(zip(data, values, strict=True)), **dict(zip(meta, structure, strict=True)))

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    return cls


def stored(thing: Any, name: str) -> Any:
    """The value of a field as it is stored, without what `Counted` counts.

    >>> @dataclasses.dataclass
    ... class One:
    ...     by: float
    >>> stored(One(1.0), "by")
    1.0
    """
    return vars(thing)[name] if isinstance(vars(type(thing)).get(name), Counted) else getattr(thing, name)


class Counted(abc.ABC):
    """A field of a frozen dataclass that may be None, and is then counted from the others where it is asked for.

    The leaf of the pytree, and what a file holds, is what is stored. A subclass says how it is counted.

    >>> class Double(Counted):
    ...     def count(self, thing):
    ...         return 2 * thing.half
    >>> @register
    ... @dataclasses.dataclass(frozen=True)
    ... class Pair:
    ...     half: int
    ...     whole: int = Double()
    >>> Pair(3, None).whole, jax.tree.leaves(Pair(3, None))
    (6, [3])
    """

    @abc.abstractmethod
    def count(self, thing: Any) -> Any:
        """Count the value of the field."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, thing: Any, owner: Any = None) -> Any:
        if thing is None:
            raise AttributeError(self.name)  # the field has no default
        value = vars(thing)[self.name]
        return self.count(thing) if value is None else value

    def __set__(self, thing: Any, value: Any) -> None:
        vars(thing)[self.name] = value


def structure_of(tree: Any) -> int:
    """A number for the structure of a tree, its classes included: a static argument of what is jitted.

    Objects from outside may be registered by `jax.tree_util.register_dataclass`, where jax 0.10 confuses classes; see
    `register`. The hashes of their structures differ.

    >>> structure_of((1.0, 2.0)) == structure_of((3.0, 4.0)), structure_of((1.0, 2.0)) == structure_of([1.0, 2.0])
    (True, False)
    """
    return hash(jax.tree.structure(tree))


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is a plain number, which can be looked at and checked: not one that is traced or stacked.

    >>> is_number(0.5), is_number(jnp.zeros(3)), is_number(True)
    (True, False, False)
    """
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def stack(members: Sequence[Any], what: str = "members") -> Any:
    """One pytree with a leading axis [S] from S pytrees of one structure.

    Args:
      members: S pytrees.
      what: they are, for the message.

    Raises:
      MismatchError: they differ in more than their numbers.

    >>> stack([{"w": 1.0}, {"w": 2.0}])["w"].tolist()
    [1.0, 2.0]
    """
    first = jax.tree.structure(members[0])
    for at, member in enumerate(members):
        if jax.tree.structure(member) != first:
            raise MismatchError(
                f"{what} must differ in numbers only, so that one program serves all; {members[0]!r} and, at place "
                f"{at}, {member!r} differ in more"
            )
    return jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), *members)


def values_of(thing: Any) -> dict[str, Any]:
    """The fields of a dataclass by name, not descending into them.

    >>> values_of(options(type("Made", (), {"__annotations__": {"by": float}, "by": 2.0}))())
    {'by': 2.0}
    """
    return {field.name: getattr(thing, field.name) for field in dataclasses.fields(thing) if field.init}
