"""Ranges of options, by their path in the objects of a fit, and the objects with other values put in."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jaxrec import registry
from jaxrec.errors import JaxrecError
from jaxrec.fitting._options import TrainingOptions

# Validation decides a search, so how it is done is no part of one.
_ROOTS = ("model", *(field.name for field in dataclasses.fields(TrainingOptions)))
_FIXED = ("validation", "refit")


@dataclasses.dataclass(frozen=True)
class IntRange:
    """Whole numbers from `low` to `high`, both included.

    Attributes:
      low: the lowest.
      high: the highest.
      log: draw the logarithm uniformly, for numbers that act by their ratio.
      step: the distance of two neighbors; 1 with `log`.

    Raises:
      JaxrecError: an empty range, or one that has no logarithm.

    >>> 24 in IntRange(16, 64, step=8), 25 in IntRange(16, 64, step=8), 0 in IntRange(16, 64)
    (True, False, False)
    """

    low: int
    high: int
    log: bool = False
    step: int = 1

    def __post_init__(self) -> None:
        for name in ("low", "high", "step"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise JaxrecError(f"{name} must be a whole number, got {value!r}; use FloatRange for others")
        if self.step < 1 or (self.log and self.step != 1):
            raise JaxrecError(f"step must be at least 1, and 1 with log=True, got {self.step}")
        _check_ends(self)

    def __contains__(self, value: Any) -> bool:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and self.low <= value <= self.high and (value - self.low) % self.step == 0


@dataclasses.dataclass(frozen=True)
class FloatRange:
    """Numbers from `low` to `high`.

    Attributes:
      low: the lowest.
      high: the highest.
      log: draw the logarithm uniformly, as learning rates and penalties want.

    Raises:
      JaxrecError: an empty range, or one that has no logarithm.

    >>> 0.01 in FloatRange(1e-4, 1e-1, log=True)
    True
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        _check_ends(self)

    def __contains__(self, value: Any) -> bool:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and self.low <= value <= self.high


Range = IntRange | FloatRange | Sequence[Any]
"""Where the values of one option are looked for; a list is of choices."""


def _check_ends(chosen: IntRange | FloatRange) -> None:
    if not chosen.low <= chosen.high:
        raise JaxrecError(f"low must not be above high, got {chosen}")
    if chosen.log and not chosen.low > 0:
        raise JaxrecError(f"log=True needs a low end above 0, got {chosen}")


def checked_space(space: Mapping[str, Range], model: Any, options: TrainingOptions) -> dict[str, Range]:
    """The ranges by path, those of whole objects first, so that theirs are looked up in the objects that were chosen.

    Raises:
      JaxrecError: no path; a path that leads to no option; an empty or ambiguous list; what is no range.

    >>> import jaxrec
    >>> space = {"loss.temperature": [0.1, 0.2], "loss": ["bpr", "softmax"]}
    >>> list(checked_space(space, jaxrec.MF(), TrainingOptions()))
    ['loss', 'loss.temperature']
    """
    if not isinstance(space, Mapping) or not space:
        raise JaxrecError(f'space must map paths to ranges, such as {{"model.dim": IntRange(16, 128)}}, got {space!r}')
    ordered = dict(sorted(space.items(), key=lambda entry: entry[0].count(".")))
    for path, values in ordered.items():
        if isinstance(values, (str, bytes)) or not isinstance(values, (IntRange, FloatRange, Sequence)):
            raise JaxrecError(f"the range of {path} is {values!r}; pass IntRange, FloatRange, or a list of choices")
        if isinstance(values, Sequence) and len(set(map(label, values))) != max(len(values), 1):
            raise JaxrecError(f"the choices of {path} are {[label(each) for each in values]}; pass different ones")
        root, _, rest = path.partition(".")
        if root not in _ROOTS or root in _FIXED:
            roots = ", ".join(name for name in _ROOTS if name not in _FIXED)
            raise JaxrecError(f"space has {path!r}; paths start with {roots}, as in model.dim or loss.temperature")
        chosen: list[dict[str, Any]] = [{}]
        chosen += [{name: each} for name in {root, "loss"} if rest for each in listed(ordered.get(name))]
        owners = [_owner(root, model, options, values) for values in chosen]
        if not any(_has(owner, rest) for owner in owners):
            names = ", ".join(field.name for field in _fields(owners[0])) or "none"
            raise JaxrecError(f"space has {path!r}, which {label(owners[0])} has not; its options are {names}")
    return ordered


def with_settings(model: Any, options: TrainingOptions, values: Mapping[str, Any]) -> tuple[Any, TrainingOptions]:
    """The model and the options of the training with other values at these paths.

    Raises:
      JaxrecError: values that are refused, or do not go together.

    >>> import jaxrec
    >>> options = TrainingOptions(loss="bpr")
    >>> model, options = with_settings(jaxrec.MF(), options, {"model.dim": 8, "negatives.num": 2})
    >>> model.dim, options.negatives
    (8, Uniform(num=2))
    """
    heads: dict[str, dict[str, Any]] = {}
    for path, value in values.items():
        root, _, rest = path.partition(".")
        heads.setdefault(root, {})[rest] = value
    whole = {root: inner.pop("") for root, inner in heads.items() if "" in inner}
    given = dict(whole)
    for root in sorted(heads, key=lambda root: root != "loss"):  # a sampler may come from the loss, with its changes
        if heads[root]:
            given[root] = _changed(_owner(root, model, options, given), heads[root])
    return given.pop("model", model), dataclasses.replace(options, **given)


def applying(
    space: Mapping[str, Range], model: Any, options: TrainingOptions, values: Mapping[str, Any]
) -> Iterator[str]:
    """The paths of a space that lead to an option, once the whole objects among the values are chosen."""
    for path in space:
        root, _, rest = path.partition(".")
        if _has(_owner(root, model, options, values), rest):
            yield path


def value_at(model: Any, options: TrainingOptions, path: str) -> Any:
    """What stands at a path.

    >>> import jaxrec
    >>> value_at(jaxrec.MF(dim=8), TrainingOptions(), "model.dim")
    8
    """
    root, _, rest = path.partition(".")
    thing = _owner(root, model, options, {})
    for name in rest.split(".") if rest else ():
        thing = getattr(thing, name)
    return thing


def plain(value: Any) -> Any:
    """A number, a switch, a word or None as it is; the label of anything else."""
    return value if value is None or isinstance(value, (bool, int, float, str)) else label(value)


def label(value: Any) -> str:
    """A value in short: an object by its class and the options that are not the defaults.

    >>> from jaxrec.losses import SampledSoftmax
    >>> label(SampledSoftmax(temperature=0.2)), label("dot"), label(None)
    ('SampledSoftmax(temperature=0.2)', "'dot'", 'None')
    """
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return repr(value)
    shown = ((field, getattr(value, field.name)) for field in _fields(value))
    inner = ", ".join(f"{field.name}={label(own)}" for field, own in shown if own != field.default)
    return f"{type(value).__name__}({inner})"


def _owner(root: str, model: Any, options: TrainingOptions, values: Mapping[str, Any]) -> Any:
    """The whole object of a path: the one that is among the values, or the one that is given."""
    if root in values:
        return _choice(root, values[root])
    if root == "model":
        return model
    own = getattr(options, root)
    # The sampler may be the one that the loss brings along.
    return _owner("loss", model, options, values).default_negatives() if root == "negatives" and own is None else own


def listed(values: Range | None) -> Sequence[Any]:
    """The choices of a range that is a list; none of another.

    >>> list(listed([1, 2])), list(listed(IntRange(1, 2)))
    ([1, 2], [])
    """
    return values if isinstance(values, Sequence) else ()


def _choice(root: str, value: Any) -> Any:
    """A whole object that was chosen; a name stands for one."""
    return registry.make(root, value) if isinstance(value, str) and root in registry.KINDS else value


def _fields(thing: Any) -> list[dataclasses.Field[Any]]:
    if not dataclasses.is_dataclass(thing):
        return []
    hidden = ("parent", "name", "num_users", "num_items")  # what Flax and fit set
    return [field for field in dataclasses.fields(thing) if field.init and field.name not in hidden]


def _has(thing: Any, rest: str) -> bool:
    for name in rest.split(".") if rest else ():
        if name not in (field.name for field in _fields(thing)):
            return False
        thing = getattr(thing, name)
    return True


def _changed(thing: Any, values: Mapping[str, Any]) -> Any:
    """The object with other values at these paths, made once, since some values only go together."""
    heads: dict[str, dict[str, Any]] = {}
    for path, value in values.items():
        name, _, rest = path.partition(".")
        heads.setdefault(name, {})[rest] = value
    given = {}
    for name, inner in heads.items():
        part = inner.pop("") if "" in inner else getattr(thing, name)
        given[name] = _changed(part, inner) if inner else part
    if not given:
        return thing
    return thing.clone(**given) if hasattr(thing, "clone") else dataclasses.replace(thing, **given)
