"""`fit` and `fit_many`: from a model and data to fitted models, by one runner for one and for several."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxrec import registry
from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import seen_items
from jaxrec.data.splitting._parts import Split
from jaxrec.errors import JaxrecError
from jaxrec.fitting._described import plain_description
from jaxrec.fitting._fitted import FittedModel
from jaxrec.fitting._folding import fold_in_of, served, shown_users
from jaxrec.fitting._given import GIVEN, as_keys, named, options_of
from jaxrec.fitting._old_options import FitOptions, old_lists
from jaxrec.fitting._options import TrainingOptions, members_of
from jaxrec.fitting._plan import FitPlan, check_key, check_model, extremes, is_trained, make_plan
from jaxrec.fitting._validation import with_history
from jaxrec.fitting._versions import versions
from jaxrec.fitting._warm_start import WarmStart, warm_start
from jaxrec.protocols import StageInfo
from jaxrec.pytrees import stack
from jaxrec.training import (
    EarlyStopping,
    EpochRecord,
    JsonLines,
    Monitoring,
    Objective,
    ProgressBar,
    SteadyLoss,
    init_state,
    step_for,
    train,
    train_data,
)


@dataclasses.dataclass(frozen=True)
class Stage:
    """One training of one model, from its start to its best epoch; a model that was solved has no epochs."""

    name: str
    model: Any
    variables: Mapping[str, Any]
    scorer: Any
    info: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    valid: Mapping[str, float] = dataclasses.field(default_factory=dict)
    best_epoch: int = 0
    records: tuple[EpochRecord, ...] = ()
    compile_seconds: float = 0.0
    valid_seconds: float = 0.0


def fit(
    model: Any,
    data: Split | Interactions,
    options: TrainingOptions | FitOptions | None = None,
    *,
    key: jax.Array,
    loss: Any = GIVEN,
    regularizer: Any = GIVEN,
    negatives: Any = GIVEN,
    optimizer: Any = GIVEN,
    batch_size: Any = GIVEN,
    epochs: Any = GIVEN,
    reduction: Any = GIVEN,
    tolerance: Any = GIVEN,
    validation: Any = GIVEN,
    refit: Any = GIVEN,
    init: FittedModel | None = None,
    callbacks: Sequence[Any] = (),
    progress: bool = False,
    log: str | pathlib.Path | None = None,
) -> FittedModel:
    """Train or solve a model.

    With a validation part the model is trained on the training part while the validation part is measured, and stops
    when it has no new best for some time. Then it is trained anew on both parts for the number of epochs that was best.
    The test part is not read, but by `refit="all"`.

    Args:
      model: one of `jaxrec.models`, or an own one (see `jaxrec.protocols`); its sizes are set here.
      data: a split, or interactions to train on as they are.
      options: how to train, in one object; by default `TrainingOptions()`. The keywords below stand for its fields.
      key: consumed; it drives initial values, batches, negatives and the loss.
      loss, regularizer, negatives, optimizer, batch_size, epochs, reduction, tolerance, validation, refit: see
        `TrainingOptions`. A model that is solved takes the last two, and `loss` where that decides its task.
      init: a fitted model of the same kind, to start from: users and items that it knows, by their ids, start with
        its rows, and new ones are drawn as ever. `info["warm_start"]` counts both.
      callbacks: told of every epoch, see `jaxrec.protocols.Callback`; a function of an event will do.
      progress: show a bar on standard error.
      log: a file that gets one line of JSON an epoch; an old one is replaced.

    Returns:
      The fitted model.

    Raises:
      JaxrecError: no interaction, a task that needs ratings without any, options out of range or without use.
      MismatchError: a model whose sizes are set and differ from the data's; an `init` of another kind or width.
      NonFiniteLossError: the loss became infinite or NaN.

    >>> import jaxrec
    >>> from jaxrec.losses import Logistic
    >>> data = jaxrec.from_arrays([0, 0, 1, 1], [0, 1, 1, 2])
    >>> fitted = fit(jaxrec.LightGCN(dim=4, layers=1), data, loss=Logistic(), epochs=2, key=jax.random.key(0))
    >>> fitted.info["best_epoch"]
    2
    """
    started = time.perf_counter()
    check_key(key)
    given = named(loss, regularizer, negatives, optimizer, batch_size, epochs, reduction, tolerance, validation, refit)
    check_model(model)
    options = options_of(model, options, given)
    how: dict[str, Any] = {"callbacks": callbacks, "progress": progress, "log": log, "started": started}
    return _run(model, data, [options], [key], None, init=init, **how)[0]


def fit_many(
    model: Any,
    data: Split | Interactions,
    options: TrainingOptions | FitOptions | None = None,
    *,
    keys: Sequence[jax.Array] | jax.Array,
    loss: Any = GIVEN,
    regularizer: Any = GIVEN,
    negatives: Any = GIVEN,
    optimizer: Any = GIVEN,
    batch_size: Any = GIVEN,
    epochs: Any = GIVEN,
    reduction: Any = GIVEN,
    tolerance: Any = GIVEN,
    validation: Any = GIVEN,
    refit: Any = GIVEN,
    learning_rate: Sequence[float] | None = None,
    l2: Sequence[float] | None = None,
    temperature: Sequence[float] | None = None,
    init: FittedModel | None = None,
    callbacks: Sequence[Any] = (),
    progress: bool = False,
    log: str | pathlib.Path | None = None,
) -> list[FittedModel]:
    """Fit a model S times at once, with other seeds or other settings, in one program that is compiled once.

    Member s gets what `fit` gives for `keys[s]` and its settings, up to rounding: it has its own initial values,
    batches and negatives, stops by its own validations, keeps its own best epoch, and is refitted for that many epochs.
    An epoch is one program for all members, so they go on together until the last one stops. For a grid over settings
    with one seed, repeat the key.

    Models that are solved are solved S times, one after another.

    Memory: S times what `fit` takes for the states, which are the parameters and what the optimizer keeps, and for the
    work of a step; the data are there once. The states are held up to three times, as in `fit`: as they are, before the
    last epoch, and at the best one. Time: on CPU a step costs nearly S times that of one; what is saved is compiling.

    Args:
      model: as for `fit`.
      data: a split, or interactions to train on as they are.
      options: how to train, for all members.
      keys: consumed. S keys, as a list or as `jax.random.split` gives them.
      loss, regularizer, negatives, optimizer: one for all, or a list of S that differ in their numbers, such as
        `[InBatchSoftmax(temperature=t) for t in (0.05, 0.1, 0.2)]`.
      batch_size, epochs, reduction, tolerance, validation, refit: see `TrainingOptions`.
      learning_rate, l2, temperature: names of 0.1; pass lists of optimizers, regularizers and losses.
      init: a fitted model that all members start from, see `fit`.
      callbacks: told of every epoch of every member.
      progress: show a bar on standard error; its loss is of the first member that has not stopped.
      log: a file that gets one line of JSON an epoch and member; an old one is replaced.

    Returns:
      S fitted models, in the order of the keys. In `options` each has its own settings; `info["together"]` is S, and
      the seconds in `info` are of all members together.

    Raises:
      JaxrecError: as `fit`; no key, or a single one that is no list; lists of another length.
      MismatchError: members that differ in more than numbers; a model whose sizes differ from the data's.
      NonFiniteLossError: the loss of a member that has not stopped became infinite or NaN; the message has its number.

    >>> import jaxrec
    >>> from jaxrec.losses import SquaredL2
    >>> data = jaxrec.from_arrays([0, 0, 1, 1], [0, 1, 1, 2])
    >>> key = jax.random.key(0)
    >>> weights = [SquaredL2(0.0), SquaredL2(0.1)]
    >>> fitted = fit_many(jaxrec.MF(dim=2), data, epochs=2, keys=[key, key], regularizer=weights)
    >>> [each.options.regularizer.weight for each in fitted]
    [0.0, 0.1]
    """
    started = time.perf_counter()
    keys = as_keys(keys)
    given = named(loss, regularizer, negatives, optimizer, batch_size, epochs, reduction, tolerance, validation, refit)
    check_model(model)
    lists = {name: list(value) for name, value in given.items() if isinstance(value, list)}
    options = options_of(model, options, {name: value for name, value in given.items() if name not in lists})
    lists |= old_lists(options, learning_rate=learning_rate, l2=l2, temperature=temperature)
    if lists and not is_trained(model):
        raise JaxrecError(f"{', '.join(lists)}: {type(model).__name__} is solved, not trained; leave it out")
    each = members_of(options, lists, len(keys))
    how: dict[str, Any] = {"callbacks": callbacks, "progress": progress, "log": log, "started": started}
    return _run(model, data, each, keys, len(keys), init=init, **how)


def _run(
    model: Any,
    data: Split | Interactions,
    options: Sequence[TrainingOptions],
    keys: Sequence[jax.Array],
    together: int | None,
    *,
    init: FittedModel | None,
    callbacks: Sequence[Any],
    progress: bool,
    log: str | pathlib.Path | None,
    started: float,
) -> list[FittedModel]:
    """Fit one model (`together` is None), or several in one program."""
    plan = make_plan(model, data, options[0])
    start = None if init is None else warm_start(init, plan.model, plan.split)
    told = [registry.make("callback", callback) for callback in callbacks]
    if is_trained(model):
        if log is not None:
            pathlib.Path(log).write_text("", encoding="utf-8")
            told.append(JsonLines(log))
        told += [ProgressBar()] if progress else []
        run = functools.partial(
            _trained, plan, options, keys, start=start, callbacks=told, several=together is not None
        )
    else:
        run = functools.partial(_solved, plan, keys)
    stages = [[stage] for stage in run("fit", plan.part, [each.epochs for each in options], validated=True)]
    if plan.refit_on is not None:
        epochs = [max(first.best_epoch, 1) for (first,) in stages]
        again = run("refit", plan.refit_on, epochs, validated=False)
        stages = [[*first, second] for first, second in zip(stages, again, strict=True)]
    info: dict[str, Any] = {} if together is None or not is_trained(model) else {"together": together}
    info |= {} if start is None else {"warm_start": start.told}
    return [
        _fitted_model(dataclasses.replace(plan, options=own), of_member, key=key, started=started, **info)
        for own, of_member, key in zip(options, stages, keys, strict=True)
    ]


def _trained(
    plan: FitPlan,
    options: Sequence[TrainingOptions],
    keys: Sequence[jax.Array],
    name: str,
    part: Interactions,
    epochs: Sequence[int],
    *,
    validated: bool,
    start: WarmStart | None,
    callbacks: Sequence[Any],
    several: bool,
) -> list[Stage]:
    """One stage of the members: trained on a part, each for its number of epochs at the most."""
    shared, tables, shown = plan.options, train_data(part), shown_users(plan.shown, part)
    model = plan.model.prepared(part, plan.task)
    steps_of_epoch = -(-len(part) // shared.batch_size)
    steps = [
        step_for(Objective(model, own.loss, own.regularizer, own.reduction), own.optimizer, steps_of_epoch)
        for own in options
    ]
    states = []
    for key, step in zip(keys, steps, strict=True):  # one after another: each starts with the bits that `fit` gives it
        init_key, train_key = jax.random.split(key)
        # No product is computed to learn the shapes of the parameters.
        params = model.lazy_init(init_key, jax.eval_shape(lambda: tables.adjacency))["params"]
        params = params if start is None else start.rows_into(params)
        states.append(init_state(params, step, train_key))

    def scorer_of(member: int, params: Any) -> Any:
        variables, loss = {"params": params}, options[member].loss
        scorer = model_scorer(variables, tables.adjacency, model)
        make = functools.partial(fold_in_of, model, variables, scorer, tables, plan.task, loss)
        return served(loss.adjust(scorer, tables), make, shown)

    monitoring, watching = Monitoring(), []
    if validated and plan.measuring is not None and shared.validation is not None:
        measuring, validation = plan.measuring, shared.validation
        monitoring = Monitoring(
            lambda member, params: measuring.measure(scorer_of(member, params)),
            validation.every,
            measuring.monitor,
            measuring.higher_is_better,
        )
        watching += [EarlyStopping(validation.patience)] if validation.patience else []
    watching += [SteadyLoss(shared.tolerance)] if shared.tolerance else []
    alone = {"state": states[0], "step": steps[0], "negatives": shared.sampler, "epochs": epochs[0]}
    if several:
        alone = {
            "state": stack(states),
            "step": stack(steps, "the members"),
            "negatives": stack([own.sampler for own in options], "negatives"),
            "epochs": epochs,
        }
    settings = {"model": plain_description(model), "training": plain_description(shared)}
    results = train(
        **alone,
        data=tables,
        batch_size=shared.batch_size,
        monitoring=monitoring,
        callbacks=[*watching, *callbacks],
        stage=StageInfo(name, type(model).__name__, tuple(epochs), monitoring.monitor, settings),
    )
    return [
        Stage(
            name,
            model,
            {"params": result.state.params},
            scorer_of(member, result.state.params),
            valid=result.records[result.best_epoch - 1].valid,
            best_epoch=result.best_epoch,
            records=result.records,
            compile_seconds=result.compile_seconds,
            valid_seconds=sum(record.valid_seconds for record in result.records),
        )
        for member, result in enumerate(results)
    ]


def _solved(
    plan: FitPlan, keys: Sequence[jax.Array], name: str, part: Interactions, epochs: Sequence[int], *, validated: bool
) -> list[Stage]:
    """One stage of a model that is solved, once for each key."""
    del epochs
    tables, model, stages = train_data(part), plan.model.prepared(part, plan.task), []
    shown = shown_users(plan.shown, part)
    for key in keys:
        init_key, _ = jax.random.split(key)
        solution = model.solve(tables, init_key)
        given = (model, solution.variables, solution.scorer, tables, plan.task, None)
        scorer = served(solution.scorer, functools.partial(fold_in_of, *given), shown)
        before = time.perf_counter()
        valid = plan.measuring.measure(scorer) if validated and plan.measuring is not None else {}
        stage = Stage(name, model, solution.variables, scorer, solution.info, valid)
        stages.append(dataclasses.replace(stage, valid_seconds=time.perf_counter() - before))
    return stages


@functools.partial(jax.jit, static_argnums=2)
def model_scorer(variables: Any, adjacency: Any, model: Any) -> Any:
    """The scorer of a trained model, in one jitted program.

    >>> import jaxrec
    >>> tables = train_data(jaxrec.from_arrays([0, 1], [0, 1]))
    >>> model = jaxrec.LightGCN(dim=2, num_users=2, num_items=2)
    >>> variables = model.init(jax.random.key(0), tables.adjacency)
    >>> model_scorer(variables, tables.adjacency, model).items.shape
    (2, 2)
    """
    return model.apply(variables, adjacency, method="scorer")


def _fitted_model(
    plan: FitPlan, stages: Sequence[Stage], *, key: jax.Array, started: float, **info: Any
) -> FittedModel:
    """The fitted model of the stages that were run; `info` are further entries of its info."""
    split, options, last = plan.split, plan.options, stages[-1]
    part, fitted_on = (plan.part, plan.fitted_on)
    if plan.refit_on is not None:
        part, fitted_on = plan.refit_on, plan.refitted_on
    seen, shown = seen_items(part, *plan.shown), shown_users(plan.shown, part)
    skipped = int(last.records[-1].train["skipped"]) if last.records else 0
    if skipped:
        warnings.warn(
            f"{skipped} interactions an epoch belong to users who have every item, so they have no negative and "
            "were left out of training",
            stacklevel=4,
        )
    records = [(stage.name, record) for stage in stages for record in stage.records]
    counts = {"train": len(split.train), "valid": len(split.valid), "test": len(split.test)}
    rates = plan.task == "rating"
    known = {
        "fitted_on": fitted_on,
        "best_epoch": stages[0].best_epoch,
        "valid": dict(stages[0].valid),
        "seconds": {
            "compile": sum(stage.compile_seconds for stage in stages),
            "epochs": [record.seconds for _, record in records],
            "evaluate": sum(stage.valid_seconds for stage in stages),
            "fit": time.perf_counter() - started,
        },
        "records": [{"stage": name, **record.to_dict()} for name, record in records],
        "task": plan.task,
        **last.info,
        "rating_scale": [*(getattr(options.loss, "scale", None) or extremes(part))]
        if rates
        else None,  # a list, as JSON gives it back
        "split": split.method,
        "notes": [*split.train.notes, *split.notes, *info.get("warm_start", {}).get("notes", ())],
        "data": {
            **split.train.counts(),
            **counts,
            "fingerprint": part.fingerprint(),
            "interactions": sum(counts.values()),
        },
        "key": np.asarray(jax.random.key_data(key)).ravel().tolist(),
        "versions": versions(),
        **({} if shown is None else {"shown_users": shown.users.tolist()}),
        **info,
    }
    return FittedModel(
        model=last.model,
        variables=last.variables,
        scorer=with_history(last.scorer, seen) if plan.shown else last.scorer,
        users=split.train.users,
        items=split.train.items,
        titles=split.train.titles,
        item_columns=split.train.item_columns,
        seen=seen,
        options=options if is_trained(plan.model) or rates else None,
        info=known,
    )
