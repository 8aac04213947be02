"""`fit` and `fit_many`: from a model and data to fitted models, by one runner for one and for several."""

from __future__ import annotations

import os
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import jax
from jax.sharding import Mesh

from jaxrec._keys import one_key
from jaxrec.data._interactions import Interactions
from jaxrec.data.splitting._parts import Split
from jaxrec.errors import JaxrecError
from jaxrec.fitting._fitted import FittedModel
from jaxrec.fitting._given import GIVEN, as_keys, named, options_of
from jaxrec.fitting._old_options import FitOptions, old_lists
from jaxrec.fitting._options import TrainingOptions, members_of
from jaxrec.fitting._plan import check_model, is_trained
from jaxrec.fitting._runner import run_stages
from jaxrec.fitting._weights import take_arrays
from jaxrec.models._base import model_scorer as model_scorer  # where 0.1 had it
from jaxrec.parallel import Layout
from jaxrec.training import Checkpoint


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
    return run_stages(model, data, [options], [key], None, init=init, weights=arrays, mesh=mesh, **how)[0]


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
    return run_stages(model, data, each, keys, len(keys), init=init, weights=arrays, mesh=mesh, **how)
