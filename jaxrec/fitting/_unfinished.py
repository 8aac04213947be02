"""The best model so far of a fit that was stopped, from its checkpoints alone.

Beside the checkpoints stands a run folder, `base`, with what they lack: the model and its options, ids and titles, and
the interactions of each stage, which graph models need for their vectors.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxrec.data._interactions import Interactions
from jaxrec.data._seen import seen_items
from jaxrec.errors import RunFolderError
from jaxrec.fitting._fitted import FittedModel
from jaxrec.fitting._folding import served, shown_users
from jaxrec.fitting._plan import FitPlan
from jaxrec.fitting._resume import RUN_FILE, checkpoints_in
from jaxrec.fitting._stages import Stage, fitted_model
from jaxrec.fitting._storage import restore, save
from jaxrec.fitting._validation import with_history
from jaxrec.models._base import model_scorer
from jaxrec.models._fold_in import fold_in_of
from jaxrec.scorers import RandomScorer
from jaxrec.training import train_data
from jaxrec.training._checkpoint import Store
from jaxrec.training._keeper import Pairs, Saved, newest, tree_of

BASE = "base"


def write_base(folder: pathlib.Path, plan: FitPlan, key: jax.Array) -> None:
    """Write what a model that is read from the checkpoints needs beside them.

    Raises:
      RunFolderError: it cannot be written.
    """
    stages = {"fit": (plan.part, plan.fitted_on)}
    if plan.refit_on is not None:
        stages["refit"] = (plan.refit_on, plan.refitted_on)
    parts = {name: part for name, (part, _) in stages.items()} | dict(zip(["shown"], plan.shown, strict=False))
    variables = {name: {"user": part.user, "item": part.item, "rating": part.rating} for name, part in parts.items()}
    scorer = RandomScorer(np.zeros(2, np.uint32), plan.model.num_users, plan.model.num_items)  # pyright: ignore[reportArgumentType]
    only = dataclasses.replace(plan, refit_on=None)
    model = fitted_model(only, [Stage("fit", plan.model, variables, scorer)], key=key, started=time.perf_counter())
    info = {**model.info, "stages": {name: fitted_on for name, (_, fitted_on) in stages.items()}}
    save(dataclasses.replace(model, info=info), folder / BASE)


def unfinished(folder: str | os.PathLike[str], kinds: Sequence[type] = ()) -> FittedModel | None:
    """The best model so far of a fit that is not over; None where a folder has no checkpoints.

    It is the best by validation, or, before the first validation and where there is none, the one of the last epoch
    that was kept. Of several members it is the first.

    Args:
      folder: of the checkpoints, or a run folder with them in it.
      kinds: see `restore`.

    Returns:
      The model; in its info `unfinished` has the stage and the epoch.

    Raises:
      RunFolderError: no checkpoint yet, or none that is whole.

    >>> unfinished("nowhere") is None
    True
    """
    checkpoints = checkpoints_in(folder)
    if checkpoints is None and not (pathlib.Path(folder) / RUN_FILE).is_file():
        return None
    saved = None if checkpoints is None else newest(Store(checkpoints))
    if checkpoints is None or saved is None:
        raise RunFolderError(
            f"the fit in {str(folder)!r} was stopped before its first checkpoint, so there is no model yet; resume it"
        )
    base = restore(checkpoints / BASE, kinds=kinds)
    kept, last = saved.best[0], len(saved.document["members"][0]["records"])
    stage, epoch = (saved.document["stage"], last) if kept is None else (kept.stage, kept.epoch)
    model, scorer, seen = _ranking(base, saved, stage)
    records = [(name, record) for name, member, record in saved.records() if member == 0]
    valid = next((record.valid for name, record in records if (name, record.epoch) == (stage, epoch)), {})
    seconds = {"compile": saved.document["compile_seconds"], "epochs": [record.seconds for _, record in records]}
    known = {name: value for name, value in base.info.items() if name != "stages"}
    known |= {
        "fitted_on": base.info["stages"][stage],
        "best_epoch": epoch,
        "valid": dict(valid),
        "seconds": {**known["seconds"], **seconds},
        "records": [{"stage": name, **record.to_dict()} for name, record in records],
        "unfinished": {"stage": stage, "epoch": epoch},
    }
    which = "the best so far" if kept is not None else "the last that was kept"
    told = f"the fit in {str(folder)!r} is unfinished; this is the model of epoch {epoch} of its {stage}, {which}"
    warnings.warn(f"{told}. Resume it to end it", UserWarning, stacklevel=3)
    return dataclasses.replace(base, **model, scorer=scorer, seen=seen, info=known)


def _ranking(base: FittedModel, saved: Saved, stage: str) -> tuple[dict[str, Any], Any, Any]:
    """(model and variables, scorer, seen items) of the parameters that were kept."""
    parts = {name: _interactions(base, arrays) for name, arrays in base.variables.items()}
    shown = [parts.pop("shown")] if "shown" in parts else []
    tables = train_data(parts[stage])
    model = base.model.prepared(parts[stage], base.info["task"])
    # No product is computed to learn the shapes of the parameters.
    like = model.lazy_init(jax.random.key(0), jax.eval_shape(lambda: tables.adjacency))["params"]
    params = tree_of(_params(saved), like)
    scorer = model_scorer({"params": params}, tables.adjacency, model)
    assert base.options is not None
    loss = base.options.loss
    make = functools.partial(fold_in_of, model, {"params": params}, scorer, tables, base.info["task"], loss)
    served_users = shown_users(shown, parts[stage])
    scorer = served(loss.adjust(scorer, tables), make, served_users)
    seen = seen_items(parts[stage], *shown)
    return {"model": model, "variables": {"params": params}}, with_history(scorer, seen) if shown else scorer, seen


def _params(saved: Saved) -> Pairs:
    """The arrays of the parameters of the first member, by their path in the parameters."""
    if saved.best[0] is not None:
        return saved.best[0].arrays
    prefix = ".params"
    own = [(path.removeprefix(prefix), array) for path, array in saved.state if path.startswith(prefix)]
    return [(path, array[0]) for path, array in own] if saved.document["several"] else own


def _interactions(base: FittedModel, arrays: Mapping[str, Any]) -> Interactions:
    rating = None if arrays["rating"] is None else np.asarray(arrays["rating"])
    pairs = (np.asarray(arrays["user"]), np.asarray(arrays["item"]))
    return Interactions(*pairs, base.users, base.items, rating, titles=base.titles, item_columns=base.item_columns)
