"""Whether the parts of a fitted model fit each other: what a file says is not taken on trust."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxrec.data._texts import is_text
from jaxrec.errors import MismatchError
from jaxrec.fitting._array_checks import check_arrays, check_seen
from jaxrec.fitting._fitted import FittedModel
from jaxrec.fitting._options import TrainingOptions

# What readers of `info` take for granted, by their types.
_INFO: dict[str, tuple[type, ...]] = {
    "fitted_on": (str,),
    "best_epoch": (int,),
    "task": (str,),
    "valid": (dict,),
    "seconds": (dict,),
    "records": (list,),
    "notes": (list,),
}


def check_fitted(fitted: FittedModel) -> None:
    """Raise MismatchError where sizes, ranges or kinds of the parts of a fitted model differ from what it states.

    >>> import jax, jaxrec
    >>> data = jaxrec.from_arrays(["u", "v"], ["a", "b"])
    >>> check_fitted(jaxrec.fit(jaxrec.Popularity(), data, key=jax.random.key(0)))
    """
    wanted = (fitted.model.num_users, fitted.model.num_items)
    found: dict[str, Any] = {
        "ids": (fitted.num_users, fitted.num_items),
        "scorer": (fitted.scorer.num_users, fitted.scorer.num_items),
        "seen items": (fitted.seen.num_users, wanted[1]),
        "titles": (wanted[0], wanted[1] if fitted.titles is None else _length(fitted.titles)),
        **{f"values of {name}": (wanted[0], _length(column)) for name, column in fitted.item_columns.items()},
    }
    for name, sizes in found.items():
        if sizes != wanted:
            raise MismatchError(f"the {name} are of {sizes} users and items, and the model of {wanted}")
    check_seen(fitted.seen, fitted.num_items, "seen items")
    check_arrays(fitted.scorer)
    if fitted.titles is not None and not is_text(fitted.titles):
        raise MismatchError(f"titles have dtype {fitted.titles.dtype}, not text")
    if fitted.options is not None and type(fitted.options) is not TrainingOptions:
        raise MismatchError(f"options are of {type(fitted.options).__name__}, not TrainingOptions")
    if not isinstance(fitted.info, dict):
        raise MismatchError("info is no mapping")
    for name, kinds in _INFO.items():
        if name in fitted.info and not isinstance(fitted.info[name], kinds):
            raise MismatchError(f"info has {name} {str(fitted.info[name])[:40]!r}")


def _length(array: np.ndarray) -> int:
    """The length of a list; -1 for an array of another form."""
    return len(array) if array.ndim == 1 else -1
