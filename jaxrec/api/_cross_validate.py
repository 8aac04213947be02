"""Cross-validation: a model fitted and measured on several splits, and one report of all."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from jaxrec import registry
from jaxrec._keys import one_key
from jaxrec.api._evaluate import evaluate, evaluate_ratings
from jaxrec.data._interactions import Interactions
from jaxrec.data.splitting._parts import Split
from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.fitting._fit import fit
from jaxrec.fitting._fitted import FittedModel
from jaxrec.fitting._options import TrainingOptions
from jaxrec.progress import work
from jaxrec.reports._report import Report
from jaxrec.text import aligned_text, number_text


@dataclasses.dataclass(frozen=True, eq=False)
class CrossValidation:
    """What a cross-validation measured.

    Attributes:
      report: one report of all folds, see `cross_validate`.
      folds: the report of each fold.
      epochs: the best epoch of each fold; 0 of a model that is solved.

    >>> folds = [Report(np.array([user]), {"recall@10": np.array([user / 4])}) for user in (1, 2)]
    >>> found = CrossValidation(joined(folds), tuple(folds), (5, 8))
    >>> print(str(found).partition("\\n\\n")[0])
    fold  users  recall@10
    0     1      0.2500
    1     1      0.5000
    """

    report: Report
    folds: tuple[Report, ...]
    epochs: tuple[int, ...]

    def __str__(self) -> str:
        shown = self.report.names[:6]
        rows = [("fold", "users", *shown)]
        for at, fold in enumerate(self.folds):
            rows.append((str(at), f"{len(fold.users):,}", *(number_text(fold.mean(name)) for name in shown)))
        return f"{aligned_text(rows)}\n\n{self.report}"


def cross_validate(
    model: Any,
    data: Interactions | Iterable[Split],
    splitter: Any = None,
    options: TrainingOptions | None = None,
    *,
    key: jax.Array,
    measure: Callable[[FittedModel, Split], Report] | None = None,
    callbacks: Sequence[Any] = (),
) -> CrossValidation:
    """Fit and measure a model on several splits, and make one report of them.

    In the report each user counts once, with the mean over the folds that tested them. With folds over users
    (`UserKFold`) every user is tested in one fold, so the report is that of all users, side by side, and its intervals
    are those of one evaluation. With windows of time (`TimeWindows`) users come back, and the values of one user are
    not independent; their mean is. Values over all lists, such as coverage or RMSE, are means over the folds, and
    counts are added up.

    Args:
      model: as for `jaxrec.fit`.
      data: interactions; or splits of one catalog, without a splitter.
      splitter: one with several rounds, such as `UserKFold(folds=5)` or `TimeWindows(windows=3)`, its name, or a
        function (data, key) -> splits.
      options: how to train.
      key: consumed; all folds are dealt by one part of it, and each is fitted by one of its own.
      measure: from a fitted model and its split to a report; by default `jaxrec.evaluate`, or
        `jaxrec.evaluate_ratings` for a model of ratings. For other lengths `functools.partial(jaxrec.evaluate, k=50)`.
      callbacks: told of every epoch of every fold.

    Returns:
      The report of all folds, and that of each.

    Raises:
      JaxrecError: fewer than two splits, and all that fitting and measuring raise.
      MismatchError: splits of different catalogs, or reports that differ in what they hold.

    >>> import jaxrec
    >>> from jaxrec.data.splitting import TimeWindows
    >>> times = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    >>> data = jaxrec.from_arrays([0, 1] * 6, [0, 1, 1, 0, 2, 2, 3, 4, 4, 3, 5, 5], timestamp=times)
    >>> found = cross_validate(
    ...     jaxrec.Popularity(), data, TimeWindows(windows=2, test=0.2), key=jax.random.key(0),
    ...     measure=lambda model, split: jaxrec.evaluate(model, split, k=2, metrics="recall", space=None),
    ... )
    >>> found.report.per_user["recall@2"].shape, len(found.folds)
    ((2,), 2)
    """
    reports, epochs, first = [], [], None
    split_key, fit_key = jax.random.split(one_key(key))
    with work("cross-validation"):  # of splits that may be without an end
        for at, split in enumerate(_splits(data, splitter, split_key)):
            first = split if first is None else first
            if not split.train.same_catalog(first.train):
                raise MismatchError(
                    f"split {at} has other users or items than the first; make all splits from one data set"
                )
            with work(f"split {at + 1}"):
                fitted = fit(model, split, options, key=jax.random.fold_in(fit_key, at), callbacks=callbacks)
                by_default = evaluate_ratings if fitted.info["task"] == "rating" else evaluate
                reports.append((measure or by_default)(fitted, split))
            epochs.append(int(fitted.info["best_epoch"]))
    if len(reports) < 2:
        raise JaxrecError(
            f"the splitter gives {len(reports)} split; use one with several rounds, such as UserKFold(folds=5) or "
            "TimeWindows(windows=3), or jaxrec.fit and jaxrec.evaluate"
        )
    return CrossValidation(joined(reports), tuple(reports), tuple(epochs))


def joined(reports: Sequence[Report]) -> Report:
    """One report of several on other users, or on some of the same: each user with the mean of their values.

    Raises:
      MismatchError: reports that differ in what they hold.

    >>> one = Report(np.array([0, 2]), {"recall@10": np.array([0.0, 1.0])}, {"coverage@10": 0.5})
    >>> two = Report(np.array([1, 2]), {"recall@10": np.array([0.25, 0.5])}, {"coverage@10": 0.7})
    >>> both = joined([one, two])
    >>> both.users.tolist(), both.per_user["recall@10"].tolist(), round(both.mean("coverage@10"), 2)
    ([0, 1, 2], [0.0, 0.25, 0.75], 0.6)
    """
    first = reports[0]
    for report in reports:
        if set(report.per_user) != set(first.per_user) or set(report.overall) != set(first.overall):
            differ = sorted({*report.names} ^ {*first.names})
            raise MismatchError(f"the folds differ in what was measured ({', '.join(differ)}); measure all alike")
    users = np.unique(np.concatenate([report.users for report in reports]))
    places = [np.searchsorted(users, report.users) for report in reports]
    per_user = {}
    for name in first.per_user:
        total, times = np.zeros(len(users)), np.zeros(len(users))
        for report, place in zip(reports, places, strict=True):
            values = report.per_user[name].astype(np.float64)
            defined = ~np.isnan(values)
            total[place[defined]] += values[defined]
            times[place[defined]] += 1
        per_user[name] = np.where(times > 0, total / np.maximum(times, 1), np.nan)
    ids = None
    if all(report.user_ids is not None for report in reports):
        ids = np.empty(len(users), np.asarray(first.user_ids).dtype)
        for report, place in zip(reports, places, strict=True):
            ids[place] = report.user_ids
    trained = None
    if all(report.trained is not None for report in reports):
        trained = np.ones(len(users), bool)
        for report, place in zip(reports, places, strict=True):
            trained[place] &= np.asarray(report.trained)
    return dataclasses.replace(
        first,
        users=users,
        per_user=per_user,
        overall={name: float(np.mean([report.overall[name] for report in reports])) for name in first.overall},
        counts={
            name: sum(report.counts.get(name, 0) for report in reports)
            for name in dict.fromkeys(name for report in reports for name in report.counts)
        },
        seconds=sum(report.seconds for report in reports),
        runs=1,
        seeds={},
        user_ids=ids,
        trained=trained,
    )


def _splits(data: Any, splitter: Any, key: jax.Array) -> Iterator[Split]:
    if not isinstance(data, Interactions):
        if splitter is not None or isinstance(data, Split) or not isinstance(data, Iterable):
            raise JaxrecError(
                f"data must be Interactions with a splitter, or splits without one, got {type(data).__name__}"
            )
        yield from data
        return
    if splitter is None:
        raise JaxrecError("interactions need a splitter, such as UserKFold(folds=5) or TimeWindows(windows=3)")
    splitter = registry.make("splitter", splitter)
    for each in splitter.rounds() if hasattr(splitter, "rounds") else (splitter,):
        made = each(data, key)
        yield from [made] if isinstance(made, Split) else made
