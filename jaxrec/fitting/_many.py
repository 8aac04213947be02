"""`fit_many`: several seeds, or several settings, trained in one program."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxrec.data._interactions import Interactions
from jaxrec.data.splitting._splits import Split
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.fitting._fit import fit, trained_scorer
from jaxrec.fitting._fitted import FittedModel
from jaxrec.fitting._options import FitOptions, make_optimizer
from jaxrec.fitting._plan import FitPlan, Stage, fitted_model, is_trained, make_plan, make_training
from jaxrec.training._loop import EpochRecord, json_lines, progress_bar
from jaxrec.training._many import (
    MemberCallback,
    Settings,
    make_many_epoch,
    make_many_row_epoch,
    stack,
    train_many,
)
from jaxrec.training._row_rules import make_row_rule
from jaxrec.training._state import init_state, train_data


def fit_many(
    model: Any,
    data: Split | Interactions,
    options: FitOptions | None = None,
    *,
    keys: Sequence[jax.Array] | jax.Array,
    learning_rate: Sequence[float] | None = None,
    l2: Sequence[float] | None = None,
    temperature: Sequence[float] | None = None,
    optimizer: optax.GradientTransformation | None = None,
    progress: bool = False,
    log: str | pathlib.Path | None = None,
) -> list[FittedModel]:
    """Fit a model S times at once, with other seeds or other settings, in one program that is compiled once.

    Member s gets what `fit` gives for `keys[s]` and its settings, up to rounding: it has its own initial values,
    batches and negatives, stops by its own validations, keeps its own best epoch, and is refitted for that many epochs.
    An epoch is one program for all members, so they go on together until the last one stops. For a grid over settings
    with one seed, repeat the key.

    The models of one program are trained by gradients: MF, LightGCN, SVD++ and GCN. Models that are solved are solved S
    times, one after another.

    Memory: S times what `fit` takes for the states, which are the parameters and what the optimiser keeps, and for the
    work of a step; the data are there once. The states are held up to three times, as in `fit`: as they are, before the
    last epoch, and at the best one. Time: on CPU a step costs nearly S times that of one; what is saved is compiling,
    which `fit` does anew for other settings and in another process, and not for another key.

    Args:
      model: a Flax module of `jaxrec.models`; its sizes are set here.
      data: a split, or interactions to train on as they are.
      options: how to train, for all members; `FitOptions()` by default.
      keys: consumed. S keys, as a list or as `jax.random.split` gives them.
      learning_rate: S numbers in place of the option.
      l2: S numbers in place of the option.
      temperature: S numbers in place of the option, for the loss "softmax".
      optimizer: any Optax transformation, in place of `options.optimizer` and its learning rate.
      progress: whether to show a bar on standard error; its loss is of the first member that has not stopped.
      log: a file that gets one line of JSON an epoch and member; an old one is replaced.

    Returns:
      S fitted models, in the order of the keys. In `options` each has its own settings; `info["together"]` is S, and
      the seconds in `info` are of all members together.

    Raises:
      JaxrecError: as `fit`; no key, or a single one that is no list; numbers that a model, loss or optimiser does not
        use.
      MismatchError: another number of settings than of keys; a model whose sizes are set and differ from the data's.
      NonFiniteLossError: the loss of a member that has not stopped became infinite or NaN; the message has its number.

    >>> import jaxrec
    >>> data = jaxrec.from_arrays([0, 0, 1, 1], [0, 1, 1, 2])
    >>> key = jax.random.key(0)
    >>> fitted = fit_many(jaxrec.MF(dim=2), data, FitOptions(epochs=2), keys=[key, key], l2=[0.0, 0.1])
    >>> [each.options.l2 for each in fitted]
    [0.0, 0.1]
    """
    started = time.perf_counter()
    keys = _as_keys(keys)
    given = {"learning_rate": learning_rate, "l2": l2, "temperature": temperature}
    given = {name: [float(value) for value in values] for name, values in given.items() if values is not None}
    options = options or FitOptions()
    _refuse_unused(model, options, given, optimizer)
    for name, values in given.items():
        if len(values) != len(keys):
            raise MismatchError(f"{name} has {len(values)} values and keys has {len(keys)}; give one for each key")
    plan = make_plan(model, data, options)
    if not is_trained(model):
        return [fit(model, data, options, key=key, log=log) for key in keys]
    # The checks of the options are made for each member, before anything is traced.
    each = [{name: values[member] for name, values in given.items()} for member in range(len(keys))]
    plans = [dataclasses.replace(plan, options=dataclasses.replace(plan.options, **own)) for own in each]
    if log is not None:
        pathlib.Path(log).write_text("", encoding="utf-8")

    def run(name: str, part: Interactions, epochs: Sequence[int], validate: Any) -> list[Stage]:
        return _run_stages(
            plan,
            name,
            part,
            each=[own.options for own in plans],
            epochs=epochs,
            validate=validate,
            keys=keys,
            settings=Settings(**{name: jnp.asarray(values, jnp.float32) for name, values in given.items()}),
            optimizer=optimizer,
            progress=progress,
            log=log,
        )

    stages = [[stage] for stage in run("fit", plan.part, [options.epochs] * len(keys), plan.validate)]
    if plan.refits:
        best = [stage.best_epoch for (stage,) in stages]
        refitted = run("refit", plan.split.fitted, best, None)
        stages = [[*first, second] for first, second in zip(stages, refitted, strict=True)]
    return [
        fitted_model(own, of_member, key=key, started=started, together=len(keys))
        for own, of_member, key in zip(plans, stages, keys, strict=True)
    ]


def _run_stages(
    plan: FitPlan,
    name: str,
    part: Interactions,
    *,
    each: Sequence[FitOptions],
    epochs: Sequence[int],
    validate: Callable[[Any], Mapping[str, float]] | None,
    keys: Sequence[jax.Array],
    settings: Settings,
    optimizer: optax.GradientTransformation | None,
    progress: bool,
    log: str | pathlib.Path | None,
) -> list[Stage]:
    options, tables = plan.options, train_data(part)
    model, objective, steps = make_training(plan.model, part, options)
    # The rates of the members multiply the updates of an optimiser whose own rate is 1.
    rate = options.learning_rate if settings.learning_rate is None else 1.0
    if optimizer is None:
        optimizer = make_optimizer(options.optimizer, rate, momentum=options.momentum, decay=options.decay, steps=steps)
    rule = make_row_rule(options.optimizer) if options.sparse else None
    if rule is not None:
        rates = (options.learning_rate, options.decay)
        epoch = make_many_row_epoch(objective, rule, *rates, options.batch_size, options.drawn_negatives, steps)
    else:
        epoch = make_many_epoch(objective, optimizer, options.batch_size, options.drawn_negatives)
    states = []
    for key in keys:  # one after another, so that a member starts with the bits that `fit` would give it
        init_key, train_key = jax.random.split(key)
        params = model.lazy_init(init_key, jax.eval_shape(lambda: tables.adjacency))["params"]
        states.append(init_state(params, rule or optimizer, train_key))
    states = stack(states)

    def scorer_of(member: int, params: Any) -> Any:
        return trained_scorer({"params": params}, tables, model, each[member])

    with contextlib.ExitStack() as open_files:
        callbacks: list[MemberCallback] = []
        if log is not None:
            logs = [open_files.enter_context(json_lines(log, stage=name, member=m))[0] for m in range(len(keys))]
            callbacks.append(lambda member, record: logs[member](record))
        label = f"{len(keys)} x {type(model).__name__}, {name}"
        bars = open_files.enter_context(progress_bar(max(epochs), label, progress, options.monitor))
        callbacks += [_first_of_each_epoch(bar) for bar in bars]
        results = train_many(
            states,
            settings,
            tables,
            epoch,
            epochs=epochs,
            validate=validate and (lambda member, params: validate(scorer_of(member, params))),
            every=options.eval_every,
            monitor=options.monitor,
            patience=options.patience or None,
            tolerance=options.tolerance,
            callbacks=tuple(callbacks),
        )
    return [
        Stage(
            name,
            model,
            {"params": result.state.params},
            scorer_of(member, result.state.params),
            result.records[result.best_epoch - 1].valid,
            result.best_epoch,
            result.records,
            result.compile_seconds,
            sum(record.valid_seconds for record in result.records),
        )
        for member, result in enumerate(results)
    ]


def _first_of_each_epoch(callback: Callable[[EpochRecord], None]) -> MemberCallback:
    """A callback that hands on the record of the first member that reports an epoch."""
    done = 0

    def once(_: int, record: EpochRecord) -> None:
        nonlocal done
        if record.epoch > done:
            done = record.epoch
            callback(record)

    return once


def _as_keys(keys: Sequence[jax.Array] | jax.Array) -> list[jax.Array]:
    if isinstance(keys, jax.Array):
        one = 0 if jnp.issubdtype(keys.dtype, jax.dtypes.prng_key) else 1
        if keys.ndim != one + 1:
            raise JaxrecError(
                f"keys has shape {keys.shape}, expected one key for each member; pass a list of keys, or "
                "jax.random.split(key, S)"
            )
    keys = list(keys)
    if not keys:
        raise JaxrecError("keys is empty; pass one key for each member")
    return keys


def _refuse_unused(
    model: Any, options: FitOptions, given: Mapping[str, Any], optimizer: optax.GradientTransformation | None
) -> None:
    if given and not is_trained(model):
        raise JaxrecError(f"{', '.join(given)}: {type(model).__name__} is solved, not trained; leave it out")
    if optimizer is not None and "learning_rate" in given:
        raise JaxrecError("the optimizer has a learning rate of its own; leave learning_rate or the optimizer out")
    if optimizer is not None and options.sparse:
        raise JaxrecError("sparse=True moves rows by rules of its own; leave the optimizer out")
    if "temperature" in given and options.loss != "softmax":
        raise JaxrecError(f'temperature is of the loss "softmax", and the loss is {options.loss!r}; leave it out')
