"""The plan of a fit: what it is given, checked, and what is to be trained on which part of the data."""

from __future__ import annotations

import dataclasses
import difflib
from typing import Any

import numpy as np
from jax.sharding import Mesh

from jaxrec._checks import check_kinds
from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import seen_items
from jaxrec.data.splitting._parts import Split
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.fitting._options import TrainingOptions
from jaxrec.fitting._validation import Measuring, ranking_measuring, rating_measuring
from jaxrec.fitting._weights import Arrays, check_weights, weights_for
from jaxrec.models import with_sizes
from jaxrec.protocols import Solved, Task, Trained
from jaxrec.registry import BUILT_IN


@dataclasses.dataclass(frozen=True)
class FitPlan:
    """A fit that was checked, and is yet to be run.

    Attributes:
      model: with its sizes set.
      options: how to train.
      split: the data; interactions alone are the training part of a split without other parts.
      task: what the model is to predict.
      part: the interactions of the first stage.
      fitted_on: the same in words.
      measuring: from a scorer to the metrics on the validation part, or None where nothing is validated.
      refit_on: the interactions of a second stage, or None.
      refitted_on: the same in words.
      shown: what held-out users show of themselves; one part or none.
      weights: of the interactions of each part by its name, or None; a rule is among the options.

    >>> import jaxrec
    >>> plan = make_plan(jaxrec.MF(dim=2), jaxrec.from_arrays([0, 1], [0, 1]), TrainingOptions())
    >>> plan.fitted_on, plan.measuring, plan.refit_on
    ('all data', None, None)
    """

    model: Any
    options: TrainingOptions
    split: Split
    task: Task
    part: Interactions
    fitted_on: str
    measuring: Measuring | None
    refit_on: Interactions | None
    refitted_on: str
    shown: tuple[Interactions, ...]
    weights: Arrays | None = None


def make_plan(
    model: Any,
    data: Split | Interactions,
    options: TrainingOptions,
    weights: Arrays | None = None,
    mesh: Mesh | None = None,
) -> FitPlan:
    """Check what `fit` is given, and say what is to be trained on what.

    Args:
      model: see `jaxrec.protocols.Model`.
      data: a split, or interactions to train on as they are.
      options: how to train.
      weights: arrays of weights by part, or None.
      mesh: several devices that share the users in validation, or None.

    Raises:
      JaxrecError: no model, no interaction, a task that needs ratings without any, options that do not fit the data,
        weights that would not be honored.
      MismatchError: a model whose sizes are set and differ from the data's.

    >>> import jaxrec
    >>> make_plan(jaxrec.MF(dim=2), jaxrec.from_arrays([0, 1], [0, 2]), TrainingOptions()).model.num_items
    2
    """
    whole = isinstance(data, Interactions)
    check_model(model)
    split = _as_split(model, data)
    model = _sized(model, split.train)
    check_weights(model, split, options, weights)
    task: Task = model.task(options.loss)
    scale = getattr(options.loss, "scale", None) if task == "rating" else None
    if task == "rating":
        _check_ratings(model, split, scale)
    shown = () if split.fold_in is None else (split.fold_in,)
    part, fitted_on, measuring = split.train, "all data" if whole else "train", None
    validation = options.validation
    if len(split.valid) and validation is not None:
        if task == "rating":
            measuring = rating_measuring(validation, split.valid, scale or extremes(split.train))
        else:
            measuring = ranking_measuring(validation, split.train, split.valid, seen_items(split.train, *shown), mesh)
    elif len(split.valid):
        part, fitted_on = split.fitted, "train and valid"
    refit_on, refitted_on = None, ""
    if options.refit == "all" and measuring is None and not is_trained(model):
        part, fitted_on = split.whole, "all data"  # nothing would be learnt from a first solution
    elif options.refit == "all":
        refit_on, refitted_on = split.whole, "all data"
    elif options.refit and measuring is not None:
        refit_on, refitted_on = split.fitted, "train and valid"
    stages = (part, fitted_on, measuring, refit_on, refitted_on)
    plan = FitPlan(model, options, split, task, *stages, shown, weights)
    for each in (part, *([] if refit_on is None else [refit_on])):
        weights_for(plan, each)  # refuses what is not in order before anything is trained
    return plan


def is_trained(model: Any) -> bool:
    """Whether a model is trained by gradients; the others are solved.

    >>> import jaxrec
    >>> is_trained(jaxrec.MF()), is_trained(jaxrec.EASE())
    (True, False)
    """
    return isinstance(model, Trained)


def check_model(model: Any) -> None:
    """Refuse what is no model: neither trained nor solved, without sizes, or not hashable.

    Raises:
      JaxrecError: what is missing.
    """
    name = type(model).__name__
    if isinstance(model, type):
        raise JaxrecError(f"model is the class {model.__name__}; pass an object, {model.__name__}()")
    if isinstance(model, str):
        raise JaxrecError(f"model is the text {model!r}; {_object_of(model)}")
    if not isinstance(model, (Trained, Solved)):
        raise JaxrecError(
            f"model must be one of jaxrec.models, or an own one that is trained or solved, got {name}; derive it from "
            "jaxrec.models.EmbeddingModel or SolvedModel, see jaxrec.protocols"
        )
    for field in ("num_users", "num_items"):
        if not hasattr(model, field):
            raise JaxrecError(f"{name} has no field {field}; declare `{field}: int | None = None`, which fit sets")
    for capability in ("task", "prepared", "serves_new_users", "draws"):
        if not hasattr(model, capability):
            raise JaxrecError(
                f"{name} does not say {capability!r}; derive it from jaxrec.models.EmbeddingModel or SolvedModel"
            )
    check_kinds(model)
    try:
        hash(model)
    except TypeError as error:
        raise JaxrecError(f"{name} cannot be hashed ({error}); its options must be numbers, words and tuples") from None


def _object_of(word: str) -> str:
    """What to write in place of the name of a model.

    >>> _object_of("ease"), _object_of("EASE")
    ('pass an object, jaxrec.models.EASE()', 'pass an object, jaxrec.models.EASE()')
    """
    if word in BUILT_IN["recipe"]:
        return f"it chooses among models: call jaxrec.{word}(split, key=key)"
    named = BUILT_IN["model"]
    places = {**{place.rpartition(":")[2].lower(): place for place in named.values()}, **named}
    near = difflib.get_close_matches(word.lower(), places, n=1)
    return f"pass an object, {places[near[0]] if near else 'jaxrec.models:MF'}()".replace(":", ".")


def extremes(part: Interactions) -> tuple[float, float]:
    """The lowest and the highest rating of a part.

    >>> import jaxrec
    >>> extremes(jaxrec.from_arrays([0, 1], [0, 1], [2.0, 5.0]))
    (2.0, 5.0)
    """
    assert part.rating is not None
    return float(part.rating.min()), float(part.rating.max())


def _check_ratings(model: Any, split: Split, scale: tuple[float, float] | None) -> None:
    if split.train.rating is None:
        raise JaxrecError(
            f"{type(model).__name__} is to predict ratings here, and the data have none; use data with ratings, or a "
            "loss that ranks, such as BPR"
        )
    for name, part in split.parts().items() if scale is not None else ():
        if part.rating is None or not len(part):
            continue
        assert scale is not None
        outside = np.flatnonzero((part.rating < scale[0]) | (part.rating > scale[1]))
        if len(outside):
            at = outside[0]
            raise JaxrecError(
                f"the rating scale is {scale[0]:g} to {scale[1]:g}, but {len(outside)} of the {len(part)} ratings of "
                f"the {name} part lie outside, the first {part.rating[at]:g} (user {part.users.ids[part.user[at]]!s}, "
                f"item {part.items.ids[part.item[at]]!s}); correct them, or state the scale that the data have"
            )


def _as_split(model: Any, data: Split | Interactions) -> Split:
    if isinstance(data, Interactions):
        empty = data.select(np.zeros(len(data), bool))
        data = Split(data, empty, empty, method="none")
    if not isinstance(data, Split):
        raise JaxrecError(f"data must be a Split or Interactions, got {type(data).__name__}; see jaxrec.split")
    if len(data.train) == 0:
        raise JaxrecError("the training part has no interaction; loosen the filters or the split")
    if data.fold_in is not None and not model.serves_new_users:
        raise JaxrecError(
            f"the split {data.method!r} holds users out of training, and {type(model).__name__} has no vector for "
            "them; use itemknn or ease, or a split that leaves every user some training data, such as user_temporal"
        )
    return data


def _sized(model: Any, data: Interactions) -> Any:
    for name in ("num_users", "num_items"):
        mine, theirs = getattr(model, name), getattr(data, name)
        if mine is not None and mine != theirs:
            raise MismatchError(f"the model has {name}={mine} and the data have {theirs}; leave it out to have it set")
    return with_sizes(model, data.num_users, data.num_items)
