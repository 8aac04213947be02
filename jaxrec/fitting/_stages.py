"""What a stage of a fit gives, and the fitted model that is made of the stages."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxrec.data._seen import seen_items
from jaxrec.fitting._fitted import FittedModel
from jaxrec.fitting._folding import shown_users
from jaxrec.fitting._plan import FitPlan, extremes, is_trained
from jaxrec.fitting._validation import with_history
from jaxrec.fitting._versions import versions
from jaxrec.fitting._weights import weights_for
from jaxrec.training import EpochRecord, LoopResult
from jaxrec.training._progress import MemberProgress


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

    @staticmethod
    def of(name: str, model: Any, variables: Mapping[str, Any], scorer: Any, result: LoopResult) -> Stage:
        """The stage of a training that has ended.

        >>> Stage.of("fit", None, {}, None, LoopResult(None, 1, (EpochRecord(1, 0.5, {}),), 0.1)).best_epoch
        1
        """
        return Stage(
            name,
            model,
            variables,
            scorer,
            valid=result.records[result.best_epoch - 1].valid,
            best_epoch=result.best_epoch,
            records=result.records,
            compile_seconds=result.compile_seconds,
            valid_seconds=sum(record.valid_seconds for record in result.records),
        )

    @staticmethod
    def kept(name: str, model: Any, compile_seconds: float, reached: MemberProgress) -> Stage:
        """The stage that an earlier process has finished, without its parameters, which nothing asks for any more.

        >>> Stage.kept("fit", None, 0.1, MemberProgress((EpochRecord(1, 0.5, {}),), True, 1)).scorer is None
        True
        """
        return Stage.of(name, model, {}, None, LoopResult(None, reached.best_epoch, reached.records, compile_seconds))


def fitted_model(plan: FitPlan, stages: Sequence[Stage], *, key: jax.Array, started: float, **info: Any) -> FittedModel:
    """The fitted model of the stages that were run; `info` are further entries of its info."""
    split, options, last = plan.split, plan.options, stages[-1]
    part, fitted_on = (plan.part, plan.fitted_on)
    if plan.refit_on is not None:
        part, fitted_on = plan.refit_on, plan.refitted_on
    seen, shown = seen_items(part, *plan.shown), shown_users(plan.shown, part)
    weighed = weights_for(plan, part)
    skipped = int(last.records[-1].train["skipped"]) if last.records else 0
    if skipped:
        warnings.warn(
            f"{skipped} interactions an epoch belong to users who have every item that could be drawn, so they have no "
            "negative and were left out of training",
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
        "notes": [
            *(*split.train.notes, *split.notes),
            *([] if weighed is None else [weighed.note]),
            *info.get("warm_start", {}).get("notes", ()),
        ],
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
