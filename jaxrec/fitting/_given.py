"""What the callers of `fit`, `fit_many` and `tune` give: options as one object or as keywords, and keys."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from typing import Any

import jax

from jaxrec._keys import one_key
from jaxrec.errors import JaxrecError
from jaxrec.fitting._old_options import FitOptions, from_old
from jaxrec.fitting._options import TrainingOptions
from jaxrec.fitting._plan import is_trained

GIVEN: Any = type("Given", (), {"__repr__": lambda self: "as in the options"})()
"""A keyword that was left out."""


def named(*values: Any) -> dict[str, Any]:
    """What was not left out of the keywords that stand for the fields of `TrainingOptions`, in their order.

    >>> named(*[GIVEN] * 5, 20, *[GIVEN] * 5)
    {'epochs': 20}
    """
    fields = zip(dataclasses.fields(TrainingOptions), values, strict=True)
    return {field.name: value for field, value in fields if value is not GIVEN}


def options_of(model: Any, options: Any, given: dict[str, Any]) -> TrainingOptions:
    """The options of a fit, from one object and keywords; what a model that is solved has no use for is refused.

    >>> import jaxrec
    >>> options_of(jaxrec.MF(), None, {"epochs": 20}).epochs
    20
    """
    old = isinstance(options, FitOptions)
    if isinstance(options, FitOptions):
        options = options.training()
    if options is not None and not isinstance(options, TrainingOptions):
        raise JaxrecError(f"options must be TrainingOptions, got {type(options).__name__}; see jaxrec.TrainingOptions")
    base = TrainingOptions() if options is None else options
    made = dataclasses.replace(base, **given) if given else base
    if is_trained(model):
        return made
    plain = from_old({}) if old else TrainingOptions()
    unused = [
        field.name
        for field in dataclasses.fields(TrainingOptions)
        if field.name not in ("validation", "refit", "weights")
        and getattr(made, field.name) != getattr(plain, field.name)
    ]
    if model.task(made.loss) != model.task(None) or made.loss.task == model.task(made.loss) == "rating":
        unused = [name for name in unused if name != "loss"]
    unused += [name for name in given if name not in ("validation", "refit", "loss", "weights", *unused)]
    if not unused:
        return made
    message = f"{type(model).__name__} is solved, not trained, and has no use for {', '.join(unused)}; leave them out"
    if not old or given:
        raise JaxrecError(message)
    # 0.1 took one table for all models and ignored this without a word.
    warnings.warn(message, UserWarning, stacklevel=3)
    return dataclasses.replace(
        plain, **{name: getattr(made, name) for name in ("loss", "validation", "refit") if name not in unused}
    )


def as_keys(keys: Sequence[jax.Array] | jax.Array) -> list[jax.Array]:
    """The keys of several members, each checked.

    >>> len(as_keys(jax.random.split(jax.random.key(0), 3)))
    3
    """
    if isinstance(keys, jax.Array):
        one = 0 if jax.numpy.issubdtype(keys.dtype, jax.dtypes.prng_key) else 1
        if keys.ndim != one + 1:
            raise JaxrecError(
                f"keys has shape {keys.shape}, expected one key for each member; pass a list of keys, or "
                "jax.random.split(key, S)"
            )
    if not isinstance(keys, (jax.Array, Sequence)) or isinstance(keys, str) or not len(keys):
        raise JaxrecError(f"keys is {keys!r}; pass one key for each member, such as jax.random.split(key, S)")
    return [one_key(key) for key in keys]
