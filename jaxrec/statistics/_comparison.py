"""Several models compared in several metrics over the same users, with Holm's correction for the number of tests."""

from __future__ import annotations

import dataclasses
import itertools
import math
import warnings
from collections.abc import Mapping

import jax
import numpy as np
import numpy.typing as npt

from jaxrec.errors import JaxrecError, MismatchError
from jaxrec.progress import work
from jaxrec.statistics._resampling import ColumnBootstrap, IntervalMethod, as_values, bootstrap_columns, check_options


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two models compared in one metric: a row of `compare_models`.

    Attributes:
      a: label of the first model.
      b: label of the second.
      metric: name of the metric.
      mean_a: mean over the users that count.
      mean_b: the same of the second model, over the same users.
      difference: mean_a - mean_b.
      low: lower end of the interval of the difference, for this row alone.
      high: upper end.
      p_value: two-sided, for this row alone.
      p_holm: corrected for all rows.
      significant: whether p_holm is at most 1 - level.
      users: how many users counted.

    >>> Comparison("mf", "random", "recall@10", 0.5, 0.25, 0.25, 0.125, 0.375, 0.001, 0.002, True, 100).significant
    True
    """

    a: str
    b: str
    metric: str
    mean_a: float
    mean_b: float
    difference: float
    low: float
    high: float
    p_value: float
    p_holm: float
    significant: bool
    users: int


def holm(p_values: npt.ArrayLike) -> np.ndarray:
    r"""p values corrected for how many there are, so that the chance of any false finding stays at the level.

    .. math:: \tilde{p}_{(i)} = \max_{j \le i} \min(1, (M - j + 1) \, p_{(j)})

    with p sorted from the lowest up. It holds for tests that depend on each other in any way, and is never weaker than
    Bonferroni's M p. What is tested and not shown must be counted too: pass all p values of the study.

    Args:
      p_values: [M], from 0 to 1, in any order.

    Returns:
      float64 [M], in the order given; at most the level where the hypothesis is refused.

    Raises:
      MismatchError: `p_values` is not one-dimensional.
      JaxrecError: a value that is NaN or outside 0 to 1.

    Source: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics, 1979.

    >>> holm([0.25, 0.0625, 0.125])
    array([0.25  , 0.1875, 0.25  ])
    """
    p = np.asarray(p_values, np.float64)
    if p.ndim != 1:
        raise MismatchError(f"p_values has shape {p.shape}, expected [M]; pass all p values of the study in one row")
    wrong = ~((p >= 0) & (p <= 1))
    if wrong.any():
        at = int(np.argmax(wrong))
        raise JaxrecError(f"p_values[{at}] is {p[at]}, not from 0 to 1; leave out tests that could not be made")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)), 1)
    return adjusted


def compare_models(
    per_user: Mapping[str, Mapping[str, npt.ArrayLike]],
    key: jax.Array,
    *,
    resamples: int = 2000,
    level: float = 0.95,
    method: IntervalMethod = "percentile",
    memory_mb: float = 256,
) -> list[Comparison]:
    """Every pair of models in every metric: `paired_bootstrap`, and Holm's correction over all rows.

    In a metric those users count who have a value from every model, so that all rows of the metric are about the same
    users; each row says how many. The intervals are each for one row alone: one may leave out 0 where the row is not
    significant, because Holm's correction is for all rows. All rows share their draws of users.

    It compares trained models over users. For a claim about methods train each at least 5 times, show `seed_spread`
    too, and pass here the means over seeds, user by user.

    Args:
      per_user: label of the model to (name of the metric to values [U]), users in the same order everywhere. All models
        have the same metrics. Numbers of all lists together, such as coverage, are no per-user values.
      key, resamples, level, method, memory_mb: as in `bootstrap_interval`.

    Returns:
      A row for each metric and pair: metrics in the order of the first model, pairs in the order of the mapping.

    Raises:
      MismatchError: the models have different metrics, or values that are not of one shape [U].
      JaxrecError: fewer than two models, no metric, or as in `bootstrap_interval`.

    Warns:
      UserWarning: so few resamples for so many rows that no row can be significant.

    Source: as `paired_bootstrap` and `holm`.

    >>> values = np.arange(100) / 99
    >>> models = {"a": {"recall@10": values + 0.5}, "b": {"recall@10": values}, "c": {"recall@10": values}}
    >>> [(row.a, row.b, round(row.difference, 3), row.significant) for row in compare_models(models, jax.random.key(0))]
    [('a', 'b', 0.5, True), ('a', 'c', 0.5, True), ('b', 'c', 0.0, False)]
    """
    check_options(key, resamples, level, method, memory_mb)
    values = _check_models(per_user)
    pairs = list(itertools.combinations(values, 2))
    wanted = [(metric, a, b) for metric in next(iter(values.values())) for a, b in pairs]
    if len(wanted) > (1 - level) * (1 + resamples):
        enough = math.ceil(len(wanted) / (1 - level))
        warnings.warn(
            f"{len(wanted):,} comparisons with resamples={resamples}: the lowest p is 1 / {1 + resamples}, so after "
            f"Holm's correction no difference can be significant; pass resamples={enough} or more",
            UserWarning,
            stacklevel=2,
        )
    means: dict[tuple[str, str], float] = {}
    results: list[ColumnBootstrap] = []
    num_users = len(next(iter(next(iter(values.values())).values())))
    block = max(1, int(memory_mb * 2**20 / 32) // max(num_users, 1))
    for start in range(0, len(wanted), block):
        part = wanted[start : start + block]
        columns = np.empty((num_users, len(part)))
        for at, (metric, a, b) in enumerate(part):
            counts = ~np.any([np.isnan(of_model[metric]) for of_model in values.values()], axis=0)
            if counts.sum() < 2:
                raise JaxrecError(
                    f"metric {metric!r} has {counts.sum()} user(s) with a value from every model, and a comparison "
                    "needs 2; leave the metric out, or the model that lacks it"
                )
            columns[:, at] = np.where(counts, values[a][metric] - values[b][metric], np.nan)
            for model in (a, b):
                if (model, metric) not in means:
                    means[model, metric] = float(values[model][metric][counts].mean())
        with work("comparing"):
            results.append(bootstrap_columns("per_user", columns, key, resamples, level, method, memory_mb))
    whole = ColumnBootstrap(*(np.concatenate(field) for field in zip(*results, strict=True)))
    corrected = holm(whole.p)
    return [
        Comparison(
            a=a,
            b=b,
            metric=metric,
            mean_a=means[a, metric],
            mean_b=means[b, metric],
            difference=float(whole.mean[at]),
            low=float(whole.low[at]),
            high=float(whole.high[at]),
            p_value=float(whole.p[at]),
            p_holm=float(corrected[at]),
            significant=bool(corrected[at] <= 1 - level),
            users=int(whole.users[at]),
        )
        for at, (metric, a, b) in enumerate(wanted)
    ]


def _check_models(per_user: Mapping[str, Mapping[str, npt.ArrayLike]]) -> dict[str, dict[str, np.ndarray]]:
    if len(per_user) < 2:
        raise JaxrecError(f"per_user has {len(per_user)} model(s); pass at least two to compare")
    first = next(iter(per_user))
    if not per_user[first]:
        raise JaxrecError(f"per_user[{first!r}] is empty; pass the per-user values of at least one metric")
    values: dict[str, dict[str, np.ndarray]] = {}
    shape = None
    for model, metrics in per_user.items():
        if set(metrics) != set(per_user[first]):
            differ = ", ".join(sorted(set(metrics) ^ set(per_user[first])))
            raise MismatchError(
                f"per_user[{model!r}] and per_user[{first!r}] differ in their metrics ({differ}); evaluate all alike"
            )
        values[model] = {}
        for metric in per_user[first]:
            name = f"per_user[{model!r}][{metric!r}]"
            mine = values[model][metric] = as_values(name, metrics[metric])
            if mine.ndim != 1:
                raise MismatchError(
                    f"{name} has shape {mine.shape}, expected [U]; a number of all lists together is not compared here"
                )
            shape = mine.shape if shape is None else shape
            if mine.shape != shape:
                raise MismatchError(f"{name} has {mine.size:,} users, expected {shape[0]:,}; use one test part for all")
    return values
