"""The runner of fits: the stages of one model, or of several in one program, trained or solved."""

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
from jaxrec.data._interactions import Interactions
from jaxrec.data.splitting._parts import Split
from jaxrec.errors import JaxrecError
from jaxrec.fitting._described import plain_description
from jaxrec.fitting._fitted import FittedModel
from jaxrec.fitting._folding import served, shown_users
from jaxrec.fitting._mesh import MeshTraining
from jaxrec.fitting._mesh_plan import mesh_for, told_of
from jaxrec.fitting._options import TrainingOptions
from jaxrec.fitting._plan import FitPlan, is_trained, make_plan
from jaxrec.fitting._resume import described, keeping
from jaxrec.fitting._stages import Stage, fitted_model
from jaxrec.fitting._told import tell_dislikes
from jaxrec.fitting._unfinished import write_base
from jaxrec.fitting._warm_start import WarmStart, first_params, warm_start
from jaxrec.fitting._weights import Arrays, weights_for
from jaxrec.models._base import model_scorer
from jaxrec.models._fold_in import fold_in_of
from jaxrec.models._node_order import ranks_of
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


def run_stages(
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
    if is_trained(model):
        options = settled(options, len(plan.split.train))
        plan = dataclasses.replace(plan, options=options[0])
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


def settled(options: Sequence[TrainingOptions], rows: int) -> list[TrainingOptions]:
    """The options of members for so many interactions, with one size of a batch, that of the first.

    >>> from jaxrec.training import Adam
    >>> [each.batch_size for each in settled([TrainingOptions(), TrainingOptions(optimizer=Adam(0.1))], 300_000)]
    [4096, 4096]
    """
    first = options[0].settled(rows)
    return [first, *(own.settled(rows, first.batch_size) for own in options[1:])]


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
    assert shared.batch_size is not None  # settled
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
