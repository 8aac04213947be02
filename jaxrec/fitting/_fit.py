"""`fit`: from a model and data to a fitted model, with validation, early stopping and a refit."""

from __future__ import annotations

import functools
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import optax

from jaxrec.data._interactions import Interactions
from jaxrec.data.splitting._splits import Split
from jaxrec.errors import JaxrecError
from jaxrec.fitting._fitted import FittedModel
from jaxrec.fitting._options import FitOptions, make_optimizer
from jaxrec.fitting._plan import Stage, fitted_model, is_trained, make_plan, make_training, predicts_ratings
from jaxrec.graph import biadjacency
from jaxrec.models import NMF, Random
from jaxrec.scorers import with_popularity
from jaxrec.sparse import operator
from jaxrec.training._epoch import make_epoch
from jaxrec.training._loop import json_lines, progress_bar, train
from jaxrec.training._row_rules import make_row_rule
from jaxrec.training._rows import make_row_epoch
from jaxrec.training._state import TrainData, init_state, train_data


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
    plan = make_plan(model, data, options or FitOptions())
    if log is not None:
        pathlib.Path(log).write_text("", encoding="utf-8")
    run = functools.partial(
        _run_stage, plan.model, options=plan.options, optimizer=optimizer, key=key, progress=progress, log=log
    )
    stages = [run("fit", plan.part, epochs=plan.options.epochs, validate=plan.validate)]
    if plan.refits:
        stages.append(run("refit", plan.split.fitted, epochs=max(stages[0].best_epoch, 1), validate=None))
    return fitted_model(plan, stages, key=key, started=started)


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
) -> Stage:
    tables = train_data(part)
    init_key, train_key = jax.random.split(key)
    if not is_trained(model):
        variables, scorer = _solve(model, tables, part, options, init_key)
        before = time.perf_counter()
        metrics = {} if validate is None else validate(scorer)
        return Stage(name, model, variables, scorer, metrics, valid_seconds=time.perf_counter() - before)
    model, objective, steps = make_training(model, part, options)
    if options.sparse and optimizer is not None:
        raise JaxrecError(
            'sparse=True moves rows by rules of its own; leave the optimizer out and name "sgd", "adagrad" or "adam" '
            "in the options"
        )
    if optimizer is None:
        optimizer = make_optimizer(
            options.optimizer, options.learning_rate, momentum=options.momentum, decay=options.decay, steps=steps
        )
    # No product is computed to learn the shapes of the parameters.
    params = model.lazy_init(init_key, jax.eval_shape(lambda: tables.adjacency))["params"]

    def scorer_of(params: Any) -> Any:
        return trained_scorer({"params": params}, tables, model, options)

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
            validate=validate and (lambda params: validate(scorer_of(params))),
            every=options.eval_every,
            monitor=options.monitor,
            patience=options.patience or None,
            tolerance=options.tolerance,
            callbacks=(*write, *move),
        )
    params = result.state.params
    return Stage(
        name,
        model,
        {"params": params},
        scorer_of(params),
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


def trained_scorer(variables: Any, tables: TrainData, model: Any, options: FitOptions) -> Any:
    """The scorer of a model with parameters, as the options want items ranked.

    >>> import jaxrec
    >>> tables = train_data(jaxrec.from_arrays([0, 1], [0, 1]))
    >>> model = jaxrec.LightGCN(dim=2, num_users=2, num_items=2)
    >>> variables = model.init(jax.random.key(0), tables.adjacency)
    >>> trained_scorer(variables, tables, model, FitOptions()).users.shape
    (2, 2)
    """
    scorer = model_scorer(variables, tables.adjacency, model)
    if options.popularity_prior is None:
        return scorer
    return with_popularity(
        scorer,
        tables.log_probability,
        weight=options.popularity_prior,
        temperature=options.temperature,
        cosine=options.cosine,
    )


@functools.partial(jax.jit, static_argnums=2)
def model_scorer(variables: Any, adjacency: Any, model: Any) -> Any:
    """The scorer of a model with parameters, in one jitted program.

    >>> import jaxrec
    >>> tables = train_data(jaxrec.from_arrays([0, 1], [0, 1]))
    >>> model = jaxrec.LightGCN(dim=2, num_users=2, num_items=2)
    >>> variables = model.init(jax.random.key(0), tables.adjacency)
    >>> model_scorer(variables, tables.adjacency, model).items.shape
    (2, 2)
    """
    return model.apply(variables, adjacency, method="scorer")
