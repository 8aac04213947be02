"""Fitting a validated model again, on more parts of its split: what `refit` of `fit` does, as a step of its own."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import jax
import numpy as np

from jaxrec._keys import key_from_data
from jaxrec.data.splitting._parts import Split
from jaxrec.errors import JaxrecError
from jaxrec.fitting._fit import fit
from jaxrec.fitting._fitted import FittedModel
from jaxrec.fitting._plan import is_trained


def fit_again(fitted: FittedModel, split: Split, on: Literal[True, "fitted", "all"] = True) -> FittedModel:
    """Fit a model that was fitted with `refit=False` on the training and the validation part, or on all parts.

    It has the bits that `fit` with `refit=on` would have given: the same options, key and number of epochs.

    Args:
      fitted: what `fit(..., refit=False)` gave for this split.
      split: the split.
      on: True for the training and the validation part, "all" for the test part too.

    Raises:
      JaxrecError: a model that started from another one, whose rows are not kept.

    >>> import jaxrec
    >>> data = jaxrec.from_arrays([0] * 10 + [1] * 10, [*range(10), *range(5, 15)])
    >>> split = jaxrec.split(data, "user_random", key=jax.random.key(0))
    >>> first = fit(jaxrec.ItemKNN(), split, refit=False, key=jax.random.key(1))
    >>> first.info["fitted_on"], fit_again(first, split).info["fitted_on"]
    ('train', 'train and valid')
    """
    if "warm_start" in fitted.info:
        raise JaxrecError(
            f"{fitted.name} started from another model, which is not kept, so it cannot be fitted again; pass "
            "refit=False"
        )
    whole = on == "all"
    part = split.whole if whole else split.fitted
    nothing, shown = part.select(np.zeros(len(part), bool)), None
    if split.fold_in is not None and not whole:
        fitted_users = np.bincount(part.user, minlength=part.num_users) > 0
        shown = split.fold_in.select(~fitted_users[split.fold_in.user])
    parts = Split(part, nothing, nothing, split.method, shown, split.notes)
    options = fitted.options
    how: dict[str, Any] = {"validation": None, "refit": False}
    if is_trained(fitted.model):
        assert options is not None
        how["epochs"] = max(int(fitted.info["best_epoch"]), 1)
    chosen = None if options is None else dataclasses.replace(options, **how)
    key = key_of(fitted)
    again = fit(fitted.model, parts, key=key, **how) if chosen is None else fit(fitted.model, parts, chosen, key=key)
    return dataclasses.replace(again, options=options, info=_told(fitted, again, whole))


def key_of(fitted: FittedModel) -> jax.Array:
    """The key that a model was fitted with.

    >>> import jaxrec
    >>> fitted = fit(jaxrec.Popularity(), jaxrec.from_arrays([0, 1], [0, 1]), key=jax.random.key(7))
    >>> key_of(fitted) == jax.random.key(7)
    Array(True, dtype=bool)
    """
    data = np.asarray(fitted.info["key"], np.uint32)
    return key_from_data(jax.numpy.asarray(data))


def _told(fitted: FittedModel, again: FittedModel, whole: bool) -> dict[str, Any]:
    """What is known of both fits, as `fit` tells it of its two stages."""
    first, second = fitted.info, again.info
    kept = ("best_epoch", "valid", "split", "notes", "key")
    took, more = first["seconds"], second["seconds"]
    return {
        **second,
        **{name: first[name] for name in kept if name in first},
        "fitted_on": "all data" if whole else "train and valid",
        "data": {**first["data"], "fingerprint": second["data"]["fingerprint"]},
        "records": [*first["records"], *({**record, "stage": "refit"} for record in second["records"])],
        "seconds": {
            "compile": took["compile"] + more["compile"],
            "epochs": [*took["epochs"], *more["epochs"]],
            "evaluate": took["evaluate"] + more["evaluate"],
            "fit": took["fit"] + more["fit"],
        },
    }
