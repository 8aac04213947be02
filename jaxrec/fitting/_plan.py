"""What every fit shares: its checks, its parts and validation, the loss, and the fitted model that comes of it."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import SeenItems, seen_items
from jaxrec.data.splitting._splits import Split
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.evaluation._evaluator import evaluate_scorer
from jaxrec.evaluation._ratings import evaluate_rating_scorer
from jaxrec.fitting._fitted import FittedModel
from jaxrec.fitting._options import FitOptions
from jaxrec.models import MODELS, NMF, UserKNN
from jaxrec.scorers import ItemWeightScorer
from jaxrec.training._loop import EpochRecord
from jaxrec.training._objective import Objective

VALIDATION_K = (10, 20)
VALIDATION_METRICS = ("recall", "precision", "ndcg")


@dataclasses.dataclass(frozen=True)
class FitPlan:
    """A fit that was checked, and is yet to be run.

    Attributes:
      model: the Flax module, with its sizes set.
      options: how to train; the monitor is one that validation measures.
      split: the data; interactions alone are the training part of a split without other parts.
      rates: whether the fit is to ratings.
      part: what the first stage trains on.
      fitted_on: the same in words.
      validate: from a scorer to the metrics on the validation part, or None where nothing is validated.
      refits: whether a second stage trains anew on the training and the validation part.
      shown: what held-out users show of themselves; one part or none.

    >>> import jaxrec
    >>> plan = make_plan(jaxrec.MF(dim=2), jaxrec.from_arrays([0, 1], [0, 1]), FitOptions())
    >>> plan.fitted_on, plan.validate, plan.refits
    ('all data', None, False)
    """

    model: Any
    options: FitOptions
    split: Split
    rates: bool
    part: Interactions
    fitted_on: str
    validate: Callable[[Any], Mapping[str, float]] | None
    refits: bool
    shown: tuple[Interactions, ...]


def make_plan(model: Any, data: Split | Interactions, options: FitOptions) -> FitPlan:
    """Check what `fit` is given, and say what is to be trained on what.

    Args:
      model: a Flax module of `jaxrec.models`.
      data: a split, or interactions to train on as they are.
      options: how to train.

    Raises:
      JaxrecError: no interaction, a loss that needs ratings without any, options that do not fit the data.
      MismatchError: a model whose sizes are set and differ from the data's.

    >>> import jaxrec
    >>> make_plan(jaxrec.MF(dim=2), jaxrec.from_arrays([0, 1], [0, 2]), FitOptions()).model.num_items
    2
    """
    whole = isinstance(data, Interactions)
    split = _as_split(model, data)
    model = _with_sizes(model, split.train)
    rates = predicts_ratings(model, options)
    if rates and split.train.rating is None:
        if isinstance(model, NMF):
            raise JaxrecError('NMF on ratings needs ratings, and the data have none; use objective="all"')
        raise JaxrecError('loss="mse" needs ratings, and the data have none; use "bpr", "softmax" or "logistic"')
    if options.rating_scale is not None:
        if not rates:
            raise JaxrecError(
                f'rating_scale is for a fit to ratings (loss "mse"), got {options.rating_scale} with {options.loss!r}'
            )
        _refuse_outside(split, options.rating_scale)
    options = dataclasses.replace(options, monitor=_monitor(options.monitor, rates, split.train.num_items))
    shown = () if split.fold_in is None else (split.fold_in,)
    part, fitted_on, validate = split.train, "all data" if whole else "train", None
    if len(split.valid) and options.validate:
        validate = _rating_validation(split, options) if rates else _validation(split, seen_items(split.train, *shown))
    elif len(split.valid):
        part, fitted_on = split.fitted, "train and valid"
    refits = validate is not None and options.refit
    return FitPlan(model, options, split, rates, part, fitted_on, validate, refits, shown)


@dataclasses.dataclass(frozen=True)
class Stage:
    """One training of one model, from its start to its best epoch.

    Attributes:
      name: "fit" or "refit".
      model: the Flax module.
      variables: its parameters.
      scorer: what ranking needs of it.
      valid_metrics: on the validation part, at the best epoch.
      best_epoch: 0 for a model that was solved.
      records: of the epochs.
      compile_seconds: of the epoch.
      valid_seconds: of all validations.

    >>> Stage("fit", None, {}, None, {}).skipped
    0
    """

    name: str
    model: Any
    variables: Mapping[str, Any]
    scorer: Any
    valid_metrics: Mapping[str, float]
    best_epoch: int = 0
    records: tuple[EpochRecord, ...] = ()
    compile_seconds: float = 0.0
    valid_seconds: float = 0.0

    @property
    def skipped(self) -> int:
        """The interactions an epoch that had no negative."""
        return int(self.records[-1].train["skipped"]) if self.records else 0


class Training(NamedTuple):
    """What is minimised on a part of the data, and in how many steps.

    Attributes:
      model: the Flax module, the mean of the ratings set where it has one.
      objective: the loss function.
      steps: in an epoch.

    >>> Training(None, None, 3).steps
    3
    """

    model: Any
    objective: Any
    steps: int


def make_training(model: Any, part: Interactions, options: FitOptions) -> Training:
    """The loss of a model with embeddings on a part of the data.

    >>> import jaxrec
    >>> data = jaxrec.from_arrays([0, 1], [0, 1])
    >>> make_training(jaxrec.MF(num_users=2, num_items=2), data, FitOptions(batch_size=1)).steps
    2
    """
    if options.loss == "mse" and getattr(model, "mean", 0.0) is None and getattr(model, "bias", True):
        assert part.rating is not None
        model = model.clone(mean=float(part.rating.mean(dtype=np.float64)))
    objective = Objective(
        model,
        loss=options.loss,
        l2=options.l2,
        l2_form=options.l2_form,
        temperature=options.temperature,
        cosine=options.cosine,
        groups=options.groups,
        mask_hits=options.mask_hits,
        correct_popularity=options.correct_popularity,
        reduction=options.reduction,
    )
    return Training(model, objective, -(-len(part) // options.batch_size))


def fitted_model(plan: FitPlan, stages: Sequence[Stage], *, key: jax.Array, started: float, **info: Any) -> FittedModel:
    """The fitted model of the stages that were run.

    Args:
      plan: what was to be run.
      stages: the fit, and the refit if there was one.
      key: that the fit was given, for the record.
      started: `time.perf_counter()` at its start.
      **info: further entries of `info`, as plain JSON values.

    Warns:
      UserWarning: interactions were left out of training, because their users have every item.

    >>> import jaxrec
    >>> plan = make_plan(jaxrec.MF(dim=2), jaxrec.from_arrays([0, 1], [0, 1]), FitOptions())
    >>> stage = Stage("fit", plan.model, {}, None, {}, best_epoch=3)
    >>> fitted_model(plan, [stage], key=jax.random.key(0), started=time.perf_counter()).info["best_epoch"]
    3
    """
    split, options, last = plan.split, plan.options, stages[-1]
    part, fitted_on = (split.fitted, "train and valid") if len(stages) > 1 else (plan.part, plan.fitted_on)
    seen = seen_items(part, *plan.shown)
    if last.skipped:
        warnings.warn(
            f"{last.skipped} interactions an epoch belong to users who have every item, so they have no negative and "
            "were left out of training",
            stacklevel=3,
        )
    records = [(stage.name, record) for stage in stages for record in stage.records]
    counts = {"train": len(split.train), "valid": len(split.valid), "test": len(split.test)}
    known = {
        "fitted_on": fitted_on,
        "best_epoch": stages[0].best_epoch,
        "valid": stages[0].valid_metrics,
        "seconds": {
            "compile": sum(stage.compile_seconds for stage in stages),
            "epochs": [record.seconds for _, record in records],
            "evaluate": sum(stage.valid_seconds for stage in stages),
            "fit": time.perf_counter() - started,
        },
        "records": [{"stage": name, **record.to_dict()} for name, record in records],
        "task": "rating" if plan.rates else "ranking",
        **({"objective": plan.model.objective_for(rated=plan.rates)} if isinstance(plan.model, NMF) else {}),
        "rating_scale": [*rating_scale(part, options)] if plan.rates else None,  # a list, as JSON gives it back
        "split": split.method,
        "notes": [*split.train.notes, *split.notes],
        "data": {
            **split.train.counts(),
            **counts,
            "fingerprint": part.fingerprint(),
            "interactions": sum(counts.values()),
        },
        "key": np.asarray(jax.random.key_data(key)).ravel().tolist(),
        "versions": versions(),
        **info,
    }
    return FittedModel(
        model=last.model,
        variables=last.variables,
        scorer=_with_history(last.scorer, seen) if plan.shown else last.scorer,
        users=split.train.users,
        items=split.train.items,
        titles=split.train.titles,
        item_columns=split.train.item_columns,
        seen=seen,
        options=options if is_trained(plan.model) or plan.rates else None,
        info=known,
    )


def _rating_validation(split: Split, options: FitOptions) -> Callable[[Any], dict[str, float]]:
    """A function from a scorer to its RMSE and MAE on the validation part."""
    scale = rating_scale(split.train, options)

    def validate(scorer: Any) -> dict[str, float]:
        return dict(evaluate_rating_scorer(scorer, split.valid, scale=scale).overall)

    return validate


def _validation_k(num_items: int) -> tuple[int, ...]:
    return tuple(k for k in VALIDATION_K if k <= num_items) or (num_items,)


def _monitor(name: str, rates: bool, num_items: int) -> str:
    """The metric to watch: the default gives way to what the task and a small catalogue have."""
    available = ["rmse", "mae"]
    if not rates:
        available = [f"{metric}@{k}" for k in _validation_k(num_items) for metric in VALIDATION_METRICS]
    if name == FitOptions.monitor and name not in available:
        return "rmse" if rates else f"ndcg@{_validation_k(num_items)[0]}"
    if name not in available:
        raise JaxrecError(f"monitor is {name!r}, which validation does not measure; it has {', '.join(available)}")
    return name


def rating_scale(part: Interactions, options: FitOptions) -> tuple[float, float]:
    """The stated scale, or the extremes of a part with ratings.

    >>> import jaxrec
    >>> rating_scale(jaxrec.from_arrays([0, 1], [0, 1], [2.0, 5.0]), FitOptions())
    (2.0, 5.0)
    """
    if options.rating_scale is not None:
        return options.rating_scale
    assert part.rating is not None
    return float(part.rating.min()), float(part.rating.max())


def _refuse_outside(split: Split, scale: tuple[float, float]) -> None:
    for name in ("train", "valid", "test"):
        part: Interactions = getattr(split, name)
        if part.rating is None or not len(part):
            continue
        outside = np.flatnonzero((part.rating < scale[0]) | (part.rating > scale[1]))
        if len(outside):
            at = outside[0]
            raise JaxrecError(
                f"rating_scale is {scale[0]:g} to {scale[1]:g}, but {len(outside)} of the {len(part)} ratings of the "
                f"{name} part lie outside, the first {part.rating[at]:g} (user {part.users.ids[part.user[at]]!s}, item "
                f"{part.items.ids[part.item[at]]!s}); correct them, or state the scale that the data have"
            )


def _validation(split: Split, seen: SeenItems) -> Callable[[Any], dict[str, float]]:
    """A function from a scorer to its metrics on the validation part, seen items masked."""
    k = _validation_k(split.train.num_items)

    def validate(scorer: Any) -> dict[str, float]:
        report = evaluate_scorer(_with_history(scorer, seen), split.valid, seen=seen, k=k, space=None)
        return {name: float(report.mean(name)) for name in report.per_user}

    return validate


def is_trained(model: Any) -> bool:
    """Whether a model has embeddings to train; the others are solved in one go.

    >>> import jaxrec
    >>> is_trained(jaxrec.MF()), is_trained(jaxrec.EASE())
    (True, False)
    """
    return hasattr(model, "ego")


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that results depend on.

    >>> sorted(versions())
    ['flax', 'jax', 'jaxlib', 'jaxrec', 'numpy', 'optax', 'python']
    """
    packages = ("jaxrec", "jax", "jaxlib", "flax", "optax", "numpy")
    found = {name: importlib.metadata.version(name) for name in packages}
    return {"python": ".".join(map(str, sys.version_info[:3])), **found}


def predicts_ratings(model: Any, options: FitOptions) -> bool:
    """Whether a fit is to ratings: by gradients with loss "mse", or NMF on the observed entries. Others rank.

    >>> import jaxrec
    >>> [predicts_ratings(model, FitOptions(loss="mse")) for model in (jaxrec.MF(), jaxrec.NMF(), jaxrec.EASE())]
    [True, True, False]
    """
    if isinstance(model, NMF):
        return model.objective == "observed" or (model.objective == "auto" and options.loss == "mse")
    return is_trained(model) and options.loss == "mse"


def _as_split(model: Any, data: Split | Interactions) -> Split:
    if isinstance(data, Interactions):
        empty = data.select(np.zeros(len(data), bool))
        data = Split(data, empty, empty, method="none")
    if not isinstance(data, Split):
        raise JaxrecError(f"data must be a Split or Interactions, got {type(data).__name__}; see jaxrec.split")
    if len(data.train) == 0:
        raise JaxrecError("the training part has no interaction; loosen the filters or the split")
    if data.fold_in is not None and (is_trained(model) or isinstance(model, (NMF, UserKNN))):
        raise JaxrecError(
            f"the split {data.method!r} holds users out of training, and {type(model).__name__} has no vector for "
            "them; use itemknn or ease, or a split that leaves every user some training data, such as user_temporal"
        )
    return data


def _with_history(scorer: Any, seen: SeenItems) -> Any:
    """An item-based scorer that also scores users whose items were not fitted on; other scorers as they are."""
    if not isinstance(scorer, ItemWeightScorer):
        return scorer
    longest = max(int(np.diff(seen.indptr).max()), 1)
    return dataclasses.replace(scorer, history=jax.tree.map(jnp.asarray, seen), longest=longest)


def _with_sizes(model: Any, data: Interactions) -> Any:
    if not isinstance(model, tuple(MODELS.values())):
        raise JaxrecError(f"model must be one of jaxrec.models ({', '.join(MODELS)}), got {type(model).__name__}")
    for name, mine, theirs in (
        ("num_users", model.num_users, data.num_users),
        ("num_items", model.num_items, data.num_items),
    ):
        if mine is not None and mine != theirs:
            raise MismatchError(f"the model has {name}={mine} and the data have {theirs}; leave it out to have it set")
    return model.clone(num_users=data.num_users, num_items=data.num_items)
