"""`fit` and `fit_many`: from a model and data to fitted models, by one runner for one and for several."""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
from jax.sharding import Mesh

from jaxrec import registry
from jaxrec._keys import one_key
from jaxrec.data._interactions import Interactions
from jaxrec.data.splitting._parts import Split
from jaxrec.errors import JaxrecError
from jaxrec.fitting._described import plain_description
from jaxrec.fitting._fitted import FittedModel
from jaxrec.fitting._folding import served, shown_users
from jaxrec.fitting._given import GIVEN, as_keys, named, options_of
from jaxrec.fitting._mesh import MeshTraining
from jaxrec.fitting._mesh_plan import mesh_for, told_of
from jaxrec.fitting._node_order import ranks_of
from jaxrec.fitting._old_options import FitOptions, old_lists
from jaxrec.fitting._options import TrainingOptions, members_of
from jaxrec.fitting._plan import FitPlan, check_model, is_trained, make_plan
from jaxrec.fitting._resume import described, keeping
from jaxrec.fitting._stages import Stage, fitted_model
from jaxrec.fitting._told import tell_dislikes
from jaxrec.fitting._unfinished import write_base
from jaxrec.fitting._warm_start import WarmStart, first_params, warm_start
from jaxrec.fitting._weights import Arrays, take_arrays, weights_for
from jaxrec.models._base import model_scorer
from jaxrec.models._fold_in import fold_in_of
from jaxrec.parallel import Layout, placement_for, writes
from jaxrec.parallel._mesh import on_host
from jaxrec.parallel._processes import from_writer
from jaxrec.parallel._processes import several as several_processes
from jaxrec.progress import heard, work
from jaxrec.protocols import Loss, StageInfo
from jaxrec.pytrees import stack
from jaxrec.training import (
    Checkpoint,
    EarlyStopping,
    JsonLines,
    Monitoring,
    ProgressBar,
    SteadyLoss,
    TrainData,
    init_state,
    step_for,
    train,
    train_data,
)
from jaxrec.training._callbacks import log_line
from jaxrec.training._keeper import FolderKeeper
from jaxrec.training._progress import MemberProgress


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
    weights: Any = GIVEN,
    init: FittedModel | None = None,
    callbacks: Sequence[Any] = (),
    progress: bool = False,
    log: str | pathlib.Path | None = None,
    checkpoint: Checkpoint | None = None,
    resume: str | os.PathLike[str] | None = None,
    other_machine: bool = False,
    mesh: int | Layout | Mesh | None = None,
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
      weights: of the interactions in the loss: a rule, see `TrainingOptions`; or an array, one number for each
        interaction of the training part, with a refit one array for each part: {"train": ..., "valid": ...}.
      init: a fitted model of the same kind, to start from: users and items that it knows, by their ids, start with
        its rows, and new ones are drawn as ever. `info["warm_start"]` counts both.
      callbacks: told of every epoch, see `jaxrec.protocols.Callback`; a function of an event will do.
      progress: show the progress of each stage, with the time left, on standard error; see `jaxrec.progress`.
      log: a file that gets one line of JSON an epoch; an old one is replaced, but for a fit that is resumed.
      checkpoint: where to keep what it takes to go on after a stop, see `jaxrec.Checkpoint`. Ctrl-C and SIGTERM then
        wait for the end of the epoch, which is kept first.
      resume: the folder of an earlier call's `checkpoint`. With the same arguments, on the same machine, the fit goes
        on from its newest checkpoint, and gives the bits of one that was never stopped.
      other_machine: resume also with other devices, cores or versions, where equal bits cannot be promised.
      mesh: several devices to train on, see `jaxrec.parallel.Layout`: a number of them, a layout, or a mesh of JAX with
        the axes "rows" and "columns". A layout also says the order of users and items in the tables, for one device
        too: `Layout(order="clusters")` makes steps of graph models faster where tables are larger than the cache. The
        draws are those of one device and of the data's order, and what comes back, and what is kept in checkpoints, is
        of no mesh and in the order of the data. `info["mesh"]` says what was used. Several processes
        (`jaxrec.parallel.join`) all make the same call, with the devices of all, and get the same model; the first
        alone writes.

    Returns:
      The fitted model.

    Raises:
      JaxrecError: no interaction, a task that needs ratings without any, options out of range or without use; fewer
        devices than `mesh` asks for, or a model that cannot be split so.
      MismatchError: a model whose sizes are set and differ from the data's; an `init` of another kind or width;
        `resume` with other arguments or data, or on another machine.
      RunFolderError: checkpoints that cannot be read or written.
      NonFiniteLossError: the loss became infinite or NaN.
      Terminated: SIGTERM came to one of several processes; all of them have kept what there was.

    >>> import jaxrec
    >>> from jaxrec.losses import Logistic
    >>> data = jaxrec.from_arrays([0, 0, 1, 1], [0, 1, 1, 2])
    >>> fitted = fit(jaxrec.LightGCN(dim=4, layers=1), data, loss=Logistic(), epochs=2, key=jax.random.key(0))
    >>> fitted.info["best_epoch"]
    2
    """
    started = time.perf_counter()
    key = one_key(key)
    given = named(
        loss, regularizer, negatives, optimizer, batch_size, epochs, reduction, tolerance, validation, refit, weights
    )
    arrays = take_arrays(given)
    check_model(model)
    options = options_of(model, options, given)
    kept = {"checkpoint": checkpoint, "resume": resume, "other_machine": other_machine}
    how: dict[str, Any] = {"callbacks": callbacks, "progress": progress, "log": log, "started": started, **kept}
    return _run(model, data, [options], [key], None, init=init, weights=arrays, mesh=mesh, **how)[0]


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
    weights: Any = GIVEN,
    learning_rate: Sequence[float] | None = None,
    l2: Sequence[float] | None = None,
    temperature: Sequence[float] | None = None,
    init: FittedModel | None = None,
    callbacks: Sequence[Any] = (),
    progress: bool = False,
    log: str | pathlib.Path | None = None,
    checkpoint: Checkpoint | None = None,
    resume: str | os.PathLike[str] | None = None,
    other_machine: bool = False,
    mesh: int | Layout | Mesh | None = None,
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
      weights: one rule or array for all members, see `fit`.
      learning_rate, l2, temperature: names of 0.1; pass lists of optimizers, regularizers and losses.
      init: a fitted model that all members start from, see `fit`.
      callbacks: told of every epoch of every member.
      progress: as for `fit`; its loss is of the first member that has not stopped.
      log: a file that gets one line of JSON an epoch and member; an old one is replaced, but for fits that are resumed.
      checkpoint, resume, other_machine: as for `fit`, for all members together.
      mesh: several devices, as for `fit`: they share the tables of all members, as they share those of one, and the
        adjacency, which is there once. Models that are solved are solved on it one after another.

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
    given = named(
        loss, regularizer, negatives, optimizer, batch_size, epochs, reduction, tolerance, validation, refit, weights
    )
    arrays = take_arrays(given)
    check_model(model)
    lists = {name: list(value) for name, value in given.items() if isinstance(value, list)}
    options = options_of(model, options, {name: value for name, value in given.items() if name not in lists})
    lists |= old_lists(options, learning_rate=learning_rate, l2=l2, temperature=temperature)
    if lists and not is_trained(model):
        raise JaxrecError(f"{', '.join(lists)}: {type(model).__name__} is solved, not trained; leave it out")
    each = members_of(options, lists, len(keys))
    kept = {"checkpoint": checkpoint, "resume": resume, "other_machine": other_machine}
    how: dict[str, Any] = {"callbacks": callbacks, "progress": progress, "log": log, "started": started, **kept}
    return _run(model, data, each, keys, len(keys), init=init, weights=arrays, mesh=mesh, **how)


def _run(
    model: Any,
    data: Split | Interactions,
    options: Sequence[TrainingOptions],
    keys: Sequence[jax.Array],
    together: int | None,
    *,
    init: FittedModel | None,
    weights: Arrays | None,
    callbacks: Sequence[Any],
    progress: bool,
    log: str | pathlib.Path | None,
    started: float,
    checkpoint: Checkpoint | None,
    resume: str | os.PathLike[str] | None,
    other_machine: bool,
    mesh: int | Layout | Mesh | None = None,
) -> list[FittedModel]:
    """Fit one model (`together` is None), or several in one program."""
    several, why = together is not None, ""
    plan, devices = make_plan(model, data, options[0], weights), None
    if mesh is not None:
        devices, why = mesh_for(mesh, plan, options)
        plan = make_plan(model, data, options[0], weights, devices[0])
        if progress and writes():
            print(f"{devices[1]}: {why}", file=sys.stderr)
    elif several_processes() and is_trained(model):
        raise JaxrecError(
            f"mesh is None in {jax.process_count()} processes, each of which would train alone; pass "
            f"mesh={jax.device_count()}, all their devices together"
        )
    start = None if init is None else warm_start(init, plan.model, plan.split)
    tell_dislikes(plan.split.fitted, plan.task)
    if log is not None and not isinstance(log, (str, os.PathLike)):
        raise JaxrecError(f"log must be the path of a file, got {log!r}")
    told = [registry.make("callback", callback) for callback in _listed(callbacks)]
    told = [each for each in told if writes() or not getattr(each, "only_writes", False)]
    kept = checkpoint is not None or resume is not None
    if kept and not is_trained(model):
        name = type(model).__name__
        raise JaxrecError(f"{name} is solved, not trained, so there is nothing to resume; leave checkpoint out")
    if other_machine and resume is None:
        raise JaxrecError("other_machine=True goes with resume; leave it out, or name the folder to resume")
    same = described(plan, options, keys, several, start) if kept else {}
    place = "" if devices is None else str(devices[1])
    with keeping(checkpoint, resume, other_machine, same, several, place) as keeper:
        if is_trained(model):
            if log is not None and writes():
                _begin_log(log, keeper, len(keys))
                told.append(JsonLines(log))
            told += [ProgressBar()] if (progress or heard()) and writes() else []
            how = {"start": start, "callbacks": told, "several": several, "keeper": keeper, "devices": devices}
            run = functools.partial(_trained, plan, options, keys, **how)
        else:
            run = functools.partial(_solved, plan, keys, None if devices is None else devices[0])
        if keeper is not None and keeper.saved is None:
            from_writer(functools.partial(write_base, keeper.folder, plan, keys[0]))
        stages = [[stage] for stage in _first_stage(run, plan, options, keeper)]
        if plan.refit_on is not None:
            epochs = [max(first.best_epoch, 1) for (first,) in stages]
            again = run("refit", plan.refit_on, epochs, validated=False)
            stages = [[*first, second] for first, second in zip(stages, again, strict=True)]
    info: dict[str, Any] = {} if together is None or not is_trained(model) else {"together": together}
    info |= {} if start is None else {"warm_start": start.told}
    info |= {} if devices is None else {"mesh": told_of(*devices, why)}
    return [
        fitted_model(dataclasses.replace(plan, options=own), of_member, key=key, started=started, **info)
        for own, of_member, key in zip(options, stages, keys, strict=True)
    ]


def _listed(callbacks: Any) -> Sequence[Any]:
    """The callbacks, or a refusal of what is no sequence of callables and names."""
    if isinstance(callbacks, str) or not isinstance(callbacks, Iterable):
        raise JaxrecError(f"callbacks must be a sequence, such as [print], got {callbacks!r}")
    found = list(callbacks)
    bad = [each for each in found if not callable(each) and not isinstance(each, str)]
    if bad:
        raise JaxrecError(f"callbacks has {bad[0]!r}, which cannot be called; pass functions of an event, or names")
    return found


def _first_stage(
    run: Callable[..., list[Stage]], plan: FitPlan, options: Sequence[TrainingOptions], keeper: FolderKeeper | None
) -> list[Stage]:
    """The stages of the members that are validated: run now, or finished by an earlier process."""
    over = None if keeper is None else keeper.finished("fit")
    if over is not None:
        reached = [MemberProgress.of_dict(member) for member in over["members"]]
        return [Stage.kept("fit", plan.model, over["compile_seconds"], member) for member in reached]
    stages = run("fit", plan.part, [each.epochs for each in options], validated=True)
    if keeper is not None and plan.refit_on is not None:
        reached = [MemberProgress(stage.records, True, stage.best_epoch) for stage in stages]
        keeper.finish("fit", stages[0].compile_seconds, reached)
    return stages


def _begin_log(log: str | pathlib.Path, keeper: FolderKeeper | None, members: int) -> None:
    """Empty the log; of a fit that is resumed it gets the lines up to the checkpoint."""
    records = [] if keeper is None or keeper.saved is None else keeper.saved.records()
    lines = [log_line(stage, member, members, record) for stage, member, record in records]
    pathlib.Path(log).write_text("".join(lines), encoding="utf-8")


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
    keeper: FolderKeeper | None,
    devices: tuple[Mesh, Layout] | None,
) -> list[Stage]:
    """One stage of the members: trained on a part, each for its number of epochs at the most."""
    shared, shown = plan.options, shown_users(plan.shown, part)
    with on_host(devices is not None):
        tables = _tables(plan, part)
    model = plan.model.prepared(part, plan.task)
    batch_for = getattr(shared.loss, "batch_for", functools.partial(Loss.batch_for, shared.loss))
    batch_size = batch_for(shared.batch_size, len(part))
    steps_of_epoch = -(-len(part) // batch_size)
    spread, trained, on = None, model, tables
    if devices is not None:
        with on_host(True):
            ranks = ranks_of(tables.adjacency, model.num_users, devices[1])
        placement = placement_for(tables.adjacency, model.num_users, devices[1], ranks)
        spread = MeshTraining(*devices, model, placement, shared)
        trained, on = spread.model, spread.data(tables)
    steps = [step_for(own.objective(trained), own.optimizer, steps_of_epoch) for own in options]
    samplers = [own.sampler_for(on) for own in options]
    states = []
    with on_host(devices is not None):
        for key, step in zip(keys, steps, strict=True):  # one after another: each has the bits that `fit` gives it
            init_key, train_key = jax.random.split(key)
            states.append(init_state(first_params(model, tables, init_key, start), step, train_key))
    if spread is not None:
        steps = [spread.step(step, state) for step, state in zip(steps, states, strict=True)]
        states = [spread.placed(state) for state in states]

    def variables_of(params: Any) -> Any:
        return {"params": params if spread is None else spread.original(params)}

    def scorer_of(member: int, params: Any) -> Any:
        loss = options[member].loss
        if spread is None:
            variables = {"params": params}
            scorer = model_scorer(variables, tables.adjacency, model)
        else:
            variables, scorer = variables_of(params), spread.scorer(params)
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
    alone = {"state": states[0], "step": steps[0], "negatives": samplers[0], "epochs": epochs[0]}
    if several:
        alone = {
            "state": stack(states) if spread is None else spread.stacked(states),
            "step": stack(steps, "the members"),
            "negatives": stack(samplers, "negatives"),
            "epochs": epochs,
        }
    settings = {"model": plain_description(model), "training": plain_description(shared)}
    results = train(
        **alone,
        data=on,
        batch_size=batch_size,
        monitoring=monitoring,
        callbacks=[*watching, *callbacks],
        stage=StageInfo(name, type(model).__name__, tuple(epochs), monitoring.monitor, settings),
        keeper=keeper if spread is None else spread.keeper(keeper, several),
        original=None if spread is None else spread.original,
    )
    return [
        Stage.of(name, model, variables_of(result.state.params), scorer_of(member, result.state.params), result)
        for member, result in enumerate(results)
    ]


def _tables(plan: FitPlan, part: Interactions) -> TrainData:
    """What is trained on, on the device, with its weights."""
    weighed = weights_for(plan, part)
    return train_data(part, None if weighed is None else weighed.values)


def _solved(
    plan: FitPlan,
    keys: Sequence[jax.Array],
    mesh: Mesh | None,
    name: str,
    part: Interactions,
    epochs: Sequence[int],
    *,
    validated: bool,
) -> list[Stage]:
    """One stage of a model that is solved, once for each key."""
    del epochs
    with on_host(mesh is not None):
        tables = _tables(plan, part)
    model, stages = plan.model.prepared(part, plan.task), []
    shown = shown_users(plan.shown, part)
    for key in keys:
        init_key, _ = jax.random.split(key)
        with work(f"{type(model).__name__}, {name}: solving"):
            # Only a model that names axes of a mesh takes one.
            solution = model.solve(tables, init_key, **({} if mesh is None else {"mesh": mesh}))
        given = (model, solution.variables, solution.scorer, tables, plan.task, None)
        scorer = served(solution.scorer, functools.partial(fold_in_of, *given), shown)
        before = time.perf_counter()
        valid = plan.measuring.measure(scorer) if validated and plan.measuring is not None else {}
        stage = Stage(name, model, solution.variables, scorer, solution.info, valid)
        stages.append(dataclasses.replace(stage, valid_seconds=time.perf_counter() - before))
    return stages
