"""`fit`: from a model and data to a fitted model, with validation, early stopping and a refit."""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import pathlib
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxrec.api.fitted import FittedModel
from jaxrec.api.options import FitOptions, make_optimizer
from jaxrec.data.interactions import Interactions
from jaxrec.data.seen import SeenItems, seen_items
from jaxrec.data.splits import Split
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.evaluation.evaluator import evaluate_scorer
from jaxrec.evaluation.ratings import evaluate_rating_scorer
from jaxrec.graph import biadjacency
from jaxrec.models import MODELS, NMF, ItemWeightScorer, Random, UserKNN
from jaxrec.sparse import operator
from jaxrec.training.epoch import make_epoch
from jaxrec.training.loop import EpochRecord, json_lines, progress_bar, train
from jaxrec.training.objective import Objective
from jaxrec.training.row_rules import make_row_rule
from jaxrec.training.rows import make_row_epoch
from jaxrec.training.state import TrainData, init_state, train_data

VALIDATION_K = (10, 20)
VALIDATION_METRICS = ("recall", "precision", "ndcg")


def fit(
    model: Any,
    data: Split | Interactions,
    options: FitOptions | None = None,
    *,
    key: jax.Array,
    optimizer: optax.GradientTransformation | None = None,
    progress: bool = False,
    log: str | pathlib.Path | None = None,
) -> FittedModel:
    """Fit a model to interactions.

    With a split that has a validation part the model is trained on the training part and validated on the other; then,
    with `options.refit`, it is trained anew on both for the number of epochs that was best. The test part is not read.
    Without a validation part, or with `options.validate=False`, it is trained on all of it for `options.epochs` epochs.
    Models without parameters are only solved.

    Args:
      model: a Flax module of `jaxrec.models`; its sizes are set here.
      data: a split, or interactions to train on as they are.
      options: how to train; `FitOptions()` by default.
      key: consumed. The same key gives the same bits on the same device and versions.
      optimizer: any Optax transformation, in place of `options.optimizer` and its learning rate.
      progress: whether to show a bar on standard error.
      log: a file that gets one line of JSON an epoch; an old one is replaced.

    Returns:
      The fitted model. `info["valid"]` has the validation metrics, measured before the refit.

    Raises:
      JaxrecError: no interaction, a loss that needs ratings without any, options out of range.
      MismatchError: a model whose sizes are set and differ from the data's.
      NonFiniteLossError: the loss became infinite or NaN.

    >>> import jaxrec
    >>> data = jaxrec.from_arrays([0, 0, 1, 1], [0, 1, 1, 2])
    >>> fitted = fit(jaxrec.LightGCN(dim=4, layers=1), data, FitOptions(epochs=2), key=jax.random.key(0))
    >>> fitted.info["best_epoch"]
    2
    """
    started = time.perf_counter()
    options = options or FitOptions()
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
    if log is not None:
        pathlib.Path(log).write_text("", encoding="utf-8")
    run = functools.partial(
        _run_stage,
        model,
        options=options,
        optimizer=optimizer,
        key=key,
        progress=progress,
        log=log,
    )

    fitted_part, fitted_on = split.train, "train" if isinstance(data, Split) else "all data"
    shown = [] if split.fold_in is None else [split.fold_in]  # what held-out users show of themselves
    validate = None
    if len(split.valid) and options.validate:
        validate = _rating_validation(split, options) if rates else _validation(split, seen_items(split.train, *shown))
    elif len(split.valid):
        fitted_part, fitted_on = split.fitted, "train and valid"
    stages = [run("fit", fitted_part, epochs=options.epochs, validate=validate)]
    valid_metrics = stages[0].valid_metrics
    if validate is not None and options.refit:
        fitted_part, fitted_on = split.fitted, "train and valid"
        stages.append(run("refit", fitted_part, epochs=max(stages[0].best_epoch, 1), validate=None))
    last = stages[-1]
    seen = seen_items(fitted_part, *shown)
    if last.skipped:
        warnings.warn(
            f"{last.skipped} interactions an epoch belong to users who have every item, so they have no negative and "
            "were left out of training",
            stacklevel=2,
        )
    records = [(stage.name, record) for stage in stages for record in stage.records]
    info = {
        "fitted_on": fitted_on,
        "best_epoch": stages[0].best_epoch,
        "valid": valid_metrics,
        "seconds": {
            "compile": sum(stage.compile_seconds for stage in stages),
            "epochs": [record.seconds for _, record in records],
            "evaluate": sum(stage.valid_seconds for stage in stages),
            "fit": time.perf_counter() - started,
        },
        "records": [{"stage": name, **record.to_dict()} for name, record in records],
        "task": "rating" if rates else "ranking",
        **({"objective": model.objective_for(rated=rates)} if isinstance(model, NMF) else {}),
        "rating_scale": [*_scale(fitted_part, options)] if rates else None,  # a list, as JSON gives it back
        "split": split.method,
        "notes": [*split.train.notes, *split.notes],
        "data": {
            **split.train.counts(),
            "train": len(split.train),
            "valid": len(split.valid),
            "test": len(split.test),
            "fingerprint": fitted_part.fingerprint(),
        },
        "key": np.asarray(jax.random.key_data(key)).ravel().tolist(),
        "versions": versions(),
    }
    info["data"]["interactions"] = sum(info["data"][part] for part in ("train", "valid", "test"))
    return FittedModel(
        model=last.model,
        variables=last.variables,
        scorer=_with_history(last.scorer, seen) if shown else last.scorer,
        users=split.train.users,
        items=split.train.items,
        titles=split.train.titles,
        item_columns=split.train.item_columns,
        seen=seen,
        options=options if is_trained(model) or rates else None,
        info=info,
    )


@dataclasses.dataclass(frozen=True)
class _Stage:
    """One training of the model, from its start to its best epoch."""

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
        return int(self.records[-1].train["skipped"]) if self.records else 0


def _run_stage(
    model: Any,
    name: str,
    part: Interactions,
    *,
    epochs: int,
    validate: Callable[[Any], Mapping[str, float]] | None,
    options: FitOptions,
    optimizer: optax.GradientTransformation | None,
    key: jax.Array,
    progress: bool,
    log: str | pathlib.Path | None,
) -> _Stage:
    tables = train_data(part)
    init_key, train_key = jax.random.split(key)
    if not is_trained(model):
        variables, scorer = _solve(model, tables, part, options, init_key)
        before = time.perf_counter()
        metrics = {} if validate is None else validate(scorer)
        return _Stage(name, model, variables, scorer, metrics, valid_seconds=time.perf_counter() - before)
    if options.loss == "mse" and getattr(model, "mean", 0.0) is None and getattr(model, "bias", True):
        assert part.rating is not None
        model = model.clone(mean=float(part.rating.mean(dtype=np.float64)))
    steps = -(-len(part) // options.batch_size)
    if options.sparse and optimizer is not None:
        raise JaxrecError(
            'sparse=True moves rows by rules of its own; leave the optimizer out and name "sgd", "adagrad" or "adam" '
            "in the options"
        )
    if optimizer is None:
        optimizer = make_optimizer(
            options.optimizer, options.learning_rate, momentum=options.momentum, decay=options.decay, steps=steps
        )
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
    # No product is computed to learn the shapes of the parameters.
    params = model.lazy_init(init_key, jax.eval_shape(lambda: tables.adjacency))["params"]

    def scorer_of(variables: Mapping[str, Any]) -> Any:
        return trained_scorer(variables, tables.adjacency, model)

    rule = make_row_rule(options.optimizer) if options.sparse else None
    if rule is not None:
        rates = (options.learning_rate, options.decay)
        epoch = make_row_epoch(objective, rule, *rates, options.batch_size, options.drawn_negatives, steps)
    else:
        epoch = make_epoch(objective, optimizer, options.batch_size, options.drawn_negatives)
    label = f"{type(model).__name__}, {name}"
    with json_lines(log, stage=name) as write, progress_bar(epochs, label, progress, options.monitor) as move:
        result = train(
            init_state(params, rule or optimizer, train_key),
            tables,
            epoch,
            epochs=epochs,
            validate=validate
            and (lambda params: validate(trained_scorer({"params": params}, tables.adjacency, model))),
            every=options.eval_every,
            monitor=options.monitor,
            patience=options.patience or None,
            tolerance=options.tolerance,
            callbacks=(*write, *move),
        )
    variables = {"params": result.state.params}
    return _Stage(
        name,
        model,
        variables,
        scorer_of(variables),
        result.records[result.best_epoch - 1].valid,
        result.best_epoch,
        result.records,
        result.compile_seconds,
        sum(record.valid_seconds for record in result.records),
    )


def _solve(
    model: Any, tables: TrainData, part: Interactions, options: FitOptions, key: jax.Array
) -> tuple[Mapping[str, Any], Any]:
    """The variables and the scorer of a model that is not trained by gradients."""
    variables = model.init(key) if isinstance(model, (Random, NMF)) else {}  # only what `init` draws is kept
    if not predicts_ratings(model, options):
        return variables, model.apply(variables, tables.adjacency, method="scorer")
    ratings = operator(biadjacency(part, part.rating))
    return variables, model.apply(variables, tables.adjacency, ratings, method="scorer")


def _rating_validation(split: Split, options: FitOptions) -> Callable[[Any], dict[str, float]]:
    """A function from a scorer to its RMSE and MAE on the validation part."""
    scale = _scale(split.train, options)

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


def _scale(part: Interactions, options: FitOptions) -> tuple[float, float]:
    """The stated scale, or the extremes of a part with ratings."""
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


@functools.partial(jax.jit, static_argnums=2)
def trained_scorer(variables: Any, adjacency: Any, model: Any) -> Any:
    """The scorer of a model with parameters, in one jitted program.

    >>> import jaxrec
    >>> from jaxrec.training import train_data
    >>> tables = train_data(jaxrec.from_arrays([0, 1], [0, 1]))
    >>> model = jaxrec.LightGCN(dim=2, num_users=2, num_items=2)
    >>> variables = model.init(jax.random.key(0), tables.adjacency)
    >>> trained_scorer(variables, tables.adjacency, model).users.shape
    (2, 2)
    """
    return model.apply(variables, adjacency, method="scorer")


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
