"""How sure a result is: intervals and paired tests over users, Holm's correction, and the spread over seeds.

There are two sources of chance, and they are kept apart. *Users*: with other users of the same kind, the mean of one
trained model would have come out differently; `bootstrap_interval`, `paired_bootstrap`, `permutation_test` and
`compare_models` are about this. *Seeds*: trained again, the model itself would be another; `seed_spread` is about this.
Neither says anything about the other. A claim about methods, not about two trained models, needs at least 5 seeds.

All that is over users is for means of per-user values only. Catalogue coverage, Gini, entropy and personalisation are
functions of all lists together: a resample holds fewer different lists than there were, so its coverage is too low, and
an interval from resamples can miss the value itself. Show the spread over seeds for those.

The value of a user is NaN where it is not defined, and such a user is left out, as in `jaxrec.evaluation.Report`.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import statistics
import warnings
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax import lax

from jaxrec.errors import JaxrecError, MismatchError

IntervalMethod = Literal["percentile", "bca"]

_BYTES_A_USER = 32  # of one resample: two words of random bits and what makes them, the index, the count
_MOST_AT_ONCE = 64  # resamples in flight; more gain nothing
_EPS = float(np.finfo(np.float32).eps)
_NORMAL = statistics.NormalDist()


class PairedResult(NamedTuple):
    """What a paired comparison of two models over users gives.

    Attributes:
      difference: the mean over users of a minus b.
      low: lower end of its interval.
      high: upper end.
      p_value: two-sided, for the hypothesis that the mean difference is 0.
      users: how many users counted.

    >>> PairedResult(0.25, 0.125, 0.375, 0.001, 100).difference
    0.25
    """

    difference: float
    low: float
    high: float
    p_value: float
    users: int


class SeedSpread(NamedTuple):
    """What several trainings of one model give.

    Attributes:
      mean: the mean over seeds.
      std: the standard deviation over seeds (divisor S - 1).
      low: lower end of the interval of the mean.
      high: upper end.

    >>> SeedSpread(0.25, 0.01, 0.24, 0.26).std
    0.01
    """

    mean: float
    std: float
    low: float
    high: float


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


def bootstrap_interval(
    values: npt.ArrayLike,
    key: jax.Array,
    *,
    resamples: int = 2000,
    level: float = 0.95,
    method: IntervalMethod = "percentile",
    memory_mb: float = 256,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Interval of a mean over users, from means of users drawn with replacement.

    .. math:: \left[ Q_{(1 - c)/2}(\bar{x}^*), \; Q_{(1 + c)/2}(\bar{x}^*) \right],
              \quad \bar{x}^* = \frac{1}{n} \sum_{j=1}^{n} x_{u_j}, \quad u_j \sim \mathrm{Uniform}\{1, \dots, n\}

    with c the level, and the quantile Q interpolated between the two nearest resamples. With `method="bca"` the
    quantiles are moved to correct bias and skewness, which helps where few users have a large value; the acceleration
    is that of the jackknife.

    It is for means of per-user values only, and it is about users, not about seeds: see the top of this file. It does
    not cover catalogue coverage, Gini, entropy or personalisation.

    Resample r draws its users with `jax.random.fold_in(key, r)`. Columns with the same number of users share their
    draws, so a column has the same interval alone as beside others. Resamples are made a few at a time; how many at a
    time changes the result by the rounding of float32 at most.

    Args:
      values: [U] or [U, M], one value for each user, in M columns. NaN leaves the user out of that column.
      key: from `jax.random.key`; consumed.
      resamples: how many, at least 2 / (1 - level).
      level: the probability of the interval, between 0 and 1.
      method: "percentile" or "bca".
      memory_mb: bound in MiB for the resamples at work; one at a time (32 bytes a user) where that does not fit.

    Returns:
      (low, high), float64 of shape [] or [M].

    Raises:
      MismatchError: `values` is not of shape [U] or [U, M].
      JaxrecError: a value that is infinite; a column with fewer than two users; a key, resamples, level, method or
        memory that makes no sense.

    Source: Efron and Tibshirani, "An introduction to the bootstrap", 1993: section 13.3 (percentile), equations 14.9
    to 14.15 (BCa).

    >>> low, high = bootstrap_interval(np.arange(100) / 99, jax.random.key(0))
    >>> bool(0.4 < low < 0.5 < high < 0.6)
    True
    """
    _check_options(key, resamples, level, method, memory_mb)
    values = np.asarray(values)
    if values.ndim not in (1, 2):
        raise MismatchError(f"values has shape {values.shape}, expected [U] or [U, M]: one value for each user")
    columns = _as_values("values", values)
    columns = columns[:, None] if values.ndim == 1 else columns
    result = _bootstrap("values", columns, key, resamples, level, method, memory_mb)
    return result.low.reshape(values.shape[1:]), result.high.reshape(values.shape[1:])


def paired_bootstrap(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    key: jax.Array,
    *,
    resamples: int = 2000,
    level: float = 0.95,
    method: IntervalMethod = "percentile",
    memory_mb: float = 256,
) -> PairedResult:
    r"""The mean difference of two models over the same users, with its interval and the test that it is 0.

    .. math:: p = \frac{1 + \#\{ |\bar{d}^* - \bar{d}| \ge |\bar{d}| \}}{1 + \mathrm{resamples}},
              \quad d_u = a_u - b_u

    The resamples are shifted to the mean 0 that the hypothesis claims, and p is the share that is as far from 0 as the
    difference that was seen, on either side. The 1 that is added counts what was seen as one of them: p is never 0, and
    its least value is 1 / (1 + resamples). The test resamples the differences and does not divide by their standard
    error, as Sakai's does. It is about these users and these two trained models; see the top of this file.

    Args:
      a: [U], values of the first model.
      b: [U], values of the second, users in the same order. A user with NaN in either is left out.
      key, resamples, level, method, memory_mb: as in `bootstrap_interval`.

    Returns:
      Difference, interval, p and the number of users. Differences that float32 cannot tell apart count as equal.

    Raises:
      MismatchError: a and b are not of one shape [U].
      JaxrecError: as in `bootstrap_interval`.

    Source: Efron and Tibshirani 1993, section 16.4 (the shift to the null); Sakai, "Evaluating evaluation metrics based
    on the bootstrap", SIGIR 2006; Davison and Hinkley, "Bootstrap methods and their application", 1997, equation 4.11
    (the added 1).

    >>> values = np.arange(100) / 99
    >>> paired_bootstrap(values, values, jax.random.key(0))
    PairedResult(difference=0.0, low=0.0, high=0.0, p_value=1.0, users=100)
    """
    _check_options(key, resamples, level, method, memory_mb)
    first, second = _check_pair(a, b)
    result = _bootstrap("a - b", (first - second)[:, None], key, resamples, level, method, memory_mb)
    return PairedResult(
        float(result.mean[0]), float(result.low[0]), float(result.high[0]), float(result.p[0]), int(result.users[0])
    )


def permutation_test(
    a: npt.ArrayLike, b: npt.ArrayLike, key: jax.Array, *, permutations: int = 10000, memory_mb: float = 256
) -> float:
    r"""Two-sided p of the hypothesis that it does not matter which of two models a user's values came from.

    .. math:: p = \frac{1 + \#\{ |\sum_u s_u d_u| \ge |\sum_u d_u| \}}{1 + \mathrm{permutations}},
              \quad d_u = a_u - b_u, \quad s_u \in \{-1, 1\}

    Under the hypothesis a user's two values may be exchanged, which turns the sign of the difference. This is Fisher's
    randomisation test, paired. Users with d = 0 change nothing and take no part. If the n others have at most
    `permutations` patterns of signs (2^n; up to 13 users at the default), each pattern is counted once instead, and
    p = count / 2^n is exact; the key then does not matter. It is about these users and these two trained models.

    Args:
      a: [U], values of the first model.
      b: [U], values of the second, users in the same order. A user with NaN in either is left out.
      key: from `jax.random.key`; consumed. Pattern r uses `jax.random.fold_in(key, r)`.
      permutations: how many patterns of signs to draw, or to list.
      memory_mb: bound in MiB for the patterns at work; one at a time where that does not fit.

    Returns:
      p, above 0 and at most 1. Sums that float32 cannot tell apart count as equal.

    Raises:
      MismatchError: a and b are not of one shape [U].
      JaxrecError: a value that is infinite; no user; a key, permutations or memory that makes no sense.

    Source: Smucker, Allan and Carterette, "A comparison of statistical significance tests for information retrieval
    evaluation", CIKM 2007, section 3.1.

    >>> permutation_test([0.5, 0.75, 1.0], [0.25, 0.5, 0.75], jax.random.key(0))
    0.25
    """
    _check_key(key)
    _check_count("permutations", permutations, 1)
    _check_memory(memory_mb)
    first, second = _check_pair(a, b)
    difference = first - second
    difference = difference[~np.isnan(difference)]
    if not difference.size:
        raise JaxrecError("a and b have no user with a value in both; evaluate both models on one test part")
    difference = difference[difference != 0]
    if not difference.size:
        return 1.0
    users = difference.size
    slack = _slack(difference) * users
    least = abs(difference.sum()) - slack
    if users <= int(permutations).bit_length() - 1:
        sums = np.zeros(1)
        for step in difference:  # at most log2(permutations) users
            sums = np.concatenate([sums + step, sums - step])
        return float(np.mean(np.abs(sums) >= least))
    scale = np.abs(difference).max()
    chunk = _at_once(users, memory_mb, permutations)
    scaled = jnp.asarray((difference / scale).astype(np.float32))
    sums = np.asarray(_signed_sums(scaled, key, count=permutations, chunk=chunk), np.float64) * scale
    return float((1 + np.sum(np.abs(sums) >= least)) / (1 + permutations))


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
    _check_options(key, resamples, level, method, memory_mb)
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
    results: list[_Bootstrap] = []
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
        results.append(_bootstrap("per_user", columns, key, resamples, level, method, memory_mb))
    whole = _Bootstrap(*(np.concatenate(field) for field in zip(*results, strict=True)))
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


def seed_spread(values: npt.ArrayLike, *, level: float = 0.95) -> SeedSpread:
    r"""The spread of a number over several trainings that differ in their seed, and the interval of its mean.

    .. math:: \bar{x} \pm t_{S - 1} \, s / \sqrt{S}

    with s the standard deviation (divisor S - 1) and t the Student quantile of the level. It says how the number varies
    when the model is trained again on the same data, and nothing about other users: show it beside an interval over
    users, not in its place. Any number of a whole evaluation will do, catalogue coverage and Gini too.

    Args:
      values: [S], one number for each training, for example its mean recall.
      level: the probability of the interval, between 0 and 1.

    Returns:
      Mean, standard deviation, and the ends of the interval.

    Raises:
      MismatchError: `values` is not one-dimensional.
      JaxrecError: fewer than two seeds, a value that is NaN or infinite, or a level outside (0, 1).

    Warns:
      UserWarning: fewer than 5 seeds, too few for a claim about methods.

    Source: Student, "The probable error of a mean", Biometrika 1908.

    >>> seed_spread([0.25, 0.25, 0.5, 0.75, 0.75]).mean
    0.5
    """
    from scipy.special import stdtrit

    _check_level(level)
    seeds = np.asarray(values, np.float64)
    if seeds.ndim != 1:
        raise MismatchError(f"values has shape {seeds.shape}, expected [S]: one number for each training")
    if not np.isfinite(seeds).all():
        at = int(np.argmin(np.isfinite(seeds)))
        raise JaxrecError(f"values[{at}] is {seeds[at]}; look into the training that gave it before you leave it out")
    if seeds.size < 2:
        raise JaxrecError(f"values has {seeds.size} seed(s), and a spread needs 2; train again with other keys")
    if seeds.size < 5:
        warnings.warn(
            f"{seeds.size} seeds: a claim about methods needs at least 5; train more, or speak of these models only",
            UserWarning,
            stacklevel=2,
        )
    mean, std = float(seeds.mean()), float(seeds.std(ddof=1))
    half = float(stdtrit(seeds.size - 1, (1 + level) / 2)) * std / math.sqrt(seeds.size)
    return SeedSpread(mean, std, mean - half, mean + half)


class _Bootstrap(NamedTuple):
    """Of each column: mean, ends of the interval, p of the mean 0, and how many users count; each [C]."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray
    users: np.ndarray


def _bootstrap(
    name: str, values: np.ndarray, key: jax.Array, resamples: int, level: float, method: str, memory_mb: float
) -> _Bootstrap:
    """The bootstrap of every column of float64 [U, C], where NaN leaves the user out of its column."""
    counts = ~np.isnan(values)
    users = counts.sum(axis=0)
    if (users < 2).any():
        at = int(np.argmax(users < 2))
        where = f", column {at}," if values.shape[1] > 1 else ""
        raise JaxrecError(
            f"{name}{where} has {users[at]} user(s) with a value, and an interval over users needs 2; "
            "leave out a metric that is defined for nobody"
        )
    mean, low, high, p = np.empty((4, values.shape[1]))
    # Columns with the same users are resampled together. The others get the same key on purpose: so no column depends
    # on those beside it.
    groups: dict[bytes, list[int]] = {}
    for at in range(values.shape[1]):
        groups.setdefault(np.packbits(counts[:, at]).tobytes(), []).append(at)
    for together in groups.values():
        kept = values[counts[:, together[0]]][:, together]
        mean[together] = kept.mean(axis=0)
        centred = kept - mean[together]
        draws = _resampled_means(centred, key, resamples, memory_mb)
        for column, at in enumerate(together):
            mine = np.sort(draws[:, column])
            slack = _slack(centred[:, column])
            tails = _tails(mine, centred[:, column], slack, level, method)
            low[at], high[at] = mean[at] + np.quantile(mine, tails)
            p[at] = (1 + np.sum(np.abs(mine) >= abs(mean[at]) - slack)) / (1 + resamples)
    return _Bootstrap(mean, low, high, p, users)


def _resampled_means(centred: np.ndarray, key: jax.Array, resamples: int, memory_mb: float) -> np.ndarray:
    """Means of resampled users, float64 [resamples, C], of columns [n, C] whose mean is 0.

    Centred and scaled, float32 loses a small part of the standard error and not of the mean.
    """
    scale = np.abs(centred).max(axis=0)
    scale[scale == 0] = 1
    scaled = jnp.asarray((centred / scale).astype(np.float32))
    chunk = _at_once(len(centred), memory_mb, resamples)
    sums = _resampled_sums(scaled, key, count=resamples, chunk=chunk)
    return np.asarray(sums, np.float64) * (scale / len(centred))


def _tails(draws: np.ndarray, centred: np.ndarray, slack: float, level: float, method: str) -> list[float]:
    """The shares of the sorted draws [R] (of a mean of 0) that lie below the two ends of the interval."""
    tails = [(1 - level) / 2, (1 + level) / 2]
    spread = float(np.sum(centred**2))
    if method == "percentile" or spread == 0:
        return tails
    # Draws equal to the mean count as one half below it.
    below = (np.sum(draws < -slack) + np.sum(draws <= slack)) / (2 * draws.size)
    bias = _NORMAL.inv_cdf(min(max(below, 0.5 / draws.size), 1 - 0.5 / draws.size))
    # The jackknife of a mean in closed form: leaving out a user moves it by -centred / (n - 1).
    acceleration = float(np.sum(centred**3)) / (6 * spread**1.5)
    moved = [bias + _NORMAL.inv_cdf(tail) for tail in tails]
    return [_NORMAL.cdf(bias + at / (1 - acceleration * at)) for at in moved]


def _slack(values: np.ndarray) -> float:
    """How far two means of n values in float32 may differ by rounding alone."""
    return 4 * _EPS * math.sqrt(float(np.mean(values**2)))


def _at_once(num_users: int, memory_mb: float, count: int) -> int:
    fit = int(memory_mb * 2**20 / 2) // (_BYTES_A_USER * num_users)  # the other half is for the values
    return max(1, min(fit, _MOST_AT_ONCE, count))


@functools.partial(jax.jit, static_argnames=("count", "chunk"))
def _resampled_sums(values: jax.Array, key: jax.Array, *, count: int, chunk: int) -> jax.Array:
    """Sums over resampled rows of [n, C], float32 [count, C]."""
    size = values.shape[0]

    def one(number: jax.Array) -> jax.Array:
        rows = jax.random.randint(jax.random.fold_in(key, number), (size,), 0, size, jnp.int32)
        # How often each row was drawn: one product serves all columns, where a gather would go through them one by one.
        times = jnp.zeros(size, jnp.float32).at[rows].add(np.float32(1))
        return jnp.dot(times, values, precision=lax.Precision.HIGHEST)

    return _map_in_chunks(one, count, chunk)


@functools.partial(jax.jit, static_argnames=("count", "chunk"))
def _signed_sums(values: jax.Array, key: jax.Array, *, count: int, chunk: int) -> jax.Array:
    """Sums of [n] under random signs, float32 [count]; one bit of randomness a sign."""
    size = values.shape[0]

    def one(number: jax.Array) -> jax.Array:
        words = jax.random.bits(jax.random.fold_in(key, number), (-(-size // 32),), jnp.uint32)
        bits = (words[:, None] >> np.arange(32, dtype=np.uint32)[None, :]) & np.uint32(1)
        signs = 1 - 2 * bits.reshape(-1)[:size].astype(jnp.float32)
        return jnp.dot(signs, values, precision=lax.Precision.HIGHEST)

    return _map_in_chunks(one, count, chunk)


def _map_in_chunks(function: Callable[[jax.Array], jax.Array], count: int, chunk: int) -> jax.Array:
    # Rounded up to whole chunks, so that there is one program and not a second one for the rest.
    steps = -(-count // chunk)
    numbers = jnp.arange(steps * chunk, dtype=jnp.uint32).reshape(steps, chunk)
    values = lax.map(jax.vmap(function), numbers)
    return values.reshape(steps * chunk, *values.shape[2:])[:count]


def _as_values(name: str, values: npt.ArrayLike) -> np.ndarray:
    """Values as float64, checked for infinities."""
    out = np.asarray(values)
    if out.dtype.kind not in "biuf":
        raise JaxrecError(f"{name} is of type {out.dtype}; pass numbers, one for each user")
    out = out.astype(np.float64)
    if np.isinf(out).any():
        at = [int(place) for place in np.argwhere(np.isinf(out))[0]]
        raise JaxrecError(f"{name}{at} is {out[tuple(at)]}, which has no mean; use NaN for a user who does not count")
    return out


def _check_pair(a: npt.ArrayLike, b: npt.ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    first, second = _as_values("a", a), _as_values("b", b)
    if first.ndim != 1 or first.shape != second.shape:
        raise MismatchError(
            f"a has shape {first.shape} and b {second.shape}, expected [U] twice; evaluate both models on one test part"
        )
    return first, second


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
            mine = values[model][metric] = _as_values(name, metrics[metric])
            if mine.ndim != 1:
                raise MismatchError(
                    f"{name} has shape {mine.shape}, expected [U]; a number of all lists together is not compared here"
                )
            shape = mine.shape if shape is None else shape
            if mine.shape != shape:
                raise MismatchError(f"{name} has {mine.size:,} users, expected {shape[0]:,}; use one test part for all")
    return values


def _check_options(key: jax.Array, resamples: int, level: float, method: str, memory_mb: float) -> None:
    _check_key(key)
    _check_level(level)
    _check_count("resamples", resamples, 1)
    least = math.ceil(round(2 / (1 - level), 6))  # one resample beyond each end
    if resamples < least:
        raise JaxrecError(f"resamples is {resamples}, too few for level={level}; pass at least {least}, better 2000")
    if method not in ("percentile", "bca"):
        raise JaxrecError(f"method is {method!r}; choose 'percentile' or 'bca'")
    _check_memory(memory_mb)


def _check_key(key: jax.Array) -> None:
    if not (isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and key.shape == ()):
        raise JaxrecError(f"key is {key!r}; pass one jax.random key, for example jax.random.key(0)")


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise JaxrecError(f"level is {level}; pass a probability between 0 and 1, such as 0.95")


def _check_count(name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise JaxrecError(f"{name} is {value!r}; pass a whole number of at least {least}")


def _check_memory(memory_mb: float) -> None:
    if not memory_mb > 0:
        raise JaxrecError(f"memory_mb is {memory_mb}; pass a positive number of MiB")
